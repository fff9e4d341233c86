"""How a search over settings went: every trial, and the best so far."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import (
    CONTROL,
    OPEN,
    TREATED,
    new_figure,
    percent_axis,
    styled,
)


@styled
def search_course(
    x: ArrayLike,
    scores: ArrayLike,
    complete: ArrayLike,
    *,
    default: float | None = None,
    label: str = "trial",
    whole: bool = True,
    title: str = "",
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
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=2, handletextpad=0.5)
    return figure
