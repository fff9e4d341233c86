"""Figures of results: recall, arms and folds side by side, training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from semisonic.core.text import p_text, points_text
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    CONTROL,
    DASHED,
    GRID,
    INK,
    LINE,
    MUTED,
    OPEN,
    PAPER,
    SEQUENTIAL,
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

if TYPE_CHECKING:
    from semisonic.evaluation.calibration import Reliability
    from semisonic.evaluation.comparison import Comparison
    from semisonic.evaluation.learning_curve import LearningCurve


@styled
def class_recall(recalls: Mapping[str, ArrayLike], classes: Sequence[str]) -> Figure:
    """One row per class, the best found (by the last arm) at the top.

    Two arms are two dots joined by a line; one arm is bars.

    Parameters
    ----------
    recalls : mapping of str to array of float, shape (n_classes,)
        The share of each class's clips that were found, 0 to 1; NaN for none.
    """
    table = np.array(list(recalls.values()), np.float64)
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

    The colour is the share of the row. With up to 16 classes, the cells show the counts.

    Parameters
    ----------
    counts : array of int, shape (n_classes, n_classes)
    """
    table, n = np.asarray(counts), len(classes)
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


_COLOURS = {"better": TREATED, "worse": CONTROL, "open": OPEN}


@styled
def comparison_plot(comparisons: Sequence[Comparison], *, measured: str = "") -> Figure:
    """Difference in accuracy (percentage points) with its intervals, one row a setting.

    The thick line is the interval over recordings and draws, the thin one allows for other
    training clips too. The dot is filled if the difference is shown, a coloured ring if it holds
    for these clips only, a grey ring if it is open. ``measured`` names the difference, if it is
    not the second arm minus the first.
    """
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
        One or two: the control first, then the curve to compare with it.
    human : float, optional
        Accuracy of listeners, 0 to 1, as a line.
    """
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
        By the name of the row, the first in bold.
    names : sequence of str
        What each column is, above it.
    unit : str
        Of the values, at the colour bar.
    """
    values = {name: np.asarray(row, dtype=np.float64) for name, row in rows.items()}
    first = next(iter(values))
    shape = values[first].shape
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
    step: str = "epoch",
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
    step : str
        What is counted from left to right.
    """
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
    axes.set(xlabel=step, ylabel=measure, title=title)
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
