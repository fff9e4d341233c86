"""The loss while the learning rate rises, and the rate that is suggested."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import CONTROL, MUTED, TREATED, new_figure, styled

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
    if not len(x) or not len(x) == len(dots) == len(line):
        raise DataError(f"rate sweep: found {len(x)} rates and {len(line)} losses to draw")
    figure = new_figure(6.0, 3.6)
    axes = figure.add_subplot()
    axes.scatter(x, dots, s=10, color=MUTED, alpha=0.5, linewidth=0, label="a step")
    axes.plot(x, line, color=TREATED, label="moving average")
    axes.set_xscale("log")
    low = min(dots.min(), line.min())
    height = max(line[0] - low, 1e-9)
    axes.set_ylim(low - 0.1 * height, max(line[0] + HEADROOM * height, np.median(dots)))
    if suggestion is not None:
        axes.axvline(suggestion, color=CONTROL, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"suggested: {suggestion:.2g}", (suggestion, 1), xycoords=("data", "axes fraction"),
            xytext=(4, -4), textcoords="offset points", va="top", color=CONTROL,
        )  # fmt: skip
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.grid(axis="y")
    axes.set_title(title)
    axes.legend(loc="lower left")
    return figure
