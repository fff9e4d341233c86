"""The named sets of augmentations that training uses."""

from __future__ import annotations

from torch import nn

from semisonic.core.errors import OptionError
from semisonic.core.options import nearest
from semisonic.features.augment.base import Augmentation, Chain, OneOf, RegisteredAugmentation
from semisonic.features.augment.spectrogram import (
    Background,
    BandCrop,
    BandGain,
    BandMask,
    TimeMask,
)
from semisonic.features.augment.time import (
    Gain,
    Speed,
    TimeCrop,
    TimeShift,
    TimeStretch,
    has_levels,
)
from semisonic.features.options import AUGMENTATIONS, REGISTERED, WAVE, MelOptions

ANY_SHIFT = 3600.0
"""Seconds; at least half of any clip, so that every shift is equally likely."""
SPEED = (0.8, 1.25)
WEAK_GAIN_DB, STRONG_GAIN_DB = 3.0, 6.0
BACKGROUND_SNR_DB = (0.0, 20.0)
TAKEN, KEPT = 2.0, 1.5
"""Seconds that are taken of a waveform, and that are left of them once the speed was changed."""


def augmenter(
    name: str,
    mel: MelOptions,
    *,
    max_shift: float = ANY_SHIFT,
    max_cut: int = 0,
    background: float = 0.0,
) -> nn.Module:
    """The module of a named set, as far as that has a meaning for a front end.

    ``weak`` is another place in time and another level. ``strong`` adds stretch, gain over
    frequency and masks to spectrograms. Of waveforms (Huang and Leanos 2018, "AclNet") it is a
    part of 1.5 s, up to a quarter faster or slower, at another level; clips that are shorter stay
    whole. In ``mixed`` each clip draws one of the two. The order is that of the world: first the
    sound itself (speed, when), then the way to the microphone (filter, level), then what else is
    heard there, and masks at the end.

    Parameters
    ----------
    name : {"none", "weak", "strong", "mixed"} or str
        Or a name of :func:`semisonic.register_augmentation`.
    mel : MelOptions
        Where it takes the level of a clip away there is no gain; a band mask covers at most an
        eighth of the bands.
    max_shift : float
        Seconds.
    max_cut : int
        Mel bands that are cut away at most; the rest is stretched over all.
    background : float
        Share of clips that get another clip of the batch beneath them.

    Returns
    -------
    nn.Module
        Features (batch, channel, mel, frame) to the same shape, waveforms to fewer samples
        perhaps; :class:`torch.nn.Identity` when nothing is to be changed.

    Raises
    ------
    OptionError
        For an unknown name.

    Examples
    --------
    >>> len(augmenter("weak", MelOptions()).steps)
    2
    """
    if name == "mixed" and mel.input != WAVE:
        return OneOf(augmenter("weak", mel), augmenter("strong", mel))
    known = AUGMENTATIONS if mel.input != WAVE else AUGMENTATIONS[:-1]
    if name not in known and name not in REGISTERED:
        raise OptionError(f"augmentation: found {name!r}; {nearest(name, [*known, *REGISTERED])}")
    weak, strong, is_wave = name == "weak", name == "strong", mel.input == WAVE
    gain = []
    if (weak or strong) and has_levels(mel):
        gain = [Gain(mel, WEAK_GAIN_DB if weak and not is_wave else STRONG_GAIN_DB)]
    if strong and is_wave:
        parts = TimeCrop(mel, TAKEN), TimeCrop(mel, KEPT)
        return Chain(mel, [parts[0], Speed(mel, *SPEED), parts[1], *gain])
    steps: list[Augmentation] = []
    if strong:
        steps.append(TimeStretch(mel, *SPEED))
    if max_cut:
        steps.append(BandCrop(mel, max_cut))
    if weak or strong:
        steps.append(TimeShift(mel, max_shift))
    if strong and mel.n_mels > 1:
        steps.append(BandGain(mel, 6.0, min(5, mel.n_mels)))
    steps += gain
    if background:
        steps.append(Background(mel, *BACKGROUND_SNR_DB, background))
    if strong:
        steps.append(TimeMask(mel, 2, max(0.4, mel.hop_length / mel.sample_rate)))
    if strong and mel.n_mels > 1:
        steps.append(BandMask(mel, 2, min(8, max(1, mel.n_mels // 8))))
    chain = Chain(mel, steps) if steps else nn.Identity()
    if name in REGISTERED:
        own = RegisteredAugmentation(name)
        return nn.Sequential(own, chain) if steps else own
    return chain
