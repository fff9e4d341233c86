"""Find clips of the same sound: byte for byte, or with another encoding, level or cut.

A copy in both training and test makes a result look better than it is. Folders of downloaded
sounds contain many: the same file under two names, a louder version, a shorter cut, a clip and the
night that it was cut from. Sounds are compared by their fingerprints, at any offset
(:mod:`semisonic.data.sound_index`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semisonic.audio.read import probe
from semisonic.core.files import content_hash
from semisonic.core.progress import track
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.fingerprints import Fingerprint, clip_fingerprints
from semisonic.data.sound_index import SoundIndex, SoundMatch

# Pairs of clips.


@dataclass(frozen=True)
class Duplicate:
    """Two clips of the same sound, in whole or in large part.

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
        1 for identical clips, otherwise the share of the peaks of their spectrograms that agree in
        what they have in common.
    offset_time : float
        Seconds by which the second clip begins later in the first.
    shared_time : float
        Seconds that they have in common; NaN for identical clips.
    across : bool
        Whether a split may separate them: they are in different folds, or in no fold and different
        groups, or in different tables.
    same_labels : bool
        False if both have labels that differ, so that at least one is wrong.
    in_pool : bool
        Whether the second clip is from the other table; ids do not show this, as two tables may
        use one name for two files.
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
                f", score {self.score:.2f}, {self.shared_time:.1f} s in common, offset "
                f"{self.offset_time:+.2f} s"
            )
        return text + ("" if self.same_labels else ", DIFFERENT LABELS") + ")"


class Sound(NamedTuple):
    """A row of one of the tables: 0 for the clips, 1 for the other table."""

    table: int
    row: int
    id: str
    path: Path
    start_time: float
    end_time: float | None
    group: str
    fold: int
    labels: tuple[str, ...]

    def may_pair(self, other: Sound) -> bool:
        """False for two windows of one file in one group, which are known to belong together."""
        return self.path != other.path or self.group != other.group

    def pair(self, other: Sound, kind: str, alike: SoundMatch) -> Duplicate:
        """A pair with its score, offset and shared time."""
        folds = self.fold and other.fold
        parted = self.fold != other.fold if folds else self.group != other.group
        labels = set(self.labels), set(other.labels)
        return Duplicate(
            kind,
            *(self.id, other.id, self.row, other.row, self.fold, other.fold),
            *alike,
            across=self.table != other.table or parted,
            same_labels=not all(labels) or labels[0] == labels[1],
            in_pool=other.table > 0,
        )


def _sounds(table: int, clips: Clips) -> list[Sound]:
    end = [None if np.isnan(time) else time for time in clips.end_time.tolist()]
    columns = (clips.start_time.tolist(), end, clips.group.tolist(), clips.fold.tolist())
    rows = zip(clips.ids, clips.paths, *columns, clips.labels, strict=True)
    return [Sound(table, row, *values) for row, values in enumerate(rows)]


# Clips with the same bytes, whatever their files are called.


_SAMPLE_BYTES = 4096


def content_names(files: set[Path]) -> dict[Path, str]:
    """An identifier of the content of each file: equal for equal bytes.

    A recorder makes thousands of files of one size, so only files with equal size, beginning,
    middle and end are read completely.
    """
    names = {file: str(file) for file in files}
    by_sample: dict[tuple[int, bytes], list[Path]] = {}
    sizes: dict[int, list[Path]] = {}
    for file in sorted(files):
        with suppress(OSError):  # a missing file is like no other; reading it will report it
            status = os.stat(file)
            if stat.S_ISREG(status.st_mode):
                sizes.setdefault(status.st_size, []).append(file)
    for size, same in sizes.items():
        for file in same if len(same) > 1 else ():
            with suppress(OSError):
                by_sample.setdefault((size, _sample(file, size)), []).append(file)
    alike = [file for same in by_sample.values() if len(same) > 1 for file in same]
    for file in track(alike, "hash files that look alike", "file"):
        with suppress(OSError):
            names[file] = content_hash(file)
    return names


