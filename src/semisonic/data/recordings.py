"""Recordings as units of splits: which clips belong together.

Results do not depend on the order of rows: random choices are keyed by names of recordings and
classes, so a shuffled table, another machine or one more clip elsewhere changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.core.files import digest, read_json, write_json
from semisonic.core.seeds import derive
from semisonic.data.cache import clip_keys, file_stamps
from semisonic.data.clips import Clips
from semisonic.data.duplicates import find_duplicates, group_duplicates
from semisonic.data.recording_names import suggest_recordings


@dataclass(frozen=True)
class RecordingRows:
    """The recordings among some rows of a table.

    Attributes
    ----------
    names : tuple of str, length g
        Sorted.
    rows : tuple of int64 arrays, length g
        The row numbers of each recording, in order of clip id.
    counts : ndarray of int64, shape (g, n_classes)
        Number of clips of each class in each recording.
    """

    names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]
    counts: NDArray[np.int64]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of clips in each recording, shape (g,)."""
        return np.array([len(rows) for rows in self.rows], np.int64)

    def take(self, chosen: Iterable[int]) -> NDArray[np.int64]:
        """The rows of the chosen recordings, ascending."""
        parts = [self.rows[i] for i in chosen]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def recordings(clips: Clips, rows: NDArray[np.int64]) -> RecordingRows:
    """The recordings among some rows.

    Parameters
    ----------
    clips : Clips
    rows : ndarray of int64
        Row numbers.
    """
    rows = np.asarray(rows, np.int64)
    ordered = rows[np.argsort(np.array(clips.ids, object)[rows], kind="stable")]
    names, number = np.unique(clips.group[ordered], return_inverse=True)
    counts = np.zeros((len(names), len(clips.classes)), np.int64)
    np.add.at(counts, number, clips[ordered].targets().astype(np.int64))
    parts = np.split(ordered[np.argsort(number, kind="stable")], np.cumsum(np.bincount(number)))
    return RecordingRows(tuple(names.tolist()), tuple(parts[: len(names)]), counts)


def shuffled(names: Iterable[str], seed: int, *purpose: object) -> list[int]:
    """Positions of names in a random order that depends only on each name.

    Parameters
    ----------
    names : iterable of str
    seed : int
    *purpose
        Names of the random stream.

    Examples
    --------
    >>> names = ["a", "b", "c"]
    >>> [names[i] for i in shuffled(names, 0)] == [["c", "b", "a"][i] for i in shuffled("cba", 0)]
    True
    """
    keyed = [(derive(seed, *purpose, name), name, i) for i, name in enumerate(names)]
    return [i for _, _, i in sorted(keyed)]


# Which clips belong together, before anything is split by recording.
#
# A data set, a table or the user may name the recording of each clip. Where nobody does, every file
# would count as a recording of its own, and a copy of a training clip could be what validates. Then
# copies are looked for and kept together, and a note says that other clips may share a recording.


COPIES = "copies"
"""Value of ``group``: recordings as in the data set, with copies in one recording."""
AUTO = "auto"

_VERSION = 2
"""Increase this when the search gives another result for the same files."""


class KnownRecordings(NamedTuple):
    """Clips with copies in one group, and notes to show with results of these clips."""

    clips: Clips
    notes: tuple[str, ...] = ()


def unnamed(clips: Clips) -> NDArray[np.bool_]:
    """Which clips are whole files without a named recording; shape (n,)."""
    whole = (clips.start_time == 0) & np.isnan(clips.end_time)
    return np.asarray(np.isin(clips.group, clips.file) & whole, np.bool_)


def unnamed_note(clips: Clips, group: str = AUTO) -> tuple[str, ...]:
    """Note about clips that name no recording; none if all do, or the user chose this."""
    n = int(unnamed(clips).sum()) if group in (AUTO, COPIES) else 0
    if not n:
        return ()
    text = "No clip names the recording that it was cut from, so each counts as its own recording"
    if n < len(clips):
        text = (
            f"{n} of {len(clips)} clips do not name the recording that they were cut from, so "
            "each of them counts as its own recording"
        )
    text += ": if some clips share a recording, the results are too good."
    suggestion = suggest_recordings(clips)
    more = (
        f" {suggestion}."
        if suggestion
        else " Use the option 'group' to say which clips belong together."
    )
    return (text + more,)


def known_recordings(
    clips: Clips,
    group: str = AUTO,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> KnownRecordings:
    """The clips with groups for splitting: copies share a group if recordings are unknown.

    Parameters
    ----------
    clips : Clips
    group : str
        The option with which they were read. "auto" looks for copies if clips name no recording,
        "copies" always, other values never.
    near : bool
        Also find copies that were cut or re-encoded.
    workers : int, optional
        Threads that decode.
    cache : Path, optional
        Folder that keeps results, so that the same files are compared once.
    """
    bare = unnamed(clips)
    if group not in (AUTO, COPIES) or (group == AUTO and not bare.any()):
        return KnownRecordings(clips)
    found = copies_together(clips, near=near, workers=workers, cache=cache)
    return KnownRecordings(found.clips, (*found.notes, *unnamed_note(clips, group)))


def copies_together(
    clips: Clips, *, near: bool = True, workers: int | None = None, cache: Path | None = None
) -> KnownRecordings:
    """Put clips of the same sound into one recording, so that splits keep them together.

    If some clips have labels, only those are compared. Parameters as for :func:`known_recordings`.
    """
    labelled = clips.is_labelled
    if labelled.any() and not labelled.all():
        found = copies_together(clips[labelled], near=near, workers=workers, cache=cache)
        renamed = dict(zip(clips.group[labelled].tolist(), found.clips.group.tolist(), strict=True))
        group = [renamed.get(name, name) for name in clips.group.tolist()]
        return KnownRecordings(clips.with_columns(group=np.array(group, np.str_)), found.notes)
    rows = zip(clip_keys(clips), file_stamps(clips), clips.group.tolist(), strict=True)
    name = digest(_VERSION, near, clips.root.resolve(), *map(repr, rows))
    file = cache / "copies" / f"{name}.json" if cache is not None else None
    if file is not None and file.is_file():
        stored = read_json(file)
        merged, n_pairs = (
            clips.with_columns(group=np.array(stored["group"], np.str_)),
            stored["pairs"],
        )
    else:
        pairs = find_duplicates(clips, near=near, workers=workers, cache=cache)
        n_pairs = sum(clips.group[p.first_row] != clips.group[p.second_row] for p in pairs)
        merged = group_duplicates(clips, pairs)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {"pairs": int(n_pairs), "group": merged.group.tolist()})
    if not n_pairs:
        return KnownRecordings(merged)
    what = "near-identical" if near else "identical"
    note = (
        f"1 pair of {what} clips is kept together in every split."
        if n_pairs == 1
        else f"{n_pairs} pairs of {what} clips are kept together in every split."
    )
    return KnownRecordings(merged, (note,))
