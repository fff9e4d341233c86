"""Mixtures of the clip with another one."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from semisonic.base.seeds import derive
from semisonic.features.augment import BetweenClass, Mixup, PairMixing
from semisonic.inference.previewing import hearing
from semisonic.inference.previewing.example import Clip, Example

SHARES = (0.75, 0.5)
"""How much of a mixture is the clip itself; in training it is drawn."""


def pair_examples(clip: Clip, seed: int) -> Iterator[Example]:
    """Each way to mix two clips; none without another clip."""
    if not len(clip.others):
        return
    ways: dict[str, tuple[str, PairMixing]] = {
        "Mixup": (
            "Decibels of two clips are blended, and their labels.",
            Mixup(clip.mel, 1.0),
        ),
        "Mixup of energies": (
            "Energies are blended instead, and the louder clip covers the other.",
            Mixup(clip.mel, 1.0, "power"),
        ),
        "Between-class mixing": (
            "Two sounds are added so that each has its share of what is heard.",
            BetweenClass(clip.mel),
        ),
    }
    level, others = clip.level, clip.features(clip.others)
    for title, (text, module) in ways.items():
        draws = []
        name = title.lower().replace(" ", "-")
        for k, share in enumerate(SHARES):
            torch.manual_seed(derive(seed, "preview", name, k))
            row = int(torch.randint(len(others), ()))
            mixed = module.mix(level, others[row : row + 1], torch.tensor([share]))
            wave = hearing.by_inversion(mixed[0, 0], clip.wave[0], clip.mel)
            own = clip.label or "this clip"
            other = clip.other_labels[row] or "another clip"
            words = f"{100 * share:.0f} % {own}, the rest {other}"
            draws.append(clip.draw(mixed, wave, words))
        yield Example(name, title, text, hearing.BY_INVERSION, tuple(draws))