def _sample(file: Path, size: int) -> bytes:
    """Beginning, middle and end of a file."""
    parts = []
    with open(file, "rb") as stream:
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            parts.append(stream.read(_SAMPLE_BYTES))
    return hashlib.sha256(b"".join(parts)).digest()


# Both ways together.


def find_duplicates(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
    prints: Mapping[int, Fingerprint] | None = None,
    failures: list[tuple[str, str]] | None = None,
) -> list[Duplicate]:
    """Find clips that are the same sound, in whole or in a part, wherever it stands in them.

    Parameters
    ----------
    clips : Clips
    against : Clips, optional
        Another table, such as an unlabelled pool. The result then has pairs of one clip from each
        and pairs within ``clips``, but none within ``against``.
    near : bool
        Also find near-identical clips, which decodes every file; otherwise compare only bytes.
    workers : int, optional
        Threads for decoding; the number of processors by default.
    cache : Path, optional
        Folder that keeps fingerprints, so that the same files are decoded once.
    prints : mapping of int to Fingerprint, optional
        Known fingerprints by row of ``clips``; rows without one are compared by bytes.
    failures : list, optional
        Receives clips that could not be read, as (id, reason).

    Returns
    -------
    list of Duplicate
        Pairs that a split may separate first, then by score.

    Notes
    -----
    Within a table, each further one of several identical clips is paired with the first of
    them. Windows of one file in one group are never paired, as splits keep them together.
    Silent clips and steady tones are compared by bytes only.

    Examples
    --------
    >>> find_duplicates(load_clips("labelled"), load_clips("later"))
    []
    """
    sounds = _sounds(0, clips) + (_sounds(1, against) if against is not None else [])
    contents = content_names({sound.path for sound in sounds})
    same: dict[tuple[str, float, float | None], list[Sound]] = {}
    for one in sounds:
        same.setdefault((contents[one.path], one.start_time, one.end_time), []).append(one)
    copies_of = {first: copies for first, *copies in same.values()}
    pairs = [
        first.pair(copy, "identical", SoundMatch(1.0, 0.0, np.nan))
        for first, copies in copies_of.items()
        for copy in copies
        if first.table == 0 and first.may_pair(copy)
    ]
    if near:
        unread = [] if failures is None else failures
        mine = [sound for sound in copies_of if sound.table == 0]
        if prints is None:
            made = _fingerprints(clips, mine, unread, workers, cache)
        else:
            made = ((sound, prints[sound.row]) for sound in mine if sound.row in prints)
        theirs: Iterable[tuple[Sound, Fingerprint]] = ()
        if against is not None:
            pool = [sound for sound in copies_of if sound.table == 1]
            theirs = _fingerprints(against, pool, unread, workers, cache)
        pairs += _near_identical(dict(made), theirs, copies_of)
    pairs.sort(key=lambda d: (not d.across, d.kind, -d.score, d.first, d.second))
    return pairs


def _fingerprints(
    clips: Clips,
    sounds: Sequence[Sound],
    failures: list[tuple[str, str]],
    workers: int | None,
    cache: Path | None,
) -> Iterator[tuple[Sound, Fingerprint]]:
    """Fingerprints of some rows of a table; clips that cannot be read go to ``failures``."""
    some = clips[np.array([sound.row for sound in sounds], np.int64)]
    for i, found in clip_fingerprints(some, workers=workers, cache=cache):
        if isinstance(found, str):
            failures.append((sounds[i].id, found))
        else:
            yield sounds[i], found


