"""A pool without the sounds of labelled clips, which would bring test audio into training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semisonic.data.checks.duplicates import find_duplicates
from semisonic.data.clips import Clips
from semisonic.data.join import without_copies


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
                len(self.near_copies), "clip", "is the same sound", "are the same sounds",
                "as labelled clips, cut or encoded anew",
            ),
        )  # fmt: skip
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
