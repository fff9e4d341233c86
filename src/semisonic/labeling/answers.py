"""Answers about recordings as labels of the rows of an index, and answers that look wrong."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import POSITIVE, Clips
from semisonic.data.events import BACKGROUND
from semisonic.data.label_log import Segment
from semisonic.evaluation.label_errors import find_suspects
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.probe import LabelledRows, Tell, score_out_of_fold
from semisonic.models.decision import probabilities

COVERED = 0.5
"""Share of a row that an answer must speak of; or of the answer that must lie in the row."""
UNVERIFIED_WEIGHT = 0.5
"""Weight of an answer that its annotator, or another one, is not sure of."""
_SAME = 1.5e-3  # seconds: tables round to a thousandth


@dataclass(frozen=True)
class MatchedAnswers:
    """Answers, and the rows of an index that they speak of.

    Attributes
    ----------
    answers : Clips
        The answers, a clip each.
    rows : ndarray of int64, shape (m,)
        Rows that somebody answered about, those without a label included; ascending.
    of_row : tuple of tuples of int, length m
        For each the answers that speak of it.
    n_unmatched : int
        Answers that speak of no row: of another recording, or a segment between.
    """

    answers: Clips
    rows: NDArray[np.int64]
    of_row: tuple[tuple[int, ...], ...]
    n_unmatched: int

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of each matched row; none where an answer gives none."""
        return [
            tuple(dict.fromkeys(label for i in its for label in self.answers.labels[i]))
            for its in self.of_row
        ]

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which matched rows carry labels that somebody is sure of, shape (m,)."""
        labels, kinds = self.answers.labels, self.answers.label_type
        return np.array(
            [
                any(labels[i] for i in its) and all(kinds[i] == POSITIVE for i in its if labels[i])
                for its in self.of_row
            ],
            np.bool_,
        )


def match(answers: Clips, pool: Clips) -> MatchedAnswers:
    """Find the rows of a pool that answers speak of.

    An answer about the very segment of a row speaks of that row alone. Else it speaks of rows
    that it covers half of; or, being shorter, of the row in which more than half of it lies.

    Parameters
    ----------
    answers, pool : Clips
        Each names recordings from its own root.
    """
    by_file: dict[str, list[int]] = {}
    for row, path in enumerate(_absolute(pool)):
        by_file.setdefault(path, []).append(row)
    exact: dict[int, list[int]] = {}
    about: dict[int, list[int]] = {}
    unmatched = 0
    for number, path in enumerate(_absolute(answers)):
        own = np.array(by_file.get(path, []), np.int64)
        start, end = float(answers.start_time[number]), float(answers.end_time[number])
        rows, same = _rows_of(own, pool, start, end)
        unmatched += not len(rows)
        for row in rows.tolist():
            about.setdefault(row, []).append(number)
            if same:
                exact.setdefault(row, []).append(number)
    rows = np.array(sorted(about), np.int64)
    of_row = tuple(tuple(exact.get(row, about[row])) for row in rows.tolist())
    return MatchedAnswers(answers, rows, of_row, unmatched)


def _rows_of(
    rows: NDArray[np.int64], pool: Clips, start: float, end: float
) -> tuple[NDArray[np.int64], bool]:
    """Those of some rows of one recording that a segment speaks of; whether it is the very one."""
    first, last = pool.start_time[rows], pool.end_time[rows]
    last = np.where(np.isnan(last), np.inf, last)
    stop = np.inf if np.isnan(end) else end
    with np.errstate(invalid="ignore"):
        same = (np.abs(first - start) < _SAME) & ((last == stop) | (np.abs(last - stop) < _SAME))
        if same.any():
            return rows[same], True
        shared = np.minimum(last, stop) - np.maximum(first, start)
        of_row = np.where(np.isinf(shared), 1.0, shared / (last - first))
        of_answer = np.where(np.isinf(shared), 1.0, shared / (stop - start))
    covered = (shared > 0) & (of_row >= COVERED - 1e-9)
    if covered.any():
        return rows[covered], False
    return rows[(shared > 0) & (of_answer > COVERED)][:1], False


def _absolute(clips: Clips) -> list[str]:
    """The path of each row's recording, whatever folder the table names it from."""
    root = os.path.abspath(clips.root)
    known = {file: os.path.normpath(os.path.join(root, file)) for file in set(clips.file.tolist())}
    return [known[file] for file in clips.file.tolist()]


