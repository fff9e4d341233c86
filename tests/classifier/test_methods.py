"""Methods that learn from labels and a pool; a probe in particular."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny_sounds import KINDS, MEL, NOTATION, PLAIN
from training_rows import train_rows

from semisonic.classifier.config import METHODS, WITHOUT_POOL, MethodOptions, TrainConfig
from semisonic.classifier.probe import STRENGTH, align, choose_alignment, pseudo_labels
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.training import TrainedModel
from semisonic.core.errors import DataError
from semisonic.models.sound_model import SoundModel, build
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
    with pytest.raises(DataError, match="every clip of the pool has a label"):
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


def probe(features: np.ndarray, how: MethodOptions | None = None, **more: object) -> TrainedModel:
    settings = TrainConfig(NOTATION, method="probe", method_params=how or MethodOptions())
    return run(features, "probe", settings=settings, **more)


def by_regression(model: SoundModel, features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Scores of the test rows by scikit-learn's regression on the model's embeddings."""
    x = embed_rows(model, features, np.arange(N))
    scale = StandardScaler().fit(x[LABELLED])
    line = LogisticRegression(C=STRENGTH, max_iter=1000)
    line.fit(scale.transform(x[LABELLED]), target[LABELLED])
    found: np.ndarray = line.predict_proba(scale.transform(x[TEST]))
    return found


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_are_those_of_logistic_regression_on_embeddings(
    features: np.ndarray, n_classes: int
) -> None:
    target = TARGET % n_classes
    model = probe(features, target=target, classes=KINDS[:n_classes], rows_pool=[]).model
    wanted = by_regression(model, features, target)
    np.testing.assert_allclose(score_rows(model, features, TEST), wanted, atol=1e-4)


def test_a_class_layer_solved_anew_is_that_of_a_probe(features: np.ndarray) -> None:
    solved, plain = (
        run(
            features,
            "supervised",
            settings=TrainConfig(
                NOTATION, method_params=MethodOptions(solve_head=on), dropout=0.3, fit=FIT
            ),
        ).model
        for on in (True, False)
    )
    one, other = solved.encoder.state_dict(), plain.encoder.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    wanted = by_regression(plain, features, TARGET)
    np.testing.assert_allclose(score_rows(solved, features, TEST), wanted, atol=1e-4)


def test_the_encoder_stays_as_it_is(features: np.ndarray) -> None:
    fresh = build(NOTATION, MEL, KINDS, seed=0).encoder.state_dict()
    probed = probe(features).model.encoder.state_dict()
    assert all(torch.equal(probed[name], fresh[name]) for name in fresh)


def test_guesses_come_in_rounds_and_are_counted(features: np.ndarray) -> None:
    how = MethodOptions(threshold=0.5, rounds=3)
    outcome = probe(features, how, truth=TARGET)
    assert len(outcome.history) == 4
    assert len(outcome.pseudo_labels) == 3
    assert np.isin(outcome.pseudo_labels[-1].rows, POOL).all()
    last = outcome.history[-1]
    assert last["used"] == len(outcome.pseudo_labels[-1]) / len(POOL)
    assert last["precision"] > 0.8
    assert "precision" not in probe(features, how).history[-1]
    assert outcome.history[0].keys() == {"epoch", "loss", "accuracy", "alignment"}


def test_guesses_of_no_weight_or_none_that_is_sure_change_nothing(features: np.ndarray) -> None:
    light = probe(features, MethodOptions(pool_weight=0.0, threshold=0.5)).model
    strict = probe(features, MethodOptions(threshold=1.0)).model
    heavy = probe(features, MethodOptions(threshold=0.5)).model
    wanted = score_rows(light, features, TEST)
    np.testing.assert_allclose(score_rows(strict, features, TEST), wanted, atol=1e-6)
    assert not np.allclose(score_rows(heavy, features, TEST), wanted, atol=1e-3)


def test_a_large_pool_weighs_no_more_than_the_labels(features: np.ndarray) -> None:
    # The same pool ten times over is worth as much as once: both are held to the labels' weight.
    ten = np.concatenate([features, *[features[POOL]] * 9])
    target = np.concatenate([TARGET, *[TARGET[POOL]] * 9])
    rows = np.concatenate([POOL, np.arange(N, len(ten))])
    how = MethodOptions(threshold=0.0, alignment=0.0)
    once = score_rows(probe(features, how).model, features, TEST)
    often = score_rows(probe(ten, how, target=target, rows_pool=rows).model, features, TEST)
    np.testing.assert_allclose(once, often, atol=0.06)  # the scale of embeddings moves a little


def test_several_labels_a_clip_are_questions_of_their_own(features: np.ndarray) -> None:
    target = np.zeros((N, 3), np.float32)
    target[np.arange(N), TARGET] = 1.0
    target[:, 2] = 1.0  # every clip has it: nothing to learn but that
    outcome = probe(features, target=target)
    scores = score_rows(outcome.model, features, TEST)
    assert outcome.model.multi_label
    assert not outcome.pseudo_labels
    assert (scores[:, 2] > 0.9).all()
    right = (scores[:, :2] >= 0.5) == (target[TEST, :2] >= 0.5)
    assert right.mean() > 0.75


def test_a_class_without_labels_is_never_the_answer(features: np.ndarray) -> None:
    rows = LABELLED[TARGET[LABELLED] != 1]
    scores = score_rows(probe(features, rows_train=rows, rows_pool=[]).model, features, TEST)
    assert (scores[:, 1] < 1e-6).all()


def test_validation_rows_are_scored(features: np.ndarray) -> None:
    outcome = probe(features, rows_validation=TEST)
    found = score_rows(outcome.model, features, TEST).argmax(axis=1)
    assert outcome.history[-1]["val_accuracy"] == (found == TARGET[TEST]).mean()


def drawn_pool(shares: list[float], n_labels: int, seed: int) -> tuple[np.ndarray, ...]:
    """Labels and a pool of classes that overlap, with these shares of the pool."""
    rng, n = np.random.default_rng(seed), len(shares)
    centres = rng.normal(size=(n, 8))
    centres *= 2.2 / np.linalg.norm(centres, axis=1, keepdims=True)
    known, rest = np.repeat(np.arange(n), n_labels), rng.choice(n, 240, p=shares)
    x = [centres[rows] + rng.normal(size=(len(rows), 8)) for rows in (known, rest)]
    return x[0], np.eye(n, dtype=np.float32)[known], x[1]


def test_alignment_is_chosen_by_labels_that_are_left_out() -> None:
    how = MethodOptions(threshold=0.5)

    def chosen(shares: list[float], n_labels: int = 4) -> list[float]:
        sets = (drawn_pool(shares, n_labels, seed) for seed in range(6))
        return [choose_alignment(*one, how, np.ones(len(one[0]))) for one in sets]

    even, uneven = chosen([0.25] * 4), chosen([0.85, 0.05, 0.05, 0.05])
    assert even == [1.0] * 6
    assert np.mean(uneven) < np.mean(even)
    assert chosen([0.25] * 4, n_labels=1) == [0.5] * 6  # none can be left out
