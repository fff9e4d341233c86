"""Copies among the sounds of a training: kept on one side of a split, and out of the pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.resample import resample
from semisonic.classifier.sounds import Sounds
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.duplicates import CleanPool, clean_pool, group_rows
from semisonic.data.fingerprints import SAMPLE_RATE as PRINT_RATE
from semisonic.data.fingerprints import Fingerprint, fingerprint
from semisonic.data.recordings import AUTO, known_recordings
from semisonic.data.sound_index import SoundIndex


def with_recordings(
    sounds: Sounds,
    group: str = AUTO,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> tuple[Sounds, tuple[str, ...]]:
    """Sounds with copies in one group, if their recordings are not known; and a message."""
    if sounds.waves is not None:
        return _arrays_together(sounds, near)
    found = known_recordings(sounds.clips, group, near=near, workers=workers, cache=cache)
    return replace(sounds, clips=found.clips), found.notes


def clean_sounds(
    pool: Sounds,
    known: Sounds,
    apart: Clips | None = None,
    *,
    near: bool,
    workers: int | None = None,
    cache: Path | None = None,
) -> tuple[Sounds, tuple[str, ...]]:
    """The pool without labels and without copies of known sounds; and a message.

    Parameters
    ----------
    pool, known : Sounds
    apart : Clips, optional
        Clips that are tested or that validate: other clips of their recordings are left out, too.
    near : bool
        Also find copies that were cut or changed; else only equal ones.
    workers : int, optional
    cache : Path, optional
        Folder that keeps fingerprints of files.
    """
    notes: list[str] = []
    if apart is not None:
        rest = without_recordings(pool, apart)
        if n := len(pool) - len(rest):
            what = "is another clip" if n == 1 else "are other clips"
            notes.append(
                f"{count_text(n, 'clip')} of the pool {what} of recordings that are tested or "
                "validate, and left out."
            )
        pool = rest
    if pool.waves is not None and known.waves is not None:
        same = np.zeros(len(pool), np.bool_)
        same[[row for row, _ in _copies(pool, known, near)]] = True
        pool = pool[~same]
        clean = CleanPool(pool.clips.without_labels(), 0, int(same.sum()))
    elif pool.waves is not None or known.waves is not None:
        return replace(pool, clips=pool.clips.without_labels()), tuple(notes)
    else:
        clean = clean_pool(pool.clips, known.clips, near=near, workers=workers, cache=cache)
    return replace(pool, clips=clean.clips), (*notes, *clean.notes())


def without_recordings(pool: Sounds, tested: Clips) -> Sounds:
    """The pool without clips of tested recordings, as far as groups name them.

    Groups of one folder are compared. Those of two folders, and of arrays, are if they are names of
    their own, not files.
    """
    names = tested.group
    own = np.ones(len(pool), np.bool_)
    if pool.waves is not None or pool.clips.root.resolve() != tested.root.resolve():
        names = names[tested.group != tested.file]
        own = pool.clips.group != pool.clips.file
    return pool[~(own & np.isin(pool.clips.group, names))]


def _arrays_together(sounds: Sounds, near: bool) -> tuple[Sounds, tuple[str, ...]]:
    """Arrays with copies in one group, unless groups were given."""
    if not (sounds.clips.group == sounds.clips.file).all():
        return sounds, ()
    pairs = [(one, two) for two, found in _copies(sounds, sounds, near) for one in found]
    pairs = [(one, two) for one, two in pairs if one < two]
    if not pairs:
        return sounds, ()
    note = f"{count_text(len(pairs), 'pair')} of copies kept together in every split."
    return replace(sounds, clips=group_rows(sounds.clips, pairs)), (note,)


def _copies(sounds: Sounds, known: Sounds, near: bool) -> Iterator[tuple[int, list[int]]]:
    """Each array, and the known arrays that it is a copy of; only those that are one."""
    same_rate = sounds.sample_rate == known.sample_rate
    equal: dict[bytes, list[int]] = {}
    for row, wave in enumerate(known.waves or () if same_rate else ()):
        equal.setdefault(sha256(wave.tobytes()).digest(), []).append(row)
    index = SoundIndex([_print(wave, known.sample_rate) for wave in known.waves or () if near])
    for row, wave in enumerate(sounds.waves or ()):
        rows = set(equal.get(sha256(wave.tobytes()).digest(), ()))
        if near:
            rows |= {found.row for found in index.find(_print(wave, sounds.sample_rate))}
        if rows:
            yield row, sorted(rows)


def _print(wave: NDArray[np.float32], sample_rate: int) -> Fingerprint:
    return fingerprint([resample(wave, sample_rate, PRINT_RATE)])
