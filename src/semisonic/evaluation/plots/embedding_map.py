"""Clips as points, near each other when the network finds them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    LINE,
    PAPER,
    new_figure,
    short,
    styled,
)

_MOST_NAMED = 24


@styled
def embedding_map(
    maps: Mapping[str, tuple[ArrayLike, ArrayLike]], classes: Sequence[str], title: str = ""
) -> Figure:
    """One panel an arm; the class is colour and shape of a point.

    Parameters
    ----------
    maps : mapping of str to (points, targets)
        Points of shape (n, 2) and class numbers of shape (n,).
    """
    if not maps:
        raise DataError("embedding map: nothing to draw")
    named = len(classes) <= _MOST_NAMED
    columns = 5 if len(maps) > 1 else 3
    rows_of_names = -(-len(classes) // columns) if named else 0
    figure = new_figure(min(8.0, 1.0 + 3.6 * len(maps)), 3.9 + 0.22 * rows_of_names)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (arm, (points, targets)) in zip(panels, maps.items(), strict=True):
        where, what = np.asarray(points, dtype=np.float64), np.asarray(targets)
        if where.shape != (len(what), 2) or not len(what):
            raise DataError(f"embedding map: '{arm}' has points of shape {where.shape}")
        for number in np.unique(what):
            inside = what == number
            axes.scatter(*where[inside].T, s=24, alpha=0.85, linewidth=0.5, **_look(int(number)))
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(LINE)
        axes.margins(0.06)
        axes.set_title(arm, fontsize=9.5, fontweight="normal")
    if named:
        handles = [
            Line2D([], [], linestyle="", label=name, markersize=6, **_line_look(i))
            for i, name in enumerate(short(classes))
        ]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            handletextpad=0.1,
            columnspacing=1.2,
        )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _look(number: int) -> dict[str, str]:
    marker = CLASS_MARKERS[(number + number // len(CLASS_COLOURS)) % len(CLASS_MARKERS)]
    colour = CLASS_COLOURS[number % len(CLASS_COLOURS)]
    return {"color": colour, "marker": marker, "edgecolor": PAPER}


def _line_look(number: int) -> dict[str, Any]:
    look = _look(number)
    return {"color": look["color"], "marker": look["marker"], "markeredgecolor": PAPER}
