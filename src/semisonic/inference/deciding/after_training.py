"""What ``train`` does by itself with validation clips: a temperature, a rule for unknown sounds.

The validation clips also chose the epoch, so the network does a little better on them than on
others. One temperature can hardly learn that by heart; vector scaling, isotonic and thresholds
could, so they are left to ``calibrate``, on clips of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from semisonic.base.calibration import TEMPERATURE
from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.inference.deciding.fitting import MIN_CLIPS, Held, fit_decision
from semisonic.inference.prepare import Prepared
from semisonic.models import SoundModel

LATER = "calibrate the scores with 'semisonic calibrate' on clips that were not trained on"


def calibrate_by_validation(
    model: SoundModel, prepared: Prepared, rows: Any, clips: Clips, *, seed: int
) -> str:
    """Give a freshly trained model its decision, if there are clips enough; say what was done.

    Parameters
    ----------
    model : SoundModel
        On the CPU; its ``decision`` is replaced.
    prepared : Prepared
    rows : array of int
        Rows of features of the validation part.
    clips : Clips
        The table that ``prepared`` was made of.
    """
    n = prepared.n_clips(rows)
    if n < MIN_CLIPS:
        return f"scores are not calibrated: {n} validation clips, expected {MIN_CLIPS}; {LATER}"
    held = Held.of(model, prepared, rows, clips)
    recordings = len(np.unique(held.clips.group))
    if recordings < 2:
        raise DataError(f"validation part: found clips of {recordings} recording, expected 2")
    found = fit_decision(model, held, method=TEMPERATURE, thresholds=False, seed=seed).decision
    note = {**found.note, "fitted on": "validation clips, which also chose the epoch"}
    model.decision = replace(found, note=note)
    return (
        f"scores calibrated by {n} validation clips ({found.calibration.text()}), with a rule for "
        f"unknown sounds ({', '.join(found.unknown.names)}); for thresholds, {LATER}"
    )
