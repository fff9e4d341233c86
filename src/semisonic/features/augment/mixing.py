"""Mixing pairs of clips and their targets: mixup and between-class learning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.augment.base import PowerScale, full_precision, loudness_db, silent_rows
from semisonic.features.logmel import delta
from semisonic.features.options import WAVE, MelOptions

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
    """``share`` of one target and the rest of the other, (batch, class).

    Parameters
    ----------
    y, other : Tensor, shape (batch, class)
    share : Tensor, shape (batch,)

    Returns
    -------
    Tensor, shape (batch, class)

    Examples
    --------
    >>> mix_targets(torch.eye(2), torch.eye(2)[[1, 0]], torch.tensor([1.0, 0.5]))
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000]])
    """
    return torch.lerp(other, y, share[:, None].to(y.dtype))


def other_rows(n: int, device: torch.device) -> Tensor:
    """For each row another one, each used once, (n,); a single row gets itself.

    Parameters
    ----------
    n : int
    device : torch.device

    Returns
    -------
    Tensor of int, shape (n,)
    """
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


DOMAINS = ("db", "power")


class Mixup(PairMixing):
    """Blend each clip with another one; shares from Beta(alpha, alpha).

    Paper: Zhang et al. 2018, "mixup: beyond empirical risk minimization". Blending in the log
    domain, as most sound classifiers do, gives spectrograms that no sound has, and works.

    Where we differ: each row draws its own share (the paper's code draws one for the batch), and
    energies can be blended instead of decibels.

    Parameters
    ----------
    mel : MelOptions
    alpha : float
        Above 0. Small: mostly one clip with a little of another; 1: any share.
    domain : {"db", "power"}
        What is blended: decibels, or energies (the sum of two sounds, the louder of which
        covers the other). Of waveforms it is samples, whatever is given.
    keep_larger : bool
        Take the larger of share and rest, so that a row always is the greater part of what
        stands in its place, as MixMatch (Berthelot et al. 2019) wants it for labelled rows.

    See Also
    --------
    PairMixing.forward : for ``partner`` and ``share``.
    """

    def __init__(
        self, mel: MelOptions, alpha: float, domain: str = "db", keep_larger: bool = False
    ) -> None:
        super().__init__(mel)
        if not 0.0 < alpha < float("inf"):
            raise OptionError(
                f"Mixup, option 'alpha': found {alpha}, expected above 0; leave mixup out instead"
            )
        if domain not in DOMAINS:
            hint = nearest(domain, DOMAINS)
            raise OptionError(f"Mixup, option 'domain': found {domain!r}; {hint}")
        self.alpha, self.domain, self.keep_larger = alpha, domain, keep_larger
        self.levels = None if mel.input == WAVE else PowerScale(mel)

    def draw_share(self, x: Tensor) -> Tensor:
        """Shares from the beta distribution."""
        alpha = torch.full((len(x),), float(self.alpha), device=x.device)
        share: Tensor = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return share.maximum(1 - share) if self.keep_larger else share

    def mix(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Blended levels."""
        return blend(x, other, share, self.domain, self.levels)

    def extra_repr(self) -> str:
        """Alpha and domain."""
        return f"alpha={self.alpha:g}, domain={self.domain}"


def blend(
    x: Tensor, other: Tensor, share: Tensor, domain: str, levels: PowerScale | None
) -> Tensor:
    """``share`` (batch,) of ``x`` and the rest of ``other``, both (batch, 1, mel, frame).

    Without ``levels`` the values themselves are blended: samples of waveforms.

    Parameters
    ----------
    x, other : Tensor, shape (batch, 1, mel, frame)
    share : Tensor, shape (batch,)
    domain : {"db", "power"}
    levels : PowerScale or None
        None for waveforms.

    Returns
    -------
    Tensor, same shape
    """
    part = share[:, None, None, None].to(x.dtype)
    if domain == "db" or levels is None:
        return torch.lerp(other, x, part)
    return levels.from_power(torch.lerp(levels.power(other), levels.power(x), part))


class BetweenClass(PairMixing):
    """Add to each clip another one, by loudness; shares evenly from 0 to 1.

    Paper: Tokozume et al. 2018, "Learning from between-class examples for deep sound recognition".

    What it changes: a share r of the target goes with a share of what is heard. The waves are
    added with weights that take the loudness of both into account, p and 1 - p with
    p = 1 / (1 + 10^((G1 - G2) / 20) · (1 - r) / r), and the sum is divided by the root of
    p² + (1 - p)², so that its energy stays. Shares are drawn evenly from 0 to 1.

    Where we differ: energies of mel bands are added instead of samples (the phases of two sounds
    cancel on average). The loudness G is A-weighted as in the paper, over the loudest tenth of a
    second, read from the bands. Beside a clip of silence the other one stays as it is, where the
    formula would make it as quiet as the silence; targets are mixed all the same.

    Parameters
    ----------
    mel : MelOptions

    See Also
    --------
    PairMixing.forward : for ``partner`` and ``share``.
    """

    def __init__(self, mel: MelOptions) -> None:
        super().__init__(mel)
        self.levels = PowerScale(mel)

    def draw_share(self, x: Tensor) -> Tensor:
        """Even shares."""
        return torch.rand(len(x), device=x.device)

    def mix(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Levels of the sums."""
        return mix_by_loudness(x, other, share, self.levels)


def mix_by_loudness(x: Tensor, other: Tensor, share: Tensor, levels: PowerScale) -> Tensor:
    """Sounds added so that ``share`` (batch,) of what is heard is ``x``.

    Both sounds are levels in dB, (batch, 1, mel, frame).

    Parameters
    ----------
    x, other : Tensor, shape (batch, 1, mel, frame)
    share : Tensor, shape (batch,)
    levels : PowerScale

    Returns
    -------
    Tensor, same shape
    """
    weight = loudness_weight(loudness_db(x, levels), loudness_db(other, levels), share)
    weight = weight.masked_fill(silent_rows(other), 1.0).masked_fill(silent_rows(x), 0.0)
    energy = weight.square() + (1 - weight).square()
    own = (weight.square() / energy)[:, None, None, None].to(x.dtype)
    return levels.from_power(torch.lerp(levels.power(other), levels.power(x), own))


def loudness_weight(own_db: Tensor, other_db: Tensor, share: Tensor) -> Tensor:
    """The paper's p: the weight of a wave that makes ``share`` of what is heard."""
    louder = 10 ** ((own_db - other_db) / 20)
    return share / (share + louder * (1 - share)).clamp(min=1e-12)
