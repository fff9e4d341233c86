"""The rows nearest to some vectors, and hits: rows that follow each other put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest as suggestion
from semisonic.data.clips import Clips
from semisonic.labeling.options import COSINE, MEASURES

# The rows nearest to some vectors: every row is looked at, block by block.


BLOCK_BYTES = 16 << 20
"""Of rows that are read at once."""


class Nearest(NamedTuple):
    """The nearest rows of each query, the nearest first.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_queries, k)
    values : ndarray of float32, shape (n_queries, k)
        Cosine similarity, -1 to 1, or Euclidean distance.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def nearest(vectors: NDArray[np.float32], queries: ArrayLike, k: int, by: str = COSINE) -> Nearest:
    """Find the ``k`` nearest rows exactly, in memory that does not grow with their number.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        May be a memory map; it is read once, however many queries there are.
    queries : array of float, shape (n_queries, dim) or (dim,)
    k : int
        As many as there are rows, at most.
    by : {"cosine", "euclidean"}
        A vector of zeros has the cosine 0 to everything.

    Raises
    ------
    DataError
        When the queries have another length or are not finite.
    OptionError
        For another measure.
    """
    if by not in MEASURES:
        raise OptionError(f"option 'by': found '{by}'; {suggestion(by, MEASURES)}")
    wanted = checked(queries, vectors.shape[1])
    k = min(k, len(vectors))
    best_rows = np.zeros((len(wanted), 0), np.int64)
    best = np.zeros((len(wanted), 0), np.float32)
    size = max(1, BLOCK_BYTES // (4 * vectors.shape[1]))
    for start in range(0, len(vectors), size):
        near = nearness(np.asarray(vectors[start : start + size]), wanted, by)
        rows = np.arange(start, start + near.shape[1])
        if near.shape[1] > k:  # first within the block, so that little is put together
            chosen = np.argpartition(-near, k - 1, axis=1)[:, :k]
            near, rows = np.take_along_axis(near, chosen, axis=1), rows[chosen]
        else:
            rows = np.broadcast_to(rows, near.shape)
        best_rows, best = _first(
            np.concatenate([best_rows, rows], axis=1), np.concatenate([best, near], axis=1), k
        )
    return Nearest(best_rows, best if by == COSINE else -best)


def nearness(
    block: NDArray[np.float32], queries: NDArray[np.float32], by: str
) -> NDArray[np.float32]:
    """How near rows (n, dim) are to queries (n_queries, dim), shape (n_queries, n).

    Cosine similarity, or the Euclidean distance with a minus: more is nearer.

    Parameters
    ----------
    block : ndarray of float32, shape (n, dim)
    queries : ndarray of float32, shape (n_queries, dim)
    by : {"cosine", "euclidean"}
    """
    if by == COSINE:
        length = np.sqrt(np.einsum("ij,ij->i", block, block))
        with np.errstate(divide="ignore"):
            scale = np.where(length > 0, 1 / length, 0).astype(np.float32)
        return np.asarray((unit(queries) @ block.T) * scale, np.float32)
    # Distances of differences, not of products: near ones keep all their digits.
    near = np.empty((len(queries), len(block)), np.float32)
    for i, query in enumerate(queries):
        gap = block - query
        near[i] = -np.sqrt(np.einsum("ij,ij->i", gap, gap))
    return near


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, dim) of length 1; those of zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def checked(queries: ArrayLike, dim: int) -> NDArray[np.float32]:
    """Queries as (n_queries, dim) of float32.

    Parameters
    ----------
    queries : array of float, shape (n_queries, dim) or (dim,)
    dim : int

    Raises
    ------
    DataError
        When they have another length or are not finite.
    """
    table = np.atleast_2d(np.asarray(queries, np.float32))
    if table.ndim != 2 or table.shape[1] != dim:
        raise DataError(
            f"query: found shape {np.shape(queries)}, expected vectors of {dim} numbers, as the "
            "index has them; was it made with another model?"
        )
    if not np.isfinite(table).all():
        raise DataError("query: found a number that is not finite")
    return table


def _first(rows: NDArray[np.int64], near: NDArray[np.float32], k: int) -> Nearest:
    """The ``k`` nearest in order; of two that are equally near, the lower row."""
    order = np.lexsort((rows, -near), axis=1)[:, :k]
    return Nearest(np.take_along_axis(rows, order, axis=1), np.take_along_axis(near, order, axis=1))


# Rows that were found as hits: windows of a recording that follow each other are one.


_TOUCHING = 0.01  # seconds between windows that count as one segment


@dataclass(frozen=True)
class Hit:
    """A segment of a recording that was found.

    Attributes
    ----------
    file : str
        As the index names it.
    start_time, end_time : float
        Of the whole segment, seconds.
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
        Put windows of one file together that touch each other. A segment holds only windows
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
        near,
        start_time=min(near.start_time, other.start_time),
        end_time=max(near.end_time, other.end_time),
        n_windows=near.n_windows + other.n_windows,
    )


def _touch(a: Hit, b: Hit) -> bool:
    return a.start_time <= b.end_time + _TOUCHING and b.start_time <= a.end_time + _TOUCHING
