"""Recordings as units: what splits, budgets and checks share.

Nothing here depends on the order of rows: random choices are keyed by the names of recordings
and classes, so a shuffled table, another machine or one more clip elsewhere changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semisonic.base.seeds import derive
from semisonic.data.clips import Clips


@dataclass(frozen=True)
class Recordings:
    """The recordings among some rows of a table.

    Attributes
    ----------
    names : tuple of str, length g
        Sorted.
    rows : tuple of int64 arrays, length g
        The row numbers of each recording, in order of clip id.
    counts : ndarray of int64, shape (g, n_classes)
        How often each class occurs in each recording.
    """

    names: tuple[str, ...]
    rows: tuple[NDArray[np.int64], ...]
    counts: NDArray[np.int64]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Clips in each recording, shape (g,)."""
        return np.array([len(rows) for rows in self.rows], np.int64)

    def take(self, chosen: Iterable[int]) -> NDArray[np.int64]:
        """The rows of the chosen recordings, ascending."""
        parts = [self.rows[i] for i in chosen]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def recordings(clips: Clips, rows: NDArray[np.int64]) -> Recordings:
    """Gather the recordings among ``rows``."""
    ids = clips.ids
    by_name: dict[str, list[int]] = {}
    for row in sorted(map(int, rows), key=lambda row: ids[row]):
        by_name.setdefault(str(clips.group[row]), []).append(row)
    names = tuple(sorted(by_name))
    index = {label: i for i, label in enumerate(clips.classes)}
    counts = np.zeros((len(names), len(clips.classes)), np.int64)
    for g, name in enumerate(names):
        for row in by_name[name]:
            for label in clips.labels[row]:
                counts[g, index[label]] += 1
    return Recordings(names, tuple(np.array(by_name[n], np.int64) for n in names), counts)


def shuffled(names: Iterable[str], seed: int, *purpose: object) -> list[int]:
    """Positions of ``names`` in a random order that depends on each name alone."""
    keyed = [(derive(seed, *purpose, name), name, i) for i, name in enumerate(names)]
    return [i for _, _, i in sorted(keyed)]


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A sort key that puts '9' before '10'."""
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
