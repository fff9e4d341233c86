"""The method ``probe``: the encoder stays, a linear class layer is solved for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny_sounds import KINDS, MEL, NOTATION
from training_rows import train_rows

from semisonic.classifier.config import MethodOptions, TrainConfig
from semisonic.classifier.probe import STRENGTH
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.training import TrainedModel
from semisonic.models.sound_model import build

N, LABELLED = 60, np.arange(6)
TARGET = np.arange(N) % 3
POOL = np.arange(6, 45)
TEST = np.arange(45, N)


def run(features: np.ndarray, how: MethodOptions | None = None, **more: object) -> TrainedModel:
    given: dict[str, object] = {
        "target": TARGET,
        "rows_train": LABELLED,
        "rows_validation": [],
        "rows_pool": POOL,
        "settings": TrainConfig(NOTATION, method="probe", method_params=how or MethodOptions()),
        "mel": MEL,
        "classes": KINDS,
        "seed": 0,
    }
    return train_rows(features, **(given | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_logistic_regression_on_embeddings(
    features: np.ndarray, n_classes: int
) -> None:
    target = TARGET % n_classes
    model = run(features, target=target, classes=KINDS[:n_classes], rows_pool=[]).model
    x = embed_rows(model, features, np.arange(N))
    scale = StandardScaler().fit(x[LABELLED])
    line = LogisticRegression(C=STRENGTH, max_iter=1000)
    line.fit(scale.transform(x[LABELLED]), target[LABELLED])
    wanted = line.predict_proba(scale.transform(x[TEST]))
    np.testing.assert_allclose(score_rows(model, features, TEST), wanted, atol=1e-4)


def test_the_encoder_stays_as_it_is(features: np.ndarray) -> None:
    fresh = build(NOTATION, MEL, KINDS, seed=0).encoder.state_dict()
    probed = run(features).model.encoder.state_dict()
    assert all(torch.equal(probed[name], fresh[name]) for name in fresh)


def test_guesses_come_in_rounds_and_are_counted(features: np.ndarray) -> None:
    how = MethodOptions(threshold=0.5, rounds=3)
    outcome = run(features, how, truth=TARGET)
    assert len(outcome.history) == 4
    assert len(outcome.pseudo_labels) == 3
    assert np.isin(outcome.pseudo_labels[-1].rows, POOL).all()
    last = outcome.history[-1]
    assert last["used"] == len(outcome.pseudo_labels[-1]) / len(POOL)
    assert last["precision"] > 0.8
    assert "precision" not in run(features, how).history[-1]
    assert outcome.history[0].keys() == {"epoch", "loss", "accuracy"}


def test_guesses_of_no_weight_or_none_that_is_sure_change_nothing(features: np.ndarray) -> None:
    light = run(features, MethodOptions(pool_weight=0.0, threshold=0.5)).model
    strict = run(features, MethodOptions(threshold=1.0)).model
    heavy = run(features, MethodOptions(threshold=0.5)).model
    wanted = score_rows(light, features, TEST)
    np.testing.assert_allclose(score_rows(strict, features, TEST), wanted, atol=1e-6)
    assert not np.allclose(score_rows(heavy, features, TEST), wanted, atol=1e-3)


def test_a_large_pool_weighs_no_more_than_the_labels(features: np.ndarray) -> None:
    # The same pool ten times over is worth as much as once: both are held to the labels' weight.
    ten = np.concatenate([features, *[features[POOL]] * 9])
    target = np.concatenate([TARGET, *[TARGET[POOL]] * 9])
    rows = np.concatenate([POOL, np.arange(N, len(ten))])
    how = MethodOptions(threshold=0.0, alignment=0.0)
    once = score_rows(run(features, how).model, features, TEST)
    often = score_rows(run(ten, how, target=target, rows_pool=rows).model, features, TEST)
    np.testing.assert_allclose(once, often, atol=0.06)  # the scale of embeddings moves a little


def test_several_labels_a_clip_are_questions_of_their_own(features: np.ndarray) -> None:
    target = np.zeros((N, 3), np.float32)
    target[np.arange(N), TARGET] = 1.0
    target[:, 2] = 1.0  # every clip has it: nothing to learn but that
    outcome = run(features, target=target)
    scores = score_rows(outcome.model, features, TEST)
    assert outcome.model.multi_label
    assert not outcome.pseudo_labels
    assert (scores[:, 2] > 0.9).all()
    right = (scores[:, :2] >= 0.5) == (target[TEST, :2] >= 0.5)
    assert right.mean() > 0.75


def test_a_class_without_labels_is_never_the_answer(features: np.ndarray) -> None:
    rows = LABELLED[TARGET[LABELLED] != 1]
    scores = score_rows(run(features, rows_train=rows, rows_pool=[]).model, features, TEST)
    assert (scores[:, 1] < 1e-6).all()


def test_validation_rows_are_scored(features: np.ndarray) -> None:
    outcome = run(features, rows_validation=TEST)
    found = score_rows(outcome.model, features, TEST).argmax(axis=1)
    assert outcome.history[-1]["val_accuracy"] == (found == TARGET[TEST]).mean()
