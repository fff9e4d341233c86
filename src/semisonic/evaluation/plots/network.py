"""Figures of spectrograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import (
    INK,
    MUTED,
    SOUND,
    bare,
    colour_bar,
    new_figure,
    short,
    styled,
)


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
        By what stands before the row, the first in bold letters.
    names : sequence of str
        What each column is, above it.
    unit : str
        Of the values, at the colour bar.

    Raises
    ------
    DataError
        When there is nothing to draw, or a row has another shape than the first.
    """
    values = {name: np.asarray(row, dtype=np.float64) for name, row in rows.items()}
    first = next(iter(values), "")
    shape = values[first].shape if values else ()
    if len(shape) != 3 or not shape[0]:
        raise DataError(f"patches: found shape {shape}, expected (n, mel, frame)")
    for name, row in values.items():
        if row.shape != shape:
            raise DataError(f"patches: '{name}' has shape {row.shape}, '{first}' {shape}")
    low, high = np.nanpercentile(values[first], [0.5, 99.5])
    n = shape[0]
    figure = new_figure(min(8.4, 1.5 + 1.02 * n), 0.6 + 0.84 * len(values))
    grid = figure.subplots(len(values), n, squeeze=False)
    for line, (name, row) in zip(grid, values.items(), strict=True):
        for column, axes in enumerate(line):
            image = axes.imshow(
                row[column], origin="lower", aspect="auto", cmap=SOUND, vmin=low, vmax=high
            )
            bare(axes)
        weight = "bold" if name == first else "normal"
        line[0].set_ylabel(
            name, rotation=0, ha="right", va="center", color=INK, fontsize=9, fontweight=weight
        )
    for axes, name in zip(grid[0], short(names, 14), strict=False):
        axes.set_title(name, fontsize=8.5, fontweight="normal", color=MUTED, loc="center", pad=4)
    colour_bar(figure, image, grid, unit, shrink=0.6, aspect=22)
    return figure
