"""Small-loss selection: learn only from the rows of a batch that the network finds plausible.

Paper: Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama 2018, "Co-teaching: robust training of deep
neural networks with extremely noisy labels"; the rule for how many rows to keep.

What it changes: networks learn what is common before they learn single wrong labels by heart,
so early on a large loss is a sign of a wrong label. The share of a batch that is left out
rises from 0 to ``noise_rate`` over the first ``n_warmup`` steps and stays there.

Where we differ: one network chooses for itself, instead of two that choose for each other; it
costs half as much and confirms its own mistakes more. Rows are ranked by the divergence of the
network's answer from the target. For labels that is the cross-entropy, as in the paper; for
the shares that mix-up makes it leaves out the part that no answer could avoid, without which
the most mixed rows would always be dropped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.learning.losses.base import (
    RowLoss,
    cross_entropy_rows,
    entropy_rows,
    in_full,
    shares_of,
)


class SmallLoss(nn.Module):
    """Keep the most plausible rows of each batch of another loss.

    Parameters
    ----------
    loss : RowLoss
        The loss of each row.
    noise_rate : float
        Share of the labels that are taken to be wrong, from 0 to below 1.
    n_warmup : int
        Steps until that share is left out.

    Attributes
    ----------
    step : Tensor of int64, a buffer
        Batches seen in training mode. Being a buffer it is in checkpoints, so a training that
        is resumed goes on with the same share.

    Notes
    -----
    ``forward`` gives the loss of each row, shape (batch,): 0 for rows that are left out, and
    for the others their loss times (rows / rows kept), so that the mean over the batch is the
    mean over the rows kept. A loss that is not finite stays so, chosen or not. At least one row
    is always kept. The number of rows is rounded: with less than ``0.5 / noise_rate`` rows a
    batch nothing is left out.
    """

    step: Tensor

    def __init__(self, loss: RowLoss, noise_rate: float, n_warmup: int = 0) -> None:
        super().__init__()
        if not 0.0 <= noise_rate < 1.0:
            raise OptionError(
                f"option 'noise_rate': found {noise_rate}, expected at least 0 and less than 1"
            )
        if n_warmup < 0:
            raise OptionError(f"option 'n_warmup': found {n_warmup} steps, expected 0 or more")
        self.loss = loss
        self.noise_rate, self.n_warmup = noise_rate, n_warmup
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def kept_share(self) -> Tensor:
        """The share of a batch that the next step keeps, a scalar in (0, 1]."""
        risen = (self.step / max(1, self.n_warmup)).clamp(max=1.0)
        done = risen if self.n_warmup else torch.ones_like(risen)
        return 1.0 - self.noise_rate * done

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, shape (batch,), zero where it is left out.

        In evaluation mode all rows are kept and the step does not move.
        """
        rows: Tensor = self.loss(logits, target)
        if not self.training:
            return rows
        n_rows = len(rows)
        # All on the device: a number brought to the CPU would make it wait at every step.
        n_kept = (self.kept_share() * n_rows).round().clamp(min=1.0)
        place = self.surprise(logits, target).argsort(stable=True).argsort()
        kept = (place < n_kept).to(rows.dtype)
        self.step += 1
        return rows * kept * (n_rows / n_kept)

    @torch.no_grad()
    def surprise(self, logits: Tensor, target: Tensor) -> Tensor:
        """How far the answer is from the target, in nats, shape (batch,): what rows rank by."""
        scores = in_full(logits)
        shares = shares_of(scores, target)
        multi_label = self.loss.multi_label
        return cross_entropy_rows(scores, shares, multi_label) - entropy_rows(shares, multi_label)

    def extra_repr(self) -> str:
        """What tells two selections apart."""
        return f"noise_rate={self.noise_rate}, n_warmup={self.n_warmup}"
