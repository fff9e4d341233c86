"""Methods that learn from labels and a pool, through the one way of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN
from training_rows import train_rows

from semisonic.classifier.config import METHODS, WITHOUT_POOL, MethodOptions, TrainConfig
from semisonic.classifier.probe import align, pseudo_labels
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.training import TrainedModel
from semisonic.core.errors import DataError
from semisonic.training.options import FitOptions

N, LABELLED = 60, np.arange(6)
TARGET = np.arange(N) % 3
POOL = np.arange(6, 45)
TEST = np.arange(45, N)
FIT = FitOptions(steps=60, epoch_steps=20, learning_rate=5e-3, **PLAIN)
OPTIONS = {
    "supervised": MethodOptions(),
    "probe": MethodOptions(threshold=0.5),
    "pi-model": MethodOptions(pool_weight=10.0, ramp_steps=20),
    "joint": MethodOptions(pool_weight=0.5),
    "fixmatch": MethodOptions(threshold=0.7, mixup=0.2, augment="weak"),
    "noisy-student": MethodOptions(threshold=0.5, rounds=1),
}


def run(features: np.ndarray, method: str, **more: object) -> TrainedModel:
    settings = TrainConfig(NOTATION, method=method, method_params=OPTIONS[method], fit=FIT)
    given: dict[str, object] = {
        "target": TARGET,
        "rows_train": LABELLED,
        "rows_validation": [],
        "rows_pool": POOL,
        "settings": settings,
        "mel": MEL,
        "classes": KINDS,
        "seed": 0,
    }
    return train_rows(features, **(given | more))  # type: ignore[arg-type]


def accuracy(features: np.ndarray, outcome: TrainedModel) -> float:
    scores = score_rows(outcome.model, features, TEST)
    return float((scores.argmax(axis=1) == TARGET[TEST]).mean())


@pytest.mark.parametrize("method", sorted(OPTIONS))
def test_every_method_learns_what_is_easy(features: np.ndarray, method: str) -> None:
    assert accuracy(features, run(features, method)) >= 0.9


@pytest.mark.parametrize("method", sorted(set(OPTIONS) - {"supervised"}))
def test_the_pool_changes_the_weights_and_its_labels_do_not(
    features: np.ndarray, method: str
) -> None:
    known = np.where(np.isin(np.arange(N), LABELLED), TARGET, 0)  # as if nobody knew the pool
    plain, blind, other = (
        run(features, method, **more).model.state_dict()
        for more in ({}, {"target": known}, {"rows_pool": POOL[:20]})
    )
    assert all(torch.equal(plain[name], blind[name]) for name in plain)
    assert not all(torch.equal(plain[name], other[name]) for name in plain)


def test_supervised_training_does_not_hear_the_pool(features: np.ndarray) -> None:
    with_pool, without = (
        run(features, "supervised", rows_pool=rows).model.state_dict() for rows in (POOL, [])
    )
    assert all(torch.equal(with_pool[name], without[name]) for name in without)


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(WITHOUT_POOL)))
def test_a_method_that_needs_a_pool_says_so(features: np.ndarray, method: str) -> None:
    settings = TrainConfig(NOTATION, method=method, fit=FIT)
    with pytest.raises(DataError, match=f"'{method}': found no unlabelled clips"):
        run(features, "supervised", settings=settings, rows_pool=[])


def test_how_often_guesses_are_right_is_recorded_and_changes_nothing(features: np.ndarray) -> None:
    truth = np.where(np.isin(np.arange(N), POOL[:20]), TARGET, -1)
    blind, seeing = run(features, "fixmatch"), run(features, "fixmatch", truth=truth)
    assert "precision" not in blind.history[-1]
    assert seeing.history[-1]["precision"] > 0.9
    a, b = blind.model.state_dict(), seeing.model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_students_learn_more_clips_than_were_labelled(features: np.ndarray) -> None:
    outcome = run(features, "noisy-student")
    assert len(outcome.pseudo_labels) == 1
    guessed = outcome.pseudo_labels[0]
    assert np.isin(guessed.rows, POOL).all()
    assert len(guessed) > len(POOL) / 2
    assert (guessed.shares.argmax(axis=1) == TARGET[guessed.rows]).mean() > 0.8


def test_a_pool_of_labelled_clips_alone_teaches_a_student_nothing(features: np.ndarray) -> None:
    with pytest.raises(DataError, match="every clip of the pool is labelled"):
        run(features, "noisy-student", rows_pool=LABELLED)


@pytest.mark.parametrize("method", ["fixmatch", "noisy-student"])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    features: np.ndarray, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainConfig(
        NOTATION,
        method=method,
        method_params=OPTIONS[method],
        fit=replace(FIT, checkpoint_interval=0.0),
    )
    whole = run(features, method, settings=settings)
    from semisonic.data.batches import Stream

    calls, plain = [0], Stream.at

    def failing(self: Stream, *place: int) -> object:
        calls[0] += 1
        if calls[0] == 95:
            raise RuntimeError("power cut")
        return plain(self, *place)

    monkeypatch.setattr(Stream, "at", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        run(features, method, settings=settings, folder=tmp_path)
    monkeypatch.setattr(Stream, "at", plain)
    again = run(features, method, settings=settings, folder=tmp_path)
    a, b = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_guesses_are_aligned_to_the_labels() -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([5.0, 1.0, 1.0], size=400)
    expected = np.array([0.2, 0.3, 0.5])
    aligned = align(scores, expected)
    np.testing.assert_allclose(aligned.mean(axis=0), expected, atol=2e-3)
    np.testing.assert_allclose(aligned.sum(axis=1), 1.0)
    assert align(scores, expected, 0.0) is scores


def test_only_sure_guesses_are_kept() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    rows, even = np.array([4, 7, 9]), np.array([0.5, 0.5])
    hard = pseudo_labels(rows, scores, even, threshold=0.7, alignment=0.0)
    assert hard.rows.tolist() == [4, 9]
    assert hard.shares.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    several = pseudo_labels(rows, scores[:, :1], even[:1], threshold=0.75, multi_label=True)
    assert several.rows.tolist() == [4, 9]
    assert several.shares.tolist() == [[1.0], [0.0]]
