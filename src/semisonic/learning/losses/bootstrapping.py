"""Soft bootstrapping: the target is a mixture of the label and of what the network says.

Paper: Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich 2015, "Training deep neural networks on
noisy labels with bootstrapping", the soft version.

What it changes: the target of a row becomes ``beta`` times its label plus ``1 - beta`` times
the network's own probabilities. A network that is consistent about the clean labels then
believes a wrong one less. As in the paper the gradient flows through both places where the
probabilities stand, so the loss is cross-entropy plus a pull towards sure answers.

Where we differ: with several labels per clip each class is a question of its own, and its target
is mixed with its own probability. The paper's 0.95 is the default; seed systems for tagging
used 0.7 with several labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.losses.base import RowLoss, cross_entropy_rows


class SoftBootstrapping(RowLoss):
    """Cross-entropy against a mixture of label and prediction.

    Parameters
    ----------
    beta : float
        Weight of the label, above 0 to 1. At 1 it is cross-entropy.
    multi_label, label_smoothing
        See :class:`RowLoss`.
    """

    def __init__(
        self, beta: float = 0.95, *, multi_label: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(multi_label=multi_label, label_smoothing=label_smoothing)
        if not 0.0 < beta <= 1.0:
            raise OptionError(f"option 'beta': found {beta}, expected above 0 and at most 1")
        self.beta = beta

    def of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """The loss of each row for targets that are shares."""
        own = prediction_entropy(logits, self.multi_label)
        labelled = cross_entropy_rows(logits, shares, self.multi_label)
        return self.beta * labelled + (1.0 - self.beta) * own

    def extra_repr(self) -> str:
        """What tells two losses apart."""
        return f"beta={self.beta}, {super().extra_repr()}"


def prediction_entropy(logits: Tensor, multi_label: bool) -> Tensor:
    """Entropy of the network's answer, in nats, shape (batch,); mean over questions if several."""
    if not multi_label:
        logs = logits.log_softmax(dim=1)
        return -(logs.exp() * logs).sum(dim=1)
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    return -(torch.sigmoid(logits) * yes + torch.sigmoid(-logits) * no).mean(dim=1)
