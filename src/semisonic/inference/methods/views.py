"""The random views of clips that methods train on."""

from __future__ import annotations

from torch import nn

from semisonic.features import MelOptions
from semisonic.features.augment import OWN, Mixup, OwnView, augmenter, preset
from semisonic.features.augment.either import Either
from semisonic.features.augment.wave import wave_view
from semisonic.features.options import WAVE


def view(name: str, mel: MelOptions) -> nn.Module:
    """A view by name: none, weak, strong, mixed (each clip draws weak or strong), or one's own."""
    if name in OWN:
        return OwnView(name)
    if mel.input == WAVE:
        return wave_view(name, mel)
    if name == "mixed":
        return Either(view("weak", mel), view("strong", mel))
    return augmenter(preset(name, mel), mel)


def mixing(alpha: float, mel: MelOptions) -> nn.Module | None:
    """Mixup of pairs of clips; None with alpha 0.

    A clip stays the greater part of its mixture, as losses of labelled and of guessed clips
    are told apart by their place in the batch.
    """
    return Mixup(mel, alpha, keep_larger=True) if alpha else None
