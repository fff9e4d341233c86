"""The names of simple classifiers. No torch here."""

from __future__ import annotations

SIMPLE = ("knn", "forest", "svm", "logistic", "boosting", "mlp")
"""As :data:`semisonic.inference.simple.classifiers.CLASSIFIERS` fits them."""
