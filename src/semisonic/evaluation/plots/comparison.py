"""The gain in each setting with its interval: which leave out zero?"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from semisonic.base.errors import DataError
from semisonic.base.wording import p_text, points
from semisonic.evaluation.outcome import Comparison
from semisonic.evaluation.plots.style import (
    CONTROL,
    INK,
    MUTED,
    OPEN,
    PAPER,
    TREATED,
    in_lines,
    new_figure,
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
def comparison(comparisons: Sequence[Comparison], title: str = "", *, measured: str = "") -> Figure:
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
        text = f"{points(one.difference, signed=True)}   {p_text(one.p)}".replace("-", "−")
        axes.annotate(
            text,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=INK if one.outcome != "open" else MUTED,
        )
    axes.set_yticks(range(n), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(n - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    points_axis(axes.xaxis)
    first = comparisons[0]
    what = measured or f"{first.b.name} minus {first.a.name}"
    axes.set_xlabel(f"{what}, percentage points")
    axes.set_title(title)
    return figure
