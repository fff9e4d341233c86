"""Augmentation of samples: pitch, noise, and changes with limits per class (Piczak 2015)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.augmentation import Augmentation, Drawn, check_wave, uniform
from semisonic.features.options import WAVE, MelOptions
from semisonic.features.vocoder import (
    HOP,
    istft,
    phase_vocoder,
    read_between_samples,
    row_by_row,
    stft,
)

MOST_SEMITONES = 24.0

PINK_FROM_HZ = 20.0
"""Lowest frequency of pink noise, as 1/f has no limit and lower ones are inaudible."""

SLOPES = {"white": 0.0, "pink": 1.0}
"""Power falls with frequency to minus this: for pink noise 3 dB per octave."""


class PitchShift(Augmentation):
    """Shift the pitch of each clip by a random interval, at the same speed.

    A phase vocoder changes the tempo, then resampling the speed. A shift down leaves the highest
    frequencies empty.

    Parameters
    ----------
    mel : MelOptions
        Of waveforms.
    max_semitones : float
        Largest shift, up or down, 0 to 24 semitones; any interval in between is possible.
    """

    kinds = (WAVE,)

    def __init__(self, mel: MelOptions, max_semitones: float) -> None:
        super().__init__(mel)
        works = 0 <= max_semitones <= MOST_SEMITONES
        self.require(works, "max_semitones", f"{max_semitones:g}", f"0 to {MOST_SEMITONES:g}")
        self.max_semitones = max_semitones

    def draw(self, x: Tensor) -> Drawn:
        """``semitones``, above 0 for up."""
        return {"semitones": uniform(x, -self.max_semitones, self.max_semitones)}

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
        At least the largest of them; it sets the size of intermediate results.

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


class Noise(Augmentation):
    """Add white or pink noise at a random signal-to-noise ratio that is exact over the clip.

    Earlier studies set 10 to 17 dB but got 3 to 7, as the ratio was converted twice; here the
    ratio of the clip to the added noise is exact.

    Parameters
    ----------
    mel : MelOptions
        Of waveforms.
    colour : {"white", "pink"}
        Equal power per hertz, or per octave.
    min_snr_db, max_snr_db : float
        Range of the ratio over the whole clip, in dB. Silent clips are not changed.
    """

    kinds = (WAVE,)

    def __init__(self, mel: MelOptions, colour: str, min_snr_db: float, max_snr_db: float) -> None:
        super().__init__(mel)
        self.require(colour in SLOPES, "colour", repr(colour), "'white' or 'pink'")
        found = f"{min_snr_db} to {max_snr_db} dB"
        self.require(min_snr_db <= max_snr_db, "max_snr_db", found, "the lower value first")
        self.colour, self.min_snr_db, self.max_snr_db = colour, min_snr_db, max_snr_db

    def draw(self, x: Tensor) -> Drawn:
        """``noise``, (batch, time), and ``snr_db``."""
        noise = torch.randn(x.shape, device=x.device)
        if SLOPES[self.colour]:
            hz = torch.fft.rfftfreq(x.shape[1], 1.0 / self.mel.sample_rate, device=x.device)
            shape = hz.clamp(min=PINK_FROM_HZ).pow(-SLOPES[self.colour] / 2) * (hz >= PINK_FROM_HZ)
            noise = torch.fft.irfft(torch.fft.rfft(noise) * shape, n=x.shape[1])
        return {"noise": noise, "snr_db": uniform(x, self.min_snr_db, self.max_snr_db)}

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The noisy clips."""
        ratio = x.square().mean(1) / drawn["noise"].square().mean(1).clamp(min=1e-20)
        scale = (ratio * 10 ** (drawn["snr_db"] / -10)).sqrt()
        return torch.addcmul(x, drawn["noise"], scale[:, None])


class ShiftLimits(NamedTuple):
    """Limits of the changes of a class: (lowest, highest); by default no change."""

    semitones: tuple[float, float] = (0.0, 0.0)
    factor: tuple[float, float] = (1.0, 1.0)
    delay: tuple[float, float] = (0.0, 0.0)