@dataclass(frozen=True)
class IndexLabels:
    """What a log says of an index.

    Attributes
    ----------
    matched : MatchedAnswers
    labelled : LabelledRows
        Rows to learn from; those of weight 1 are verified, which are those to measure by.
    n_mixed : int
        Rows with several labels, left out because a clip may carry one.
    """

    matched: MatchedAnswers
    labelled: LabelledRows
    n_mixed: int = 0

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which labelled rows somebody is sure of, shape (n,)."""
        return np.asarray(self.labelled.weights == 1.0, np.bool_)

    @property
    def counts(self) -> dict[str, int]:
        """Labelled rows of each class."""
        n = self.labelled.targets.sum(axis=0).astype(int).tolist()
        return dict(zip(self.labelled.classes, n, strict=True))

    @property
    def mixed_note(self) -> str:
        """What is said of clips with several labels where a clip carries one; empty without any."""
        if not self.n_mixed:
            return ""
        one = self.n_mixed == 1
        return (
            f"{self.n_mixed} {'stretch has' if one else 'stretches have'} several labels and "
            f"{'is' if one else 'are'} not learned from, as a clip of this project carries one; "
            "--several-labels changes that"
        )


def label_index(
    log: LabelLog, index: EmbeddingIndex, *, several_labels: bool = False
) -> IndexLabels:
    """Which rows of an index a log labels.

    An answer that only says what is not heard labels nothing: something else may be. Where none of
    the classes is heard the row is of the class "background", or with several labels per clip of
    no class. Where a clip carries one label, rows of which answers name several label nothing.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
    several_labels : bool
        Whether a clip may carry several labels at once.

    Raises
    ------
    DataError
        With fewer than two classes, and what to do.
    """
    matched = match(log.current().clips(), index.clips)
    labels, verified = matched.labels, matched.is_verified
    mixed = np.array([len(names) > 1 and not several_labels for names in labels], np.bool_)
    sure = np.array([bool(names) and names != (BACKGROUND,) for names in labels], np.bool_)
    keep = ~mixed & (sure | verified)
    used = [names for names, kept in zip(labels, keep, strict=True) if kept]
    counts = Counter(name for names in used for name in names)
    if several_labels:
        counts.pop(BACKGROUND, None)
    classes = tuple(sorted(counts))
    targets = np.array([[name in names for name in classes] for names in used], np.float32)
    rows = matched.rows[keep]
    labelled = LabelledRows(
        rows,
        targets.reshape(len(rows), len(classes)),
        np.where(verified[keep], 1.0, UNVERIFIED_WEIGHT),
        index.clips.group[rows],
        classes,
        several_labels,
    )
    found = IndexLabels(matched, labelled, int(mixed.sum()))
    if len(classes) < 2:
        n_answers, n = len(matched.answers), len(classes)
        said = [f"{count_text(n_answers, 'answer')} of {count_text(n, 'class', 'classes')}"]
        if matched.n_unmatched:
            said.append(f"{matched.n_unmatched} of them speak of no stretch of the pool")
        raise DataError(
            f"the log: found {'; '.join(filter(None, [*said, found.mixed_note]))}; expected at "
            "least two classes ('none of the classes' counts as one). Answer more of the queue "
            "first"
        )
    return found


@dataclass(frozen=True)
class LabelIssue(Segment):
    """An answer that looks wrong; files are named as the log names them.

    Attributes
    ----------
    labels : tuple of str
        What was answered.
    suggested : tuple of str
        What the scores speak for; empty for none of the classes.
    score, suggested_score : float
        Of the answered label and of the suggested one, 0 to 1; of several, the least.
    """

    labels: tuple[str, ...]
    suggested: tuple[str, ...]
    score: float
    suggested_score: float


def find_label_issues(
    log: LabelLog,
    index: EmbeddingIndex,
    *,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> tuple[LabelIssue, ...]:
    """Answers that look wrong, the most suspicious first.

    As ``semisonic suspects`` does for a set of labels, but each answer is judged by a class layer
    on the vectors of the index that has learned from other recordings only, so nothing is embedded
    or trained for minutes. Answers that nobody is sure of, and classes that other recordings do
    not have, are not judged.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
    seed : int
    several_labels : bool
        Whether a clip may carry several labels at once.
    tell : callable, optional
        Is told how many parts of so many are done.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    """
    known = label_index(log, index, several_labels=several_labels)
    labelled, matched = known.labelled, known.matched
    held_out = score_out_of_fold(index, labelled, matched.rows, seed=seed, tell=tell)
    finite = np.isfinite(held_out.logits).all(axis=1)
    judged = np.flatnonzero(known.is_verified & held_out.is_known & finite)
    columns = np.flatnonzero((labelled.targets[judged] > 0).any(axis=0))
    if len(columns) < 2:
        return ()
    target = labelled.targets[np.ix_(judged, columns)].astype(np.int64)
    logits = torch.from_numpy(held_out.logits[np.ix_(judged, columns)])
    scores = probabilities(logits, multi_label=several_labels).numpy()
    found = find_suspects(target if several_labels else target.argmax(axis=1), scores)
    names = [labelled.classes[k] for k in columns.tolist()]
    answer_of = dict(zip(matched.rows.tolist(), matched.of_row, strict=True))
    clips, issues = matched.answers, []
    for i in found.suspects.tolist():
        answer = min(answer_of[int(labelled.rows[judged[i]])])
        said = found.suggested[i]
        suggested = [int(said)] if found.suggested.ndim == 1 else np.flatnonzero(said).tolist()
        given = [names.index(name) for name in clips.labels[answer] if name in names]
        issues.append(
            LabelIssue(
                str(clips.file[answer]),
                float(clips.start_time[answer]),
                float(clips.end_time[answer]),
                tuple(clips.labels[answer]),
                tuple(names[k] for k in suggested),
                float(min(scores[i][given], default=0.0)),
                float(min(scores[i][suggested], default=0.0)),
            )
        )
    return tuple(issues)
