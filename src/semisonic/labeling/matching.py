"""From answers about stretches to rows of a pool: which rows are labelled, and with what."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.data.clips import POSITIVE, Clips

COVERED = 0.5
"""Share of a row that an answer must speak of; or of the answer that must lie in the row."""

_SAME = 1.5e-3  # seconds: tables round to a thousandth


@dataclass(frozen=True)
class Matched:
    """What answers say of the rows of a pool.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Rows that somebody answered about, ascending; each once.
    answers : tuple of tuples of int, length m
        For each the rows of the answers' table that speak of it.
    n_unmatched : int
        Answers that speak of no row: of another recording, or a stretch between.
    """

    rows: NDArray[np.int64]
    answers: tuple[tuple[int, ...], ...]
    n_unmatched: int

    def labels(self, answers: Clips) -> list[tuple[str, ...]]:
        """The labels of each matched row; none where an answer gives none."""
        return [
            tuple(dict.fromkeys(label for i in its for label in answers.labels[i]))
            for its in self.answers
        ]

    def certain(self, answers: Clips) -> NDArray[np.bool_]:
        """Which matched rows carry labels that somebody is sure of, shape (m,)."""
        kinds = answers.label_type
        return np.array(
            [
                any(answers.labels[i] for i in its)
                and all(kinds[i] == POSITIVE for i in its if answers.labels[i])
                for its in self.answers
            ],
            np.bool_,
        )


def match(answers: Clips, pool: Clips) -> Matched:
    """Find the rows of a pool that answers speak of.

    An answer about the very stretch of a row speaks of that row alone. Else it speaks of rows
    that it covers half of; or, being shorter, of the row in which more than half of it lies.
    """
    by_file: dict[str, list[int]] = {}
    for row, path in enumerate(_absolute(pool)):
        by_file.setdefault(path, []).append(row)
    found: dict[int, list[int]] = {}
    unmatched = 0
    for number, path in enumerate(_absolute(answers)):
        start, end = float(answers.start_time[number]), float(answers.end_time[number])
        rows = np.array(by_file.get(path, []), np.int64)
        spoken_of = _spoken_of(rows, pool, start, end)
        unmatched += not len(spoken_of)
        for row in spoken_of.tolist():
            found.setdefault(row, []).append(number)
    exact = {row: _exact(its, answers, pool, row) for row, its in found.items()}
    rows = np.array(sorted(exact), np.int64)
    return Matched(rows, tuple(tuple(exact[row]) for row in rows.tolist()), unmatched)


def _spoken_of(rows: NDArray[np.int64], pool: Clips, start: float, end: float) -> NDArray[np.int64]:
    if not len(rows):
        return rows
    first, last = pool.start_time[rows], pool.end_time[rows]
    last = np.where(np.isnan(last), np.inf, last)
    stop = np.inf if np.isnan(end) else end
    with np.errstate(invalid="ignore"):
        same = (np.abs(first - start) < _SAME) & ((last == stop) | (np.abs(last - stop) < _SAME))
    if same.any():
        return np.asarray(rows[same], np.int64)
    shared = np.minimum(last, stop) - np.maximum(first, start)
    with np.errstate(invalid="ignore"):
        of_row = np.where(np.isinf(shared), 1.0, shared / (last - first))
        of_answer = np.where(np.isinf(shared), 1.0, shared / (stop - start))
    covered = (shared > 0) & (of_row >= COVERED - 1e-9)
    if covered.any():
        return rows[covered]
    inside = (shared > 0) & (of_answer > COVERED)
    return rows[inside][:1]


def _exact(its: list[int], answers: Clips, pool: Clips, row: int) -> list[int]:
    """The answers about the very stretch of a row, where there are any; else all."""
    same = [
        i for i in its
        if abs(answers.start_time[i] - pool.start_time[row]) < _SAME
        and abs(answers.end_time[i] - pool.end_time[row]) < _SAME
    ]  # fmt: skip
    return same or its


def _absolute(clips: Clips) -> list[str]:
    """The path of each row's recording, whatever folder the table names it from."""
    known: Mapping[str, str] = {
        file: os.path.normpath(os.path.join(os.path.abspath(clips.root), file))
        for file in set(clips.file.tolist())
    }
    return [known[file] for file in clips.file.tolist()]
