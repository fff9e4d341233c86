"""Random views of waveforms by name, as :func:`semisonic.features.augment.preset` has them.

Paper: Huang and Leanos 2018, "AclNet" (part, speed and level of each clip).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.features.augment.wave.crop import Crop
from semisonic.features.augment.wave.gain import Gain
from semisonic.features.augment.wave.speed import Speed
from semisonic.features.augment.wave.time_shift import TimeShift
from semisonic.features.options import MelOptions

GAIN_DB = 6.0
SPEED = (0.8, 1.25)
HEARD, KEPT = 2.0, 1.5
"""Seconds that are taken of a clip, and that are left of them once the speed was changed."""

VIEWS = ("none", "weak", "strong")


class WaveChain(nn.Module):
    """Augmentations of samples one after another, on features that are waveforms.

    Parameters
    ----------
    steps : sequence of WaveAugmentation

    Notes
    -----
    ``forward`` maps (batch, 1, 1, time) to the same, with fewer samples where a step crops.
    """

    def __init__(self, steps: Sequence[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Changed waves in training, the same ones otherwise."""
        changed: Tensor = self.steps(x.flatten(1))
        return changed[:, None, None]


def wave_view(name: str, mel: MelOptions) -> nn.Module:
    """A view by name.

    ``weak``: another level and another place in time. ``strong``: a part of 1.5 s, up to a
    quarter faster or slower, at another level; clips that are shorter stay whole.

    Raises
    ------
    OptionError
        For another name: "mixed" would need parts and whole clips in one batch.
    """
    rate = mel.sample_rate
    level = [] if mel.peak_normalize else [Gain(rate, GAIN_DB)]
    if name == "none":
        return nn.Identity()
    if name == "weak":
        return WaveChain([TimeShift(rate, mel.duration / 2), *level])
    if name == "strong":
        return WaveChain([Crop(rate, HEARD), Speed(rate, *SPEED), Crop(rate, KEPT), *level])
    raise OptionError(f"augmentation of waveforms: found '{name}'; {nearest(name, VIEWS)}")
