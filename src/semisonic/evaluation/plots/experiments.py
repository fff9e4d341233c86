"""Figures of experiments: arms, settings and folds beside each other, learning curves, patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike

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
    SOUND,
    TREATED,
    bare,
    colour_bar,
    in_lines,
    named_rows,
    new_figure,
    percent_axis,
    short,
    styled,
)

_COLOURS = {"better": TREATED, "worse": CONTROL, "open": OPEN}


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
    names = [in_lines(one.setting) for one in comparisons]
    height = 0.46 if any("\n" in name for name in names) else 0.36
    figure = new_figure(5.8, 1.15 + height * len(comparisons))
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    for row, one in enumerate(comparisons):
        colour = _COLOURS[one.outcome.removesuffix(" here")]
        for interval, width in ((one.wide_interval, 1.0), (one.interval, 3.4)):
            axes.hlines(row, *interval, color=colour, linewidth=width, zorder=2)
        fill = colour if one.is_shown else PAPER
        axes.scatter(one.difference, row, s=56, color=fill, edgecolor=colour, lw=1.8, zorder=3)
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
    axes.xaxis.set_major_formatter(
        lambda x, _: f"{100 * x:+.3g}".replace("-", "−") if abs(x) > 1e-9 else "0"
    )
    first = comparisons[0]
    what = measured or f"{first.b.name} minus {first.a.name}"
    axes.set_xlabel(f"{what}, percentage points")
    return figure


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
    axes.hlines(range(len(names)), 0, 1, GRID, lw=1, zorder=0, transform=axes.get_yaxis_transform())
    for row, values in enumerate(folds.values()):
        # Dots lie around their row, so that none hides another.
        places = row + (np.linspace(-0.26, 0.26, len(values)) if len(values) > 1 else np.zeros(1))
        label = "" if row else "one test fold"
        axes.scatter(
            list(values.values()), places, s=88, color=TREATED, alpha=0.35, lw=0, label=label
        )
        for (fold, value), place in zip(values.items(), places, strict=True):
            axes.text(value, place, str(fold), ha="center", va="center", fontsize=6.5, color=INK)
    means = [float(np.mean(list(values.values()))) for values in folds.values()]
    rows = np.arange(len(names))
    axes.vlines(means, rows - 0.4, rows + 0.4, color=TREATED, lw=2.6, zorder=4, label="mean")
    if others := [name for name in names if name in known]:
        axes.scatter(
            [known[name] for name in others],
            [names.index(name) for name in others],
            s=64,
            marker="D",
            facecolor="none",
            edgecolor=CONTROL,
            linewidth=1.8,
            zorder=5,
            label="published mean",
        )
    for line, what in ((human, "listeners"), (chance, "chance")):
        if line is not None:
            axes.axvline(line, color=MUTED, linewidth=1, linestyle=DASHED, zorder=1)
            axes.text(
                line,
                -0.62,
                f" {what} {100 * line:.1f} %",
                fontsize=8,
                color=MUTED,
                va="center",
                ha="right" if line > 0.8 else "left",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
            )
    named_rows(axes, [in_lines(name, 34) for name in names], fontsize=9)
    axes.set_ylim(len(names) - 0.45, -0.75)
    percent_axis(axes.xaxis)
    axes.set_xlabel("accuracy")
    figure.legend(loc="outside upper right", ncols=3)
    return figure


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
    for curve, colour, marker, aside in zip(
        curves, ARM_COLOURS, ARM_MARKERS, (0.985, 1.015), strict=False
    ):
        low, high = np.array([point.accuracy.interval for point in curve.points]).T
        axes.fill_between(curve.labels, low, high, color=colour, alpha=0.14, linewidth=0)
        axes.plot(curve.labels, curve.means, color=colour, zorder=4, label=curve.name)
        axes.scatter(curve.labels, curve.means, s=49, c=colour, marker=marker, zorder=5)
        for point in curve.points:  # beside the mean, so that dots of two arms are seen
            at = np.full(len(point.draws), point.labels_per_class * aside)
            axes.scatter(at, point.draws, s=9, color=colour, alpha=0.45, linewidth=0, zorder=3)
    if human is not None:
        axes.axhline(human, color=MUTED, linewidth=1, linestyle=DASHED, label="listeners")
    ticks = sorted({label for curve in curves for label in curve.labels})
    axes.set(xscale="log", xlabel="labels per class", ylabel="accuracy")
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    percent_axis(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=3)
    return figure


@styled
def patches(
    rows: Mapping[str, ArrayLike],
    names: Sequence[str] = (),
    *,
    unit: str = "",
) -> Figure:
    """Spectrograms in rows and columns, low bands at the bottom, on the first row's colour scale.

    Parameters
    ----------
    rows : mapping of str to array of float, shape (n, mel, frame)
        By what stands before the row, the first in bold letters.
    names : sequence of str
        What each column is, above it.
    unit : str
        Of the values, at the colour bar.

    Raises
    ------
    DataError
        When there is nothing to draw, or a row has another shape than the first.
    """
    values = {name: np.asarray(row, dtype=np.float64) for name, row in rows.items()}
    first = next(iter(values), "")
    shape = values[first].shape if values else ()
    if len(shape) != 3 or not shape[0]:
        raise DataError(f"patches: found shape {shape}, expected (n, mel, frame)")
    for name, row in values.items():
        if row.shape != shape:
            raise DataError(f"patches: '{name}' has shape {row.shape}, '{first}' {shape}")
    low, high = np.nanpercentile(values[first], [0.5, 99.5])
    scale = {"cmap": SOUND, "vmin": low, "vmax": high, "origin": "lower", "aspect": "auto"}
    figure = new_figure(min(8.4, 1.5 + 1.02 * shape[0]), 0.6 + 0.84 * len(values))
    grid = figure.subplots(len(values), shape[0], squeeze=False)
    for line, (name, row) in zip(grid, values.items(), strict=True):
        for axes, patch in zip(line, row, strict=True):
            image = axes.imshow(patch, **scale)
            bare(axes)
        weight = "bold" if name == first else "normal"
        look = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 9}
        line[0].set_ylabel(name, color=INK, fontweight=weight, **look)
    for axes, name in zip(grid[0], short(names, 14), strict=False):
        axes.set_title(name, fontsize=8.5, fontweight="normal", color=MUTED, loc="center", pad=4)
    colour_bar(figure, image, grid, unit, shrink=0.6, aspect=22)
    return figure
