"""Every figure shows something, keeps to itself, and refuses what it cannot show."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, timedelta

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from semisonic.evaluation.comparison import compare_settings
from semisonic.evaluation.plots.recordings import histogram, recording_hours
from semisonic.evaluation.plots.results import (
    accuracy_by_fold,
    class_recall,
    comparison_plot,
    confusion_matrix,
    patches,
    training_curves,
)
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.document import figure_png

CLASSES = ["dog", "rain", "sea_waves", "a class with quite a long name"]
RNG = np.random.default_rng(0)


def pixels(figure: Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, dpi=50)
    return np.asarray(Image.open(stream).convert("RGB"))


def curves(n: int) -> list[np.ndarray]:
    return [np.linspace(0.2, 0.8, 5 + i) for i in range(n)]


FIGURES: dict[str, Callable[[], Figure]] = {
    "confusion": lambda: confusion_matrix(RNG.integers(0, 9, (4, 4)), CLASSES),
    "confusion of 50": lambda: confusion_matrix(np.eye(50, dtype=int), ["x"] * 50),
    "confusion of none": lambda: confusion_matrix(np.zeros((4, 4), int), CLASSES),
    "curves": lambda: training_curves({"a": curves(4), "b": curves(3)}),
    "curves, one job": lambda: training_curves({"a": curves(1)}, is_share=False),
    "patches": lambda: patches(
        {"clips": RNG.normal(size=(4, 8, 9)), "made": RNG.normal(size=(4, 8, 9))}, CLASSES
    ),
    "recall": lambda: class_recall({"a": [0.1, 0.5, np.nan, 1], "b": [0.2, 1, np.nan, 0]}, CLASSES),
    "recall, one arm": lambda: class_recall({"a": RNG.random(50)}, ["x"] * 50),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_something_and_leaves_no_trace(name: str) -> None:
    before = dict(mpl.rcParams)
    image = pixels(FIGURES[name]())
    assert image.std() > 3
    assert min(image.shape[:2]) > 100
    assert dict(mpl.rcParams) == before


def test_no_window_library_is_loaded() -> None:
    import subprocess
    import sys

    code = (
        "import sys, semisonic.evaluation.plots, semisonic.evaluation.report;"
        "print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_figures_of_a_comparison(predictions_of: Callable[..., Predictions]) -> None:
    table = predictions_of({"a": 0.5, "b": 0.7}, n_draws=2, settings=("s", "t"))
    found = compare_settings(table, "a", "b")
    figure = comparison_plot(found)
    assert pixels(figure).std() > 3
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 2
    folds = {"a": {1: 0.5, 2: 0.7}, "b": {1: 0.6, 2: 0.8}}
    assert pixels(accuracy_by_fold(folds)).std() > 3


def test_curves_end_where_fewer_than_half_of_the_jobs_run() -> None:
    jobs = [np.ones(4), np.ones(6), np.ones(20)]
    axes = training_curves({"a": jobs}).axes[0]
    assert max(len(line.get_xdata()) for line in axes.lines) == 6


def test_all_rows_share_the_colour_scale_of_the_first() -> None:
    truth = RNG.normal(size=(2, 8, 9))
    figure = patches({"truth": truth, "loud": truth * 100})
    scales = {image.get_clim() for axes in figure.axes for image in axes.images}
    assert len(scales) == 1


@pytest.mark.parametrize("duration", [0.4, 12.0, 1800.0, 86400.0, 700_000.0])
def test_a_timeline_shows_every_event_however_short(duration: float) -> None:
    from semisonic.data.events import make_events
    from semisonic.evaluation.plots.recordings import timeline

    events = make_events(
        {
            "file": "a",
            "start_time": share * duration,
            "end_time": share * duration,
            "label": label,
            "score": score,
        }
        for share, label, score in ((0.1, "owl", 0.9), (0.5, "fox", None), (0.9, "owl", 0.5))
    )
    axes = timeline(events, ["owl", "fox"], duration).axes[0]
    assert len(axes.patches) == 3
    assert all(bar.get_width() >= duration / 1000 for bar in axes.patches)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["owl", "fox"]
    assert 2 <= len(axes.get_xticks()) <= 16


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


def test_clock() -> None:
    from semisonic.evaluation.plots.recordings import clock

    assert [clock(t) for t in (0, 59.96, 61.25, 3661.0)] == ["0:00", "1:00", "1:01.2", "1:01:01"]
