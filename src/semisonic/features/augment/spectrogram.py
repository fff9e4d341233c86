"""Augmentation of spectrograms: gain over frequency, masks, crops of bands, other clips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.features.augment.base import (
    Augmentation,
    Drawn,
    full_precision,
    random_integers,
    silent_frames,
    uniform,
)
from semisonic.features.filterbank import band_edges_hz
from semisonic.features.options import MelOptions

LARGEST_TIME_MASK = 0.2
"""Share of the frames that are not padding which one mask hides at most."""


class BandGain(Augmentation):
    """Give each clip a random smooth equaliser curve: another microphone, room or distance.

    Parameters
    ----------
    mel : MelOptions
    max_db : float
        Largest gain of a control point, up or down, in dB.
    n_points : int
        Control points over all bands, at least 2; more make a rougher curve.
    """

    weights: Tensor

    def __init__(self, mel: MelOptions, max_db: float, n_points: int = 5) -> None:
        super().__init__(mel)
        self.require(0 <= max_db < float("inf"), "max_db", f"{max_db} dB", "at least 0 dB")
        expected = f"2 to {mel.n_mels}, the number of bands"
        self.require(2 <= n_points <= mel.n_mels, "n_points", n_points, expected)
        self.max_db, self.n_points = max_db, n_points
        self.register_buffer("weights", smooth_weights(n_points, mel.n_mels), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``point_db``: the gain of each control point, (batch, n_points)."""
        return {"point_db": uniform(x, -self.max_db, self.max_db, self.n_points)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips through their equalisers; silence stays silence."""
        curve = (drawn["point_db"][:, :, None] * self.weights).sum(1)  # (batch, mel)
        return self.levels.amplify(x, curve[:, None, :, None])


def smooth_weights(n_points: int, n_bands: int) -> Tensor:
    """How much of each control point a band takes, shape (n_points, n_bands).

    Points are equally spaced over the bands, with one at each end. Between two points the
    weights follow a raised cosine and sum to one, so a curve never leaves the range of its
    points.
    """
    position = torch.linspace(0, n_points - 1, n_bands, dtype=torch.float64)
    distance = (position[None] - torch.arange(n_points)[:, None]).abs().clamp(max=1.0)
    return (0.5 + 0.5 * torch.cos(torch.pi * distance)).float()


class BandCrop(Augmentation):
    """Cut a random window of neighbouring bands out of each clip and stretch it over all.

    Paper: Niizumi et al. 2021, "BYOL for audio" (random resize crop).

    Where we differ: frequency only, the window never reaches beyond the clip, and interpolation is
    linear. Views are cropped in time by :class:`~semisonic.features.augment.time.TimeCrop`.

    Parameters
    ----------
    mel : MelOptions
    max_cut : int
        Most mel bands that are cut away, low and high ends together.
    """

    def __init__(self, mel: MelOptions, max_cut: int) -> None:
        super().__init__(mel)
        expected = f"0 to {mel.n_mels - 1}, for there are {mel.n_mels} bands"
        self.require(0 <= max_cut < mel.n_mels, "max_cut", max_cut, expected)
        self.max_cut = max_cut

    def draw(self, x: Tensor) -> Drawn:
        """``cut``: bands; ``low``: the share of them that is cut off the low end."""
        return {"cut": uniform(x, 0.0, float(self.max_cut)), "low": uniform(x, 0.0, 1.0)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The resized windows, linear in dB between neighbouring bands."""
        n, cut = x.shape[2], drawn["cut"]
        scale = (n - cut) / n
        place = (torch.arange(n, device=x.device) + 0.5) * scale[:, None] - 0.5
        position = (place + (cut * drawn["low"])[:, None]).clamp(0, n - 1)  # (batch, mel)
        below = position.floor()
        first = below.long()
        row = torch.arange(len(x), device=x.device)[:, None]
        left = x[row, 0, first]  # (batch, mel, frame)
        right = x[row, 0, (first + 1).clamp(max=n - 1)]
        return left.lerp_(right, (position - below)[:, :, None].to(x.dtype))[:, None]


class BandMask(Augmentation):
    """Hide random ranges of neighbouring mel bands.

    Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition".

    Where we differ: a mask holds the clip's mean level, since our features are not standardised,
    and silence around a short sound stays silence.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Masks a clip, at least 1; they may overlap.
    max_bands : int
        Widest mask, in mel bands; widths are drawn from 0 up to it.
    """

    def __init__(self, mel: MelOptions, n_masks: int, max_bands: int) -> None:
        super().__init__(mel)
        self.require(n_masks >= 1, "n_masks", n_masks, "at least 1")
        expected = f"1 to {mel.n_mels - 1}, for there are {mel.n_mels} bands"
        self.require(1 <= max_bands < mel.n_mels, "max_bands", max_bands, expected)
        self.n_masks, self.max_bands = n_masks, max_bands

    def draw(self, x: Tensor) -> Drawn:
        """``width`` in bands, ``start`` as a share of what is possible, (batch, n_masks)."""
        return {
            "width": random_integers(x, 0, self.max_bands, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        n_bands, width = x.shape[2], drawn["width"]
        start = (drawn["start"] * (n_bands - width + 1)).floor()
        band = torch.arange(n_bands, device=x.device)
        mask = _covered(band, start, width)  # (batch, mel)
        return _fill_mask(x, mask[:, None, :, None], ~silent_frames(x))


class TimeMask(Augmentation):
    """Hide random segments of time.

    Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition".

    Where we differ: environmental clips are often short sounds padded with silence. Masks are
    laid over the frames that are not padding, as if it were not there, and no mask hides more than
    a fifth of them; otherwise some masks would hide nothing and some the whole sound. A mask holds
    the clip's mean level: our features are not standardised, so that zero means nothing.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Masks a clip, at least 1; they may overlap.
    max_width : float
        Longest mask, in seconds; widths are drawn from 0 up to it.
    """

    def __init__(self, mel: MelOptions, n_masks: int, max_width: float) -> None:
        super().__init__(mel)
        self.require(n_masks >= 1, "n_masks", n_masks, "at least 1")
        expected = f"at least one frame, {mel.hop_length / mel.sample_rate:.3g} s"
        self.require(self.frames(max_width) >= 1, "max_width", f"{max_width:g} s", expected)
        self.n_masks, self.max_width = n_masks, max_width

    def draw(self, x: Tensor) -> Drawn:
        """``width`` and ``start`` as shares of what is possible, (batch, n_masks)."""
        return {
            "width": uniform(x, 0.0, 1.0, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        filled = ~silent_frames(x)
        n_filled = filled.sum(1, keepdim=True)  # (batch, 1)
        most = self.frames(self.max_width)
        longest = (n_filled * LARGEST_TIME_MASK).floor().clamp(max=most)
        width = (drawn["width"] * (longest + 1)).floor().minimum(longest)  # (batch, n_masks)
        start = (drawn["start"] * (n_filled - width + 1)).floor()
        mask = _covered(filled.cumsum(1)[:, None] - 1, start, width)  # (batch, frame)
        return _fill_mask(x, mask[:, None, None], filled)


def _covered(place: Tensor, start: Tensor, width: Tensor) -> Tensor:
    """Whether any of some ranges (batch, n) covers a place, (batch, place)."""
    inside = (place >= start[:, :, None]) & (place < (start + width)[:, :, None])
    return torch.any(inside, dim=1)


def _fill_mask(x: Tensor, mask: Tensor, filled: Tensor) -> Tensor:
    """Put the mean level of the ``filled`` frames (batch, frame) where a mask covers one.

    There is nothing to hide in silence, and a covered piece of it would look like a sound.
    """
    weight = filled.to(x.dtype)
    mean = (x.mean((1, 2)) * weight).sum(1) / weight.sum(1).clamp(min=1.0)
    here = mask.to(x.dtype) * weight[:, None, None]
    return torch.lerp(x, mean[:, None, None, None].expand_as(x), here)


class Background(Augmentation):
    """Add another clip of the batch beneath some clips, as in real places.

    Paper: Salamon and Bello 2017, "Deep convolutional neural networks and data augmentation for
    environmental sound classification", who mixed in recordings of streets.

    Where we differ: the background is another clip of the batch, at a ratio in dB over the clip;
    it starts at a random place and goes round. The label stays, so ratios much below 10 dB teach
    wrong things when the background has classes of its own; for shares of labels see ``Mixup``.

    Powers are means over the whole clip, padding included, of all frequencies that the bands
    reach, which is what the samples' mean squares would give. The phases of two sounds that
    have nothing to do with each other cancel on average, so energies add.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the ratio of the clip's power to the background's, in dB. Where either is
        silent, or the only clip of a batch, the clip stays as it is.
    share : float
        Of rows that get a background, 0 to 1.
    """

    widths: Tensor

    def __init__(
        self, mel: MelOptions, min_snr_db: float, max_snr_db: float, share: float = 1.0
    ) -> None:
        super().__init__(mel)
        found = f"{min_snr_db} to {max_snr_db} dB"
        self.require(min_snr_db <= max_snr_db, "max_snr_db", found, "the lower value first")
        self.require(0 <= share <= 1, "share", share, "0 to 1")
        self.min_snr_db, self.max_snr_db, self.share = min_snr_db, max_snr_db, share
        self.register_buffer("widths", band_widths(mel), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``; ``other``: which clip; ``start``: where in it, as a share; ``added``: if."""
        step = random_integers(x, 1, max(1, len(x) - 1))
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "other": (torch.arange(len(x), device=x.device) + step).remainder(len(x)),
            "start": uniform(x, 0.0, 1.0),
            "added": uniform(x, 0.0, 1.0) < self.share,
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips above their backgrounds."""
        if len(x) == 1:
            return x
        n_frames, row = x.shape[3], drawn["other"][:, None]
        start = (drawn["start"] * n_frames).long()[:, None]
        index = (start + torch.arange(n_frames, device=x.device)).remainder(n_frames)
        level = x[row, 0, :, index].transpose(1, 2)[:, None]  # (batch, 1, mel, frame)
        energy, other = self.levels.power(x), self.levels.power(level)
        ratio = self._mean_power(energy) / self._mean_power(other) * 10 ** (drawn["snr_db"] / -10)
        possible = drawn["added"] & ~_is_silent(x) & ~_is_silent(level)
        mixed = self.levels.from_power(energy.addcmul_(other, ratio[:, None, None, None]))
        return torch.where(possible[:, None, None, None], mixed, x)

    def _mean_power(self, energy: Tensor) -> Tensor:
        """Mean power of each clip, shape (batch,), of energies (batch, 1, mel, frame)."""
        return torch.matmul(self.widths, energy[:, 0]).mean(1).clamp(min=1e-30)


def _is_silent(x: Tensor) -> Tensor:
    """Which clips are nothing but digital silence, shape (batch,)."""
    return silent_frames(x).all(1)


def band_widths(mel: MelOptions) -> Tensor:
    """Weights that turn band values into power, in Hz or without a unit, shape (n_mels,).

    A band is a mean of the power density under a triangle, so the sum over bands of value
    times half the triangle's base is the power between the first and the last centre. The
    first and the last band also stand for what is beyond their centres. Where a band is a sum
    under a triangle of height one, its weight is one.
    """
    edges = band_edges_hz(mel)
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += (edges[1] - edges[0]) / 2
    widths[-1] += (edges[-1] - edges[-2]) / 2
    if not mel.has_unit_areas:
        widths /= (edges[2:] - edges[:-2]) / 2
    return torch.from_numpy(widths).float()


class Mixup(nn.Module):
    """Blend each clip, and its target, with another of the batch; nothing in ``eval()``.

    Paper: Zhang et al. 2018, "mixup: beyond empirical risk minimization". Blending in the log
    domain, as most sound classifiers do, gives spectrograms that no sound has, and works.

    Where we differ: each row draws its own share from Beta(alpha, alpha), where the paper's code
    draws one for the batch; and a row always is the greater part of what stands in its place, as
    MixMatch (Berthelot et al. 2019) wants it for labelled rows.

    Parameters
    ----------
    alpha : float
        Above 0. Small: mostly one clip with a little of another; 1: any share.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not 0.0 < alpha < float("inf"):
            raise OptionError(
                f"Mixup, option 'alpha': found {alpha}, expected above 0; leave mixup out instead"
            )
        self.alpha = alpha

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed features and targets.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            Features: levels in dB, or waveforms.
        y : Tensor of float, shape (batch, class)
            Shares of classes, or 0 and 1 for several labels.

        Returns
        -------
        x, y : Tensor
            Of the same shapes.

        Raises
        ------
        DataError
            For class numbers instead of shares.
        """
        if y.ndim != 2 or len(y) != len(x) or not y.is_floating_point():
            raise DataError(
                f"Mixup: found targets of shape {tuple(y.shape)} and type {y.dtype}, expected "
                f"floats ({len(x)}, class); turn class numbers into shares with "
                "torch.nn.functional.one_hot(y, n_classes).float()"
            )
        if not self.training:
            return x, y
        order = torch.randperm(len(x), device=x.device)
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # another row for each, each used once
        share = self.draw_share(x)
        with full_precision(x):
            part = share.view(-1, *[1] * (x.ndim - 1))
            mixed = torch.lerp(x[other].float(), x.float(), part).to(x.dtype)
        return mixed, torch.lerp(y[other], y, share[:, None].to(y.dtype))

    def draw_share(self, x: Tensor) -> Tensor:
        """Random shares, (batch,), of the row itself."""
        alpha = torch.full((len(x),), float(self.alpha), device=x.device)
        share: Tensor = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return share.maximum(1 - share)

    def extra_repr(self) -> str:
        """Alpha."""
        return f"alpha={self.alpha:g}"
