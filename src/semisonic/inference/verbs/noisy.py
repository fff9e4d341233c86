"""Clips whose labels nobody checked, where ``train`` learns them apart from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.inference.methods.options import NoisyOptions
from semisonic.inference.options import SAME, TrainOptions
from semisonic.inference.selection import Selection

Rows = NDArray[np.int64]


def noisy_of(options: TrainOptions) -> NoisyOptions | None:
    """How labels that nobody checked are learned; None: as all others, together with them."""
    if options.noisy_weight == 1.0 and options.noisy_loss == SAME:
        return None
    name = options.loss.loss if options.noisy_loss == SAME else options.noisy_loss
    return NoisyOptions(options.noisy_weight, replace(options.loss, loss=name))


def parts_of(options: TrainOptions, clips: Clips, chosen: Selection) -> tuple[Rows, Rows]:
    """Training clips with checked labels, and those without, where they are told apart.

    Returns
    -------
    rows, noisy : ndarray of int64
        Of ``clips``. All are in the first unless an option tells them apart.

    Raises
    ------
    DataError
        When they are told apart, and one of them is not there.
    """
    if noisy_of(options) is None:
        return chosen.train, chosen.train[:0]
    certain = clips.is_certain[chosen.train]
    if certain.all() or not certain.any():
        raise DataError(
            f"options noisy_weight and noisy_loss: '{clips.name}' has {int(certain.sum())} clips "
            f"with checked labels and {int((~certain).sum())} with unchecked ones to learn from; "
            "expected some of both, as FSDKaggle2018 and 2019 have"
        )
    return chosen.train[certain], chosen.train[~certain]
