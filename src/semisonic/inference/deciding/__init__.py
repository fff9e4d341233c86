"""Fitting a model's decision: calibration, thresholds, and what counts as unknown."""
