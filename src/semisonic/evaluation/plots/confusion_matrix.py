"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import INK, PAPER, SEQUENTIAL, new_figure, short, styled

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
    axes.tick_params(length=0, colors=INK)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=1.5 if numbered else 0.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    if numbered:
        for row, column in np.argwhere(table > 0):
            colour = PAPER if share[row, column] > 0.5 else INK
            text = str(int(table[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    return figure
