"""How many clips of each class are found, by both arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    INK,
    LINE,
    PAPER,
    new_figure,
    percent_axis,
    short,
    styled,
)


@styled
def class_recall(
    recalls: Mapping[str, ArrayLike], classes: Sequence[str], title: str = ""
) -> Figure:
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
    axes.set_yticks(rows, [short(classes)[i] for i in order], fontsize=9 if n <= 20 else 7.5)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(n - 0.4, -0.6)
    lowest = float(np.nanmin(np.stack(list(table.values()))))
    left = 0.0 if len(table) == 1 else max(0.0, np.floor(10 * (lowest - 0.05)) / 10)
    axes.set_xlim(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left))
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    percent_axis(axes.xaxis)
    axes.set_xlabel("clips of the class that were found (recall)")
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=len(table), handletextpad=0.3)
    return figure
