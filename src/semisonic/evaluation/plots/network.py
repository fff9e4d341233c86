"""Figures of what a network was given and what it learnt: patches, filters, embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.core.errors import DataError
from semisonic.evaluation.plots.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    DIVERGING,
    INK,
    LINE,
    MUTED,
    PAPER,
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


_PER_ROW = 8
_MOST_FILTERS = 64


@styled
def filters(weights: ArrayLike, title: str = "") -> Figure:
    """Kernels of the first layer as a mosaic, each scaled to its own largest weight.

    Parameters
    ----------
    weights : array of float, shape (n_filters, mel, frame)
        Up to 64 are shown, the strongest first.
    """
    table = np.asarray(weights, dtype=np.float64)
    if table.ndim != 3 or not table.size:
        raise DataError(f"filters: found shape {table.shape}, expected (filter, mel, frame)")
    strength = np.square(table).sum(axis=(1, 2))
    table = table[np.argsort(-strength, kind="stable")[:_MOST_FILTERS], ::-1]
    largest = np.abs(table).max(axis=(1, 2), keepdims=True)
    n, height, width = table.shape
    columns = min(_PER_ROW, n)
    rows = -(-n // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)  # a gap between kernels
    tiles[:n, :height, :width] = table / np.where(largest > 0, largest, 1.0)
    grid = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    mosaic = grid.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]
    figure = new_figure(3.8, 0.5 + 0.43 * max(rows, 4))
    axes = figure.add_subplot()
    axes.imshow(mosaic, cmap=DIVERGING, vmin=-1, vmax=1)
    bare(axes)
    axes.set_title(title, color=MUTED, fontweight="normal", fontsize=9.5)
    return figure


_MOST_NAMED = 24
_NAME_COLUMNS = 3


@styled
def embedding_map(
    points: ArrayLike, targets: ArrayLike, classes: Sequence[str], title: str = ""
) -> Figure:
    """A point per clip; its class is its colour and its shape.

    Parameters
    ----------
    points : array of float, shape (n, 2)
    targets : array of int, shape (n,)
        Class numbers.
    """
    where, what = np.asarray(points, dtype=np.float64), np.asarray(targets)
    if where.shape != (len(what), 2) or not len(what):
        raise DataError(f"embedding map: found points of shape {where.shape}")
    is_named = len(classes) <= _MOST_NAMED
    rows_of_names = -(-len(classes) // _NAME_COLUMNS) if is_named else 0
    figure = new_figure(4.6, 3.9 + 0.22 * rows_of_names)
    axes = figure.add_subplot()
    for number, name in enumerate(short(classes)):
        x, y = where[what == number].T
        axes.scatter(
            x,
            y,
            s=24,
            alpha=0.85,
            linewidth=0.5,
            color=CLASS_COLOURS[number % len(CLASS_COLOURS)],
            marker=CLASS_MARKERS[(number + number // len(CLASS_COLOURS)) % len(CLASS_MARKERS)],
            edgecolor=PAPER,
            label=name,
        )
    bare(axes)
    axes.spines[:].set(visible=True, color=LINE)
    axes.margins(0.06)
    axes.set_title(title, fontsize=9.5, fontweight="normal")
    if is_named:
        figure.legend(
            loc="outside lower center",
            ncols=_NAME_COLUMNS,
            handletextpad=0.1,
            columnspacing=1.2,
        )
    return figure
