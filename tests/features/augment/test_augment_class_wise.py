"""Limits by class, as Piczak had them, drawn anew each time, as he had not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from semisonic.core.errors import DataError, OptionError
from semisonic.features.wave_augmentation import (
    PICZAK_ESC10,
    PICZAK_OTHERS,
    ClassWise,
    ShiftLimits,
    piczak_limits,
)

RATE = 16000
N = 16000
CLASSES = [*PICZAK_ESC10, "rain", "clock_tick", "crackling_fire"]


def tones(n: int) -> Tensor:
    t = torch.arange(N, dtype=torch.float64) / RATE
    return (0.3 * torch.sin(2 * math.pi * 1000 * t)).float().expand(n, -1).contiguous()


def semitones_of(x: Tensor) -> Tensor:
    size = torch.fft.rfft(x * torch.hann_window(N), n=4 * N).abs()
    return 12 * torch.log2(size.argmax(1) / 4 / 1000)


def at_once(limits: Mapping[str, ShiftLimits]) -> dict[str, ShiftLimits]:
    """The same limits without a delay, which could leave next to nothing of our short tones."""
    return {name: one._replace(delay=(0.0, 0.0)) for name, one in limits.items()}


def number(name: str, n: int) -> Tensor:
    return torch.full((n,), CLASSES.index(name))


def test_pitch_varies_within_the_limits_of_the_class() -> None:
    module = ClassWise(RATE, CLASSES, at_once(PICZAK_ESC10))
    for name, low, high in (("crying_baby", -3, 6), ("chainsaw", -4, 2), ("sea_waves", 0, 0)):
        found = semitones_of(module(tones(40), number(name, 40)))
        assert found.min() >= low - 0.1
        assert found.max() <= high + 0.1
        if low < high:
            # a constant shift, the published defect, would have no spread
            assert found.std() > 0.2 * (high - low)
            assert found.min() < low + 0.25 * (high - low)
            assert found.max() > high - 0.25 * (high - low)


def test_other_classes_are_delayed_only() -> None:
    module = ClassWise(RATE, CLASSES, PICZAK_ESC10, ShiftLimits(delay=(0.0, 0.5)))
    x, y = tones(30), number("rain", 30)
    changed = module(x, y)
    first = (changed != 0).float().argmax(1)
    assert first.max() <= 8002
    assert first.float().std() > 1000
    for row, start in zip(changed, first.tolist(), strict=True):
        delay = start - 1  # a sine begins with zero
        assert torch.equal(row[delay:], x[0][: N - delay]) or start == 1
    assert torch.equal(ClassWise(RATE, CLASSES, PICZAK_ESC10)(x, y), x)


def test_stretch_stays_within_the_limits_of_the_class() -> None:
    click = torch.zeros(30, N)
    click[:, 8000:8200] = 0.5
    module = ClassWise(RATE, CLASSES, at_once(PICZAK_ESC10))
    at = module(click, number("sea_waves", 30)).abs().argmax(1).float()
    window = 1024  # a vocoder smears by half of its window
    assert 8000 / 1.2 - window < at.min() < 8000
    assert 8200 < at.max() < 8200 / 0.9 + window
    assert at.std() > 300


def test_shares_of_classes_are_understood_and_eval_changes_nothing() -> None:
    module = ClassWise(RATE, CLASSES, {"dog": ShiftLimits(semitones=(3.0, 3.0))})
    shares = torch.zeros(2, len(CLASSES))
    shares[0, CLASSES.index("dog")] = shares[1, CLASSES.index("rain")] = 1.0
    assert torch.allclose(
        semitones_of(module(tones(2), shares)), torch.tensor([3.0, 0.0]), atol=0.1
    )
    assert torch.equal(module.eval()(tones(2), shares), tones(2))


def test_wrong_limits_are_named() -> None:
    with pytest.raises(OptionError, match="did you mean 'rooster'"):
        ClassWise(RATE, CLASSES, {"roster": PICZAK_OTHERS})
    with pytest.raises(DataError, match="expected one of 10 classes"):
        ClassWise(RATE, CLASSES, {})(tones(2), torch.tensor([0, 10]))


def test_classes_of_both_releases_of_the_data_set_are_known() -> None:
    old = ["Baby cry", "Dog bark", "Person sneeze", "Rooster", "Sea waves", "Clock tick"]
    new = ["crying_baby", "dog", "sneezing", "rooster", "sea_waves"]
    found = piczak_limits(old)
    assert list(found) == old[:-1]
    assert list(found.values()) == [PICZAK_ESC10[name] for name in new]
    assert piczak_limits(CLASSES) == PICZAK_ESC10
