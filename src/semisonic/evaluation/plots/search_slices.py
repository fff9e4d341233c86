"""The scores of a search against each option: where the good values lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import (
    CONTROL,
    OPEN,
    TREATED,
    new_figure,
    percent_axis,
    short,
    styled,
)

_COLUMNS = 3


@dataclass(frozen=True)
class Slice:
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
def search_slices(
    slices: Sequence[Slice], scores: ArrayLike, complete: ArrayLike, title: str = ""
) -> Figure:
    """A small plot an option, every trial a dot; an upright line is the value without a search.

    Parameters
    ----------
    slices : sequence of Slice
    scores : array, shape (n_trials,)
        0 to 1; NaN is not drawn.
    complete : array of bool, shape (n_trials,)
        Others, given up early, are hollow.
    """
    y, done = np.asarray(scores, float), np.asarray(complete, bool)
    if not slices or any(len(one.values) != len(y) for one in slices) or len(y) != len(done):
        raise DataError("slices of a search: expected a value of each option for each score")
    columns = min(_COLUMNS, len(slices))
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
    figure.suptitle(title)
    return figure


def _draw(axes: Axes, one: Slice, y: NDArray[np.float64], done: NDArray[np.bool_]) -> None:
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
