"""Both arms in each fold and draw, joined in pairs: does the gain hold everywhere?"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from semisonic.evaluation.outcome import Comparison
from semisonic.evaluation.plots.style import (
    ARM_MARKERS,
    CONTROL,
    INK,
    LINE,
    MUTED,
    PAPER,
    TREATED,
    new_figure,
    percent_axis,
    styled,
)

_HALF = 0.17


@styled
def fold_values(comparison: Comparison, title: str = "") -> Figure:
    """One line per fold and draw from the control's accuracy to the other arm's.

    Short bars are the means of a fold; the last column joins the means over all folds.
    """
    numbers = sorted({pair.fold for pair in comparison.folds})
    figure = new_figure(max(4.6, 2.0 + 0.62 * (len(numbers) + 1)), 3.5)
    axes = figure.add_subplot()
    for place, number in enumerate(numbers):
        pairs = [pair for pair in comparison.folds if pair.fold == number]
        for pair in pairs:
            ends = (pair.accuracy_a, pair.accuracy_b)
            axes.plot([place - _HALF, place + _HALF], ends, color=LINE, linewidth=1, zorder=1)
        _dots(axes, place - _HALF, [p.accuracy_a for p in pairs], 0, small=True)
        _dots(axes, place + _HALF, [p.accuracy_b for p in pairs], 1, small=True)
        for shift, colour, values in (
            (-_HALF, CONTROL, [p.accuracy_a for p in pairs]),
            (_HALF, TREATED, [p.accuracy_b for p in pairs]),
        ):
            x = [place + shift - 0.12, place + shift + 0.12]
            if len(pairs) > 1:
                axes.plot(x, [np.mean(values)] * 2, color=colour, linewidth=2, zorder=3)
    last = len(numbers) + 0.15
    axes.axvline(last - 0.58, color=LINE, linewidth=0.8)
    means = (comparison.a.mean, comparison.b.mean)
    axes.plot([last - _HALF, last + _HALF], means, color=MUTED, linewidth=1.4, zorder=1)
    for index, (shift, arm) in enumerate(((-_HALF, comparison.a), (_HALF, comparison.b))):
        _dots(axes, last + shift, [arm.mean], index, small=False, label=arm.name)
    axes.set_xticks([*range(len(numbers)), last], [*map(str, numbers), "all"])
    axes.tick_params(axis="x", length=0)
    axes.get_xticklabels()[-1].set_fontweight("bold")
    axes.get_xticklabels()[-1].set_color(INK)
    axes.set_xlim(-0.6, last + 0.5)
    axes.set_xlabel("test fold")
    axes.set_ylabel("accuracy")
    axes.grid(axis="y")
    percent_axis(axes.yaxis)
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=2, handletextpad=0.3)
    return figure


def _dots(
    axes: object, x: float, values: list[float], index: int, *, small: bool, label: str = ""
) -> None:
    axes.scatter(  # type: ignore[attr-defined]
        [x] * len(values),
        values,
        s=26 if small else 70,
        color=(CONTROL, TREATED)[index],
        marker=ARM_MARKERS[index],
        edgecolor=PAPER,
        linewidth=0.8,
        alpha=0.75 if small else 1.0,
        zorder=2 if small else 4,
        label=label or None,
    )
