"""Leaks in a data set: recordings and copies of sounds on two sides of a split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.duplicates import Duplicate, content_names, find_duplicates
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
    found: list[Duplicate] = []
    unread: list[tuple[str, str]] = []
    if audio:
        found = find_duplicates(
            clips,
            pool,
            threshold=threshold,
            max_offset=max_offset,
            workers=workers,
            failures=unread,
        )
    straddling = tuple(straddling_groups(clips))
    return CheckReport(clips.name, len(clips.folds), straddling, tuple(found), tuple(unread))


class CleanPool(NamedTuple):
    """What is left of a pool, without labels; and how much is not.

    ``n_copies`` files had the bytes of a labelled recording, ``n_near_copies`` clips were the same
    sound, cut or encoded anew.
    """

    clips: Clips
    n_copies: int
    n_near_copies: int

    def notes(self) -> list[str]:
        """Sentences for a report; none when nothing was left out."""
        copies = "are copies" if self.n_copies > 1 else "is a copy"
        sounds = "are the same sounds" if self.n_near_copies > 1 else "is the same sound"
        left_out = {
            f"{copies} of labelled recordings": (self.n_copies, "file"),
            f"{sounds} as labelled clips, cut or encoded anew": (self.n_near_copies, "clip"),
        }
        return [
            f"{count_text(n, noun)} of the pool {what}, and left out."
            for what, (n, noun) in left_out.items()
            if n
        ]


def clean_pool(
    pool: Clips, labelled: Clips, *, near: bool = True, workers: int | None = None
) -> CleanPool:
    """Leave out of a pool what labelled clips hold, which would bring test audio into training.

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
    contents = content_names({*pool.paths, *labelled.paths})
    known = {contents[path] for path in labelled.paths}
    copied = np.array([contents[path] in known for path in pool.paths], np.bool_)
    n_copied = len(set(pool.file[copied].tolist()))
    kept = pool.without_labels()[~copied]
    same = np.zeros(len(kept), np.bool_)
    if near and len(kept) and len(labelled):
        found = find_duplicates(labelled, kept, workers=workers)
        same[[pair.second_row for pair in found if pair.in_pool]] = True
    return CleanPool(kept[~same], n_copied, int(same.sum()))
