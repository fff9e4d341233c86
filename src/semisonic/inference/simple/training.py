"""A simple classifier as a model: fitted to the statistics of labelled clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.scoring import embed_rows, score_rows
from semisonic.inference.simple.keeping import fit_head
from semisonic.models import SoundModel
from semisonic.models.simple.heads import SimpleHead
from semisonic.training import FitResult


def fit_simple(
    model: SoundModel,
    features: Any,
    target: NDArray[Any],
    train: NDArray[np.int64],
    seed: int,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> FitResult:
    """Fit the head of a model; see :func:`fit_head`.

    Parameters
    ----------
    model : SoundModel
        Of a simple classifier's name, on the CPU.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB, or waves.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels per clip.
    train : ndarray of int64
        Labelled rows.
    seed : int
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        Its history has one row: ``accuracy`` of the labelled clips, with one label per clip.
    """
    begun = perf_counter()
    head = cast(SimpleHead, model.head[-1])
    x = embed_rows(model, features, train)
    fit_head(model.name, head, x, target[train], seed)
    row: dict[str, float] = {"epoch": 1.0}
    if target.ndim == 1:
        best = score_rows(model, features, train).argmax(axis=1)
        row["accuracy"] = float((best == target[train]).mean())
    if validate is not None:
        row |= {f"val_{name}": value for name, value in validate().items()}
    return FitResult([row], 1, 1, perf_counter() - begun, "fp64", False)
