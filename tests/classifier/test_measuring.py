from __future__ import annotations

import numpy as np
import pytest

from semisonic.classifier.measuring import measure
from semisonic.data.clips import Clips
from semisonic.evaluation.statistics import bootstrap, wilson


def clips_of(labels: list[str], groups: list[str] | None = None) -> Clips:
    rows = [
        {"file": f"{i:03d}", "labels": label, "group": groups[i] if groups else f"{i}"}
        for i, label in enumerate(labels)
    ]
    return Clips.from_rows(".", rows, classes=["a", "b", "c"])


@pytest.fixture
def mixed() -> tuple[Clips, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = ["abc"[i % 3] for i in range(90)]
    scores = rng.dirichlet([1, 1, 1], 90)
    scores[np.arange(90), np.arange(90) % 3] += 0.3
    return clips_of(labels, [str(i // 3) for i in range(90)]), scores / scores.sum(1)[:, None]


def test_numbers_lie_in_their_intervals(mixed: tuple[Clips, np.ndarray]) -> None:
    m = measure(*mixed, multi_label=False, n_resamples=200)
    assert set(m.intervals) == {"accuracy", "balanced_accuracy", "macro_f1"}
    for name, (low, high) in m.intervals.items():
        assert low < m.metrics[name] < high
    wide = measure(*mixed, multi_label=False, n_resamples=200, level=0.99)
    assert wide.intervals["accuracy"].low <= m.intervals["accuracy"].low


def test_the_interval_of_the_accuracy_is_that_of_the_bootstrap(
    mixed: tuple[Clips, np.ndarray],
) -> None:
    clips, scores = mixed
    m = measure(clips, scores, multi_label=False, n_resamples=2000)
    right = m.target == m.predicted
    expected = bootstrap(right, clips.group, n_resamples=2000)
    assert m.intervals["accuracy"] == pytest.approx(expected[1:3], abs=0.02)


def test_a_model_without_a_mistake_is_not_certain() -> None:
    clips = clips_of(["a", "b", "c"] * 4)
    m = measure(clips, clips.targets().astype(float), multi_label=False, n_resamples=100)
    assert m.intervals["accuracy"] == wilson(12, 12)
    assert not len(m.mistakes())
    assert m.confused_pairs() == []


def test_mistakes_come_the_surest_first() -> None:
    clips = clips_of(["a", "b", "a", "c"])
    scores = np.array([[0.1, 0.9, 0], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.95, 0.05, 0]])
    m = measure(clips, scores, multi_label=False, n_resamples=100)
    assert m.mistakes().tolist() == [3, 0, 2]
    assert ("c", "a", 1) in m.confused_pairs()
    assert m.confusion is not None
    assert m.confusion.sum() == 4


def test_several_labels_a_clip() -> None:
    rows = [{"file": str(i), "labels": ["a", "b"] if i % 2 else ["c"]} for i in range(20)]
    clips = Clips.from_rows(".", rows)
    scores = np.random.default_rng(0).random((20, 3)) * 0.5 + clips.targets() * 0.4
    m = measure(clips, scores, multi_label=True, n_resamples=100)
    assert set(m.intervals) == {"lwlrap", "mean_average_precision"}
    assert m.confusion is None
    assert m.intervals["lwlrap"].low <= m.metrics["lwlrap"] <= m.intervals["lwlrap"].high
