from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN, QUICK, QUICK_PRETRAIN
from training_rows import pretrain_rows, train_rows

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.pretrain import PretrainOutcome
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import TrainedModel, validation_metrics
from semisonic.core.errors import DataError, ModelError
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

SETTINGS = TrainConfig(NOTATION, fit=QUICK)
N = 30
TARGET = np.arange(N) % 3


@pytest.fixture(scope="module")
def pretrained(features: np.ndarray) -> PretrainOutcome:
    settings = TrainConfig(
        NOTATION, objective="reconstruction", decoder="unpool", pretrain=QUICK_PRETRAIN
    )
    return pretrain_rows(features, np.arange(24), np.arange(24, 30), settings, mel=MEL, seed=0)


def run(features: np.ndarray, settings: TrainConfig = SETTINGS, **more: object) -> TrainedModel:
    arguments: dict[str, object] = {"mel": MEL, "classes": KINDS, "seed": 0, "target": TARGET}
    arguments |= {"rows_train": np.arange(18), "rows_validation": np.arange(18, 24)} | more
    return train_rows(features, settings=settings, **arguments)  # type: ignore[arg-type]


def test_the_weights_are_those_of_the_best_epoch(features: np.ndarray) -> None:
    outcome = run(features)
    best = outcome.history[outcome.best_epoch - 1]
    assert best["val_choice"] == max(row["val_choice"] for row in outcome.history)
    rows = np.arange(18, 24)
    found = validation_metrics(TARGET[rows], score_rows(outcome.model, features, rows))
    assert found["loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_without_validation_all_epochs_are_run(features: np.ndarray) -> None:
    fit = replace(QUICK, epochs=3, patience=1)
    outcome = run(features, replace(SETTINGS, fit=fit), rows_validation=[])
    assert outcome.best_epoch == len(outcome.history) == 3


def test_statistics_come_from_the_training_rows_only(features: np.ndarray) -> None:
    fit = replace(QUICK, epochs=1)
    outcome = run(features, replace(SETTINGS, fit=fit))
    mean = float(outcome.model.frontend.standardize.mean)
    assert mean == pytest.approx(float(features[:18].astype(np.float64).mean()), abs=1e-3)


def test_arms_differ_in_the_encoder_and_its_statistics_alone(
    features: np.ndarray, pretrained: PretrainOutcome
) -> None:
    fit = FitOptions(epochs=1, learning_rate=0.0, **PLAIN)
    settings = replace(SETTINGS, fit=fit)
    control = run(features, settings).model.state_dict()
    treated = run(features, settings, start=pretrained.network).model.state_dict()
    differing = {name for name in control if not torch.equal(control[name], treated[name])}
    assert differing
    assert all(name.startswith(("encoder.", "frontend.standardize.")) for name in differing)
    encoder = pretrained.network.encoder.state_dict()
    assert all(torch.equal(treated[f"encoder.{name}"], encoder[name]) for name in encoder)
    assert float(treated["frontend.standardize.mean"]) == float(pretrained.standardize.mean)


def test_training_leaves_the_pre_trained_encoder_as_it_was(
    features: np.ndarray, pretrained: PretrainOutcome
) -> None:
    before = {k: v.clone() for k, v in pretrained.network.state_dict().items()}
    run(features, start=pretrained.network)
    after = pretrained.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_encoder_that_does_not_fit_is_refused(
    features: np.ndarray, pretrained: PretrainOutcome
) -> None:
    with pytest.raises(ModelError, match="does not fit"):
        run(features, replace(SETTINGS, model="(4)3c-2p-8fcr"), start=pretrained.network)
    other = MelOptions(**{**MEL.__dict__, "fmin_hz": 100.0})
    with pytest.raises(ModelError, match="fmin_hz"):
        run(features, mel=other, start=pretrained.network)


def test_several_labels_a_clip(features: np.ndarray) -> None:
    target = np.zeros((30, 3), np.float32)
    target[np.arange(30), TARGET] = 1
    target[::5, 0] = 1
    outcome = run(features, target=target)
    assert outcome.model.multi_label
    scores = score_rows(outcome.model, features, np.arange(18))
    assert np.mean((scores > 0.5) == target[:18]) > 0.9
    assert {"val_lwlrap", "val_map", "val_loss"} <= set(outcome.history[0])


def test_a_training_needs_labels(features: np.ndarray) -> None:
    with pytest.raises(DataError, match="no labelled clips"):
        run(features, rows_train=[])


def test_equal_accuracies_are_told_apart_by_the_loss() -> None:
    target = np.array([0, 1, 1, 0])
    sure = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.9, 0.1]])
    unsure = np.array([[0.6, 0.4], [0.4, 0.6], [0.6, 0.4], [0.6, 0.4]])
    right = np.array([[0.51, 0.49], [0.49, 0.51], [0.49, 0.51], [0.51, 0.49]])
    choice = [validation_metrics(target, scores)["choice"] for scores in (right, sure, unsure)]
    assert choice == sorted(choice, reverse=True)
    assert choice[0] > choice[1] > choice[2]
