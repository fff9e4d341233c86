"""Calibrating a model with sounds that a user has at hand in Python."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.errors import DataError
from semisonic.inference.datasets import as_classes_of
from semisonic.inference.deciding.fitting import MIN_CLIPS, Fitted, Held, fit_decision
from semisonic.inference.provenance import (
    WITH_LABELS,
    Overlap,
    Part,
    overlaps,
    recording_hashes,
)
from semisonic.inference.sounds import Sounds
from semisonic.models import SoundModel

ROLE = "calibration"


def calibrate_model(
    model: SoundModel,
    sounds: Sounds,
    about: MutableMapping[str, Any],
    *,
    cache: Path,
    method: str,
    precision: float,
    unknown: str,
    seed: int,
    workers: int | None = None,
) -> Fitted:
    """Give a model a decision fitted by some labelled sounds; write into ``about`` which.

    Raises
    ------
    DataError
        For sounds without labels, with unknown ones, of files that were trained on, or too few.
    """
    if not sounds.clips.is_labelled.all():
        raise DataError("calibration: some sounds have no label, expected one for each")
    clips, _ = as_classes_of(sounds.clips, model.classes)
    part = None
    if sounds.waves is None:
        hashes = recording_hashes(clips, workers=workers)
        seen = learned_from(overlaps(clips, hashes, about))
        if seen:
            raise DataError(
                f"these sounds cannot calibrate: {'; '.join(o.text() for o in seen)}; expected "
                "other recordings"
            )
        part = Part.of(clips, hashes).to_dict()
    prepared = sounds.prepare(model.mel, cache, workers)
    model.to("cpu")
    held = Held.of(model, prepared, np.arange(len(prepared)), clips)
    check_enough(held)
    fitted = fit_decision(
        model, held, method=method, precision=precision, unknown=unknown, seed=seed
    )
    model.decision = fitted.decision
    about.pop(ROLE, None)
    if part is not None:
        about[ROLE] = part
    return fitted


def learned_from(found: list[Overlap]) -> list[Overlap]:
    """The overlaps by which clips are no others than those a model learned from."""
    return [o for o in found if o.files and o.role in WITH_LABELS and o.role != ROLE]


def check_enough(held: Held) -> None:
    """See that there are enough clips to calibrate by.

    Raises
    ------
    DataError
    """
    n, recordings = len(held.clips), len(np.unique(held.clips.group))
    if n < MIN_CLIPS or recordings < 2:
        raise DataError(
            f"calibration: found {n} clips of {recordings} recordings, expected at least "
            f"{MIN_CLIPS} clips of 2; some hundred make it worth while"
        )
