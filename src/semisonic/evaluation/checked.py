"""What goes into a number is checked first: shape, range, nothing missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError


def as_classes(values: ArrayLike, name: str, n_classes: int | None = None) -> NDArray[np.int64]:
    """Class numbers as int64, shape (n,): at least one, none negative, none too large."""
    found = np.asarray(values)
    if found.ndim != 1 or found.size == 0:
        raise DataError(f"{name}: found shape {found.shape}, expected (n,) with n > 0")
    if not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"{name}: found {found.dtype}, expected class numbers (whole numbers)")
    classes = found.astype(np.int64)
    if classes.min() < 0:
        row = int(classes.argmin())
        raise DataError(f"{name}: row {row} is {classes[row]}, a clip without a label")
    if n_classes is not None and classes.max() >= n_classes:
        row = int(classes.argmax())
        raise DataError(f"{name}: row {row} is class {classes[row]} of only {n_classes} classes")
    return classes


def as_scores(values: ArrayLike) -> NDArray[np.float64]:
    """Scores as float64, shape (n, n_classes), all finite."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise DataError(f"scores: found shape {scores.shape}, expected (n, n_classes)")
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise DataError(f"scores: row {bad[0]} holds a value that is not finite")
    return scores


def as_targets(values: ArrayLike) -> NDArray[np.bool_]:
    """Labels as booleans, shape (n, n_classes), from 0 and 1."""
    found = np.asarray(values)
    if found.ndim != 2 or found.size == 0:
        raise DataError(f"targets: found shape {found.shape}, expected (n, n_classes)")
    if not np.isin(found, (0, 1)).all():
        raise DataError("targets: found values other than 0 and 1")
    return found.astype(np.bool_)


def as_correct(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Right or wrong, one per clip, shape (n,), or one per draw and clip, shape (n_draws, n)."""
    found = np.asarray(values)
    if found.ndim not in (1, 2) or found.size == 0:
        raise DataError(f"{name}: found shape {found.shape}, expected (n,) or (n_draws, n)")
    if not np.isin(found, (0, 1)).all():
        raise DataError(f"{name}: found values other than right (1) and wrong (0)")
    return found.astype(np.bool_)


def same_length(**arrays: NDArray[Any]) -> None:
    """Raise when the arrays do not have equally many rows."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise DataError(f"not equally many rows: {text}")
