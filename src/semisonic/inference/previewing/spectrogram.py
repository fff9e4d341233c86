"""Augmentations of spectrograms, each drawn and made audible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from semisonic.base.seeds import derive
from semisonic.features import MelOptions
from semisonic.features.augment import (
    Augmentation,
    AugmentOptions,
    Background,
    BandGain,
    BandMask,
    Chain,
    Gain,
    PinkNoise,
    PitchShift,
    ResizedCrop,
    Stretch,
    TimeCrop,
    TimeMask,
    TimeShift,
    WhiteNoise,
    augmenter,
    preset,
)
from semisonic.inference.previewing import hearing
from semisonic.inference.previewing.example import DRAWS, Clip, Example
from semisonic.inference.previewing.words import in_words

_TEXTS: dict[type, tuple[str, str]] = {
    TimeShift: ("Time shift", "The clip begins somewhere else; what leaves comes in again."),
    Stretch: ("Stretch", "Faster or slower at the same pitch. What a faster clip leaves free is "
              "filled by going round, or by silence where the clip is padded with it."),
    PitchShift: ("Pitch shift", "Higher or lower at the same speed, along the mel axis."),
    ResizedCrop: ("Resized crop", "A window in time and frequency, stretched over the whole."),
    BandGain: ("Band gain", "Another microphone or room: a smooth gain over frequency."),
    Gain: ("Gain", "Nearer or farther."),
    Background: ("Background", "Another clip of the set beneath this one."),
    WhiteNoise: ("White noise", "Hiss, equal in every hertz, at a true ratio over the clip."),
    PinkNoise: ("Pink noise", "Rush, equal in every octave, at a true ratio over the clip."),
    TimeMask: ("Time masks", "Stretches of time hold the clip's mean level."),
    BandMask: ("Band masks", "Ranges of bands hold the clip's mean level."),
    TimeCrop: ("Time crop", "A part of the clip that holds sound, for training on shorter parts."),
}  # fmt: skip
_CELL_BY_CELL = (Gain, BandGain, TimeMask, BandMask)
_PHASES_STAY = (WhiteNoise, PinkNoise, Background)
_CROP = 0.4  # of the clip


def spectrogram_examples(clip: Clip, options: AugmentOptions, seed: int) -> Iterator[Example]:
    """Each augmentation that the options turn on, and a crop, alone."""
    chain = augmenter(options, clip.mel)
    steps = [cast(Augmentation, step) for step in chain.steps] if isinstance(chain, Chain) else []
    shortest = clip.mel.min_samples / clip.mel.sample_rate
    crop = TimeCrop(clip.mel, max(_CROP * clip.mel.duration, shortest))
    for step in (*steps, crop):
        if isinstance(step, Background):
            if not len(clip.others):
                continue
            step.bank = clip.features(clip.others)
        title, text = _TEXTS[type(step)]
        name = title.lower().replace(" ", "-")
        draws = []
        for k in range(DRAWS):
            torch.manual_seed(derive(seed, "preview", name, k))
            draws.append(clip.draw(*_changed(clip.mel, step, clip.level, clip.wave[0])))
        yield Example(name, title, text, _how(step), tuple(draws))


def named_set(clip: Clip, name: str, seed: int) -> Example:
    """One of the named sets as a whole: its steps one after another."""
    chain = augmenter(preset(name, clip.mel), clip.mel)
    steps = [cast(Augmentation, step) for step in cast(Chain, chain).steps]
    draws = []
    for k in range(DRAWS):
        torch.manual_seed(derive(seed, "preview", name, k))
        level, wave = clip.level, clip.wave[0]
        for step in steps:
            level, wave, _ = _changed(clip.mel, step, level, wave)
        draws.append(clip.draw(level, wave, f"draw {k + 1}"))
    text = f"What training with the set '{name}' does to a clip, all at once."
    ways = dict.fromkeys(_how(step) for step in steps)
    return Example(f"set-{name}", name.capitalize(), text, "; ".join(ways), tuple(draws))


def _changed(
    mel: MelOptions, step: Augmentation, level: Tensor, wave: Tensor
) -> tuple[Tensor, Tensor, str]:
    """Levels (1, 1, mel, frame), samples (time,) and the numbers drawn, after one step."""
    drawn = step.draw(level)
    after = step.change(level, drawn)
    words = in_words(drawn, mel.hop_length / mel.sample_rate)
    if isinstance(step, TimeShift):
        return after, wave.roll(int(drawn["shift"]) * mel.hop_length), words
    if isinstance(step, TimeCrop):
        first = int(drawn["start"]) * mel.hop_length
        part = wave[first : first + round(step.duration * mel.sample_rate)]
        return after, part, f"from {first / mel.sample_rate:.2f} s"
    if isinstance(step, _CELL_BY_CELL):
        return after, hearing.through_spectrum(wave, level[0, 0], after[0, 0], mel), words
    kept = isinstance(step, _PHASES_STAY)
    return after, hearing.by_inversion(after[0, 0], wave, mel, same_phases=kept), words


def _how(step: Augmentation) -> str:
    if isinstance(step, TimeShift):
        return hearing.BY_SHIFT
    if isinstance(step, TimeCrop):
        return hearing.BY_CUT
    return hearing.THROUGH_SPECTRUM if isinstance(step, _CELL_BY_CELL) else hearing.BY_INVERSION
