"""A local app in the browser, on the same functions as the command line."""
