"""What every room may use: errors, options, seeds, safe files, progress."""
