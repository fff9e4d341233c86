"""What people start: the command line. Glue only; the work is done in the other rooms."""
