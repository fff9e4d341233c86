"""What the mixing of pairs of clips has in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import DataError
from semisonic.features.augment.base import full_precision
from semisonic.features.deltas import delta
from semisonic.features.options import MelOptions

Pair = tuple[Tensor, Tensor]


class PairMixing(nn.Module):
    """Mixes each row of a batch with another one, targets too; nothing in ``eval()``.

    A subclass says how shares are drawn and how sounds are mixed.
    """

    def __init__(self, mel: MelOptions) -> None:
        super().__init__()
        self.mel = mel

    def forward(
        self, x: Tensor, y: Tensor, partner: Pair | None = None, share: Tensor | None = None
    ) -> Pair:
        """Mixed features and targets.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            Features in dB.
        y : Tensor of float, shape (batch, class)
            Shares of classes, or 0 and 1 for several labels.
        partner : (Tensor, Tensor), optional
            The rows to mix in and their targets, of the same shapes: pseudo-labelled clips,
            say. By default other rows of the batch, each used once.
        share : Tensor, shape (batch,), optional
            How much of the result is the row itself, 0 to 1; drawn by default.

        Returns
        -------
        x, y : Tensor
            Of the same shapes.

        Raises
        ------
        DataError
            For class numbers instead of shares, or a partner of another shape.
        """
        _check_targets(x, y, type(self).__name__)
        if not self.training:
            return x, y
        if partner is None:
            other = other_rows(len(x), x.device)
            partner = x[other], y[other]
        if partner[0].shape != x.shape or partner[1].shape != y.shape:
            raise DataError(
                f"{type(self).__name__}: found partners of shapes {tuple(partner[0].shape)} and "
                f"{tuple(partner[1].shape)}, expected {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if share is None:
            share = self.draw_share(x)
        if share.shape != (len(x),):
            raise DataError(
                f"{type(self).__name__}: found shares of shape {tuple(share.shape)}, expected "
                f"({len(x)},)"
            )
        with full_precision(x):
            level = self.mix(x[:, :1].float(), partner[0][:, :1].float(), share)
            if self.mel.deltas:
                level = torch.cat((level, delta(level)), dim=1)
        return level.to(x.dtype), mix_targets(y, partner[1], share)

    def draw_share(self, x: Tensor) -> Tensor:
        """Random shares, (batch,), of the row itself."""
        raise NotImplementedError

    def mix(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Levels (batch, 1, mel, frame) of the mixtures."""
        raise NotImplementedError


def mix_targets(y: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """``share`` of one target and the rest of the other, (batch, class)."""
    return torch.lerp(other, y, share[:, None].to(y.dtype))


def other_rows(n: int, device: torch.device) -> Tensor:
    """For each row another one, each used once, (n,); a single row gets itself."""
    order = torch.randperm(n, device=device)
    other = torch.empty_like(order)
    other[order] = order.roll(1)
    return other


def _check_targets(x: Tensor, y: Tensor, name: str) -> None:
    if y.ndim != 2 or len(y) != len(x) or not y.is_floating_point():
        raise DataError(
            f"{name}: found targets of shape {tuple(y.shape)} and type {y.dtype}, expected "
            f"floats ({len(x)}, class); turn class numbers into shares with "
            "torch.nn.functional.one_hot(y, n_classes).float()"
        )
