"""Precision and recall of each class, and where its threshold lies."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from semisonic.base.errors import DataError
from semisonic.evaluation.checked import as_scores, as_targets, same_length
from semisonic.evaluation.class_thresholds import ClassThreshold
from semisonic.evaluation.plots.style import (
    CONTROL,
    MUTED,
    PAPER,
    TREATED,
    new_figure,
    percent_axis,
    short,
    styled,
)

MOST = 24
"""Classes drawn; more would be too small to read."""
_COLUMNS = 5


@styled
def precision_recall(
    target: ArrayLike,
    scores: ArrayLike,
    thresholds: Sequence[ClassThreshold],
    classes: Sequence[str],
    wanted: float = 0.0,
) -> Figure:
    """A small curve for each class, with a dot at its threshold and a line down to its bound.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
    thresholds : sequence of ClassThreshold
    wanted : float
        Precision to draw a line at; none at 0.
    """
    truth, table = as_targets(target), as_scores(scores)
    same_length(target=truth, scores=table)
    if not len(thresholds) == len(classes) == table.shape[1]:
        raise DataError("precision and recall: found unequal numbers of classes and thresholds")
    shown = [c for c in range(len(classes)) if truth[:, c].any()][:MOST]
    rows = max(1, ceil(len(shown) / _COLUMNS))
    figure = new_figure(9.0, 0.6 + 1.75 * rows)
    grid = np.atleast_1d(figure.subplots(rows, _COLUMNS, sharex=True, sharey=True)).ravel()
    names = short(classes, 20)
    for axes, c in zip(grid, shown, strict=False):
        precision, recall, _ = precision_recall_curve(truth[:, c], table[:, c])
        axes.step(recall, precision, where="post", color=TREATED, linewidth=1.5)
        if wanted:
            axes.axhline(wanted, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        found = thresholds[c]
        axes.vlines(found.recall, found.low, found.precision, color=CONTROL, linewidth=1.5)
        axes.plot(
            [found.recall], [found.precision], marker="o", color=CONTROL, markersize=7,
            markeredgecolor=PAPER, zorder=4,
        )  # fmt: skip
        axes.set_title(names[c], fontsize=9)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    first = grid[0]
    first.set_xlim(-0.04, 1.04)
    first.set_ylim(-0.04, 1.06)
    first.set_xticks([0.0, 0.5, 1.0])
    for axes in grid[: len(shown)]:
        axes.grid(axis="both")
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)
        axes.tick_params(labelsize=8)
    figure.supxlabel("clips of the class that are named (recall)", fontsize=9.5, color=MUTED)
    figure.supylabel("right among those named", fontsize=9.5, color=MUTED)
    return figure
