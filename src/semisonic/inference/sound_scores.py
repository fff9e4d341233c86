"""Scores and embeddings of sounds, from files or from memory, a row each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.inference.predicting import ClipScores, embed_clips, score_clips
from semisonic.inference.prepare import Prepared, prepare_waves
from semisonic.inference.scoring import Scored, answer_rows, embed_rows, settle
from semisonic.inference.sounds import Sounds
from semisonic.models import SoundModel
from semisonic.training import choose_device


def say_of(
    model: SoundModel, sounds: Sounds, *, device: str = "cpu", workers: int | None = None
) -> Scored:
    """Scores, shape (n, n_classes), and how known each sound is: means over windows.

    Raises
    ------
    DataError
        When a sound cannot be read.
    """
    _check(sounds)
    if sounds.waves is not None:
        prepared, rows, place = _waves(model, sounds, device)
        said = answer_rows(model, prepared.features, rows, device=place)
        known = prepared.per_clip(said.known[:, None], rows)[0][:, 0]
        return Scored(prepared.per_clip(said.scores, rows)[0], known)
    clips = list(_read(score_clips(model, sounds.clips, device=device, workers=workers), sounds))
    known = np.array([clip.mean_known for clip in clips])
    return Scored(np.stack([clip.mean for clip in clips]), known)


def embed_sounds(
    model: SoundModel, sounds: Sounds, *, device: str = "cpu", workers: int | None = None
) -> NDArray[np.float64]:
    """Embeddings, shape (n, dim): means over windows.

    Raises
    ------
    DataError
        When a sound cannot be read.
    """
    _check(sounds)
    if sounds.waves is not None:
        prepared, rows, place = _waves(model, sounds, device)
        return prepared.per_clip(embed_rows(model, prepared.features, rows, device=place), rows)[0]
    clips = _read(embed_clips(model, sounds.clips, device=device, workers=workers), sounds)
    return np.stack([clip.mean for clip in clips])


def _check(sounds: Sounds) -> None:
    if not len(sounds):
        raise DataError("found no sounds, expected at least one")


def _read(clips: Iterable[ClipScores], sounds: Sounds) -> Iterator[ClipScores]:
    for clip in clips:
        if clip.reason:
            raise DataError(f"{sounds.clips.ids[clip.row]}: {clip.reason}")
        yield clip


def _waves(
    model: SoundModel, sounds: Sounds, device: str
) -> tuple[Prepared, NDArray[np.int64], torch.device]:
    waves = sounds.at_rate(model.mel.sample_rate).waves or ()
    prepared = prepare_waves(sounds.clips, waves, model.mel)
    place = choose_device(device)
    settle(model, place)
    return prepared, np.arange(len(prepared)), place
