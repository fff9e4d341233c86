"""Answers about recordings as labels of the rows of an index, and answers that look wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import POSITIVE, Clips
from semisonic.data.events import BACKGROUND
from semisonic.evaluation.label_errors import Suspects, find_suspects, find_suspects_multi
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.probe import AnsweredVectors, Tell, out_of_fold

# From answers about stretches to rows of a pool: which rows are labelled, and with what.


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
        i
        for i in its
        if abs(answers.start_time[i] - pool.start_time[row]) < _SAME
        and abs(answers.end_time[i] - pool.end_time[row]) < _SAME
    ]
    return same or its


def _absolute(clips: Clips) -> list[str]:
    """The path of each row's recording, whatever folder the table names it from."""
    known: Mapping[str, str] = {
        file: os.path.normpath(os.path.join(os.path.abspath(clips.root), file))
        for file in set(clips.file.tolist())
    }
    return [known[file] for file in clips.file.tolist()]


# From a log and an index to what a probe learns from.


UNSURE = 0.5
"""Weight of an answer that its annotator, or another one, is not sure of."""


@dataclass(frozen=True)
class LabelledRows:
    """What a log says of an index.

    Attributes
    ----------
    answered : Answered
        Rows with labels.
    certain : ndarray of bool, shape (n,)
        Which of these somebody is sure of: those to measure by.
    asked : ndarray of int64
        All rows that somebody answered about, those without a label included.
    spoken : tuple of tuples of int
        For each of these the answers that speak of it.
    answers : Clips
        The answers, a clip each.
    n_unmatched : int
        Answers that speak of no row of the index.
    n_mixed : int
        Rows with several labels, left out because a clip may carry one.
    """

    answered: AnsweredVectors
    certain: NDArray[np.bool_]
    asked: NDArray[np.int64]
    spoken: tuple[tuple[int, ...], ...]
    answers: Clips
    n_unmatched: int
    n_mixed: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Labelled rows of each class."""
        return dict(
            zip(
                self.answered.classes,
                self.answered.hot.sum(axis=0).astype(int).tolist(),
                strict=True,
            )
        )


def labelled_rows(
    log: LabelLog, index: EmbeddingIndex, *, several_labels: bool = False
) -> LabelledRows:
    """Which rows of an index a log labels.

    An answer that only says what is not heard labels nothing: something else may be. Where none of
    the classes is heard the row is of the class "background", or with several labels per clip of
    no class. Where a clip carries one label, rows of which answers name several label nothing.
    """
    current = log.current()
    answers = current.clips()
    found = match(answers, index.clips)
    labels = found.labels(answers)
    certain = found.certain(answers)
    keep = np.array(
        [bool(names) and (certain[i] or names != (BACKGROUND,)) for i, names in enumerate(labels)],
        np.bool_,
    )
    mixed = np.array([len(names) > 1 for names in labels], np.bool_) & keep & (not several_labels)
    keep &= ~mixed
    used = [names for names, kept in zip(labels, keep, strict=True) if kept]
    classes = _classes(used, several_labels)
    column = {name: number for number, name in enumerate(classes)}
    hot = np.zeros((len(used), len(classes)), np.float32)
    for row, names in enumerate(used):
        for name in names:
            if name in column:
                hot[row, column[name]] = 1.0
    rows = found.rows[keep]
    answered = AnsweredVectors(
        rows,
        hot,
        np.where(certain[keep], 1.0, UNSURE),
        index.clips.group[rows],
        classes,
        several_labels,
    )
    return LabelledRows(
        answered,
        certain[keep],
        found.rows,
        found.answers,
        answers,
        found.n_unmatched,
        int(mixed.sum()),
    )


def require_classes(known: LabelledRows) -> None:
    """See that there is something to learn.

    Raises
    ------
    DataError
        With fewer than two classes, and what to do.
    """
    n = len(known.answered.classes)
    if n >= 2:
        return
    said = f"{count_text(len(known.answers), 'answer')} of {count_text(n, 'class', 'classes')}"
    more = [
        f"{known.n_unmatched} of them speak of no stretch of the pool" * bool(known.n_unmatched),
        mixed_note(known),
    ]
    raise DataError(
        f"the log: found {'; '.join([said, *filter(None, more)])}; expected at "
        "least two classes ('none of the classes' counts as one). Answer more of the queue first"
    )


def mixed_note(known: LabelledRows) -> str:
    """What is said of clips with several labels where a clip may carry one; empty without any."""
    if not known.n_mixed:
        return ""
    one = known.n_mixed == 1
    return (
        f"{known.n_mixed} {'stretch has' if one else 'stretches have'} several labels and "
        f"{'is' if one else 'are'} not learned from, as a clip of this project carries one; "
        "--several-labels changes that"
    )


def _classes(used: list[tuple[str, ...]], several: bool) -> tuple[str, ...]:
    counts = Counter(name for names in used for name in names)
    if several:
        counts.pop(BACKGROUND, None)
    return tuple(sorted(counts))


# Answers that look wrong: what a classifier that has not heard of them says otherwise.
#
# As ``semisonic suspects`` does for a set of labels (:mod:`semisonic.evaluation.label_errors`),
# with
# the classifiers of :func:`semisonic.labeling.probe.out_of_fold`: each answer is judged by one
# that learned from other recordings only, so nothing is embedded or trained for minutes.


@dataclass(frozen=True)
class LabelIssue:
    """An answer that looks wrong.

    Attributes
    ----------
    file : str
        As the log names it.
    start_time, end_time : float
        Seconds.
    labels : tuple of str
        What was answered.
    suggested : tuple of str
        What the scores speak for; empty for none of the classes.
    score, suggested_score : float
        Of the answered label and of the suggested one, 0 to 1; of several, the least.
    """

    file: str
    start_time: float
    end_time: float
    labels: tuple[str, ...]
    suggested: tuple[str, ...]
    score: float
    suggested_score: float


def label_issues(
    log: LabelLog,
    index: EmbeddingIndex,
    *,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> tuple[LabelIssue, ...]:
    """Answers that look wrong, the most suspicious first.

    Answers that nobody is sure of, and classes that other recordings do not have, are not judged.
    ``several_labels`` and ``tell`` are those of :func:`semisonic.labeling.rounds.learn_round`.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    """
    known = labelled_rows(log, index, several_labels=several_labels)
    require_classes(known)
    pool = np.setdiff1d(np.arange(len(index)), known.asked)
    held_out = out_of_fold(
        index.vectors, known.answered, pool, index.clips.group, seed=seed, tell=tell
    )
    finite = np.isfinite(held_out.logits).all(axis=1)
    rows = np.flatnonzero(known.certain & held_out.learned & finite)
    hot = known.answered.hot[rows] > 0
    columns = np.flatnonzero(hot.any(axis=0))
    if len(columns) < 2:
        return ()
    hot, logits = hot[:, columns], held_out.logits[np.ix_(rows, columns)]
    scores: NDArray[np.float64]
    if known.answered.several:
        scores = expit(logits)
        found = find_suspects_multi(hot.astype(np.int64), scores)
    else:
        scores = softmax(logits, axis=1)
        found = find_suspects(hot.argmax(axis=1), scores, ranking="confidence")
    names = [known.answered.classes[k] for k in columns.tolist()]
    answer_of = _answers(known)
    return tuple(
        _doubted(known, answer_of[int(known.answered.rows[rows[i]])], found, scores[i], names, i)
        for i in found.suspects.tolist()
    )


def _answers(known: LabelledRows) -> dict[int, int]:
    """For each row of the index the answer that speaks of it."""
    return {
        row: min(its) for row, its in zip(known.asked.tolist(), known.spoken, strict=True) if its
    }


def _doubted(
    known: LabelledRows,
    answer: int,
    found: Suspects,
    scores: NDArray[np.float64],
    names: list[str],
    row: int,
) -> LabelIssue:
    clips = known.answers
    said = found.suggested[row]
    suggested = [int(said)] if found.suggested.ndim == 1 else np.flatnonzero(said).tolist()
    given = [names.index(name) for name in clips.labels[answer] if name in names]
    return LabelIssue(
        str(clips.file[answer]),
        float(clips.start_time[answer]),
        float(clips.end_time[answer]),
        tuple(clips.labels[answer]),
        tuple(names[k] for k in suggested),
        float(min(scores[given], default=0.0)),
        float(min(scores[suggested], default=0.0)),
    )
