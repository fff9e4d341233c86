"""Figures of what is recognised: recall by class, confusion, reliability, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from semisonic.core.errors import DataError
from semisonic.evaluation.calibration import Reliability
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    CONTROL,
    DASHED,
    INK,
    LINE,
    MUTED,
    PAPER,
    SEQUENTIAL,
    TREATED,
    named_rows,
    new_figure,
    percent_axis,
    short,
    styled,
)


@styled
def class_recall(recalls: Mapping[str, ArrayLike], classes: Sequence[str]) -> Figure:
    """One row per class, the best found (by the last arm) at the top.

    Two arms are two dots joined by a line; one arm is bars.

    Parameters
    ----------
    recalls : mapping of str to array of float, shape (n_classes,)
        The share of each class's clips that were found, 0 to 1; NaN for none.
    """
    for arm, values in recalls.items():
        if np.shape(values) != (len(classes),):
            raise DataError(f"class recall: '{arm}' has shape {np.shape(values)}")
    table = np.array(list(recalls.values()), np.float64)
    if not len(table):
        raise DataError("class recall: nothing to draw")
    order = np.argsort(-np.nan_to_num(table[-1], nan=-1.0), kind="stable")
    table, n = table[:, order], len(classes)
    figure = new_figure(5.6, 1.2 + (0.27 if n <= 20 else 0.185) * n)
    axes, rows = figure.add_subplot(), np.arange(n)
    left = 0.0
    if len(table) == 1:
        axes.barh(rows, table[0], color=TREATED, height=0.62, label=next(iter(recalls)))
    else:
        left = max(0.0, np.floor(10 * (np.nanmin(table) - 0.05)) / 10)
        axes.hlines(rows, table.min(axis=0), table.max(axis=0), color=LINE, linewidth=2)
        for index, (arm, values) in enumerate(zip(recalls, table, strict=True)):
            colour, marker = ARM_COLOURS[index % 2], ARM_MARKERS[index % 2]
            axes.scatter(values, rows, s=44, color=colour, marker=marker, label=arm, zorder=3)
    named_rows(axes, [short(classes)[i] for i in order], fontsize=9 if n <= 20 else 7.5)
    axes.set_xlim(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left))
    axes.grid(axis="x")
    percent_axis(axes.xaxis)
    axes.set_xlabel("recall")
    figure.legend(loc="outside upper right", ncols=len(table))
    return figure


_LARGEST_WITH_NUMBERS = 16


@styled
def confusion_matrix(counts: ArrayLike, classes: Sequence[str], title: str = "") -> Figure:
    """Counts of clips by true class (row) and predicted class (column).

    The colour is the share of the row. Up to 16 classes the counts stand in the cells.

    Parameters
    ----------
    counts : array of int, shape (n_classes, n_classes)
    """
    table, n = np.asarray(counts), len(classes)
    if table.shape != (n, n):
        raise DataError(f"confusion matrix: found shape {table.shape}, expected ({n}, {n})")
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    numbered = n <= _LARGEST_WITH_NUMBERS
    side = 1.85 + 0.35 * n if numbered else 2.4 + 0.125 * n
    figure = new_figure(max(3.6, side), max(3.4, side - 0.1))
    axes = figure.add_subplot()
    axes.pcolormesh(
        share, cmap=SEQUENTIAL, vmin=0, vmax=1, edgecolor=PAPER, linewidth=1.5 if numbered else 0.5
    )
    axes.set(xlabel="predicted", ylabel="true", title=title, aspect="equal", ylim=(n, 0))
    names, size = short(classes), 9 if numbered else max(5.0, 9 - 0.06 * n)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    places = np.arange(n) + 0.5
    axes.set_xticks(places, names, fontsize=size, **(turned if numbered else {"rotation": 90}))
    axes.set_yticks(places, names, fontsize=size)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(table > 0) if numbered else ():
        axes.text(
            column + 0.5,
            row + 0.5,
            str(int(table[row, column])),
            ha="center",
            va="center",
            color=PAPER if share[row, column] > 0.5 else INK,
            fontsize=9,
        )
    return figure


@styled
def reliability_diagram(found: Mapping[str, Reliability]) -> Figure:
    """How often clips are right, by how sure the model is, and below it how many clips those are.

    Paper: DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983.

    Parameters
    ----------
    found : mapping of str to Reliability
        One or two, such as before and after a calibration.
    """
    if not 1 <= len(found) <= 2:
        raise DataError(f"reliability diagram: found {len(found)} curves, expected 1 or 2")
    figure = new_figure(4.8, 5.0)
    axes, below = figure.subplots(2, sharex=True, height_ratios=(3.4, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=DASHED)
    looks = list(zip(ARM_COLOURS, ARM_MARKERS, strict=True))[-len(found) :]
    for number, ((name, curve), (colour, marker)) in enumerate(
        zip(found.items(), looks, strict=True)
    ):
        axes.plot(
            curve.confidence,
            curve.accuracy,
            color=colour,
            zorder=3 + number,
            marker=marker,
            markersize=7,
            markeredgecolor=PAPER,
            label=f"{name}: {100 * curve.error:.1f} % apart",
        )
        n_bins, width = len(curve.n_clips), 0.86 / len(found)
        left = (np.arange(n_bins) + 0.07 + number * width) / n_bins
        below.bar(left, curve.n_clips, width / n_bins, align="edge", color=colour)
    axes.set(ylabel="accuracy (dashed: calibrated)", ylim=(-0.03, 1.03))
    axes.grid(axis="both")
    below.set(xlim=(-0.02, 1.02), ylabel="clips", xlabel="score")
    percent_axis(axes.yaxis)
    percent_axis(below.xaxis)
    figure.legend(loc="outside upper right")
    return figure


MOST_CLASSES = 24
"""Classes drawn; more would be too small to read."""
_COLUMNS = 5


@styled
def precision_recall(
    target: ArrayLike,
    scores: ArrayLike,
    thresholds: pd.DataFrame,
    classes: Sequence[str],
    wanted: float = 0.0,
) -> Figure:
    """A small curve for each class, with a dot at its threshold and a line down to its bound.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
    thresholds : DataFrame
        Of :func:`semisonic.evaluation.calibration.class_thresholds`.
    wanted : float
        Precision to draw a line at; none at 0.
    """
    truth, table = np.asarray(target), np.asarray(scores)
    drawn = [c for c in range(len(classes)) if truth[:, c].any()][:MOST_CLASSES]
    rows = max(1, ceil(len(drawn) / _COLUMNS))
    figure = new_figure(9.0, 0.6 + 1.75 * rows)
    grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, c in zip(grid, drawn, strict=False):
        precision, recall, _ = precision_recall_curve(truth[:, c], table[:, c])
        axes.step(recall, precision, where="post", color=TREATED, linewidth=1.5)
        if wanted:
            axes.axhline(wanted, color=MUTED, linewidth=1, linestyle=DASHED)
        low, *place = thresholds.iloc[c][["lower_bound", "recall", "precision"]]
        axes.vlines(place[0], low, place[1], color=CONTROL, linewidth=1.5)
        axes.scatter(*place, s=44, color=CONTROL, edgecolor=PAPER, zorder=4)
        axes.set_title(short([classes[c]], 20)[0], fontsize=9)
        axes.grid(axis="both")
        percent_axis(axes.xaxis)
        percent_axis(axes.yaxis)
        axes.tick_params(labelsize=8)
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    grid[0].set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.06), xticks=[0.0, 0.5, 1.0])
    figure.supxlabel("clips of the class that are named (recall)", fontsize=9.5, color=MUTED)
    figure.supylabel("right among those named", fontsize=9.5, color=MUTED)
    return figure
