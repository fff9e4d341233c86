"""What an auto-encoder gives back: the truth above, each decoder below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.patches import patches


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
    shape = rows["truth"].shape
    for name, values in decoders.items():
        error = f"\n{errors[name]:.3g}" if errors and name in errors else ""
        rows[f"{name}{error}"] = np.asarray(values, dtype=np.float64)
        if np.shape(values) != shape:
            raise DataError(
                f"reconstructions: '{name}' has shape {np.shape(values)}, truth {shape}"
            )
    return patches(rows, names, unit=unit, title=title)
