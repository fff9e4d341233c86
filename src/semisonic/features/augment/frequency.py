"""Augmentation in frequency: pitch shift, random resized crop, and masks of bands and of time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.core.errors import OptionError
from semisonic.core.options import nearest
from semisonic.features.augment.base import (
    Augmentation,
    Drawn,
    PowerScale,
    check_at_least,
    check_share,
    nonsilent_frames,
    random_integers,
    uniform,
)
from semisonic.features.augment.warp import (
    HOP,
    interpolate_bands,
    interpolate_frames,
    istft,
    phase_vocoder,
    read_between_samples,
    row_by_row,
    stft,
)
from semisonic.features.filterbank import band_edges_hz, hz_to_htk, hz_to_mel
from semisonic.features.options import LOG_MEL, WAVE, MelOptions

MOST_SEMITONES = 24.0

_BREAK_HZ, _PER_DECADE = 700.0, 2595.0  # of HTK's formula
_CORNER_HZ = 1000.0
_MEL_PER_HZ = float(hz_to_mel(1.0))
_CORNER_MEL = float(hz_to_mel(_CORNER_HZ))
_MEL_PER_E = float(hz_to_mel(math.e * _CORNER_HZ)) - _CORNER_MEL


class PitchShift(Augmentation):
    """Shift the pitch of each clip by a random interval, at the same speed.

    A sound at f Hz goes to r·f. For a spectrogram that is another mel axis: each band takes what
    stood at its centre divided by r, by the mel formula itself, so that harmonics stay harmonics
    (a shift by whole bands would be right above 1 kHz only). The energy is spread over r times
    the width, so the level in each band falls by 10·log10(r) dB; for a pure tone below 1 kHz,
    where all bands have one width, that is 1 dB too much at 4 semitones. Where a band is a sum
    and no mean (HTK, Kaldi), it grows with its width again, which is as 700 Hz and its frequency.
    Beyond the ends of the mel axis the last known band goes on: silence there would tell
    augmented clips apart.

    Samples go through a phase vocoder and then another speed. A shift down leaves the highest
    frequencies empty.

    Parameters
    ----------
    mel : MelOptions
    max_semitones : float
        Largest shift, up or down, 0 to 24 semitones; any interval between is drawn.
    probability : float
        Share of rows that are changed.
    """

    kinds = (LOG_MEL, WAVE)
    centres: Tensor

    def __init__(self, mel: MelOptions, max_semitones: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        name = self.named("max_semitones")
        self.max_semitones = check_at_least(max_semitones, 0.0, name, "semitones")
        if max_semitones > MOST_SEMITONES:
            raise OptionError(
                f"{name}: found {max_semitones:g} semitones, expected at most {MOST_SEMITONES:g}"
            )
        if self.is_wave:
            return
        edges = band_edges_hz(mel)
        scale = hz_to_mel if mel.has_unit_areas else hz_to_htk
        self._low = float(scale(edges[0]))
        self._step = (float(scale(edges[-1])) - self._low) / (mel.n_mels + 1)  # mel a band
        centres = torch.from_numpy(edges[1:-1]).float()
        self.register_buffer("centres", centres, persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``semitones``, above 0 for up."""
        return {"semitones": uniform(x, -self.max_semitones, self.max_semitones)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        octaves = drawn["semitones"] / 12
        source = self.centres / octaves.exp2()[:, None]  # Hz, (batch, mel)
        spread_db = -10 * math.log10(2) * octaves[:, None]
        if self.mel.has_unit_areas:
            mel = _slaney(source)
        else:
            mel = _PER_DECADE * (1 + source / _BREAK_HZ).log10()
            grown = (_BREAK_HZ + self.centres) / (_BREAK_HZ + source)
            spread_db = spread_db + 10 * grown.log10()
        shifted = interpolate_bands(x, (mel - self._low) / self._step - 1)
        return self.levels.amplify(shifted, spread_db[:, None, :, None])

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        one = torch.ones_like(drawn["semitones"])
        return change_speed_and_pitch(x, one, drawn["semitones"], self.max_semitones)


def change_speed_and_pitch(
    x: Tensor, factor: Tensor, semitones: Tensor, max_semitones: float
) -> Tensor:
    """Waves at another tempo and another pitch.

    Parameters
    ----------
    x : Tensor, shape (batch, time)
    factor : Tensor, shape (batch,)
        Speed at the same pitch; a faster clip ends in silence, a slower one is cut.
    semitones : Tensor, shape (batch,)
        Change of pitch.
    max_semitones : float
        At least the largest of them; it fixes how much room is needed in between.

    Returns
    -------
    Tensor, same shape
    """
    n = x.shape[1]
    n_frames = math.ceil(n * 2 ** (max_semitones / 12) / HOP) + 2

    def one(x: Tensor, factor: Tensor, ratio: Tensor) -> Tensor:
        frame = torch.arange(n_frames, device=x.device, dtype=torch.float64)
        stretched = phase_vocoder(stft(x), frame * (factor / ratio)[:, None])
        long = istft(stretched, (n_frames - 1) * HOP)
        moment = torch.arange(n, device=x.device, dtype=torch.float64)
        return read_between_samples(long, moment * ratio[:, None], ratio)

    return row_by_row(one, x, factor.double(), torch.exp2(semitones.double() / 12))


def _slaney(hz: Tensor) -> Tensor:
    """Slaney's mel scale on tensors, as :func:`hz_to_mel`."""
    above = _CORNER_MEL + _MEL_PER_E * (hz.clamp(min=_CORNER_HZ) / _CORNER_HZ).log()
    return torch.where(hz < _CORNER_HZ, hz * _MEL_PER_HZ, above)


class ResizedCrop(Augmentation):
    """Cut a random window out of each clip and stretch it over the whole.

    Paper: Niizumi et al. 2021, "BYOL for audio" (random resize crop).

    Where we differ: what is cut away is given in seconds and bands, the window never reaches
    beyond the clip, and interpolation is linear.

    Parameters
    ----------
    mel : MelOptions
    max_cut : float
        Most that is cut away in time, both ends together, in seconds; 0 cuts nothing.
    max_cut_bands : int
        Most mel bands that are cut away, low and high ends together.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self, mel: MelOptions, max_cut: float, max_cut_bands: int, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        self.max_cut = check_at_least(max_cut, 0.0, self.named("max_cut"), "s")
        if max_cut >= mel.duration:
            raise OptionError(
                f"{self.named('max_cut')}: found {max_cut:g} s, expected less than a clip, "
                f"{mel.duration:g} s"
            )
        if not 0 <= max_cut_bands < mel.n_mels:
            raise OptionError(
                f"{self.named('max_cut_bands')}: found {max_cut_bands}, expected 0 to "
                f"{mel.n_mels - 1}, for there are {mel.n_mels} bands"
            )
        self.max_cut_bands = max_cut_bands

    def draw(self, x: Tensor) -> Drawn:
        """``cut`` frames and ``cut_bands``; ``start`` and ``low``: shares of them cut in front."""
        longest = min(self.max_cut / self.mel.duration * x.shape[3], x.shape[3] - 1.0)
        return {
            "cut": uniform(x, 0.0, longest),
            "start": uniform(x, 0.0, 1.0),
            "cut_bands": uniform(x, 0.0, float(self.max_cut_bands)),
            "low": uniform(x, 0.0, 1.0),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The resized windows."""
        if self.max_cut_bands:
            x = interpolate_bands(x, _window(x.shape[2], drawn["cut_bands"], drawn["low"]))
        if self.max_cut:
            x = interpolate_frames(x, _window(x.shape[3], drawn["cut"], drawn["start"]))
        return x


def _window(n: int, cut: Tensor, first: Tensor) -> Tensor:
    """Where the ``n`` places of the result lie in the original, shape (batch, n)."""
    place = torch.arange(n, device=cut.device)
    scale = (n - cut) / n
    source = (place + 0.5) * scale[:, None] - 0.5 + (cut * first)[:, None]
    return source.clamp(0, n - 1)


FILLS = ("mean", "silence")


def check_fill(fill: str, name: str) -> str:
    """The name of a fill, or an OptionError that suggests the nearest."""
    if fill not in FILLS:
        raise OptionError(f"{name}: found {fill!r}; {nearest(fill, FILLS)}")
    return fill


def fill_mask(x: Tensor, mask: Tensor, filled: Tensor, fill: str, levels: PowerScale) -> Tensor:
    """Replace what a mask covers.

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    mask : Tensor of bool
        Broadcasts to ``x``.
    filled : Tensor of bool, shape (batch, frame)
        Only these frames are covered: there is nothing to hide in silence, and a covered
        piece of it would look like a sound.
    fill : {"mean", "silence"}
        The clip's mean level (over the filled frames), or silence.

    Returns
    -------
    Tensor, same shape
    """
    if fill == "silence":
        value = levels.silence(x)
    else:
        of_frame = x.mean((1, 2))  # (batch, frame)
        weight = filled.to(x.dtype)
        mean = (of_frame * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        value = mean[:, None, None, None]
    here = mask.to(x.dtype) * filled[:, None, None].to(x.dtype)
    return torch.lerp(x, value.expand_as(x), here)


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
    fill : {"mean", "silence"}
        What stands in a mask: the mean level of the frames that are not padding, or silence.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        n_masks: int,
        max_bands: int,
        fill: str = "mean",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.n_masks = int(check_at_least(n_masks, 1, self.named("n_masks"), "masks"))
        self.fill = check_fill(fill, self.named("fill"))
        if not 1 <= max_bands < mel.n_mels:
            raise OptionError(
                f"{self.named('max_bands')}: found {max_bands}, expected 1 to {mel.n_mels - 1}, "
                f"for there are {mel.n_mels} bands"
            )
        self.max_bands = max_bands

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
        inside = (band >= start[:, :, None]) & (band < (start + width)[:, :, None])
        mask = torch.any(inside, dim=1)  # (batch, mel)
        return fill_mask(x, mask[:, None, :, None], nonsilent_frames(x), self.fill, self.levels)


class TimeMask(Augmentation):
    """Hide random stretches of time.

    Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition".

    Where we differ: environmental clips are often short sounds padded with silence. Masks are
    laid over the frames that are not padding, as if it were not there, and no mask hides more than
    a share of them; otherwise some masks would hide nothing and some the whole sound. A mask holds
    the clip's mean level: our features are not standardised, so that zero means nothing.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Masks a clip, at least 1; they may overlap.
    max_width : float
        Longest mask, in seconds; widths are drawn from 0 up to it.
    max_share : float
        Largest share, 0 to 1, of the frames that are not padding which one mask hides.
    fill : {"mean", "silence"}
        What stands in a mask: the mean level of the frames that are not padding, or silence.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        n_masks: int,
        max_width: float,
        max_share: float = 0.2,
        fill: str = "mean",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.n_masks = int(check_at_least(n_masks, 1, self.named("n_masks"), "masks"))
        self.max_width = check_at_least(max_width, 0.0, self.named("max_width"), "s")
        self.max_share = check_share(max_share, self.named("max_share"))
        self.fill = check_fill(fill, self.named("fill"))
        if self.frames(max_width) < 1:
            raise OptionError(
                f"{self.named('max_width')}: found {max_width:g} s, expected at least one frame, "
                f"{mel.hop_length / mel.sample_rate:.3g} s"
            )

    def draw(self, x: Tensor) -> Drawn:
        """``width`` and ``start`` as shares of what is possible, (batch, n_masks)."""
        return {
            "width": uniform(x, 0.0, 1.0, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        filled = nonsilent_frames(x)
        n_filled = filled.sum(1, keepdim=True)  # (batch, 1)
        longest = (n_filled * self.max_share).floor().clamp(max=self.frames(self.max_width))
        width = (drawn["width"] * (longest + 1)).floor().minimum(longest)  # (batch, n_masks)
        start = (drawn["start"] * (n_filled - width + 1)).floor()
        place = (filled.cumsum(1) - 1)[:, None]  # among those
        inside = (place >= start[:, :, None]) & (place < (start + width)[:, :, None])
        mask = torch.any(inside, dim=1)  # (batch, frame)
        return fill_mask(x, mask[:, None, None], filled, self.fill, self.levels)
