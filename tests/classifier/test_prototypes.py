"""The method ``prototype``: a class is the mean embedding of its examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler
from tiny_sounds import KINDS, MEL, NOTATION, sound
from training_rows import train_rows

from semisonic.classifier.config import DataSummary, MethodOptions, TrainConfig, resolve_auto
from semisonic.classifier.prepare import prepare_waves
from semisonic.classifier.probe import OWN_SCORE, compare
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.training import TrainedModel
from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.models.model_file import load, save
from semisonic.models.sound_model import build

N = 45
TARGET = np.arange(N) % 3
TEST = np.arange(15, N)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    waves = [sound(KINDS[i % 3], i) for i in range(N)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(N)])
    return np.asarray(prepare_waves(clips, waves, MEL).features)


def run(features: np.ndarray, **more: object) -> TrainedModel:
    given: dict[str, object] = {
        "target": TARGET,
        "rows_train": np.arange(9),
        "rows_validation": [],
        "settings": TrainConfig(NOTATION, method="prototype"),
        "mel": MEL,
        "classes": KINDS,
        "seed": 0,
    }
    return train_rows(features, **(given | more))  # type: ignore[arg-type]


def embedded(outcome: TrainedModel, features: np.ndarray, train: np.ndarray) -> np.ndarray:
    x = embed_rows(outcome.model, features, np.arange(N))
    return np.asarray(StandardScaler().fit(x[train]).transform(x))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("n_each", [1, 2, 5])
def test_the_answer_is_the_nearest_class_mean(features: np.ndarray, n_each: int) -> None:
    train = np.arange(3 * n_each)
    outcome = run(features, rows_train=train)
    x = embedded(outcome, features, train)
    nearest = NearestCentroid().fit(x[train], TARGET[train])
    scores = score_rows(outcome.model, features, TEST)
    np.testing.assert_array_equal(scores.argmax(axis=1), nearest.predict(x[TEST]))
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)


def test_the_better_class_layer_is_found_by_leaving_recordings_out() -> None:
    rng = np.random.default_rng(0)
    owner = np.arange(40) % 2
    hot = np.eye(2)[owner]
    recordings = np.arange(40).astype(str)
    apart = rng.normal(0, 1, (40, 8)) + np.where(owner, 3.0, -3.0)[:, None]
    same = compare(apart, hot, recordings)
    assert (same.n, same.probe, same.prototype, same.method) == (40, 40, 40, "probe")
    of_class = np.repeat(np.arange(20), 2)  # two examples of each of many classes
    many = rng.normal(0, 1, (20, 64))[of_class] + 1.2 * rng.normal(0, 1, (40, 64))
    found = compare(many, np.eye(20)[of_class], recordings)
    assert found.method == "prototype"
    assert found.prototype > found.probe + 3
    # copies of a recording do not vouch for each other
    noise = np.repeat(rng.normal(0, 1, (10, 50)), 4, axis=0)
    labels = np.eye(2)[np.repeat(np.arange(10) % 2, 4)]
    leaked = compare(noise, labels, recordings)
    honest = compare(noise, labels, np.repeat(np.arange(10), 4).astype(str))
    assert leaked.probe == 40 > honest.probe
    assert compare(apart, hot, np.array(["one"] * 40)).n == 0


def test_scores_fall_with_the_squared_distance(features: np.ndarray) -> None:
    train = np.arange(9)
    outcome = run(features)
    x = embedded(outcome, features, train)
    means = np.stack([x[train][TARGET[train] == one].mean(axis=0) for one in range(3)])
    distance = ((x[TEST, None] - means) ** 2).sum(axis=2)
    logs = np.log(score_rows(outcome.model, features, TEST))
    ratio = (logs[:, 0] - logs[:, 1]) / (distance[:, 1] - distance[:, 0])
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-2)
    assert np.median(ratio) > 0


def test_one_example_a_class_is_its_own_prototype(features: np.ndarray) -> None:
    scores = score_rows(run(features, rows_train=np.arange(3)).model, features, np.arange(3))
    assert np.diag(scores).mean() == pytest.approx(OWN_SCORE, abs=0.01)


def test_the_encoder_stays_as_it_is(features: np.ndarray) -> None:
    fresh = build(NOTATION, MEL, KINDS, seed=0).encoder.state_dict()
    kept = run(features).model.encoder.state_dict()
    assert all(torch.equal(kept[name], fresh[name]) for name in fresh)


def test_a_class_without_examples_is_never_answered(features: np.ndarray) -> None:
    train = np.flatnonzero(TARGET[:9] != 1)
    scores = score_rows(run(features, rows_train=train).model, features, TEST)
    assert scores[:, 1].max() < 1e-6


def test_several_labels_a_clip(features: np.ndarray) -> None:
    hot = np.eye(3, dtype=np.float32)[TARGET]
    hot[:, 2] = 0.0  # nobody ever heard it
    outcome = run(features, target=hot)
    scores = score_rows(outcome.model, features, TEST)
    for column in (0, 1):
        there = hot[TEST, column] > 0.5
        assert scores[there, column].mean() > scores[~there, column].mean() + 0.2
    assert scores[:, 2].max() < 0.1


def test_it_is_saved_like_any_other(features: np.ndarray, tmp_path: Path) -> None:
    model = run(features).model
    save(tmp_path / "model.zip", model)
    again = score_rows(load(tmp_path / "model.zip"), features, TEST)
    np.testing.assert_array_equal(again, score_rows(model, features, TEST))


def test_options_that_it_does_not_read_are_refused() -> None:
    with pytest.raises(OptionError, match="method 'prototype' does not read it"):
        resolve_auto(
            TrainConfig(method="prototype", method_params=MethodOptions(mixup=0.4)),
            DataSummary(1.0, 3),
        )


def test_without_an_encoder_it_starts_from_made_up_sounds() -> None:
    asked = TrainConfig(method="prototype", objective="auto")
    assert resolve_auto(asked, DataSummary(1.0, 3)).start == "synthetic"
    assert resolve_auto(asked, DataSummary(1.0, 3, start="given")).start == "given"
    heard = resolve_auto(asked, DataSummary(1.0, 3, n_pool=300))
    assert (heard.start, heard.config.objective) == ("fresh", "simclr")
