"""Clips that are the same sound after another encoding, level or cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semisonic import audio
from semisonic.base.errors import AudioError
from semisonic.base.progress import track
from semisonic.data.checks.fingerprint import SAMPLE_RATE, fingerprint
from semisonic.data.checks.match import Comparison, candidates, compare
from semisonic.data.checks.pair import Duplicate, Sound, make_pair, may_pair
from semisonic.data.clips import Clips
from semisonic.data.workers import count_workers

MIN_SHARED = 1.0  # seconds of the same sound that make a pair at any score
MAX_DURATION = 30.0  # seconds of a long clip that are looked at
_CACHED_SOUNDS = 256


def near_identical(
    tables: Sequence[Clips],
    copies_of: Mapping[Sound, Sequence[Sound]],
    threshold: float,
    max_offset: float,
    workers: int | None,
    failures: list[tuple[str, str]],
    known: Mapping[Sound, NDArray[np.int8]] | None = None,
) -> list[Duplicate]:
    """Pairs of the same sound; clips that cannot be read are added to ``failures``.

    With ``known`` fingerprints nothing is decoded to make them, and other clips are left out;
    only the starts of clips that may be copies are read, to be compared closely.

    One clip of each set of identical ones is looked at. Within a table that is enough; of a pool,
    all copies of what is found are named, so that they can all be left out.
    """
    ids = [table.ids for table in tables]
    sounds = [sound for sound in copies_of if known is None or sound in known]

    if known is not None:
        found = [(known[sound], "") for sound in sounds]
    else:
        found = _fingerprints(tables, sounds, workers)
    prints: list[list[NDArray[np.int8]]] = [[] for _ in tables]
    kept: list[list[Sound]] = [[] for _ in tables]
    for sound, (signs, reason) in zip(sounds, found, strict=True):
        if reason:
            failures.append((ids[sound.table][sound.row], reason))
        else:
            prints[sound.table].append(signs)
            kept[sound.table].append(sound)
    pairs = [(kept[0][i], kept[0][j]) for i, j in candidates(prints[0], max_offset=max_offset)]
    if len(tables) > 1:
        across = candidates(prints[0], prints[1], max_offset=max_offset)
        pairs += [(kept[0][i], kept[1][j]) for i, j in across]
        pairs += [(a, twin) for a, b in pairs if b.table for twin in copies_of[b]]
    pairs = [(a, b) for a, b in pairs if may_pair(tables, a, b)]
    return _verify(tables, pairs, threshold, max_offset, workers)


def _fingerprints(
    tables: Sequence[Clips], sounds: Sequence[Sound], workers: int | None
) -> list[tuple[NDArray[np.int8], str]]:
    """The fingerprint of each clip, or the reason why there is none."""

    def one(sound: Sound) -> tuple[NDArray[np.int8], str]:
        try:
            return fingerprint(_decode(tables[sound.table], sound.row)), ""
        except AudioError as error:
            return np.zeros((0, 1), np.int8), error.reason

    with ThreadPoolExecutor(count_workers(workers)) as pool:
        return list(track(pool.map(one, sounds), "fingerprint", "clip", len(sounds)))


def _verify(
    tables: Sequence[Clips],
    pairs: Sequence[tuple[Sound, Sound]],
    threshold: float,
    max_offset: float,
    workers: int | None,
) -> list[Duplicate]:
    """The candidates whose waveforms agree."""
    decode: Callable[[Sound], NDArray[np.float32]] = lru_cache(_CACHED_SOUNDS)(
        lambda sound: _decode(tables[sound.table], sound.row)
    )

    def heard(pair: tuple[Sound, Sound]) -> Comparison:
        return compare(decode(pair[0]), decode(pair[1]), max_offset=max_offset)

    duplicates = []
    with ThreadPoolExecutor(count_workers(workers)) as pool:
        results = list(track(pool.map(heard, pairs), "compare sounds", "pair", len(pairs)))
    for (a, b), result in zip(pairs, results, strict=True):
        if result.score >= threshold or result.shared_time >= MIN_SHARED:
            numbers = (result.score, result.offset_time, result.shared_time)
            duplicates.append(make_pair("near-identical", tables, a, b, numbers))
    return duplicates


def _decode(clips: Clips, row: int) -> NDArray[np.float32]:
    """The first 30 s of a clip at 8 kHz."""
    end = float(clips.end_time[row])
    return audio.read_start(
        clips.root / str(clips.file[row]),
        duration=MAX_DURATION,
        sample_rate=SAMPLE_RATE,
        start_time=float(clips.start_time[row]),
        end_time=None if np.isnan(end) else end,
    )
