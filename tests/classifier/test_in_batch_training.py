"""Trainings whose spectrograms are computed in the batch come out as those with kept ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, QUICK_PRETRAIN, RATE, sound
from training_rows import PRETRAIN, TRAIN, pretrain_rows, train_rows

from semisonic.audio.write import write
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.config import MethodOptions, TrainConfig
from semisonic.classifier.prepare import Prepared, in_batch_device, prepare
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.train import train
from semisonic.classifier.training import TrainedModel
from semisonic.data.batches import OnTheFlyFeatures
from semisonic.data.clips import Clips
from semisonic.training.options import FitOptions

N, LABELLED = 48, np.arange(6)
TARGET = np.arange(N) % 3
POOL, TEST = np.arange(6, 36), np.arange(36, N)
FIT = FitOptions(steps=60, epoch_steps=20, learning_rate=5e-3, **PLAIN)
HOW = {
    "supervised": MethodOptions(),
    "fixmatch": MethodOptions(threshold=0.7, augment="weak"),
    "noisy-student": MethodOptions(threshold=0.5, rounds=1),
    "probe": MethodOptions(threshold=0.5),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, Prepared]:
    """Clips with features that are kept, and with features that are computed in the batch."""
    root = tmp_path_factory.mktemp("sounds")
    for i in range(N):
        write(root / f"{i:02d}.wav", sound(KINDS[i % 3], i), RATE)
    clips = Clips.from_rows(root, [{"file": f"{i:02d}.wav"} for i in range(N)])
    cpu = torch.device("cpu")
    return prepare(clips, MEL, root / "a"), prepare(clips, MEL, root / "b", in_batch=cpu)


def run(prepared: Prepared, method: str, fit: FitOptions = FIT) -> TrainedModel:
    settings = TrainConfig(NOTATION, method=method, method_params=HOW[method], fit=fit)
    return train_rows(
        prepared.features,
        TARGET,
        LABELLED,
        [],
        settings,
        mel=MEL,
        classes=KINDS,
        seed=0,
        rows_pool=POOL,
    )


def test_nothing_is_computed_before(both: tuple[Prepared, Prepared]) -> None:
    kept, computed = both
    assert isinstance(computed.features, OnTheFlyFeatures)
    assert computed.features.shape == kept.features.shape
    folder = computed.features.samples.path.parents[2]
    assert not (folder / "features").exists()


@pytest.mark.parametrize("method", sorted(HOW))
def test_every_kind_of_method_learns(both: tuple[Prepared, Prepared], method: str) -> None:
    features = both[1].features
    scores = score_rows(run(both[1], method).model, features, TEST)
    assert (scores.argmax(axis=1) == TARGET[TEST]).mean() >= 0.9


@pytest.mark.parametrize("objective", ["reconstruction", "simclr"])
def test_pre_training_has_the_same_losses(both: tuple[Prepared, Prepared], objective: str) -> None:
    settings = TrainConfig(NOTATION, objective=objective, pretrain=QUICK_PRETRAIN)
    losses = []
    for one in both:
        outcome = pretrain_rows(one.features, POOL, TEST, settings, mel=MEL, seed=0)
        losses.append([row["loss"] for row in outcome.history])
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_the_verbs_take_it(kinds: Path, others: Path, pool: Path, tmp_path: Path) -> None:
    first = tmp_path / "pretrain"
    pretrain(replace(PRETRAIN, data=pool, output=first, in_batch="yes"))
    output = tmp_path / "train"
    options = replace(TRAIN, data=kinds, output=output, encoder=first, in_batch="yes")
    result = train(options)
    assert not (output / "cache" / "features").exists()
    assert SoundClassifier.load(result.model).score(others) >= 0.9


def test_auto_is_on_a_graphics_card_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_batch_device("auto", "cpu") is None
    assert in_batch_device("yes", "cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert in_batch_device("auto", "auto") == torch.device("cuda:0")
    assert in_batch_device("no", "auto") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graphics_card_learns_what_a_processor_does(both: tuple[Prepared, Prepared]) -> None:
    few = replace(FIT, steps=0, epochs=4, epoch_steps=3, learning_rate=1e-3)
    samples = both[1].features.samples
    features = OnTheFlyFeatures(
        samples, both[1].features.front_end, MEL.shape, MEL.n_samples, "cuda"
    )
    settings = TrainConfig(NOTATION, method_params=HOW["supervised"], fit=few)
    losses = [
        [
            row["loss"]
            for row in train_rows(
                table, TARGET, LABELLED, [], settings, mel=MEL, classes=KINDS, seed=0, device=device
            ).history
        ]
        for table, device in ((both[0].features, "cpu"), (features, "cuda"))
    ]
    assert features._kept is not None
    assert losses[1] == pytest.approx(losses[0], abs=5e-3)
