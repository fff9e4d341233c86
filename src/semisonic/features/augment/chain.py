"""From options to the module that does what they say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import check, nearest
from semisonic.features.augment.base import Augmentation, full_precision
from semisonic.features.augment.frequency import BandMask, PitchShift, ResizedCrop, TimeMask
from semisonic.features.augment.noise import (
    Background,
    BandGain,
    Gain,
    PinkNoise,
    WhiteNoise,
)
from semisonic.features.augment.time import Speed, TimeCrop, TimeShift, TimeStretch
from semisonic.features.options import LOG_MEL, REGISTERED, WAVE, AugmentOptions, MelOptions


class Chain(Augmentation):
    """Augmentations one after another; deltas are computed once, at the end.

    Parameters
    ----------
    mel : MelOptions
    steps : sequence of Augmentation
        For the same front end.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, steps: Sequence[Augmentation]) -> None:
        super().__init__(mel)
        self.steps = nn.ModuleList(steps)

    def once(self, x: Tensor) -> Tensor:
        """One random change by each step."""
        for step in self.steps:
            x = cast(Augmentation, step).once(x)
        return x


class RegisteredAugmentation(nn.Module):
    """An augmentation that is not from this package; nothing in ``eval()``, nothing learned.

    Parameters
    ----------
    name : str
        As it was registered: see :func:`semisonic.register_augmentation`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        change = REGISTERED[name]
        self.name = name
        self.change = copy.deepcopy(change) if isinstance(change, nn.Module) else change
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise.

        Raises
        ------
        DataError
            When something else than features of the same shape comes out.
        """
        if not self.training:
            return x
        with torch.no_grad(), full_precision(x):
            changed: object = self.change(x.float())
        shape = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        if not isinstance(changed, Tensor) or shape != tuple(x.shape):
            raise DataError(
                f"the augmentation '{self.name}' gives {shape} for features of shape "
                f"{tuple(x.shape)} (batch, channel, mel, frame), expected the same shape"
            )
        return changed.to(x.dtype)

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return self.name


def augmenter(options: AugmentOptions, mel: MelOptions) -> nn.Module:
    """The module that changes features as the options say.

    The order is that of the world: first the sound itself (speed, pitch, when), then the way
    to the microphone (filter, level), then what else is heard there, and masks at the end.

    Parameters
    ----------
    options : AugmentOptions
    mel : MelOptions

    Returns
    -------
    nn.Module
        (batch, channel, mel, frame) in dB to the same shape; :class:`torch.nn.Identity` when
        nothing is to be changed.

    Raises
    ------
    OptionError
        When an option cannot work with this front end; the text says what to change.
    """
    check(options)
    steps = list(_steps(options, mel))
    return Chain(mel, steps) if steps else nn.Identity()


def _steps(o: AugmentOptions, mel: MelOptions) -> Iterator[Augmentation]:
    if (o.stretch_min, o.stretch_max) != (1.0, 1.0):
        yield TimeStretch(mel, o.stretch_min, o.stretch_max)
    if o.pitch:
        yield PitchShift(mel, o.pitch)
    if o.crop_time or o.crop_bands:
        yield ResizedCrop(mel, o.crop_time, o.crop_bands)
    if o.time_shift:
        yield TimeShift(mel, o.time_shift)
    if o.band_gain_db:
        yield BandGain(mel, o.band_gain_db, o.band_gain_points)
    if o.gain_db:
        yield Gain(mel, o.gain_db)
    if o.background:
        yield Background(mel, o.snr_min_db, o.snr_max_db, probability=o.background)
    if o.white_noise:
        yield WhiteNoise(mel, o.snr_min_db, o.snr_max_db, o.white_noise)
    if o.pink_noise:
        yield PinkNoise(mel, o.snr_min_db, o.snr_max_db, o.pink_noise)
    if o.time_masks:
        yield TimeMask(mel, o.time_masks, o.time_mask_width)
    if o.band_masks:
        yield BandMask(mel, o.band_masks, o.band_mask_width)


GAIN_DB = 6.0
SPEED = (0.8, 1.25)
TAKEN, KEPT = 2.0, 1.5
"""Seconds that are taken of a clip, and that are left of them once the speed was changed."""

VIEWS = ("none", "weak", "strong")


def wave_view(name: str, mel: MelOptions) -> nn.Module:
    """A random view of waveforms by name, as :func:`semisonic.features.options.preset` has them.

    Paper: Huang and Leanos 2018, "AclNet" (part, speed and level of each clip).

    ``weak``: another level and another place in time. ``strong``: a part of 1.5 s, up to a
    quarter faster or slower, at another level; clips that are shorter stay whole.

    Parameters
    ----------
    name : {"none", "weak", "strong"}
    mel : MelOptions
        Of waveforms.

    Raises
    ------
    OptionError
        For another name: "mixed" would need parts and whole clips in one batch.
    """
    gain = [] if mel.peak_normalize else [Gain(mel, GAIN_DB)]
    if name == "none":
        return nn.Identity()
    if name == "weak":
        return Chain(mel, [TimeShift(mel, mel.duration / 2), *gain])
    if name == "strong":
        crops = TimeCrop(mel, TAKEN), TimeCrop(mel, KEPT)
        return Chain(mel, [crops[0], Speed(mel, *SPEED), crops[1], *gain])
    raise OptionError(f"augmentation of waveforms: found '{name}'; {nearest(name, VIEWS)}")
