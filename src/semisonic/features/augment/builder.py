"""From options to the module that does what they say."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from semisonic.base.errors import DataError
from semisonic.base.options import check
from semisonic.features.augment.background import Background
from semisonic.features.augment.band_gain import BandGain
from semisonic.features.augment.band_mask import BandMask
from semisonic.features.augment.base import Augmentation, full_precision
from semisonic.features.augment.gain import Gain
from semisonic.features.augment.noise import PinkNoise, WhiteNoise
from semisonic.features.augment.options import AugmentOptions
from semisonic.features.augment.own import OWN
from semisonic.features.augment.pitch_shift import PitchShift
from semisonic.features.augment.resized_crop import ResizedCrop
from semisonic.features.augment.stretch import Stretch
from semisonic.features.augment.time_mask import TimeMask
from semisonic.features.augment.time_shift import TimeShift
from semisonic.features.options import MelOptions


class Chain(Augmentation):
    """Augmentations one after another; deltas are computed once, at the end.

    Parameters
    ----------
    mel : MelOptions
    steps : sequence of Augmentation
    """

    def __init__(self, mel: MelOptions, steps: Sequence[Augmentation]) -> None:
        super().__init__(mel)
        self.steps = nn.ModuleList(steps)

    def once(self, x: Tensor) -> Tensor:
        """One random change of the levels alone by each step."""
        for step in self.steps:
            x = cast(Augmentation, step).once(x)
        return x


class OwnView(nn.Module):
    """An augmentation that is not from this package; nothing in ``eval()``, nothing learned.

    Parameters
    ----------
    name : str
        As it was registered: see :func:`semisonic.register_augmentation`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        change = OWN[name]
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
            found: object = self.change(x.float())
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if not isinstance(found, Tensor) or shape != tuple(x.shape):
            raise DataError(
                f"the augmentation '{self.name}' gives {shape} for features of shape "
                f"{tuple(x.shape)} (batch, channel, mel, frame), expected the same shape"
            )
        return found.to(x.dtype)

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return self.name


def augmenter(options: AugmentOptions, mel: MelOptions) -> nn.Module:
    """The module that changes features as the options say.

    The order is that of the world: first the sound itself (speed, pitch, when), then the way
    to the microphone (filter, level), then what else is heard there, and masks at the end.

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
        yield Stretch(mel, o.stretch_min, o.stretch_max)
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
