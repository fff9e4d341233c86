"""How often each value occurs."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import TREATED, new_figure, styled

_MOST_BARS = 40
_WIDE = 20.0  # from this ratio of the largest to the smallest value on, the axis is logarithmic


@styled
def histogram(values: ArrayLike, label: str, *, counted: str = "files", title: str = "") -> Figure:
    """Bars of equal width; on a logarithmic axis when positive values differ widely.

    Parameters
    ----------
    values : array of float, shape (n,)
        Those that are not finite are left out.
    label : str
        What the values are, with their unit.
    counted : str
        What there is one value of.
    """
    x = np.asarray(values, np.float64).ravel()
    x = x[np.isfinite(x)]
    if not len(x):
        raise DataError(f"histogram of {label}: no finite value")
    low, high = float(x.min()), float(x.max())
    is_wide = low > 0 and high / low >= _WIDE
    n_bars = int(np.clip(2 * np.sqrt(len(x)), 8, _MOST_BARS))
    if low == high:
        edges = np.array([low - 0.5, high + 0.5]) if low == 0 else np.array([0.9, 1.1]) * low
        edges.sort()
    elif is_wide:
        edges = np.geomspace(low, high * (1 + 1e-9), n_bars + 1)
    else:
        edges = np.linspace(low, high, n_bars + 1)
    figure = new_figure(5.2, 2.7)
    axes = figure.add_subplot()
    heights, _ = np.histogram(x, edges)
    axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=TREATED, linewidth=0)
    if is_wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel(label)
    axes.set_ylabel(counted)
    axes.set_title(title)
    return figure
