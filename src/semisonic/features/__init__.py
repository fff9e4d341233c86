"""Samples to features: log-mel spectrograms, deltas, standardisation, MFCC statistics."""
