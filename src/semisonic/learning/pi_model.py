"""Π-model: a network agrees with itself about two views of an unlabelled clip.

Paper: Laine and Aila 2017, "Temporal ensembling for semi-supervised learning".

What it changes: beside the loss of labelled clips, the mean square between the scores of two
randomly augmented views is minimised.

Where we differ: the gradient goes through one of the two views only. One view is augmented
weakly, the other strongly; in the paper both are alike. Labelled clips have no part in the
disagreement unless they are in the unlabelled stream too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.learning.consistency import Consistency


class PiModel(Consistency):
    """Disagreement with the network's own answer, with dropout as in training."""

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """The network's scores for the weak view."""
        scores: Tensor = self.model.probabilities(self.model.from_features(x).float())
        return scores
