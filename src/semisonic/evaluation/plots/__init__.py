"""Figures, one file each; every function returns a matplotlib ``Figure`` and opens no window."""
