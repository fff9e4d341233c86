"""Figures of many recordings: when events began, and how values are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from semisonic.data.events import Events
from semisonic.evaluation.plots.style import (
    CLASS_COLOURS,
    GRID,
    INK,
    LINE,
    SEQUENTIAL,
    TREATED,
    colour_bar,
    named_rows,
    new_figure,
    short,
    styled,
)

_LEAST_WIDTH = 1 / 500  # of the axis, so that a short event can be seen
_HOUR, _MOST_TICKS = 3600.0, 12
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)  # s
_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 240, 1440)


@styled
def timeline(events: Events, labels: Sequence[str], duration: float) -> Figure:
    """Events of one recording along its time; the higher the score, the darker.

    Parameters
    ----------
    events : Events
    labels : sequence of str
        A row each, from the top; events of other labels are left out.
    duration : float
        Of the recording, s.
    """
    rows = max(len(labels), 1)
    figure = new_figure(9.0, 0.75 + 0.3 * rows)
    axes = figure.add_subplot()
    least = _LEAST_WIDTH * duration
    for row, label in enumerate(labels):
        mine = events[events.label == label]
        width = np.maximum(mine.end_time - mine.start_time, least)
        surety = 0.35 + 0.65 * np.nan_to_num(mine.score, nan=1.0)
        axes.barh(
            np.full(len(mine), row),
            width,
            left=mine.start_time,
            height=0.72,
            color=[(CLASS_COLOURS[row % len(CLASS_COLOURS)], a) for a in surety],
        )
    named_rows(axes, short(labels))
    axes.set(ylim=(rows - 0.4, -0.6), xlim=(0, duration))
    axes.hlines(np.arange(rows) + 0.5, 0, duration, color=GRID, linewidth=0.8, zorder=0)
    steps = (*_STEPS, *(60 * step for step in _STEPS_MIN))
    step = next((step for step in steps if duration / step <= _MOST_TICKS), steps[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(lambda value, _: clock(value))
    axes.set_xlabel("time, h:min:s" if duration >= _HOUR else "time, min:s")
    return figure


_PANELS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "false_alarms_per_hour": "false alarms per hour",
}


@styled
def event_threshold_plot(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Precision, recall, F1 and false alarms per hour of events by threshold.

    Parameters
    ----------
    table : DataFrame
        Of :class:`semisonic.evaluation.event_thresholds.ThresholdCounts`.
    labels : sequence of str
        A coloured line each, at most ten; the first label of the table has a black one.
    """
    figure = new_figure(9.0, 5.6)
    grid = figure.subplots(2, 2, sharex=True).ravel()
    every = str(table.label.iloc[0])
    for axes, (column, name) in zip(grid, _PANELS.items(), strict=True):
        for label, colour in [*zip(labels, CLASS_COLOURS, strict=False), (every, INK)]:
            mine = table[table.label == label]
            is_all = label == every
            text = "all classes" if is_all else short([label])[0]
            width = 2.4 if is_all else 1.2
            axes.plot(mine.threshold, mine[column], color=colour, linewidth=width, label=text)
        axes.set_title(name, fontsize=10)
        axes.grid(axis="both")
        axes.set_ylim(0, None if column == "false_alarms_per_hour" else 1.04)
    grid[0].set_xlim(0, 1)
    figure.supxlabel("threshold", fontsize=9.5)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8.5)
    return figure


def clock(seconds: float) -> str:
    """A time in a recording, as 1:02:03 or 2:03; with tenths where there are some."""
    whole, tenth = divmod(round(10 * seconds), 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenth else text


MOST_ROWS = 92
"""Days that have a row each; more are put together."""

_N_LABELS = 16


@styled
def recording_hours(days: Sequence[date], hours: ArrayLike) -> Figure:
    """Days from top to bottom, hours of the day from left to right; the darker, the more.

    Days without a recording between the first and the last have an empty row, so that gaps are
    seen. Of more than 92 days, as many as needed share a row.

    Parameters
    ----------
    days : sequence of date
        In order, each once.
    hours : array of float, shape (day, 24)
        Hours of sound.
    """
    table = np.asarray(hours, np.float64)
    first = days[0].toordinal()
    n_days = days[-1].toordinal() - first + 1
    step = -(-n_days // MOST_ROWS)
    n_rows = -(-n_days // step)
    rows = np.zeros((n_rows, 24))
    for day, row in zip(days, table, strict=True):
        rows[(day.toordinal() - first) // step] += row
    unit = "hours"
    if rows.max() < 1.0:
        rows, unit = 60 * rows, "minutes"
    shown = range(0, n_rows, max(1, -(-n_rows // _N_LABELS)))
    names = {row: date.fromordinal(first + row * step).isoformat() for row in shown}
    return _by_hour(rows, names, f"{unit} of sound" + (f" in {step} days" if step > 1 else ""))


@styled
def hour_counts(labels: Sequence[str], counts: ArrayLike) -> Figure:
    """Classes from top to bottom, hours of the day from left to right; the darker, the more.

    Parameters
    ----------
    labels : sequence of str
    counts : array, shape (label, 24)
        Events that began in each hour.
    """
    table = np.asarray(counts, np.float64)
    return _by_hour(table, dict(enumerate(short(labels))), "events")


def _by_hour(rows: NDArray[np.float64], names: Mapping[int, str], what: str) -> Figure:
    """A field for each row and hour; ``names`` are those of some rows."""
    n_rows = len(rows)
    figure = new_figure(7.6, 1.3 + max(0.8, min(0.2 * n_rows, 9.0)))
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        np.arange(25),
        np.arange(n_rows + 1),
        np.ma.masked_equal(rows, 0.0),
        cmap=SEQUENTIAL,
        vmin=0.0,
        vmax=max(float(rows.max()), 1e-9),
        linewidth=0.4 if n_rows <= 40 else 0.0,
        edgecolor=LINE,
    )
    axes.set(ylim=(n_rows, 0), xlim=(0, 24), xticks=range(0, 25, 3), xlabel="hour of the day")
    axes.set_yticks([row + 0.5 for row in names], list(names.values()))
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    colour_bar(figure, image, axes, what)
    return figure


_MOST_BARS = 40
_WIDE = 20.0  # from this ratio of the largest to the smallest value on, the axis is logarithmic


@styled
def histogram(values: ArrayLike, label: str, *, counted: str = "files") -> Figure:
    """Bars of equal width; on a logarithmic axis when positive values differ widely.

    Parameters
    ----------
    values : array of float, shape (n,)
        Those that are not finite are left out.
    label : str
        What the values are, with their unit.
    counted : str
        What there is one value of.
    """
    x = np.asarray(values, np.float64).ravel()
    x = x[np.isfinite(x)]
    low, high = float(x.min()), float(x.max())
    is_wide = low > 0 and high / low >= _WIDE
    n_bars = int(np.clip(2 * np.sqrt(len(x)), 8, _MOST_BARS))
    edges = np.histogram_bin_edges(np.log(x) if is_wide else x, n_bars if high > low else 1)
    if is_wide:
        edges = np.exp(edges)
        edges[[0, -1]] = low, high
    figure = new_figure(5.2, 2.7)
    axes = figure.add_subplot()
    heights, _ = np.histogram(x, edges)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=TREATED, linewidth=0)
    if is_wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")
    axes.set(xlabel=label, ylabel=counted)
    return figure
