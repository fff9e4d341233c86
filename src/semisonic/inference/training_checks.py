"""What a training is given, looked at before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, ModelError, OptionError
from semisonic.features import MelOptions, Standardize
from semisonic.models import SoundModel
from semisonic.models.catalogue import create


def check_rows(target: NDArray[Any], train: Any, held_out: Any, n_classes: int) -> None:
    """See that there are rows to learn from, that they have targets, and that none is in both.

    Raises
    ------
    DataError
    """
    if not len(train):
        raise DataError("training: found no labelled clips to learn from")
    rows = np.concatenate([train, held_out])
    shape = (n_classes,) if target.ndim == 2 else ()
    if target.shape[1:] != shape:
        raise DataError(
            f"training: found targets of shape {target.shape}, expected (n,) or (n, {n_classes})"
        )
    if target.ndim == 1 and len(rows):
        low, high = int(target[rows].min()), int(target[rows].max())
        if low < 0 or high >= n_classes:
            raise DataError(
                f"training: found class numbers {low} to {high}, expected 0 to {n_classes - 1}; "
                "rows without a label belong in pre-training"
            )
    if np.intersect1d(train, held_out).size:
        raise DataError("training: some rows are both learnt from and validated on")


def shares_of_batch(size: int, n_certain: int, n_noisy: int) -> tuple[int, int]:
    """How many rows of a batch are of each part, at least two where there are any.

    Parts are drawn as often as they occur, so both come to the end of a pass together.
    """
    if not n_noisy:
        return size, 0
    if size < 4:
        raise OptionError(
            f"option 'batch_size': found {size}, expected at least 4 where clips with checked and "
            "with unchecked labels share a batch"
        )
    noisy = min(max(2, round(size * n_noisy / (n_certain + n_noisy))), size - 2)
    return size - noisy, noisy


def check_same(
    start: SoundModel, network: str, mel: MelOptions, classes: Sequence[str], multi_label: bool
) -> None:
    """See that a classifier can be trained further.

    Raises
    ------
    ModelError
        When it is of another network, front end or other classes.
    """
    pairs = (
        ("network", start.name, create(network, mel.shape, len(classes)).name),
        ("front end", start.mel, mel),
        ("classes", start.classes, tuple(classes)),
        ("several labels", start.multi_label, multi_label),
    )
    for what, found, expected in pairs:
        if found != expected:
            raise ModelError(
                f"training further: found a classifier with {what} {found}, expected {expected}; "
                "start from its encoder alone"
            )


def take_statistics(model: SoundModel, standardize: Standardize) -> None:
    """Give a model the statistics that its features are standardised by.

    Raises
    ------
    ModelError
        When they were never fitted.
    """
    if not standardize.is_fitted:
        raise ModelError("the standardisation to use was never fitted; call its fit() first")
    model.frontend.standardize.load_state_dict(standardize.state_dict())
