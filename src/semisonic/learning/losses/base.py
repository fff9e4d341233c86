"""What all losses of labelled clips share: logits and targets in, the loss of each row out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.base.errors import DataError, OptionError


class RowLoss(nn.Module):
    """Base of the losses.

    Parameters
    ----------
    multi_label : bool
        Whether each class is a yes-or-no question of its own (sigmoid) or exactly one class
        is right (softmax). With several labels a row's loss is the mean over the classes.
    label_smoothing : float
        Share of a target that is spread over all classes, from 0 to below 1 (Szegedy et al.
        2016, "Rethinking the Inception architecture", section 7). With several labels both
        answers are pulled towards one half, since the paper speaks of one label only.

    Notes
    -----
    ``forward(logits, target)`` takes logits of shape (batch, class) and as target either class
    numbers, int64 (batch,), or the share of each class, float (batch, class), as mix-up makes
    them. It gives the loss of each row, shape (batch,), float32 or better, so that a caller
    can weigh rows; its mean is what is minimised.
    """

    def __init__(self, *, multi_label: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0.0 <= label_smoothing < 1.0:
            raise OptionError(
                f"option 'label_smoothing': found {label_smoothing}, "
                "expected at least 0 and less than 1"
            )
        self.multi_label = multi_label
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, shape (batch,)."""
        scores = in_full(logits)
        soft = smoothed(shares_of(scores, target), self.label_smoothing, self.multi_label)
        return self.of_shares(scores, soft)

    def of_shares(self, logits: Tensor, shares: Tensor) -> Tensor:
        """The loss of each row for targets that are shares; both are (batch, class)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """What tells two losses apart; checkpoints are compared by it."""
        return f"multi_label={self.multi_label}, label_smoothing={self.label_smoothing}"


def in_full(logits: Tensor) -> Tensor:
    """Logits in float32 when they come in half precision.

    Raises
    ------
    DataError
        When they are not of shape (batch, class).
    """
    if logits.ndim != 2:
        raise DataError(f"loss: found logits of shape {tuple(logits.shape)}, expected two axes")
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def shares_of(logits: Tensor, target: Tensor) -> Tensor:
    """Targets as shares of classes, (batch, class), whichever form they come in.

    Raises
    ------
    DataError
        When their shape or type does not fit the logits.
    """
    n_rows, n_classes = logits.shape
    if target.shape == (n_rows,) and not target.is_floating_point():
        return functional.one_hot(target.long(), n_classes).to(logits.dtype)
    if target.shape == (n_rows, n_classes):
        return target.to(logits.dtype)
    raise DataError(
        f"loss: found targets of shape {tuple(target.shape)} and type {target.dtype} for logits "
        f"of shape {tuple(logits.shape)}; expected class numbers ({n_rows},) or shares "
        f"({n_rows}, {n_classes})"
    )


def smoothed(shares: Tensor, label_smoothing: float, multi_label: bool) -> Tensor:
    """Targets with a part of them spread over all classes (or over yes and no)."""
    if not label_smoothing:
        return shares
    even = 0.5 if multi_label else 1.0 / shares.shape[1]
    return shares * (1.0 - label_smoothing) + even * label_smoothing


def cross_entropy_rows(logits: Tensor, shares: Tensor, multi_label: bool) -> Tensor:
    """Cross-entropy of each row, in nats; with several labels the mean over the classes."""
    if multi_label:
        each = functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
        return each.mean(dim=1)
    return -(shares * logits.log_softmax(dim=1)).sum(dim=1)


def entropy_rows(shares: Tensor, multi_label: bool) -> Tensor:
    """Entropy of each row's target, in nats: the least that its cross-entropy can be."""
    present: Tensor = torch.special.entr(shares)
    if not multi_label:
        return present.sum(dim=1)
    absent: Tensor = torch.special.entr(1.0 - shares)
    return (present + absent).mean(dim=1)