def _near_identical(
    mine: Mapping[Sound, Fingerprint],
    theirs: Iterable[tuple[Sound, Fingerprint]],
    copies_of: Mapping[Sound, Sequence[Sound]],
) -> list[Duplicate]:
    """Pairs of the same sound within the clips, and with the other table.

    One clip of each set of identical ones is compared. Within a table that is enough; of a pool,
    all copies of a match are listed, so that all can be left out.
    """
    sounds, index = list(mine), SoundIndex(list(mine.values()))
    pairs = []
    for number, second in enumerate(track(sounds, "compare sounds", "clip", len(sounds))):
        for row, match in index.find(mine[second], before=number):
            if sounds[row].may_pair(second):
                pairs.append(sounds[row].pair(second, "near-identical", match))
    for other, found in theirs:
        for row, match in index.find(found):
            pairs += [
                sounds[row].pair(second, "near-identical", match)
                for second in (other, *copies_of[other])
                if sounds[row].may_pair(second)
            ]
    return pairs


def group_duplicates(clips: Clips, duplicates: Iterable[Duplicate]) -> Clips:
    """Put duplicates within a table into one group, so that splits keep them together.

    All clips of these groups get the name that sorts first. Official folds are kept.
    """
    return group_rows(clips, ((pair.first_row, pair.second_row) for pair in duplicates))


def group_rows(clips: Clips, rows: Iterable[tuple[int, int]]) -> Clips:
    """Put the groups of each pair of rows into one, as :func:`group_duplicates` does."""
    names, number = np.unique(clips.group, return_inverse=True)
    pairs = [(number[first], number[second]) for first, second in rows]
    if not pairs:
        return clips
    edges = np.ones(len(pairs)), np.transpose(pairs)
    _, part = connected_components(coo_array(edges, (len(names), len(names))), directed=False)
    first = np.unique(part, return_index=True)[1]
    return clips.with_columns(group=names[first[part[number]]])


# Leaks in a data set: recordings and copies of sounds on two sides of a split.


def straddling_groups(clips: Clips) -> list[str]:
    """The recordings with clips in more than one official fold, sorted."""
    pairs = set(zip(clips.group.tolist(), clips.fold.tolist(), strict=True))
    n_folds = Counter(group for group, fold in pairs if fold)
    return sorted(group for group, n in n_folds.items() if n > 1)


