"""Front ends, augmentations and objectives compute where their batches are, and nowhere else.

Torch's device "meta" has shapes and no numbers. A tensor that was left on the processor cannot be
joined with one of it, and a number cannot be read off it: both would go unseen on a processor,
where the one is an error on a graphics card and the other makes it wait in every step.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION

from semisonic.classifier.config import (
    METHODS,
    OBJECTIVES,
    SOLVED,
    MethodOptions,
    PretextOptions,
    TrainConfig,
)
from semisonic.classifier.pretrain import build_network, build_objective
from semisonic.classifier.training import make_objective
from semisonic.features.augmentation import augmenter
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.learning.consistency import FixMatch
from semisonic.learning.objective import Objective
from semisonic.models.sound_model import build

N = 8


@dataclass(frozen=True)
class Clips:
    x: torch.Tensor
    y: torch.Tensor | None


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no device without numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def features() -> torch.Tensor:
    return torch.zeros(N, *MEL.shape, device="meta")


def step(objective: Objective) -> None:
    objective.to("meta").train()
    y = torch.zeros(N, dtype=torch.int64, device="meta")
    terms = objective({name: Clips(features(), y) for name in objective.streams})
    assert all(term.device.type == "meta" for term in terms.values())
    terms["loss"].backward()
    objective.after_step()


def test_what_is_left_on_the_processor_is_seen() -> None:
    with pytest.raises(RuntimeError):
        torch.zeros(3, device="meta") + torch.zeros(3)
    with pytest.raises(RuntimeError):
        int(torch.zeros((), device="meta"))


def test_the_front_end() -> None:
    wave = torch.zeros(N, MEL.n_samples, device="meta")
    assert Frontend(MEL).to("meta")(wave).shape == (N, *MEL.shape)


@pytest.mark.parametrize("name", ["weak", "strong"])
def test_augmentations(name: str) -> None:
    assert augmenter(name, MEL).to("meta").train()(features()).device.type == "meta"
    wave = MelOptions(sample_rate=8000, duration=0.5, input="wave", n_mels=1, hop_length=1)
    x = torch.zeros(N, 1, 1, 4 * wave.n_samples, device="meta")
    assert augmenter(name, wave).to("meta").train()(x).device.type == "meta"


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(SOLVED)))
def test_methods(method: str) -> None:
    how = MethodOptions(augment="weak")
    config = TrainConfig(NOTATION, method=method, method_params=how, label_smoothing=0.1)
    objective = make_objective(config, build(NOTATION, MEL, KINDS, seed=0), steps_per_epoch=4)
    if isinstance(objective, FixMatch):  # which clips go on depends on the numbers
        with pytest.raises(NotImplementedError, match="nonzero"):
            step(objective)
    else:
        step(objective)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_pre_training(name: str) -> None:
    network = build_network(name, NOTATION, MEL, decoder="auto", standardize="global", seed=0)
    step(build_objective(name, network, PretextOptions(), 0))
