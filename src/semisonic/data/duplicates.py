"""Clips that are the same sound: byte for byte, or after another encoding, level or cut."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import read_start
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.parallel import in_threads
from semisonic.core.progress import track
from semisonic.data.clips import Clips
from semisonic.data.fingerprints import (
    SAMPLE_RATE,
    FingerprintComparison,
    candidates,
    compare,
    fingerprint,
)
from semisonic.data.options import MAX_OFFSET, THRESHOLD


@dataclass(frozen=True)
class Duplicate:
    """Two clips that are the same sound, in whole or in a good part.

    Attributes
    ----------
    kind : {"identical", "near-identical"}
        Same bytes, or same sound.
    first, second : str
        Clip ids.
    first_row, second_row : int
        Row numbers in the table, or for ``second_row`` in the table compared against.
    first_fold, second_fold : int
        Official folds; 0 for none.
    score : float
        1 for identical clips, else the correlation of the waveforms where they overlap.
    offset_time : float
        Seconds by which the second clip lies later in the first.
    shared_time : float
        Seconds in which they agree closely; NaN for identical clips.
    across : bool
        Whether a split may part them: they stand in different folds, or in no fold and in
        different groups, or in different tables.
    same_labels : bool
        False when both carry labels that differ, so that at least one is wrong.
    in_pool : bool
        Whether the second clip is of the table compared against; ids alone do not tell, as
        two tables may use one name for two files.
    """

    kind: str
    first: str
    second: str
    first_row: int
    second_row: int
    first_fold: int
    second_fold: int
    score: float
    offset_time: float
    shared_time: float
    across: bool
    same_labels: bool
    in_pool: bool = False

    def __str__(self) -> str:
        folds = f"folds {self.first_fold} and {self.second_fold}" if self.first_fold else "no folds"
        text = f"{self.kind}: {self.first} and {self.second} ({folds}"
        if self.kind == "near-identical":
            text += (
                f", score {self.score:.2f}, {self.shared_time:.1f} s alike, "
                f"offset {self.offset_time:+.2f} s"
            )
        return text + ("" if self.same_labels else ", DIFFERENT LABELS") + ")"


@dataclass(frozen=True)
class DecodedSound:
    """A row of one of the tables."""

    table: int
    row: int


def may_pair(tables: Sequence[Clips], a: DecodedSound, b: DecodedSound) -> bool:
    """Not two windows of one file in one group: those are known to belong together."""
    x, y = tables[a.table], tables[b.table]
    same_file = x.root / str(x.file[a.row]) == y.root / str(y.file[b.row])
    return not (same_file and x.group[a.row] == y.group[b.row])


def make_pair(
    kind: str,
    tables: Sequence[Clips],
    a: DecodedSound,
    b: DecodedSound,
    numbers: tuple[float, float, float],
) -> Duplicate:
    """A pair with its score, offset and shared time."""
    x, y = tables[a.table], tables[b.table]
    folds = int(x.fold[a.row]), int(y.fold[b.row])
    if a.table != b.table:
        across = True
    elif 0 in folds:
        across = bool(x.group[a.row] != y.group[b.row])
    else:
        across = folds[0] != folds[1]
    labels = set(x.labels[a.row]), set(y.labels[b.row])
    score, offset_time, shared_time = numbers
    return Duplicate(
        kind=kind,
        first=_id(x, a.row),
        second=_id(y, b.row),
        first_row=a.row,
        second_row=b.row,
        first_fold=folds[0],
        second_fold=folds[1],
        score=score,
        offset_time=offset_time,
        shared_time=shared_time,
        across=across,
        same_labels=not all(labels) or labels[0] == labels[1],
        in_pool=b.table > 0,
    )


def _id(clips: Clips, row: int) -> str:
    return clips[row].ids[0]


# Clips with the same bytes, whatever their files are called.


_SAMPLE_BYTES = 4096


def identical(
    tables: Sequence[Clips], sounds: Sequence[DecodedSound]
) -> tuple[list[Duplicate], dict[DecodedSound, list[DecodedSound]]]:
    """Pairs of byte-identical clips, none of them within the second table.

    Returns
    -------
    pairs : list of Duplicate
        Each copy with the first clip of its set.
    copies_of : dict of DecodedSound to list of DecodedSound
        The first clip of each set of identical ones, with its copies, if any.
    """
    paths = [table.paths for table in tables]
    files = {paths[s.table][s.row] for s in sounds}
    names = content_names(files)
    sets: dict[tuple[str, float, float], list[DecodedSound]] = {}
    for sound in sounds:
        table = tables[sound.table]
        end = float(table.end_time[sound.row])
        name = names[paths[sound.table][sound.row]]
        key = (name, float(table.start_time[sound.row]), -1.0 if np.isnan(end) else end)
        sets.setdefault(key, []).append(sound)
    copies_of = {first: copies for first, *copies in sets.values()}
    pairs = [
        make_pair("identical", tables, first, copy, (1.0, 0.0, np.nan))
        for first, copies in copies_of.items()
        for copy in copies
        if first.table == 0 and may_pair(tables, first, copy)
    ]
    return pairs, copies_of


def content_names(files: set[Path]) -> dict[Path, str]:
    """A name for the content of each file: equal for equal bytes.

    A recorder makes thousands of files of one size, so only those are read as a whole whose size,
    beginning, middle and end are equal.
    """
    by_size: dict[int, list[Path]] = {}
    names = {}
    for file in sorted(files):
        names[file] = str(file)
        try:
            by_size.setdefault(os.path.getsize(file), []).append(file)
        except OSError:
            continue  # a missing file is like no other; reading it will report it
    doubtful = [file for same in by_size.values() if len(same) > 1 for file in same]
    by_sample: dict[bytes, list[Path]] = {}
    for file in doubtful:
        with suppress(OSError):
            by_sample.setdefault(_sample(file), []).append(file)
    alike = [file for same in by_sample.values() if len(same) > 1 for file in same]
    for file in track(alike, "hash files that look alike", "file"):
        names[file] = content_hash(file)
    return names


def _sample(file: Path) -> bytes:
    """Size, beginning, middle and end of a file."""
    with open(file, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        parts = [size.to_bytes(8, "little")]
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            parts.append(stream.read(_SAMPLE_BYTES))
    return hashlib.sha256(b"".join(parts)).digest()


# Clips that are the same sound after another encoding, level or cut.


MIN_SHARED = 1.0  # seconds of the same sound that make a pair at any score
MAX_DURATION = 30.0  # seconds of a long clip that are looked at
_CACHED_SOUNDS = 256


def near_identical(
    tables: Sequence[Clips],
    copies_of: Mapping[DecodedSound, Sequence[DecodedSound]],
    threshold: float,
    max_offset: float,
    workers: int | None,
    failures: list[tuple[str, str]],
    known: Mapping[DecodedSound, NDArray[np.int8]] | None = None,
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
    kept: list[list[DecodedSound]] = [[] for _ in tables]
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
    tables: Sequence[Clips], sounds: Sequence[DecodedSound], workers: int | None
) -> list[tuple[NDArray[np.int8], str]]:
    """The fingerprint of each clip, or the reason why there is none."""

    def one(sound: DecodedSound) -> tuple[NDArray[np.int8], str]:
        try:
            return fingerprint(_decode(tables[sound.table], sound.row)), ""
        except AudioError as error:
            return np.zeros((0, 1), np.int8), error.reason

    results = in_threads(one, sounds, workers, ordered=True)
    return list(track(results, "fingerprint", "clip", len(sounds)))


def _verify(
    tables: Sequence[Clips],
    pairs: Sequence[tuple[DecodedSound, DecodedSound]],
    threshold: float,
    max_offset: float,
    workers: int | None,
) -> list[Duplicate]:
    """The candidates whose waveforms agree."""
    decode: Callable[[DecodedSound], NDArray[np.float32]] = lru_cache(_CACHED_SOUNDS)(
        lambda sound: _decode(tables[sound.table], sound.row)
    )

    def comparison(pair: tuple[DecodedSound, DecodedSound]) -> FingerprintComparison:
        return compare(decode(pair[0]), decode(pair[1]), max_offset=max_offset)

    duplicates = []
    compared = in_threads(comparison, pairs, workers, ordered=True)
    results = track(compared, "compare sounds", "pair", len(pairs))
    for (a, b), result in zip(pairs, results, strict=True):
        if result.score >= threshold or result.shared_time >= MIN_SHARED:
            numbers = (result.score, result.offset_time, result.shared_time)
            duplicates.append(make_pair("near-identical", tables, a, b, numbers))
    return duplicates


def _decode(clips: Clips, row: int) -> NDArray[np.float32]:
    """The first 30 s of a clip at 8 kHz."""
    end = float(clips.end_time[row])
    return read_start(
        clips.root / str(clips.file[row]),
        duration=MAX_DURATION,
        sample_rate=SAMPLE_RATE,
        start_time=float(clips.start_time[row]),
        end_time=None if np.isnan(end) else end,
    )


# Clips that are the same sound: byte for byte, or after another encoding, level or cut.
#
# A copy that stands in training and in test makes any result look better than it is. Folders of
# downloaded sounds hold many: the same file under two names, a louder version, a shorter cut.


NEAR_MOST = 5000
"""Clips above which comparing all with all takes so long that it has to be asked for."""


@dataclass(frozen=True)
class DuplicatesFound:
    """Duplicates, worst first, and the clips that could not be read: (id, reason)."""

    duplicates: tuple[Duplicate, ...]
    failures: tuple[tuple[str, str], ...]


def find_duplicates(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
) -> list[Duplicate]:
    """Find clips that are the same sound.

    Parameters
    ----------
    clips : Clips
    against : Clips, optional
        Another table, such as an unlabelled pool. Pairs of one clip from each are then looked
        for, and pairs within ``clips``, but none within ``against``.
    near : bool
        Look for near-identical clips too, which decodes every file. Otherwise bytes only.
    threshold : float
        Smallest correlation, above 0 to 1. Copies score over 0.8, different recordings of the same
        kind of sound under 0.25. Clips that share a second of sound are reported at any score.
    max_offset : float
        Seconds by which one copy may begin later than the other.
    workers : int, optional
        Threads for decoding; the number of processors by default.

    Returns
    -------
    list of Duplicate
        Those across splits first. Several identical clips are each paired with the first of them.
        Windows of one file in one group are never paired: splits keep them together.
        Silent clips are not compared, except byte by byte. Of a clip longer than 30 s the first
        30 s are looked at; cut long recordings with ``windows`` first to look at all of them.
    """
    found = search(
        clips, against, near=near, threshold=threshold, max_offset=max_offset, workers=workers
    )
    return list(found.duplicates)


def search(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
    prints: Mapping[int, NDArray[np.int8]] | None = None,
) -> DuplicatesFound:
    """As :func:`find_duplicates`, with the clips that could not be read.

    ``prints`` are fingerprints of the first 30 s by row of ``clips``, where they are known; rows
    without one are then compared by their bytes only.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"threshold: found {threshold}, expected above 0 to 1")
    if not 0 <= max_offset <= MAX_DURATION:
        raise OptionError(f"max_offset: found {max_offset} s, expected 0 to {MAX_DURATION:g} s")
    tables = [clips] if against is None else [clips, against]
    sounds = [DecodedSound(t, row) for t, table in enumerate(tables) for row in range(len(table))]
    pairs, copies_of = identical(tables, sounds)
    failures: list[tuple[str, str]] = []
    if near:
        known = (
            None
            if prints is None
            else {DecodedSound(0, row): signs for row, signs in prints.items()}
        )
        pairs += near_identical(tables, copies_of, threshold, max_offset, workers, failures, known)
    ordered = sorted(pairs, key=lambda d: (not d.across, d.kind, -d.score, d.first, d.second))
    return DuplicatesFound(tuple(ordered), tuple(failures))


def group_duplicates(clips: Clips, duplicates: Iterable[Duplicate]) -> Clips:
    """Put duplicates within a table into one group, so that no split of ours parts them.

    All clips of the groups concerned come together, under the name that sorts first. Official
    folds stay; see ``move_straddling`` for those.
    """
    parent = {group: group for group in clips.group.tolist()}

    def top(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for pair in duplicates:
        first, second = (top(str(clips.group[row])) for row in (pair.first_row, pair.second_row))
        parent[max(first, second)] = min(first, second)
    merged = [top(group) for group in clips.group.tolist()]
    return clips.with_columns(group=np.array(merged, dtype=np.str_))