@dataclass(frozen=True)
class CheckReport:
    """The result of :func:`check`.

    Attributes
    ----------
    name : str
        The data set.
    n_folds : int
        Official folds; 0 for none.
    straddling : tuple of str
        Recordings in several official folds.
    duplicates : tuple of Duplicate
        All pairs found, those across splits first.
    failures : tuple of (str, str)
        Clips that could not be read, with the reason.
    """

    name: str
    n_folds: int
    straddling: tuple[str, ...]
    duplicates: tuple[Duplicate, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def leaks(self) -> tuple[Duplicate, ...]:
        """The pairs that a split may separate."""
        return tuple(pair for pair in self.duplicates if pair.across)

    @property
    def ok(self) -> bool:
        """Whether nothing is on both sides of a split and everything could be read."""
        return not (self.straddling or self.leaks or self.failures)


def check(
    clips: Clips,
    pool: Clips | None = None,
    *,
    audio: bool = True,
    workers: int | None = None,
) -> CheckReport:
    """Find recordings and sounds on both sides of a split.

    Parameters
    ----------
    clips : Clips
    pool : Clips, optional
        An unlabelled pool that must not contain the clips.
    audio : bool
        Check the files, too; otherwise only the table, for example if there is no audio.
    workers : int, optional
        Threads that decode; one per core by default.
    """
    found: list[Duplicate] = []
    unread: list[tuple[str, str]] = []
    if audio:
        found = find_duplicates(clips, pool, workers=workers, failures=unread)
    straddling = tuple(straddling_groups(clips))
    return CheckReport(clips.name, len(clips.folds), straddling, tuple(found), tuple(unread))


LONG_TIME = 60.0
"""Seconds from which a recording of a pool is not left out as a whole, but without the copy."""
MARGIN = 1.0
"""Seconds before and after a copy that are left out, too."""
LEAST_REST = 10.0
"""Seconds; shorter pieces between copies are left out."""


class CleanPool(NamedTuple):
    """The rest of a pool, without labels, and the number of copies left out.

    ``n_copies`` files had the bytes of a labelled recording, ``n_near_copies`` clips were the same
    sound, cut or re-encoded, and ``n_cut`` long recordings lost the parts that labelled clips
    were cut from.
    """

    clips: Clips
    n_copies: int
    n_near_copies: int
    n_cut: int = 0

    def notes(self) -> list[str]:
        """Sentences for a report; none if nothing was left out."""
        copies = "are copies" if self.n_copies > 1 else "is a copy"
        sounds = "are the same sounds" if self.n_near_copies > 1 else "is the same sound"
        left_out = {
            f"{copies} of labelled recordings": (self.n_copies, "file"),
            f"{sounds} as labelled clips, cut or re-encoded": (self.n_near_copies, "clip"),
        }
        found = [
            f"{count_text(n, noun)} of the pool {what}, and left out."
            for what, (n, noun) in left_out.items()
            if n
        ]
        if self.n_cut:
            found.append(
                f"Of {count_text(self.n_cut, 'long recording')} of the pool, the parts that are "
                "also labelled clips are left out."
            )
        return found


def clean_pool(
    pool: Clips,
    labelled: Clips,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> CleanPool:
    """Remove copies of labelled clips from a pool, as they could bring test audio into training.

    Of recordings longer than a minute, only the stretch of the copy is removed.

    Parameters
    ----------
    pool : Clips
        Its labels, if any, are dropped.
    labelled : Clips
        The clips that the pool must not contain, above all those of the test fold.
    near : bool
        Also find clips that were cut or re-encoded. This decodes every clip once more.
    workers : int, optional
        Threads that decode; one per core by default.
    cache : Path, optional
        Folder that keeps fingerprints.
    """
    contents = content_names({*pool.paths, *labelled.paths})
    known = {contents[path] for path in labelled.paths}
    copied = np.array([contents[path] in known for path in pool.paths], np.bool_)
    n_copied = len(set(pool.file[copied].tolist()))
    kept = pool.without_labels()[~copied]
    cuts: dict[int, list[tuple[float, float]]] = defaultdict(list)
    if near and len(kept) and len(labelled):
        for pair in find_duplicates(labelled, kept, workers=workers, cache=cache):
            if pair.in_pool:
                start = -pair.offset_time
                end = start + _duration(labelled, pair.first_row)
                cuts[pair.second_row].append((start - MARGIN, end + MARGIN))
    row, start_time, end_time = [], [], []
    n_cut = 0
    for i in range(len(kept)):
        begin, end = float(kept.start_time[i]), float(kept.end_time[i])
        pieces = [(begin, end)]
        if i in cuts:
            length = _duration(kept, i)
            pieces = _rest(length, cuts[i]) if length > LONG_TIME else []
            # The end of a whole recording stays open: its length may be an estimate.
            pieces = [(begin + a, end if b == length else begin + b) for a, b in pieces]
            n_cut += bool(pieces)
        row += [i] * len(pieces)
        start_time += [piece[0] for piece in pieces]
        end_time += [piece[1] for piece in pieces]
    rest = kept[np.array(row, np.int64)].with_columns(
        start_time=np.array(start_time, np.float64), end_time=np.array(end_time, np.float64)
    )
    return CleanPool(rest, n_copied, len(cuts) - n_cut, n_cut)


def _duration(clips: Clips, row: int) -> float:
    """Seconds of a clip that can be read."""
    end = float(clips.end_time[row])
    end = probe(clips.paths[row]).duration if np.isnan(end) else end
    return end - float(clips.start_time[row])


def _rest(duration: float, cuts: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """What is left between the cuts of a recording: start and end of each piece."""
    pieces, at = [], 0.0
    for start, end in [*sorted(cuts), (duration, duration)]:
        if start - at >= LEAST_REST:
            pieces.append((at, start))
        at = max(at, end)
    return pieces
