"""Spectrograms beside each other, on one scale of colour and of time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import PAPER, SOUND, new_figure, short, styled

_RANGE_DB = 80.0
_TICKS_HZ = (300, 1000, 3000, 10000)


@styled
def side_by_side(
    panels: Mapping[str, ArrayLike], seconds_per_frame: float, band_hz: ArrayLike
) -> Figure:
    """Features in dB, low bands at the bottom.

    Parameters
    ----------
    panels : mapping of str to array, shape (mel, frame)
        By title. The first one gives the scale; a shorter one leaves the rest blank.
    seconds_per_frame : float
    band_hz : array of float, shape (mel,)
        The middle of each band.
    """
    rows = {name: np.asarray(values, np.float64) for name, values in panels.items()}
    centres = np.asarray(band_hz, np.float64)
    if not rows or any(v.ndim != 2 or len(v) != len(centres) for v in rows.values()):
        shapes = ", ".join(str(values.shape) for values in rows.values()) or "nothing"
        raise DataError(f"side by side: found {shapes}, expected ({len(centres)}, frame) each")
    top = float(next(iter(rows.values())).max())
    longest = max(values.shape[1] for values in rows.values()) * seconds_per_frame
    figure = new_figure(9.4, 1.95)
    grid = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    for axes, name, values in zip(grid, short([*rows], 40), rows.values(), strict=True):
        image = axes.imshow(
            values, origin="lower", aspect="auto", cmap=SOUND, vmin=top - _RANGE_DB, vmax=top,
            extent=(0, values.shape[1] * seconds_per_frame, -0.5, len(values) - 0.5),
            interpolation="nearest",
        )  # fmt: skip
        axes.set_facecolor(PAPER)
        axes.set_xlim(0, longest)
        axes.set_title(name, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=longest > 3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    shown = [hz for hz in _TICKS_HZ if centres[0] <= hz <= centres[-1]]
    grid[0].yaxis.set_major_locator(
        FixedLocator(np.interp(shown, centres, np.arange(len(centres))).tolist())
    )
    grid[0].yaxis.set_minor_locator(NullLocator())
    grid[0].set_yticklabels([f"{hz:g}" for hz in shown])
    grid[0].set_ylabel("Hz")
    bar = figure.colorbar(image, ax=grid, pad=0.012, aspect=14)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label("dB", fontsize=8.5)
    return figure
