"""Find the rows nearest to vectors, and merge adjacent rows into hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips

BLOCK_BYTES = 16 << 20
"""Bytes of rows read at once."""
_TOUCHING = 0.01  # seconds between windows that count as one segment


class Nearest(NamedTuple):
    """The nearest rows of each query, in order.

    Attributes
    ----------
    rows : ndarray of int64, shape (n_queries, k)
    values : ndarray of float32, shape (n_queries, k)
        Cosine similarity, -1 to 1; 0 of a vector of zeros.
    """

    rows: NDArray[np.int64]
    values: NDArray[np.float32]


def nearest(vectors: NDArray[np.float32], queries: ArrayLike, k: int) -> Nearest:
    """Find the ``k`` nearest rows exactly; rows are read block by block.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        May be a memory map; it is read once, however many queries there are.
    queries : array of float, shape (n_queries, dim) or (dim,)
    k : int
        At most the number of rows.

    Raises
    ------
    DataError
        When the queries have another length, or a number is not finite.
    """
    wanted = np.atleast_2d(np.asarray(queries, np.float32))
    if wanted.ndim != 2 or wanted.shape[1] != vectors.shape[1]:
        raise DataError(
            f"query: found shape {np.shape(queries)}, expected vectors of {vectors.shape[1]} "
            "numbers as in the index; was it made with another model?"
        )
    if not np.isfinite(wanted).all():
        raise DataError("query: found a number that is not finite")
    size = max(1, BLOCK_BYTES // (4 * vectors.shape[1]))
    blocks = [
        _similarity(np.asarray(vectors[start : start + size]), wanted)
        for start in range(0, len(vectors), size)
    ]
    near = np.concatenate([np.zeros((len(wanted), 0), np.float32), *blocks], axis=1)
    if not np.isfinite(near).all():
        row = int((~np.isfinite(near)).any(axis=0).argmax())
        raise DataError(f"vectors: row {row} has numbers that are not finite; make the index again")
    rows = np.arange(near.shape[1])[None].repeat(len(wanted), axis=0)
    if k < near.shape[1]:  # with all that are as near as the last, so that the lowest rows win
        last = -np.partition(-near, k - 1, axis=1)[:, k - 1]
        kept = (near >= last[:, None]).any(axis=0)
        rows, near = rows[:, kept], near[:, kept]
    order = np.lexsort((rows, -near), axis=1)[:, :k]
    rows, near = (np.take_along_axis(table, order, axis=1) for table in (rows, near))
    return Nearest(rows, near)


def _similarity(block: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of rows (n, dim) and queries, shape (n_queries, n)."""
    length = np.sqrt(np.einsum("ij,ij->i", block, block))
    with np.errstate(divide="ignore"):
        scale = np.where(length > 0, 1 / length, 0).astype(np.float32)
    return np.asarray((unit(queries) @ block.T) * scale, np.float32)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (n, dim) scaled to length 1; zero vectors are not changed."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


@dataclass
class Hit:
    """A segment found by a search.

    Attributes
    ----------
    file : str
        For :func:`find_hits` the name in the table; for a search a path from the working folder.
    start_time, end_time : float
        Of the whole segment, seconds.
    row : int
        The most similar row in it.
    value : float
        Cosine similarity of this row.
    n_windows : int
        Number of merged rows.
    """

    file: str
    start_time: float
    end_time: float
    row: int
    value: float
    n_windows: int = 1


def find_hits(
    clips: Clips,
    rows: NDArray[np.int64],
    values: NDArray[np.float32],
    k: int,
    *,
    merge: bool = True,
) -> tuple[Hit, ...]:
    """The ``k`` best hits, the best first.

    Parameters
    ----------
    clips : Clips
        One row per vector.
    rows : ndarray of int64, shape (m,)
        Rows of ``clips``, the nearest first, without rows left out.
    values : ndarray of float32, shape (m,)
    k : int
    merge : bool
        Merge adjacent windows of one file. A segment contains only windows that are nearer than
        the last hit, so it does not grow over other sounds.
    """
    hits: list[Hit] = []  # in the order of their nearest rows
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        if len(hits) == k:
            break
        file = str(clips.file[row])
        hit = Hit(file, float(clips.start_time[row]), float(clips.end_time[row]), row, value)
        touched = [one for one in hits if merge and one.file == file and _touch(one, hit)]
        for other in (*touched[1:], hit) if touched else ():
            nearer = touched[0]
            nearer.start_time = min(nearer.start_time, other.start_time)
            nearer.end_time = max(nearer.end_time, other.end_time)
            nearer.n_windows += other.n_windows
        gone = [one.row for one in touched[1:]]
        hits = [one for one in hits if one.row not in gone] + ([] if touched else [hit])
    return tuple(hits)


def _touch(one: Hit, other: Hit) -> bool:
    """Whether two segments of a file are adjacent."""
    gap = max(one.start_time, other.start_time) - min(one.end_time, other.end_time)
    return gap <= _TOUCHING
