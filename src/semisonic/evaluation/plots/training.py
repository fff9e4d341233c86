"""Figures of training and of searches over settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    CONTROL,
    MUTED,
    OPEN,
    TREATED,
    new_figure,
    percent_axis,
    styled,
)

_MOST_LINES = 30
"""Jobs that are drawn one by one behind their mean."""


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
        # Jobs as columns, with NaN after their end; cut where fewer than half still run.
        table = pd.DataFrame(
            {i: pd.Series(np.ravel(job), dtype=float) for i, job in enumerate(jobs)}
        )
        lengths = sorted((np.size(job) for job in jobs if np.size(job)), reverse=True)
        if not lengths:
            continue
        table = table.iloc[: lengths[(len(lengths) - 1) // 2]]
        epochs = 1 + np.arange(len(table))
        colour = colours[index % len(colours)]
        if len(jobs) <= _MOST_LINES:
            axes.plot(epochs, table, color=colour, alpha=0.12, linewidth=0.8)
        low, high = np.nanpercentile(table, [10, 90], axis=1)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0)
        style = "--" if index == 0 and len(curves) == 2 else "-"
        axes.plot(epochs, table.mean(axis=1), color=colour, linestyle=style, label=arm)
    axes.grid(axis="y")
    axes.set(xlabel="epoch", ylabel=measure, title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.01)
    if is_share:
        percent_axis(axes.yaxis)
    axes.legend(loc="best")
    return figure


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
    low = min(dots.min(), line.min())
    height = max(line[0] - low, 1e-9)
    axes.set_ylim(low - 0.1 * height, max(line[0] + HEADROOM * height, np.median(dots)))
    if suggestion is not None:
        label = f"suggested: {suggestion:.2g}"
        axes.axvline(suggestion, color=CONTROL, linewidth=1.2, linestyle="--", label=label)
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", title=title)
    axes.grid(axis="y")
    axes.legend(loc="lower left")
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
        axes.axhline(default, color=CONTROL, lw=1.3, linestyle="--", label="the recipe's values")
    axes.set(xlabel=label, ylabel="inner accuracy")
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    percent_axis(axes.yaxis)
    axes.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
