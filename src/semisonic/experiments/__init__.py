"""Experiments: a recipe's folds, draws, settings and arms, run, compared and reported."""
