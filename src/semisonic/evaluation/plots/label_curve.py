"""Accuracy against labels per class, with and without the pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from semisonic.base.errors import DataError
from semisonic.evaluation.learning_curve import LearningCurve
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    MUTED,
    PAPER,
    new_figure,
    percent_axis,
    styled,
)


@styled
def label_curve(
    curves: Sequence[LearningCurve], title: str = "", human: float | None = None
) -> Figure:
    """Means over draws with 95 % intervals over test clips as bands; small dots are draws.

    Parameters
    ----------
    curves : sequence of LearningCurve
        One or two: the control first, then what is held against it.
    human : float, optional
        Accuracy of listeners, 0 to 1, as a line.
    """
    if not 1 <= len(curves) <= len(ARM_COLOURS):
        raise DataError(f"label curve: found {len(curves)} curves, expected 1 or 2")
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    for number, curve in enumerate(curves):
        colour, marker = ARM_COLOURS[number], ARM_MARKERS[number]
        x = np.array(curve.labels)
        low = [point.accuracy.interval.low for point in curve.points]
        high = [point.accuracy.interval.high for point in curve.points]
        axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(
            x, curve.means, color=colour, marker=marker, markersize=7, markeredgecolor=PAPER,
            label=curve.name, zorder=4,
        )  # fmt: skip
        aside = 0.985 if number == 0 else 1.015  # so that dots of two arms do not hide each other
        for point in curve.points:
            at = np.full(len(point.draws), point.labels_per_class * aside)
            axes.scatter(at, point.draws, s=9, color=colour, alpha=0.45, linewidth=0, zorder=3)
    if human is not None:
        axes.axhline(human, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            "listeners", (1, human), xycoords=("axes fraction", "data"), xytext=(-2, 3),
            textcoords="offset points", ha="right", color=MUTED, fontsize=9,
        )  # fmt: skip
    ticks = sorted({label for curve in curves for label in curve.labels})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:.3g}" for tick in ticks])
    axes.set_xlabel("labels per class")
    axes.set_ylabel("accuracy")
    axes.grid(axis="y")
    percent_axis(axes.yaxis)
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.5)
    return figure
