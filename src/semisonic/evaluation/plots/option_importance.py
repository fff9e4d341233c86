"""What mattered in a search: the share of the scores' variance that each option explains."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import TREATED, new_figure, percent_axis, styled


@styled
def option_importance(shares: Mapping[str, float], title: str = "") -> Figure:
    """A bar an option, the most important at the top.

    Parameters
    ----------
    shares : mapping of str to float
        0 to 1, by the option's name.
    """
    if not shares:
        raise DataError("importance of options: nothing to draw")
    names = sorted(shares, key=lambda name: shares[name])
    values = np.array([shares[name] for name in names])
    figure = new_figure(6.0, max(2.2, 0.9 + 0.34 * len(names)))
    axes = figure.add_subplot()
    bars = axes.barh(names, values, color=TREATED, height=0.6)
    axes.bar_label(bars, [f"{100 * value:.0f} %" for value in values], padding=3, fontsize=9)
    axes.set_xlim(0, max(float(values.max()) * 1.15, 0.05))
    axes.set_xlabel("share of the variance explained by the option alone")
    percent_axis(axes.xaxis)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_title(title)
    return figure
