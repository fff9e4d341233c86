"""Histograms, and the map of days and hours."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.recordings import histogram, recording_hours
from semisonic.evaluation.report.media import figure_png


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 2.0, 2.5, np.nan], "linear"),
        ([0.1, 1.0, 100.0], "log"),
        ([5.0], "linear"),
        ([0.0, 0.0], "linear"),
        ([-40.0, -40.0, -np.inf], "linear"),
        ([-5.0, 500.0], "linear"),
    ],
)
def test_a_histogram_counts_every_finite_value(values: list[float], scale: str) -> None:
    figure = histogram(values, "length, s")
    axes = figure.axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == np.isfinite(values).sum()
    assert axes.get_xscale() == scale
    assert figure_png(figure).png[:4] == b"\x89PNG"


def test_a_histogram_of_nothing_is_an_error() -> None:
    with pytest.raises(DataError):
        histogram([np.nan], "length, s")


@pytest.mark.parametrize(("n_days", "n_rows"), [(1, 1), (92, 92), (93, 47), (800, 89)])
def test_days_share_rows_when_there_are_many(n_days: int, n_rows: int) -> None:
    days = [date(2024, 1, 1), date(2024, 1, 1) + timedelta(days=n_days - 1)][: min(2, n_days)]
    hours = np.zeros((len(days), 24))
    hours[:, 5] = 1.5
    figure = recording_hours(days, hours)
    shown = figure.axes[0].collections[0].get_array()
    assert shown.shape == (n_rows, 24)
    assert shown.sum() == pytest.approx(1.5 * len(days))
    assert figure_png(figure).png[:4] == b"\x89PNG"


def test_a_table_of_another_shape_is_an_error() -> None:
    with pytest.raises(DataError):
        recording_hours([date(2024, 1, 1)], np.zeros((2, 24)))
