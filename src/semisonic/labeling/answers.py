"""Match answers about recordings to rows of an index."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import POSITIVE, Clips
from semisonic.data.events import BACKGROUND
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog

COVERED = 0.5
"""Share of a row that an answer must cover, or of the answer that must be in the row."""
UNVERIFIED_WEIGHT = 0.5
"""Weight of an uncertain answer."""
_SAME = 1.5e-3  # seconds: tables round to a thousandth


@dataclass(frozen=True)
class MatchedAnswers:
    """Answers, and the rows of an index that they are about.

    Attributes
    ----------
    answers : Clips
        The answers, one clip each.
    rows : ndarray of int64, shape (m,)
        Answered rows, including those without a label; ascending.
    of_row : tuple of tuples of int, length m
        The answers about each of these rows.
    n_unmatched : int
        Number of answers about no row: about another recording, or a segment between rows.
    """

    answers: Clips
    rows: NDArray[np.int64]
    of_row: tuple[tuple[int, ...], ...]
    n_unmatched: int

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each matched row; empty if the answer gives none."""
        labels = self.answers.labels
        return [
            tuple(dict.fromkeys(name for i in its for name in labels[i])) for its in self.of_row
        ]

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which matched rows have verified labels, shape (m,)."""
        kinds = [
            [self.answers.label_type[i] for i in its if self.answers.labels[i]]
            for its in self.of_row
        ]
        return np.array([bool(its) and set(its) == {POSITIVE} for its in kinds], np.bool_)


def match(answers: Clips, pool: Clips) -> MatchedAnswers:
    """Find the rows of a pool that answers are about.

    An answer about exactly the segment of a row is about this row alone. Otherwise it is about
    rows of which it covers half or, if it is shorter, the row that contains more than half of it.

    Parameters
    ----------
    answers, pool : Clips
        File names are relative to the root of each; clips of the pool have an end.
    """
    by_file: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(_absolute(pool)):
        by_file[path].append(row)
    exact: dict[int, list[int]] = defaultdict(list)
    about: dict[int, list[int]] = defaultdict(list)
    n_unmatched = 0
    ends = np.where(np.isnan(answers.end_time), np.inf, answers.end_time)
    for number, path in enumerate(_absolute(answers)):
        own = np.array(by_file[path], np.int64)
        first, last = pool.start_time[own], pool.end_time[own]
        start, end = answers.start_time[number], ends[number]
        shared = np.minimum(last, end) - np.maximum(first, start)
        is_same = (np.abs(first - start) < _SAME) & (np.abs(last - end) < _SAME)
        is_covered = shared >= (COVERED - 1e-9) * (last - first)
        found = own[is_same] if is_same.any() else own[is_covered]
        if not len(found):
            found = own[shared > COVERED * (end - start)][:1]
        n_unmatched += not len(found)
        for row in found.tolist():
            (exact if is_same.any() else about)[row].append(number)
    rows = np.array(sorted({*exact, *about}), np.int64)
    of_row = tuple(tuple(exact.get(row) or about[row]) for row in rows.tolist())
    return MatchedAnswers(answers, rows, of_row, n_unmatched)


def _absolute(clips: Clips) -> list[str]:
    """The absolute path of each row's recording."""
    known = {file: os.path.abspath(clips.root / file) for file in set(clips.file.tolist())}
    return [known[file] for file in clips.file.tolist()]


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows of an index, for training.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
    targets : ndarray of float32, shape (n, n_classes)
        One if a class is present.
    weights : ndarray of float64, shape (n,)
        1 for a verified label, less for an uncertain one.
    group : ndarray of str, shape (n,)
        The recording of each row.
    classes : tuple of str
    multi_label : bool
        Whether a clip may have several labels.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float64]
    group: NDArray[np.str_]
    classes: tuple[str, ...]
    multi_label: bool

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, keep: NDArray[Any]) -> LabelledRows:
        """Some of the rows, with the same classes."""
        own = ("rows", "targets", "weights", "group")
        return replace(self, **{name: getattr(self, name)[keep] for name in own})

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which rows have verified labels, for measuring; shape (n,)."""
        return np.asarray(self.weights == 1.0, np.bool_)

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows of each class."""
        n = self.targets.sum(axis=0).astype(int).tolist()
        return dict(zip(self.classes, n, strict=True))


def label_index(
    log: LabelLog, index: EmbeddingIndex, *, several_labels: bool = False
) -> tuple[LabelledRows, MatchedAnswers, list[str]]:
    """The rows of an index that a log labels.

    Answers that only exclude labels give no label, as another class may be present. If none of the
    classes is present, the row gets the class "background" or, with several labels per clip, no
    class. With one label per clip, rows with several answered labels are left out.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
    several_labels : bool
        Whether a clip may have several labels.

    Returns
    -------
    labelled : LabelledRows
    matched : MatchedAnswers
    notes : list of str
        Unused answers, and why.

    Raises
    ------
    DataError
        With fewer than two classes; the text says what to do.
    """
    matched = match(log.current().clips(), index.clips)
    labels, verified = matched.labels, matched.is_verified
    mixed = np.array([len(names) > 1 and not several_labels for names in labels], np.bool_)
    sure = np.array([bool(names) and names != (BACKGROUND,) for names in labels], np.bool_)
    keep = ~mixed & (sure | verified)
    used = [names for names, kept in zip(labels, keep, strict=True) if kept]
    left_out = {BACKGROUND} if several_labels else set()
    classes = tuple(sorted({name for names in used for name in names} - left_out))
    notes = []
    if matched.n_unmatched:
        notes.append(f"answers about no segment of the pool: {matched.n_unmatched}")
    if mixed.any():
        notes.append(
            "segments with several labels, left out because a clip of this project has one: "
            f"{mixed.sum()}; --several-labels changes that"
        )
    if len(classes) < 2:
        n_answers = count_text(len(matched.answers), "answer")
        said = [f"{n_answers} of {count_text(len(classes), 'class', 'classes')}", *notes]
        raise DataError(
            f"the log: found {'; '.join(said)}; expected at least two classes ('none of the "
            "classes' counts as one). Answer more of the queue first"
        )
    rows = matched.rows[keep]
    labelled = LabelledRows(
        rows,
        np.array([[name in names for name in classes] for names in used], np.float32),
        np.where(verified[keep], 1.0, UNVERIFIED_WEIGHT),
        index.clips.group[rows],
        classes,
        several_labels,
    )
    return labelled, matched, notes
