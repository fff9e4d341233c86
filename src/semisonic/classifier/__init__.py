"""Recordings in, answers out: training, evaluation, prediction and the Python face."""
