"""How the arms learn, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import ARM_COLOURS, new_figure, percent_axis, styled


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
