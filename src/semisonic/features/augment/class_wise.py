"""Time shift, delay and pitch shift of samples with limits for each class (Piczak 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import check, nearest, option
from semisonic.features.augment.base import check_wave, uniform
from semisonic.features.augment.frequency import change_speed_and_pitch
from semisonic.features.augment.time import shift_wave


@dataclass(frozen=True)
class ShiftLimits:
    """How far sounds of a class may be changed; the defaults change nothing."""

    min_semitones: float = option(0.0, "lowest pitch", unit="semitones", minimum=-24, maximum=24)
    max_semitones: float = option(0.0, "highest pitch", unit="semitones", minimum=-24, maximum=24)
    min_factor: float = option(1.0, "slowest speed at the same pitch", minimum=0.25, maximum=4)
    max_factor: float = option(1.0, "fastest speed at the same pitch", minimum=0.25, maximum=4)
    max_delay: float = option(0.0, "longest silence in front", unit="s", minimum=0)

    def __post_init__(self) -> None:
        check(self)
        if self.min_semitones > self.max_semitones or self.min_factor > self.max_factor:
            raise OptionError(f"limits: found {self}, expected the lower value of each range first")


PICZAK_ESC10 = {
    "dog": ShiftLimits(-4.0, 4.0, 0.95, 1.1, 1.0),
    "sea_waves": ShiftLimits(0.0, 0.0, 0.9, 1.2, 1.0),
    "crying_baby": ShiftLimits(-3.0, 6.0, 0.8, 1.3, 1.0),
    "sneezing": ShiftLimits(-4.0, 4.0, 0.9, 1.2, 1.0),
    "helicopter": ShiftLimits(0.0, 0.0, 0.9, 1.2, 1.0),
    "chainsaw": ShiftLimits(-4.0, 2.0, 0.9, 1.2, 1.0),
    "rooster": ShiftLimits(-3.0, 2.0, 0.95, 1.1, 1.0),
}
"""Piczak's limits for ESC-10; the other classes had the delay only."""

_OLD_NAMES = {"dog_bark": "dog", "baby_cry": "crying_baby", "person_sneeze": "sneezing"}

PICZAK_OTHERS = ShiftLimits(max_delay=1.0)
"""His delay of up to a second, for every class without limits of its own."""


def piczak_limits(classes: Sequence[str]) -> dict[str, ShiftLimits]:
    """Piczak's limits for those classes of ESC-10 that are among some class names.

    The names may be those of the table of ESC-50 (``crying_baby``) or of the folders of its old
    release (``Baby cry``).
    """
    result = {}
    for name in classes:
        plain = name.lower().replace(" ", "_")
        plain = _OLD_NAMES.get(plain, plain)
        if plain in PICZAK_ESC10:
            result[name] = PICZAK_ESC10[plain]
    return result


class ClassWise(nn.Module):
    """Delay, pitch shift and stretch of each clip within the limits of its class.

    Parameters
    ----------
    sample_rate : int
        Hz.
    classes : sequence of str
        In the order of the class numbers.
    limits : mapping of str to Limits
        By class name.
    others : Limits
        For classes that ``limits`` does not name.

    Raises
    ------
    OptionError
        For limits of a class that is not there.
    """

    lows: Tensor
    highs: Tensor

    def __init__(
        self,
        sample_rate: int,
        classes: Sequence[str],
        limits: Mapping[str, ShiftLimits],
        others: ShiftLimits | None = None,
    ) -> None:
        super().__init__()
        for name in limits:
            if name not in classes:
                raise OptionError(f"limits of class '{name}': {nearest(name, classes)}")
        self.sample_rate = sample_rate
        of_class = [limits.get(name, others or ShiftLimits()) for name in classes]
        self._longest = max(max(-one.min_semitones, one.max_semitones) for one in of_class)
        ranges = [
            [
                (one.min_semitones, one.max_semitones),
                (one.min_factor, one.max_factor),
                (0.0, one.max_delay),
            ]
            for one in of_class
        ]
        table = torch.tensor(ranges)  # (class, 3, 2)
        self.register_buffer("lows", table[..., 0], persistent=False)
        self.register_buffer("highs", table[..., 1], persistent=False)

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
        if len(number) != len(wave) or int(number.max()) >= len(self.lows):
            raise DataError(
                f"ClassWise: found {len(number)} classes up to number {int(number.max())} for "
                f"{len(wave)} clips, expected one of {len(self.lows)} classes for each"
            )
        low, high = self.lows[number], self.highs[number].clone()  # (batch, 3)
        high[:, 2].clamp_(max=wave.shape[1] / 2 / self.sample_rate)
        semitones, factor, delay = (low + (high - low) * uniform(wave, 0.0, 1.0, 3)).unbind(1)
        x = wave.float()
        bent = ((semitones != 0) | (factor != 1))[:, None]
        x = torch.where(bent, change_speed_and_pitch(x, factor, semitones, self._longest), x)
        shift = (delay * self.sample_rate).round().long()
        return shift_wave(x, shift, "delay").to(wave.dtype)
