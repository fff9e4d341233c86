"""Figures of training and of searches over settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    CONTROL,
    DIVERGING,
    MUTED,
    OPEN,
    TREATED,
    bare,
    new_figure,
    percent_axis,
    short,
    styled,
)


@styled
def training_curves(
    curves: Mapping[str, Sequence[ArrayLike]],
    *,
    measure: str = "validation accuracy",
    is_share: bool = True,
    colours: Sequence[str] = ARM_COLOURS,
    title: str = "",
) -> Figure:
    """The mean over jobs of each arm, with a band from the 10th to the 90th percentile.

    Parameters
    ----------
    curves : mapping of str to sequence of arrays, each shape (n_epochs,)
        One array a job (fold and draw) of each arm; jobs may end at different epochs. The
        mean is drawn while at least half of the jobs are still running.
    is_share : bool
        Whether the values run from 0 to 1 and are labelled in per cent.
    colours : sequence of str
        One for each arm in turn.
    """
    if not any(len(jobs) for jobs in curves.values()):
        raise DataError("training curves: no history to draw")
    figure = new_figure(4.9, 3.1)
    axes = figure.add_subplot()
    for index, (arm, jobs) in enumerate(curves.items()):
        table = _stacked(jobs)
        if not table.size:
            continue
        epochs = 1 + np.arange(table.shape[1])
        colour = colours[index % len(colours)]
        for row in table if len(table) <= 30 else table[:0]:
            axes.plot(epochs, row[: len(epochs)], color=colour, alpha=0.12, linewidth=0.8)
        low, high = np.nanpercentile(table, [10, 90], axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0)
        style = "--" if index == 0 and len(curves) == 2 else "-"
        axes.plot(epochs, np.nanmean(table, axis=0), color=colour, linestyle=style, label=arm)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.set_ylabel(measure)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    if is_share:
        percent_axis(axes.yaxis)
    axes.set_title(title)
    axes.legend(loc="best")
    return figure


def _stacked(jobs: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Jobs as rows with NaN after their end, cut where fewer than half still run."""
    rows = [np.asarray(job, dtype=np.float64).ravel() for job in jobs]
    rows = [row for row in rows if len(row)]
    if not rows:
        return np.empty((0, 0))
    lengths = sorted((len(row) for row in rows), reverse=True)
    n_epochs = lengths[(len(rows) - 1) // 2]
    table = np.full((len(rows), n_epochs), np.nan)
    for i, row in enumerate(rows):
        table[i, : min(len(row), n_epochs)] = row[:n_epochs]
    return table


HEADROOM = 0.5
"""How far above the first loss is still looked at, in the height of the fall."""


@styled
def rate_sweep(
    rates: ArrayLike,
    losses: ArrayLike,
    smoothed: ArrayLike,
    suggestion: float | None = None,
    title: str = "",
) -> Figure:
    """Losses of steps as dots, their moving average as a line, over the rate.

    Parameters
    ----------
    rates, losses, smoothed : array, shape (n_steps,)
    suggestion : float, optional
        Drawn as an upright line.
    """
    x, dots, line = (np.asarray(values, np.float64) for values in (rates, losses, smoothed))
    if not len(x) or not len(x) == len(dots) == len(line):
        raise DataError(f"rate sweep: found {len(x)} rates and {len(line)} losses to draw")
    figure = new_figure(6.0, 3.6)
    axes = figure.add_subplot()
    axes.scatter(x, dots, s=10, color=MUTED, alpha=0.5, linewidth=0, label="a step")
    axes.plot(x, line, color=TREATED, label="moving average")
    axes.set_xscale("log")
    low = min(dots.min(), line.min())
    height = max(line[0] - low, 1e-9)
    axes.set_ylim(low - 0.1 * height, max(line[0] + HEADROOM * height, np.median(dots)))
    if suggestion is not None:
        axes.axvline(suggestion, color=CONTROL, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"suggested: {suggestion:.2g}",
            (suggestion, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
            color=CONTROL,
        )
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.grid(axis="y")
    axes.set_title(title)
    axes.legend(loc="lower left")
    return figure


@styled
def option_importance(shares: Mapping[str, float]) -> Figure:
    """A bar an option, the most important at the top.

    Parameters
    ----------
    shares : mapping of str to float
        0 to 1, by the option's name.
    """
    if not shares:
        raise DataError("importance of options: nothing to draw")
    names = sorted(shares, key=lambda name: shares[name])
    values = np.array([shares[name] for name in names])
    figure = new_figure(6.0, max(2.2, 0.9 + 0.34 * len(names)))
    axes = figure.add_subplot()
    bars = axes.barh(names, values, color=TREATED, height=0.6)
    axes.bar_label(bars, [f"{100 * value:.0f} %" for value in values], padding=3, fontsize=9)
    axes.set_xlim(0, max(float(values.max()) * 1.15, 0.05))
    axes.set_xlabel("share of the variance explained by the option alone")
    percent_axis(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    return figure


@styled
def search_course(
    x: ArrayLike,
    scores: ArrayLike,
    complete: ArrayLike,
    *,
    default: float | None = None,
    label: str = "trial",
    whole: bool = True,
) -> Figure:
    """Scores as dots, hollow where a trial was given up early; the best complete one as steps.

    Parameters
    ----------
    x : array, shape (n,)
        When each trial ended, rising: its number, or the time spent so far.
    scores : array, shape (n,)
        0 to 1; NaN is not drawn.
    complete : array of bool, shape (n,)
    default : float, optional
        The score without a search, as a line.
    label : str
        What ``x`` is.
    whole : bool
        Whether ``x`` counts.
    """
    at, y, done = np.asarray(x, float), np.asarray(scores, float), np.asarray(complete, bool)
    if not len(at) or not len(at) == len(y) == len(done):
        raise DataError(f"course of a search: found {len(at)} places and {len(y)} scores to draw")
    figure = new_figure(4.9, 3.1)
    axes = figure.add_subplot()
    axes.scatter(at[done], y[done], s=22, color=TREATED, alpha=0.75, linewidth=0, label="complete")
    if (~done & np.isfinite(y)).any():
        axes.scatter(
            at[~done], y[~done], s=20, facecolors="none", edgecolors=OPEN, label="given up early"
        )
    if done.any():
        best = np.maximum.accumulate(np.where(done, y, -np.inf))
        seen = np.isfinite(best)
        axes.step(at[seen], best[seen], where="post", color=TREATED, label="best so far")
    if default is not None and np.isfinite(default):
        axes.axhline(
            default, color=CONTROL, linewidth=1.3, linestyle="--", label="the recipe's values"
        )
    axes.set_xlabel(label)
    axes.set_ylabel("inner accuracy")
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axes.yaxis)
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5)
    return figure


_SLICE_COLUMNS = 3


@dataclass(frozen=True)
class SearchSlice:
    """One option of a search.

    Attributes
    ----------
    name : str
    values : sequence of float, or of str for values in no order
        One a trial.
    order : tuple of str
        The values in no order, as they were given; empty for numbers.
    log : bool
        Whether numbers stand on a logarithmic axis.
    default : float, str or None
        The value without a search.
    """

    name: str
    values: Sequence[float | str]
    order: tuple[str, ...] = ()
    log: bool = False
    default: float | str | None = None


@styled
def search_slices(slices: Sequence[SearchSlice], scores: ArrayLike, complete: ArrayLike) -> Figure:
    """A small plot an option, every trial a dot; an upright line is the value without a search.

    Parameters
    ----------
    slices : sequence of SearchSlice
    scores : array, shape (n_trials,)
        0 to 1; NaN is not drawn.
    complete : array of bool, shape (n_trials,)
        Others, given up early, are hollow.
    """
    y, done = np.asarray(scores, float), np.asarray(complete, bool)
    if not slices or any(len(one.values) != len(y) for one in slices) or len(y) != len(done):
        raise DataError("slices of a search: expected a value of each option for each score")
    columns = min(_SLICE_COLUMNS, len(slices))
    rows = math.ceil(len(slices) / columns)
    figure = new_figure(3.0 * columns, 2.5 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for one, axes in zip(slices, grid.flat, strict=False):
        _draw(axes, one, y, done)
    for axes in list(grid.flat)[len(slices) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("inner accuracy")
        percent_axis(axes.yaxis)
    return figure


def _draw(axes: Axes, one: SearchSlice, y: NDArray[np.float64], done: NDArray[np.bool_]) -> None:
    if one.order:
        places = {value: place for place, value in enumerate(one.order)}
        x = np.array([places[str(value)] for value in one.values], float)
        # Trials with the same value stand beside each other, in their order.
        x += np.linspace(-0.18, 0.18, len(x)) if len(x) > 1 else 0.0
        axes.set_xticks(range(len(one.order)), short(one.order, 12))
        if len(one.order) > 3:
            axes.tick_params(axis="x", labelrotation=30)
        axes.set_xlim(-0.5, len(one.order) - 0.5)
        place = places.get(str(one.default))
        default = None if place is None else float(place)
    else:
        x = np.array([float(value) for value in one.values])
        if one.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.tick_params(axis="x", labelrotation=30)
        default = None if one.default is None else float(one.default)
    axes.scatter(x[done], y[done], s=20, color=TREATED, alpha=0.75, linewidth=0)
    axes.scatter(x[~done], y[~done], s=18, facecolors="none", edgecolors=OPEN)
    if default is not None and (not one.log or default > 0):
        axes.axvline(default, color=CONTROL, linewidth=1.2, linestyle="--", zorder=0)
    axes.grid(axis="y")
    axes.set_title(one.name, fontsize=9.5)


_PER_ROW = 8
_MOST = 64


@styled
def filters(weights: Mapping[str, ArrayLike]) -> Figure:
    """Kernels of the first input channel, each scaled to its own largest weight.

    Parameters
    ----------
    weights : mapping of str to array, shape (n_filters, channel, mel, frame)
        One entry an arm; up to 64 filters are shown, the strongest first.
    """
    if not weights:
        raise DataError("filters: no weights to draw")
    tables = {arm: _kernels(arm, values) for arm, values in weights.items()}
    most_rows = max(-(-len(table) // _PER_ROW) for table in tables.values())
    figure = new_figure(min(8.4, 0.2 + 3.6 * len(tables)), 0.5 + 0.43 * most_rows)
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (arm, table) in zip(grid, tables.items(), strict=True):
        axes.imshow(_mosaic(table), cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
        bare(axes)
        axes.set_title(arm, color=MUTED, fontweight="normal", fontsize=9.5)
    return figure


def _kernels(arm: str, values: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 4 or not table.size:
        raise DataError(
            f"filters: '{arm}' has shape {table.shape}, expected (filter, channel, mel, frame)"
        )
    table = table[:, 0]
    strength = np.square(table).sum(axis=(1, 2))
    return table[np.argsort(-strength, kind="stable")[:_MOST]]


def _mosaic(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernels side by side with a gap of NaN between, the first at the top left."""
    n, height, width = table.shape
    columns = min(_PER_ROW, n)
    rows = -(-n // columns)
    out = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, kernel in enumerate(table):
        row, column = rows - 1 - i // columns, i % columns
        top, left = row * (height + 1), column * (width + 1)
        largest = np.abs(kernel).max()
        out[top : top + height, left : left + width] = kernel / (largest or 1.0)
    return out
