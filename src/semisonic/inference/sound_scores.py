"""Scores and embeddings of sounds, from files or from memory, a row each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.inference.predicting import embed_clips, score_clips
from semisonic.inference.prepare import prepare_waves
from semisonic.inference.scoring import embed_rows, score_rows
from semisonic.inference.sounds import Sounds
from semisonic.models import SoundModel
from semisonic.training import choose_device


def apply_model(
    model: SoundModel,
    sounds: Sounds,
    *,
    embed: bool = False,
    device: str = "cpu",
    workers: int | None = None,
) -> NDArray[np.float64]:
    """Scores, shape (n, n_classes), or embeddings, shape (n, dim): means over windows.

    Raises
    ------
    DataError
        When a sound cannot be read.
    """
    if not len(sounds):
        raise DataError("found no sounds, expected at least one")
    if sounds.waves is not None:
        return _apply_to_waves(model, sounds, embed, device)
    function = embed_clips if embed else score_clips
    rows = []
    for clip in function(model, sounds.clips, device=device, workers=workers):
        if clip.reason:
            raise DataError(f"{sounds.clips.ids[clip.row]}: {clip.reason}")
        rows.append(clip.mean)
    return np.stack(rows)


def _apply_to_waves(
    model: SoundModel, sounds: Sounds, embed: bool, device: str
) -> NDArray[np.float64]:
    waves = sounds.at_rate(model.mel.sample_rate).waves or ()
    prepared = prepare_waves(sounds.clips, waves, model.mel)
    place = choose_device(device)
    model.to(place)
    rows = np.arange(len(prepared))
    function = embed_rows if embed else score_rows
    return prepared.per_clip(function(model, prepared.features, rows, device=place), rows)[0]
