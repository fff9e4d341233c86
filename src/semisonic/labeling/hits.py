"""Rows that were found as hits: windows of a recording that follow each other are one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semisonic.data.clips import Clips
from semisonic.labeling.nearest import Nearest

_TOUCHING = 0.01  # seconds between windows that count as one stretch


@dataclass(frozen=True)
class Hit:
    """A stretch of a recording that was found.

    Attributes
    ----------
    file : str
        As the index names it.
    start_time, end_time : float
        Of the whole stretch, seconds.
    row : int
        Its row that is nearest to the query.
    value : float
        Of that row: cosine similarity or Euclidean distance.
    n_windows : int
        Rows that were put together.
    """

    file: str
    start_time: float
    end_time: float
    row: int
    value: float
    n_windows: int = 1


def find_hits(
    clips: Clips,
    search: Callable[[int], Nearest],
    k: int,
    *,
    left_out: NDArray[np.bool_],
    merge: bool = True,
) -> tuple[Hit, ...]:
    """The ``k`` best hits, the best first.

    Parameters
    ----------
    clips : Clips
        A row a vector.
    search : callable
        From a number of rows to the nearest of one query.
    k : int
    left_out : ndarray of bool, shape (n,)
        Rows that are no hits, such as the query itself.
    merge : bool
        Put windows of one file together that touch each other. A stretch holds only windows
        that are nearer than the last hit, so it does not grow over other sounds.
    """
    n_out = int(left_out.sum())
    m = min(len(clips), n_out + (4 * k if merge else k))
    while True:
        found = search(m)
        rows, values = found.rows[0], found.values[0]
        kept = ~left_out[rows]
        hits = _merged(clips, rows[kept].tolist(), values[kept].tolist(), k, merge)
        if len(hits) == k or m >= len(clips) or len(rows) < m:
            return tuple(hits)
        m = min(len(clips), 2 * m)


def _merged(
    clips: Clips, rows: Sequence[int], values: Sequence[float], k: int, merge: bool
) -> list[Hit]:
    """Hits from rows in the order of nearness, until there are ``k``; no farther row joins."""
    hits: dict[int, Hit] = {}  # by the place of its first row
    of_file: dict[str, list[int]] = {}
    for place, (row, value) in enumerate(zip(rows, values, strict=True)):
        if len(hits) == k:
            break
        file = str(clips.file[row])
        hit = Hit(file, float(clips.start_time[row]), float(clips.end_time[row]), row, value)
        mine = of_file.setdefault(file, [])
        touched = sorted(other for other in mine if merge and _touch(hits[other], hit))
        for other in reversed(touched):  # the nearest comes last, and is the one that is kept
            hit = _joined(hits.pop(other), hit)
            mine.remove(other)
        kept = touched[0] if touched else place
        hits[kept] = hit
        mine.append(kept)
    return [hits[place] for place in sorted(hits)]


def _joined(near: Hit, other: Hit) -> Hit:
    return replace(
        near, start_time=min(near.start_time, other.start_time),
        end_time=max(near.end_time, other.end_time), n_windows=near.n_windows + other.n_windows,
    )  # fmt: skip


def _touch(a: Hit, b: Hit) -> bool:
    return a.start_time <= b.end_time + _TOUCHING and b.start_time <= a.end_time + _TOUCHING
