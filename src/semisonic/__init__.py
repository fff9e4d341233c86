"""Semisonic learns to recognise sounds from a few labels and many unlabelled recordings."""