_DELAY = (0.0, 1.0)
PICZAK_ESC10 = {
    "dog": ShiftLimits((-4.0, 4.0), (0.95, 1.1), _DELAY),
    "sea_waves": ShiftLimits((0.0, 0.0), (0.9, 1.2), _DELAY),
    "crying_baby": ShiftLimits((-3.0, 6.0), (0.8, 1.3), _DELAY),
    "sneezing": ShiftLimits((-4.0, 4.0), (0.9, 1.2), _DELAY),
    "helicopter": ShiftLimits((0.0, 0.0), (0.9, 1.2), _DELAY),
    "chainsaw": ShiftLimits((-4.0, 2.0), (0.9, 1.2), _DELAY),
    "rooster": ShiftLimits((-3.0, 2.0), (0.95, 1.1), _DELAY),
}
"""Piczak's limits for ESC-10: semitones, factor of speed at the same pitch, seconds of delay."""

PICZAK_OTHERS = ShiftLimits(delay=_DELAY)
"""Piczak's delay of up to a second, for classes without their own limits."""

_OLD_NAMES = {"dog_bark": "dog", "baby_cry": "crying_baby", "person_sneeze": "sneezing"}


def piczak_limits(classes: Sequence[str]) -> dict[str, ShiftLimits]:
    """Piczak's limits for the classes of ESC-10 among the given names.

    The names may be those of the table of ESC-50 (``crying_baby``) or of the folders of its old
    release (``Baby cry``).
    """
    plain = {name: name.lower().replace(" ", "_") for name in classes}
    known = {name: _OLD_NAMES.get(one, one) for name, one in plain.items()}
    return {name: PICZAK_ESC10[one] for name, one in known.items() if one in PICZAK_ESC10}


class ClassWise(nn.Module):
    """Delay, pitch shift and stretch of each clip within the limits of its class.

    Parameters
    ----------
    sample_rate : int
        Hz.
    classes : sequence of str
        In the order of the class numbers.
    limits : mapping of str to ShiftLimits
        By class name.
    others : ShiftLimits
        Limits for all other classes.

    Raises
    ------
    OptionError
        For limits of an unknown class.
    """

    limits: Tensor

    def __init__(
        self,
        sample_rate: int,
        classes: Sequence[str],
        limits: Mapping[str, ShiftLimits],
        others: ShiftLimits = ShiftLimits(),  # noqa: B008 - never changed
    ) -> None:
        super().__init__()
        for name in limits:
            if name not in classes:
                raise OptionError(f"limits of class '{name}': {nearest(name, classes)}")
        self.sample_rate = sample_rate
        table = torch.tensor([limits.get(name, others) for name in classes])  # (class, 3, 2)
        self._most_semitones = float(table[:, 0].abs().max())
        self.register_buffer("limits", table, persistent=False)

    def forward(self, wave: Tensor, y: Tensor) -> Tensor:
        """Changed samples in training, the same ones otherwise.

        Parameters
        ----------
        wave : Tensor, shape (batch, time)
            A delay takes at most half of it.
        y : Tensor
            Class numbers (batch,), or shares (batch, class) of which the largest counts.
        """
        check_wave(wave, "ClassWise")
        if not self.training:
            return wave
        number = y.argmax(1) if y.ndim == 2 else y.long()
        if len(number) != len(wave) or int(number.max()) >= len(self.limits):
            raise DataError(
                f"ClassWise: found {len(number)} classes up to number {int(number.max())} for "
                f"{len(wave)} clips, expected one of {len(self.limits)} classes for each"
            )
        low, high = self.limits[number].unbind(2)  # (batch, 3)
        high = high.minimum(high.new_tensor([math.inf, math.inf, self._half_of(wave)]))
        semitones, factor, delay = (low + (high - low) * uniform(wave, 0.0, 1.0, 3)).unbind(1)
        x = wave.float()
        bent = ((semitones != 0) | (factor != 1))[:, None]
        changed = change_speed_and_pitch(x, factor, semitones, self._most_semitones)
        x = torch.where(bent, changed, x)
        shift = (delay * self.sample_rate).round().long()
        place = torch.arange(x.shape[1], device=x.device) - shift[:, None]
        return (x.gather(1, place.clamp(min=0)) * (place >= 0)).to(wave.dtype)

    def _half_of(self, wave: Tensor) -> float:
        return wave.shape[1] / 2 / self.sample_rate
