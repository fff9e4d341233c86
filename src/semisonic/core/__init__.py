"""Errors, options, files and locks, seeds, progress, and parallel calls."""
