"""Objectives: what is minimised, one file a method; tensors in, a loss and terms out."""

from semisonic.learning.base import BatchLike, Objective
from semisonic.learning.reconstruction import Reconstruction
from semisonic.learning.supervised import Supervised, batch_accuracy, binary_cross_entropy

__all__ = [
    "BatchLike",
    "Objective",
    "Reconstruction",
    "Supervised",
    "batch_accuracy",
    "binary_cross_entropy",
]
