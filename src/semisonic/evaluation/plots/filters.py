"""What the first layer looks for: its kernels, as one mosaic an arm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import DIVERGING, MUTED, bare, new_figure, styled

_PER_ROW = 8
_MOST = 64


@styled
def filters(weights: Mapping[str, ArrayLike], title: str = "") -> Figure:
    """Kernels of the first input channel, each scaled to its own largest weight.

    Parameters
    ----------
    weights : mapping of str to array, shape (n_filters, channel, mel, frame)
        One entry an arm; up to 64 filters are shown, the strongest first.
    """
    if not weights:
        raise DataError("filters: no weights to draw")
    tables = {arm: _kernels(arm, values) for arm, values in weights.items()}
    most_rows = max(-(-len(table) // _PER_ROW) for table in tables.values())
    figure = new_figure(min(8.4, 0.2 + 3.6 * len(tables)), 0.5 + 0.43 * most_rows)
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (arm, table) in zip(grid, tables.items(), strict=True):
        axes.imshow(_mosaic(table), cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
        bare(axes)
        axes.set_title(arm, color=MUTED, fontweight="normal", fontsize=9.5)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


def _kernels(arm: str, values: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 4 or not table.size:
        raise DataError(
            f"filters: '{arm}' has shape {table.shape}, expected (filter, channel, mel, frame)"
        )
    table = table[:, 0]
    strength = np.square(table).sum(axis=(1, 2))
    return table[np.argsort(-strength, kind="stable")[:_MOST]]


def _mosaic(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernels side by side with a gap of NaN between, the first at the top left."""
    n, height, width = table.shape
    columns = min(_PER_ROW, n)
    rows = -(-n // columns)
    out = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, kernel in enumerate(table):
        row, column = rows - 1 - i // columns, i % columns
        top, left = row * (height + 1), column * (width + 1)
        largest = np.abs(kernel).max()
        out[top : top + height, left : left + width] = kernel / (largest or 1.0)
    return out
