"""Several classifiers side by side: the accuracy of each in every fold, and its mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import (
    CONTROL,
    GRID,
    INK,
    MUTED,
    PAPER,
    SEQUENTIAL,
    TREATED,
    in_lines,
    new_figure,
    percent_axis,
    short,
    styled,
)

_SPREAD = 0.26  # of the folds' dots around their row, so that none hides another


@styled
def contest(
    folds: Mapping[str, Mapping[int, float]],
    *,
    published: Mapping[str, float] | None = None,
    human: float | None = None,
    chance: float | None = None,
    title: str = "",
) -> Figure:
    """One row per classifier, a numbered dot per fold, a bar at the mean over folds.

    Parameters
    ----------
    folds : mapping of name to mapping of fold to accuracy (0 to 1)
    published : mapping of name to accuracy, optional
        Drawn as an empty diamond.
    human, chance : float, optional
        Drawn as lines.
    """
    if not folds or not all(folds.values()):
        raise DataError("contest: nothing to draw")
    names, known = list(folds), published or {}
    figure = new_figure(7.4, 1.25 + 0.58 * len(names))
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        values = folds[name]
        axes.axhline(row, color=GRID, linewidth=1, zorder=0)
        places = row + np.linspace(-_SPREAD, _SPREAD, len(values)) if len(values) > 1 else [row]
        axes.scatter(
            list(values.values()), places, s=88, color=TREATED, alpha=0.35, edgecolor="none",
            zorder=2, label="" if row else "one test fold",
        )  # fmt: skip
        for (fold, value), place in zip(values.items(), places, strict=True):
            axes.text(
                value, place + 0.015, str(fold), ha="center", va="center", fontsize=6.5,
                color=INK, zorder=3,
            )  # fmt: skip
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
                [known[name]], [row], s=64, marker="D", facecolor="none", edgecolor=CONTROL,
                linewidth=1.8, zorder=5, label="published mean" if first else "",
            )  # fmt: skip
    _lines(axes, len(names), human, chance)
    axes.set_yticks(range(len(names)), [in_lines(name, 34) for name in names], fontsize=9)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(names) - 0.45, -0.75)
    axes.spines["left"].set_visible(False)
    percent_axis(axes.xaxis)
    axes.set_xlabel("accuracy")
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=3, handletextpad=0.4)
    return figure


def _lines(axes: object, n: int, human: float | None, chance: float | None) -> None:
    for value, name in ((human, "listeners"), (chance, "chance")):
        if value is None:
            continue
        axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)  # type: ignore[attr-defined]
        axes.text(  # type: ignore[attr-defined]
            value, -0.62, f" {name} {100 * value:.1f} %", fontsize=8, color=MUTED, va="center",
            ha="right" if value > 0.8 else "left",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


@styled
def recall_table(
    recalls: Mapping[str, Sequence[float]], classes: Sequence[str], title: str = ""
) -> Figure:
    """A grid of recalls: a row per class, the best found at the top, a column per classifier.

    Parameters
    ----------
    recalls : mapping of name to sequence of float, length n_classes
        0 to 1; NaN for none.
    """
    table = np.array([list(values) for values in recalls.values()], np.float64).T
    if table.shape != (len(classes), len(recalls)):
        raise DataError(f"recall table: found shape {table.shape}, expected (class, classifier)")
    with np.errstate(invalid="ignore"):
        order = np.argsort(-np.nan_to_num(np.nanmean(table, axis=1), nan=-1.0), kind="stable")
    n = len(classes)
    figure = new_figure(2.3 + 0.78 * len(recalls), 1.7 + (0.3 if n <= 20 else 0.2) * n)
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_invalid(table[order]), cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isfinite(table[order])):
        value = table[order][row, column]
        axes.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center",
            fontsize=9 if n <= 20 else 7, color=PAPER if value > 0.6 else INK,
        )  # fmt: skip
    axes.set_xticks(
        range(len(recalls)),
        [in_lines(name, 22) for name in recalls],
        rotation=30,
        ha="left",
        fontsize=8.5,
        rotation_mode="anchor",
    )
    axes.xaxis.tick_top()
    axes.set_yticks(range(n), [short(classes)[i] for i in order], fontsize=9 if n <= 20 else 7.5)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_xticks(np.arange(len(recalls) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)
    return figure
