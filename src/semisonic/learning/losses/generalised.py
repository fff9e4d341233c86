"""Generalised cross-entropy L_q: between cross-entropy and mean absolute error.

Paper: Zhang and Sabuncu 2018, "Generalized cross entropy loss for training deep neural
networks with noisy labels".

What it changes: a row with probability p for its label costs ``(1 - p^q) / q``. As q goes to 0
this is cross-entropy; at q = 1 it is the absolute error, which wrong labels cannot pull far
but which learns slowly. The slope of a row is that of cross-entropy times p^q, so labels that
the network finds impossible count little.

Where we differ: targets may be shares; a row then costs the sum over classes of share times
cost. With several labels each class is a question with two answers, and a row costs the mean
over the classes. The truncated form, which leaves out rows below a probability, is not here:
small-loss selection does that for any loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.losses.base import RowLoss


class GeneralisedCrossEntropy(RowLoss):
    """The loss L_q of each row, 0 to ``1 / q``.

    Parameters
    ----------
    q : float
        Above 0 to 1; the paper uses 0.7.
    multi_label, label_smoothing
        See :class:`RowLoss`.
    """

    def __init__(
        self, q: float = 0.7, *, multi_label: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(multi_label=multi_label, label_smoothing=label_smoothing)
        if not 0.0 < q <= 1.0:
            raise OptionError(f"option 'q': found {q}, expected above 0 and at most 1")
        self.q = q

    def of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """The loss of each row for targets that are shares."""
        if not self.multi_label:
            return (shares * self._cost(logits.log_softmax(dim=1))).sum(dim=1)
        yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        return (shares * self._cost(yes) + (1.0 - shares) * self._cost(no)).mean(dim=1)

    def _cost(self, log_probability: Tensor) -> Tensor:
        # expm1 keeps small q exact, where 1 - p^q would lose all its digits.
        return -torch.expm1(self.q * log_probability) / self.q

    def extra_repr(self) -> str:
        """What tells two losses apart."""
        return f"q={self.q}, {super().extra_repr()}"
