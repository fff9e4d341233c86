"""A queue that does not ask the same thing twice in a row: rows spread over recordings.

Windows of one short stretch sound alike, so a second answer about it teaches little; and who
listens to one recording ten times in a row gets careless.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from semisonic.base.seeds import derive
from semisonic.data.clips import Clips

Rows = NDArray[np.int64]

APART = 30.0
"""Seconds that rows of one recording are apart in a queue, as far as there are others."""


def thinned(
    order: Rows, clips: Clips, n: int, *, apart: float = APART, beside: Sequence[int] = ()
) -> Rows:
    """The first ``n`` rows of an order that are not close to each other in a recording.

    Fewer than ``n`` where the order has no more; see :func:`filled`.

    Parameters
    ----------
    order : ndarray of int64
        Rows of ``clips``, the most wanted first.
    apart : float
        Seconds between the end of one and the start of the next.
    beside : sequence of int
        Rows that are in the queue already.
    """
    taken: dict[str, list[tuple[float, float]]] = {}
    for row in beside:
        taken.setdefault(str(clips.file[row]), []).append(_times(clips, row))
    chosen: list[int] = []
    for row in order.tolist():
        if len(chosen) == n:
            break
        start, end = _times(clips, row)
        near = taken.setdefault(str(clips.file[row]), [])
        if all(start - other_end >= apart or other_start - end >= apart
               for other_start, other_end in near):  # fmt: skip
            chosen.append(row)
            near.append((start, end))
    return np.array(chosen, np.int64)


def filled(chosen: Rows, order: Rows, n: int) -> Rows:
    """The chosen rows and, where they are fewer than ``n``, the first others of an order."""
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest])[:n]


def alternating(rows: Sequence[int], clips: Clips) -> list[int]:
    """The rows in an order as near as can be in which neighbours are of different recordings."""
    waiting = list(rows)
    result: list[int] = []
    last = None
    while waiting:
        place = next((i for i, row in enumerate(waiting) if clips.file[row] != last), 0)
        result.append(waiting.pop(place))
        last = clips.file[result[-1]]
    return result


def interleaved(main: Sequence[int], other: Sequence[int]) -> list[int]:
    """Two orders as one, the second spread evenly over the first."""
    n = len(main) + len(other)
    step = n / max(len(other), 1)
    places = {int((k + 0.5) * step) for k in range(len(other))}
    first, second = iter(main), iter(other)
    return [next(second) if place in places else next(first) for place in range(n)]


def chance_key(path: str, start_time: float, end_time: float, seed: int = 0) -> int:
    """A number that puts stretches into an order of chance, the same wherever it is asked for.

    The random part of every queue is taken in this order, so all of its answers together are one
    sample drawn from the pool without looking. The recording's name and that of its folder
    count, not where the folder lies.

    Parameters
    ----------
    path : str
        Whole path of the recording.
    """
    name = "/".join(PurePosixPath(path.replace("\\", "/")).parts[-2:])
    return derive(seed, "chance", name, f"{start_time:.3f}", f"{end_time:.3f}")


def by_chance(clips: Clips, rows: Rows, seed: int = 0) -> Rows:
    """The rows in their order of chance."""
    root = os.path.abspath(clips.root)
    paths = [os.path.normpath(os.path.join(root, file)) for file in clips.file[rows].tolist()]
    keys = np.array(
        [
            chance_key(path, *_times(clips, row), seed)
            for path, row in zip(paths, rows.tolist(), strict=True)
        ],
        np.int64,
    )
    return rows[np.argsort(keys, kind="stable")]


def _times(clips: Clips, row: int) -> tuple[float, float]:
    return float(clips.start_time[row]), float(clips.end_time[row])
