"""A local app in the browser, with the same functions as the command line."""
