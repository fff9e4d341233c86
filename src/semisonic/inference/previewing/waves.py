"""Augmentations of samples, each drawn; their sound is what they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from semisonic.base.seeds import derive
from semisonic.features.augment import AugmentOptions, wave
from semisonic.inference.previewing.example import DRAWS, Clip, Example
from semisonic.inference.previewing.words import in_words

_ITSELF = "the changed samples themselves"
_DIRECT = Callable[[Tensor], tuple[Tensor, str]]


def wave_examples(clip: Clip, options: AugmentOptions, seed: int) -> Iterator[Example]:
    """Each augmentation of samples, at the strengths of the options."""
    for name, title, text, module in _modules(clip, options):
        yield _example(clip, f"wave-{name}", title, text, _direct(clip, module), seed)
    limits = wave.piczak_limits([clip.label])
    if limits:
        bend = wave.ClassWise(clip.mel.sample_rate, [clip.label], limits)
        number = torch.tensor([0])
        found = limits[clip.label]
        text = (
            f"Piczak's limits for '{clip.label}': {found.min_semitones:+g} to "
            f"{found.max_semitones:+g} semitones, {found.min_factor:g} to {found.max_factor:g} "
            f"times as fast, up to {found.max_delay:g} s of silence in front."
        )
        yield _example(
            clip, "wave-class-wise", "Limits by class", text,
            lambda x: (bend(x, number), ""), seed,
        )  # fmt: skip


def _example(clip: Clip, name: str, title: str, text: str, change: _DIRECT, seed: int) -> Example:
    draws = []
    for k in range(DRAWS):
        torch.manual_seed(derive(seed, "preview", name, k))
        changed, words = change(clip.wave)
        draws.append(clip.draw(clip.features(changed), changed[0], words))
    return Example(name, title, text, _ITSELF, tuple(draws))


def _direct(clip: Clip, module: wave.WaveAugmentation) -> _DIRECT:
    def change(x: Tensor) -> tuple[Tensor, str]:
        drawn = module.draw(x)
        return module.change(x, drawn), in_words(drawn, 1 / clip.mel.sample_rate)

    return change


def _modules(
    clip: Clip, o: AugmentOptions
) -> Iterator[tuple[str, str, str, wave.WaveAugmentation]]:
    rate = clip.mel.sample_rate
    stretched = (o.stretch_min, o.stretch_max) != (1.0, 1.0)
    snr = o.snr_min_db, o.snr_max_db
    if o.time_shift:
        yield "shift", "Time shift", "Samples round the end.", wave.TimeShift(rate, o.time_shift)
    if stretched:
        yield ("speed", "Speed", "Like a tape: pitch and tempo go together.",
               wave.Speed(rate, o.stretch_min, o.stretch_max))  # fmt: skip
        yield ("stretch", "Stretch", "Phase vocoder: tempo alone.",
               wave.Stretch(rate, o.stretch_min, o.stretch_max))  # fmt: skip
    if o.pitch:
        yield ("pitch", "Pitch shift", "Phase vocoder and another speed: pitch alone.",
               wave.PitchShift(rate, o.pitch))  # fmt: skip
    if o.gain_db:
        yield "gain", "Gain", "Nearer or farther.", wave.Gain(rate, o.gain_db)
    if o.background and len(clip.others):
        yield ("background", "Background", "Another clip of the set beneath this one.",
               wave.Background(rate, *snr, clip.others))  # fmt: skip
    if o.white_noise:
        yield "white-noise", "White noise", "Hiss.", wave.WhiteNoise(rate, *snr)
    if o.pink_noise:
        yield "pink-noise", "Pink noise", "Rush.", wave.PinkNoise(rate, *snr)
