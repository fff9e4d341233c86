"""Figures of what is recognised: recall by class, confusion, reliability, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from semisonic.core.errors import DataError
from semisonic.evaluation.calibration import ClassThreshold, Reliability
from semisonic.evaluation.metrics import as_scores, as_targets, same_length
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
    cell_grid,
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
    table = {arm: np.asarray(values, dtype=np.float64) for arm, values in recalls.items()}
    for arm, values in table.items():
        if values.shape != (len(classes),):
            raise DataError(f"class recall: '{arm}' has shape {values.shape}")
    if not table:
        raise DataError("class recall: nothing to draw")
    last = next(reversed(table.values()))
    order = np.argsort(-np.nan_to_num(last, nan=-1.0), kind="stable")
    n = len(classes)
    figure = new_figure(5.6, 1.2 + (0.27 if n <= 20 else 0.185) * n)
    axes = figure.add_subplot()
    rows = np.arange(n)
    if len(table) == 1:
        axes.barh(rows, last[order], color=ARM_COLOURS[1], height=0.62, label=next(iter(table)))
    else:
        stacked = np.stack(list(table.values()))[:, order]
        axes.hlines(rows, stacked.min(axis=0), stacked.max(axis=0), color=LINE, linewidth=2)
        for index, (arm, values) in enumerate(table.items()):
            axes.scatter(
                values[order],
                rows,
                s=44,
                label=arm,
                zorder=3 + index,
                edgecolor=PAPER,
                linewidth=0.8,
                color=ARM_COLOURS[index % 2],
                marker=ARM_MARKERS[index % 2],
            )
    named_rows(axes, [short(classes)[i] for i in order], fontsize=9 if n <= 20 else 7.5)
    lowest = float(np.nanmin(np.stack(list(table.values()))))
    left = 0.0 if len(table) == 1 else max(0.0, np.floor(10 * (lowest - 0.05)) / 10)
    axes.set_xlim(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left))
    axes.grid(axis="x")
    percent_axis(axes.xaxis)
    axes.set_xlabel("clips of the class that were found (recall)")
    figure.legend(loc="outside upper right", ncols=len(table), handletextpad=0.3)
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
    table = np.asarray(counts)
    n = len(classes)
    if table.shape != (n, n):
        raise DataError(f"confusion matrix: found shape {table.shape}, expected ({n}, {n})")
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    numbered = n <= _LARGEST_WITH_NUMBERS
    side = 1.85 + 0.35 * n if numbered else 2.4 + 0.125 * n
    figure = new_figure(max(3.6, side), max(3.4, side - 0.1))
    axes = figure.add_subplot()
    axes.imshow(share, cmap=SEQUENTIAL, vmin=0, vmax=1)
    names, size = short(classes), 9 if numbered else max(5.0, 9 - 0.06 * n)
    axes.set_xticks(range(n), names, rotation=45 if numbered else 90, fontsize=size)
    if numbered:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_yticks(range(n), names, fontsize=size)
    cell_grid(axes, n, n, 1.5 if numbered else 0.5)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    if numbered:
        for row, column in np.argwhere(table > 0):
            colour = PAPER if share[row, column] > 0.5 else INK
            text = str(int(table[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
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
    axes.annotate(
        "as right as sure",
        (0.1, 0.02),
        rotation=41,
        color=MUTED,
        fontsize=9,
        transform_rotates_text=True,
        rotation_mode="anchor",
    )
    colours = ARM_COLOURS if len(found) == 2 else ARM_COLOURS[1:]
    for number, (name, curve) in enumerate(found.items()):
        used = curve.n_clips > 0
        colour = colours[number]
        axes.plot(
            curve.confidence[used],
            curve.accuracy[used],
            color=colour,
            zorder=3 + number,
            marker=ARM_MARKERS[number],
            markersize=7,
            markeredgecolor=PAPER,
            label=f"{name}: {100 * curve.error:.1f} % apart",
        )
        n_bins, width = len(curve.n_clips), 0.86 / len(found)
        left = (np.arange(n_bins) + 0.07 + number * width) / n_bins
        below.bar(left, curve.n_clips, width / n_bins, align="edge", color=colour)
    axes.set_ylabel("right")
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("auto")
    axes.grid(axis="both")
    below.set_xlim(-0.02, 1.02)
    below.set_ylabel("clips")
    below.set_xlabel("score")
    below.axhline(0, color=LINE, linewidth=0.8)
    percent_axis(axes.yaxis)
    percent_axis(below.xaxis)
    figure.legend(loc="outside upper right", ncols=1, handletextpad=0.5)
    return figure


MOST_CLASSES = 24
"""Classes drawn; more would be too small to read."""
_THRESHOLD_COLUMNS = 5


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
    shown = [c for c in range(len(classes)) if truth[:, c].any()][:MOST_CLASSES]
    rows = max(1, ceil(len(shown) / _THRESHOLD_COLUMNS))
    figure = new_figure(9.0, 0.6 + 1.75 * rows)
    grid = np.atleast_1d(
        figure.subplots(rows, _THRESHOLD_COLUMNS, sharex=True, sharey=True)
    ).ravel()
    names = short(classes, 20)
    for axes, c in zip(grid, shown, strict=False):
        precision, recall, _ = precision_recall_curve(truth[:, c], table[:, c])
        axes.step(recall, precision, where="post", color=TREATED, linewidth=1.5)
        if wanted:
            axes.axhline(wanted, color=MUTED, linewidth=1, linestyle=DASHED)
        found = thresholds[c]
        axes.vlines(found.recall, found.low, found.precision, color=CONTROL, linewidth=1.5)
        axes.plot(
            [found.recall],
            [found.precision],
            marker="o",
            color=CONTROL,
            markersize=7,
            markeredgecolor=PAPER,
            zorder=4,
        )
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
