"""What stands behind the commands: one function and one result a verb, nothing printed."""
