"""What an auto-encoder gives back: the truth above, each decoder below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import INK, MUTED, SOUND, bare, new_figure, short, styled


@styled
def reconstructions(
    truth: ArrayLike,
    decoders: Mapping[str, ArrayLike],
    names: Sequence[str] = (),
    *,
    errors: Mapping[str, float] | None = None,
    unit: str = "",
    title: str = "",
) -> Figure:
    """Spectrograms with low bands at the bottom, all on one colour scale.

    Parameters
    ----------
    truth : array of float, shape (n, mel, frame)
    decoders : mapping of str to array, shape (n, mel, frame)
    names : sequence of str
        What each clip is, above its column.
    errors : mapping of str to float, optional
        A number for each decoder (such as its mean squared error), beside its name.
    unit : str
        Of the values, at the colour bar.
    """
    rows = {"truth": np.asarray(truth, dtype=np.float64)}
    rows |= {name: np.asarray(values, dtype=np.float64) for name, values in decoders.items()}
    shape = rows["truth"].shape
    if len(shape) != 3 or not shape[0]:
        raise DataError(f"reconstructions: found shape {shape}, expected (n, mel, frame)")
    for name, values in rows.items():
        if values.shape != shape:
            raise DataError(f"reconstructions: '{name}' has shape {values.shape}, truth {shape}")
    low, high = np.nanpercentile(rows["truth"], [0.5, 99.5])
    n = shape[0]
    figure = new_figure(min(8.4, 1.5 + 1.02 * n), 0.6 + 0.84 * len(rows))
    grid = figure.subplots(len(rows), n, squeeze=False)
    for line, (decoder, values) in zip(grid, rows.items(), strict=True):
        for column, axes in enumerate(line):
            image = axes.imshow(
                values[column], origin="lower", aspect="auto", cmap=SOUND, vmin=low, vmax=high
            )
            bare(axes)
        text = decoder
        if errors and decoder in errors:
            text += f"\n{errors[decoder]:.3g}"
        weight = "bold" if decoder == "truth" else "normal"
        line[0].set_ylabel(
            text, rotation=0, ha="right", va="center", color=INK, fontsize=9, fontweight=weight
        )
    for axes, name in zip(grid[0], short(names, 14), strict=False):
        axes.set_title(name, fontsize=8.5, fontweight="normal", color=MUTED, loc="center", pad=4)
    bar = figure.colorbar(image, ax=grid, shrink=0.6, aspect=22, pad=0.015)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label(unit, fontsize=8.5)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure
