"""Learning curves over labels: reading them, and drawing them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import ArmAccuracy
from semisonic.evaluation.learning_curve import (
    CurvePoint,
    LearningCurve,
    needed_texts,
    worth_in_labels,
)
from semisonic.evaluation.plots.results import label_curve
from semisonic.evaluation.statistics import Interval


def curve(name: str, points: dict[float, float]) -> LearningCurve:
    return LearningCurve(
        name,
        tuple(
            CurvePoint(n, ArmAccuracy(name, a, 0.02, Interval(a - 0.03, a + 0.03)), (a - 0.01, a))
            for n, a in points.items()
        ),
    )


PLAIN = curve("labels alone", {32: 0.9, 1: 0.5, 4: 0.7, 8: 0.8})
POOL = curve("the pool", {1: 0.6, 4: 0.8, 8: 0.85, 32: 0.92})


def test_labels_needed() -> None:
    assert PLAIN.needed(0.8) == pytest.approx(8)
    assert PLAIN.needed(0.85) == pytest.approx(16)
    assert PLAIN.needed(0.3) == 1
    assert PLAIN.needed(0.95) == math.inf


@given(
    st.dictionaries(st.integers(1, 64), st.floats(0.1, 0.9), min_size=1, max_size=6),
    st.floats(0.05, 0.95),
)
def test_what_is_needed_is_enough(points: dict[int, float], accuracy: float) -> None:
    one = curve("x", {float(n): a for n, a in points.items()})
    labels = one.needed(accuracy)
    if math.isinf(labels):
        assert one.means[-1] < accuracy
    else:
        for n, mean in zip(one.labels, one.means, strict=True):
            assert mean >= accuracy or n <= labels * (1 + 1e-9)


def test_what_a_pool_is_worth() -> None:
    worth = dict(worth_in_labels(POOL, PLAIN))
    assert worth[4] == pytest.approx(8)
    assert worth[8] == pytest.approx(16)
    assert worth[32] == math.inf


def test_what_is_needed_comes_with_the_range_of_the_intervals() -> None:
    assert needed_texts(PLAIN, [0.4, 0.75, 0.89, 0.92, 0.99]) == [
        "40 % needs 1 label or fewer per class with labels alone (95 % interval: 1 label or fewer "
        "to 1 label or fewer).",
        "75 % needs about 6 labels per class with labels alone (95 % interval: about 5 labels to "
        "about 7 labels).",
        "89 % needs about 28 labels per class with labels alone (95 % interval: about 19 labels "
        "to more than were tried).",
        "92 % was not reached with labels alone, but is not ruled out (95 % interval: about "
        "28 labels to more than were tried).",
        "99 % was not reached with labels alone.",
    ]


def test_two_numbers_of_labels_show_only_what_was_reached() -> None:
    texts = needed_texts(curve("labels alone", {1: 0.5, 4: 0.95}), [0.75, 0.99])
    assert "with 4 labels per class" in texts[0]
    assert "with no number" in texts[1]
    assert len(texts) == 3
    assert not [text for text in texts if "about" in text]


def test_the_same_budget_twice_is_an_error() -> None:
    point = PLAIN.points[0]
    with pytest.raises(DataError, match="each number once"):
        LearningCurve("x", (point, point))
    with pytest.raises(DataError, match="at least one"):
        LearningCurve("x", ())


def test_the_figure_has_both_curves_and_the_listeners() -> None:
    figure = label_curve([PLAIN, POOL], human=0.957)
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), PLAIN.means)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), POOL.means)
    assert axes.lines[2].get_ydata()[0] == 0.957
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "4", "8", "32"]
