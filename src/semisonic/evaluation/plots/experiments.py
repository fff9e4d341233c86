"""Figures of experiments: arms, settings and folds beside each other, and learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from semisonic.core.errors import DataError
from semisonic.core.text import p_text, points_text
from semisonic.evaluation.comparison import Comparison
from semisonic.evaluation.learning_curve import LearningCurve
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    CONTROL,
    DASHED,
    GRID,
    INK,
    MUTED,
    OPEN,
    PAPER,
    TREATED,
    in_lines,
    named_rows,
    new_figure,
    percent_axis,
    points_axis,
    styled,
)

_COLOURS = {
    "better": TREATED,
    "better here": TREATED,
    "worse": CONTROL,
    "worse here": CONTROL,
    "open": OPEN,
}


@styled
def comparison_plot(comparisons: Sequence[Comparison], *, measured: str = "") -> Figure:
    """Difference in accuracy (percentage points) with its intervals, one row a setting.

    The thick line is the interval over recordings and draws, the thin one allows for other
    training clips too. The dot is filled where the difference is shown, a coloured ring
    where it holds for these clips only, a grey ring where it is open. ``measured`` says what
    differs, where that is not the second arm from the first.
    """
    if not comparisons:
        raise DataError("comparison: nothing to draw")
    n = len(comparisons)
    names = [in_lines(one.setting) for one in comparisons]
    figure = new_figure(5.8, 1.15 + (0.46 if any("\n" in name for name in names) else 0.36) * n)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    for row, one in enumerate(comparisons):
        colour = _COLOURS[one.outcome]
        axes.plot(list(one.wide_interval), [row, row], color=colour, linewidth=1, zorder=2)
        axes.plot(list(one.interval), [row, row], color=colour, linewidth=3.4, zorder=2)
        axes.plot(
            one.difference,
            row,
            "o",
            color=colour if one.is_shown else PAPER,
            markeredgecolor=colour,
            markeredgewidth=1.8,
            markersize=7.5,
            zorder=3,
        )
        text = f"{points_text(one.difference, signed=True)}   {p_text(one.p)}".replace("-", "−")
        axes.annotate(
            text,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=INK if one.outcome != "open" else MUTED,
        )
    named_rows(axes, names)
    axes.grid(axis="x")
    points_axis(axes.xaxis)
    first = comparisons[0]
    what = measured or f"{first.b.name} minus {first.a.name}"
    axes.set_xlabel(f"{what}, percentage points")
    return figure


_SPREAD = 0.26  # of the folds' dots around their row, so that none hides another


@styled
def accuracy_by_fold(
    folds: Mapping[str, Mapping[int, float]],
    *,
    published: Mapping[str, float] | None = None,
    human: float | None = None,
    chance: float | None = None,
) -> Figure:
    """One row per classifier or arm, a numbered dot per fold, a bar at the mean over folds.

    Parameters
    ----------
    folds : mapping of name to mapping of fold to accuracy (0 to 1)
    published : mapping of name to accuracy, optional
        Drawn as an empty diamond.
    human, chance : float, optional
        Drawn as lines.
    """
    if not folds or not all(folds.values()):
        raise DataError("accuracy by fold: nothing to draw")
    names, known = list(folds), published or {}
    figure = new_figure(7.4, 1.25 + 0.58 * len(names))
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        values = folds[name]
        axes.axhline(row, color=GRID, linewidth=1, zorder=0)
        places = row + np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else [row]
        axes.scatter(
            list(values.values()),
            places,
            s=88,
            color=TREATED,
            alpha=0.35,
            edgecolor="none",
            zorder=2,
            label="" if row else "one test fold",
        )
        for (fold, value), place in zip(values.items(), places, strict=True):
            axes.text(
                value,
                place + 0.015,
                str(fold),
                ha="center",
                va="center",
                fontsize=6.5,
                color=INK,
                zorder=3,
            )
        mean = float(np.mean(list(values.values())))
        axes.plot(
            [mean, mean],
            [row - 0.4, row + 0.4],
            color=TREATED,
            linewidth=2.6,
            zorder=4,
            label="" if row else "mean",
        )
        if name in known:
            first = name == next(one for one in names if one in known)
            axes.scatter(
                [known[name]],
                [row],
                s=64,
                marker="D",
                facecolor="none",
                edgecolor=CONTROL,
                linewidth=1.8,
                zorder=5,
                label="published mean" if first else "",
            )
    _add_lines(axes, human, chance)
    named_rows(axes, [in_lines(name, 34) for name in names], fontsize=9)
    axes.set_ylim(len(names) - 0.45, -0.75)
    percent_axis(axes.xaxis)
    axes.set_xlabel("accuracy")
    figure.legend(loc="outside upper right", ncols=3, handletextpad=0.4)
    return figure


def _add_lines(axes: Axes, human: float | None, chance: float | None) -> None:
    for value, name in ((human, "listeners"), (chance, "chance")):
        if value is None:
            continue
        axes.axvline(value, color=MUTED, linewidth=1, linestyle=DASHED, zorder=1)
        axes.text(
            value,
            -0.62,
            f" {name} {100 * value:.1f} %",
            fontsize=8,
            color=MUTED,
            va="center",
            ha="right" if value > 0.8 else "left",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
        )


@styled
def label_curve(curves: Sequence[LearningCurve], *, human: float | None = None) -> Figure:
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
            x,
            curve.means,
            color=colour,
            marker=marker,
            markersize=7,
            markeredgecolor=PAPER,
            label=curve.name,
            zorder=4,
        )
        aside = 0.985 if number == 0 else 1.015  # so that dots of two arms do not hide each other
        for point in curve.points:
            at = np.full(len(point.draws), point.labels_per_class * aside)
            axes.scatter(at, point.draws, s=9, color=colour, alpha=0.45, linewidth=0, zorder=3)
    if human is not None:
        axes.axhline(human, color=MUTED, linewidth=1, linestyle=DASHED)
        axes.annotate(
            "listeners",
            (1, human),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color=MUTED,
            fontsize=9,
        )
    ticks = sorted({label for curve in curves for label in curve.labels})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:.3g}" for tick in ticks])
    axes.set_xlabel("labels per class")
    axes.set_ylabel("accuracy")
    axes.grid(axis="y")
    percent_axis(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.5)
    return figure
