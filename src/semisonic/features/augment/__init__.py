"""Augmentation: training clips are changed at random, each time anew."""
