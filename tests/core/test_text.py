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
    ("found", "text"),
    [
        (count_text(0, "recording"), "0 recordings"),
        (count_text(1, "recording"), "1 recording"),
        (count_text(3, "copy", "copies"), "3 copies"),
        (percent_text(0.7425), "74.2 %"),
        (percent_text(math.nan), "–"),
        (points_text(0.031, signed=True), "+3.1"),
        (points_text(-0.0001, signed=True), "0.0"),
        (duration_text(0.84), "0.8 s"),
        (duration_text(365), "6 min 5 s"),
        (duration_text(3599.8), "1 h 0 min"),
        (duration_text(12000), "3 h 20 min"),
    ],
)
def test_numbers_in_words(found, text) -> None:
    assert found == text


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "< 0.001"), (0.0123, "0.012"), (0.5, "0.50"), (1.0, "1.00"), (0.0999, "0.10")],
)
def test_p_value(p, text) -> None:
    assert p_value(p) == text
    assert p_text(p) == f"p {text}" if p < 0.001 else f"p = {text}"
    assert p_text(math.nan) == "p not available"
