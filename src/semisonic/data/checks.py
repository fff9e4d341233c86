"""Leaks in a data set: recordings and copies of sounds on two sides of a split."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisonic.core.files import content_hash
from semisonic.data.clips import Clips
from semisonic.data.duplicates import (
    Duplicate,
    DuplicatesFound,
    find_duplicates,
    search,
)
from semisonic.data.options import MAX_OFFSET, THRESHOLD
from semisonic.data.recordings import straddling_groups


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
        Recordings that stand in several official folds.
    duplicates : tuple of Duplicate
        All pairs found; those across splits first.
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
        """The pairs that a split may part."""
        return tuple(pair for pair in self.duplicates if pair.across)

    @property
    def ok(self) -> bool:
        """Whether nothing stands on two sides of a split and everything could be read."""
        return not (self.straddling or self.leaks or self.failures)


def check(
    clips: Clips,
    pool: Clips | None = None,
    *,
    audio: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
) -> CheckReport:
    """Look for recordings and sounds that stand on two sides of a split.

    Parameters
    ----------
    clips : Clips
    pool : Clips, optional
        An unlabelled pool that must not hold the clips.
    audio : bool
        Look at the files themselves; otherwise at the table only, as when no audio is there.
    threshold, max_offset, workers
        As for ``find_duplicates``.
    """
    found = DuplicatesFound((), ())
    if audio:
        found = search(clips, pool, threshold=threshold, max_offset=max_offset, workers=workers)
    return CheckReport(
        clips.name,
        len(clips.folds),
        tuple(straddling_groups(clips)),
        found.duplicates,
        found.failures,
    )


# A pool without the sounds of labelled clips, which would bring test audio into training.


@dataclass(frozen=True)
class CleanPool:
    """What is left of a pool, and what is not.

    Attributes
    ----------
    clips : Clips
        Without labels.
    copies : tuple of str
        Files with the bytes of a labelled recording.
    near_copies : tuple of str
        Ids of clips that are the same sound, cut or encoded anew.
    """

    clips: Clips
    copies: tuple[str, ...]
    near_copies: tuple[str, ...]

    def notes(self) -> list[str]:
        """Sentences for a report; none when nothing was left out."""
        counted = (
            (len(self.copies), "file", "is a copy", "are copies", "of labelled recordings"),
            (
                len(self.near_copies),
                "clip",
                "is the same sound",
                "are the same sounds",
                "as labelled clips, cut or encoded anew",
            ),
        )
        return [
            f"{n} {noun}s of the pool {many} {what}, and were left out."
            if n > 1
            else f"{n} {noun} of the pool {one} {what}, and was left out."
            for n, noun, one, many, what in counted
            if n
        ]


def clean_pool(
    pool: Clips, labelled: Clips, *, near: bool = True, workers: int | None = None
) -> CleanPool:
    """Leave out of a pool what labelled clips hold.

    Parameters
    ----------
    pool : Clips
        Its labels, if any, are dropped.
    labelled : Clips
        The clips that the pool must not hold: above all those of the test fold.
    near : bool
        Listen for clips that were cut or encoded anew, besides comparing bytes. That decodes
        every clip once more (of a long one the first 30 s).
    workers : int, optional
        Threads that decode; one per core by default.
    """
    kept, copies = without_copies(pool.without_labels(), labelled)
    near_copies: tuple[str, ...] = ()
    if near and len(kept) and len(labelled):
        found = find_duplicates(labelled, kept, workers=workers)
        same = np.zeros(len(kept), np.bool_)
        same[[pair.second_row for pair in found if pair.in_pool]] = True
        near_copies = tuple(np.array(kept.ids)[same].tolist())
        kept = kept[~same]
    return CleanPool(kept, tuple(copies), near_copies)


def without_copies(pool: Clips, of: Clips) -> tuple[Clips, list[str]]:
    """The pool without files that have the same bytes as a file of another table.

    Such a file would bring test audio into pre-training by the back door. Only files of the
    same size are hashed.

    Parameters
    ----------
    pool, of : Clips

    Returns
    -------
    pool : Clips
    dropped : list of str
        Files that were left out.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(of.paths):
        if os.path.isfile(path):
            by_size[os.path.getsize(path)].append(path)
    hashes: dict[int, set[str]] = {}
    dropped = []
    for file in dict.fromkeys(pool.file.tolist()):
        path = pool.root / file
        size = os.path.getsize(path) if os.path.isfile(path) else -1
        if size not in by_size:
            continue
        if size not in hashes:
            hashes[size] = {content_hash(known) for known in by_size[size]}
        if content_hash(path) in hashes[size]:
            dropped.append(file)
    return pool[~np.isin(pool.file, dropped)] if dropped else pool, dropped
