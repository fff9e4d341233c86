"""Numbers in words."""

from __future__ import annotations

import math

import pytest

from semisonic.core.text import (
    count_text,
    duration_text,
    p_text,
    p_value,
    percent_text,
    points_text,
)


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 recordings"), (1, "1 recording"), (2, "2 recordings")]
)
def test_one_thing_is_not_several(n, text) -> None:
    assert count_text(n, "recording") == text


def test_words_with_another_plural() -> None:
    assert count_text(1, "copy", "copies") == "1 copy"
    assert count_text(3, "copy", "copies") == "3 copies"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.7425, "74.2 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (math.nan, "–")],
)
def test_percent(value, text) -> None:
    assert percent_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.031, "+3.1"), (-0.0125, "-1.2"), (0.0, "0.0"), (-0.0001, "0.0")]
)
def test_points(value, text) -> None:
    assert points_text(value, signed=True) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (0.0999, "0.10")],
)
def test_p_value(p, text) -> None:
    assert p_value(p) == text
    assert p_text(p) == f"p {text}" if p < 0.001 else f"p = {text}"
    assert p_text(math.nan) == "p not available"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "0.8 s"),
        (42, "42 s"),
        (365, "6 min 5 s"),
        (3599.8, "1 h 0 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_duration(seconds, text) -> None:
    assert duration_text(seconds) == text
