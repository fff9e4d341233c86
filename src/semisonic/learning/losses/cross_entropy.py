"""Cross-entropy, the plain loss that every other one is held against.

Papers: label smoothing, Szegedy et al. 2016; soft targets, Zhang et al. 2018, "mixup: beyond
empirical risk minimization".

What it changes: nothing. A row that is surely wrong has a steep slope, so wrong labels pull
hard; that is what the other losses of this folder change.

Where we differ: with several labels per clip it is the binary cross-entropy, mean over the
classes.
"""

from __future__ import annotations

from torch import Tensor

from semisonic.learning.losses.base import RowLoss, cross_entropy_rows


class CrossEntropy(RowLoss):
    """Cross-entropy of each row, in nats; see :class:`RowLoss` for the arguments."""

    def of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """The loss of each row for targets that are shares."""
        return cross_entropy_rows(logits, shares, self.multi_label)
