"""Answers that look wrong: what a classifier that has not heard of them says otherwise.

As ``semisonic suspects`` does for a set of labels (:mod:`semisonic.evaluation.suspects`), with
the classifiers of :func:`semisonic.labeling.kept_probe.out_of_fold`: each answer is judged by one
that learned from other recordings only, so nothing is embedded or trained for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from semisonic.evaluation.suspects import Suspects, find_suspects, find_suspects_multi
from semisonic.labeling.answered import Known, known_rows, require_classes
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.kept_probe import Tell, out_of_fold
from semisonic.labeling.label_log import LabelLog


@dataclass(frozen=True)
class Doubted:
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


def doubted_answers(
    log: LabelLog,
    index: EmbeddingIndex,
    *,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> tuple[Doubted, ...]:
    """Answers that look wrong, the most suspicious first.

    Answers that nobody is sure of, and classes that other recordings do not have, are not judged.
    ``several_labels`` and ``tell`` are those of :func:`semisonic.labeling.train_again`.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    """
    known = known_rows(log, index, several_labels=several_labels)
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


def _answers(known: Known) -> dict[int, int]:
    """For each row of the index the answer that speaks of it."""
    return {
        row: min(its) for row, its in zip(known.asked.tolist(), known.spoken, strict=True) if its
    }


def _doubted(
    known: Known, answer: int, found: Suspects, scores: NDArray[np.float64], names: list[str],
    row: int,
) -> Doubted:  # fmt: skip
    clips = known.answers
    said = found.suggested[row]
    suggested = [int(said)] if found.suggested.ndim == 1 else np.flatnonzero(said).tolist()
    given = [names.index(name) for name in clips.labels[answer] if name in names]
    return Doubted(
        str(clips.file[answer]), float(clips.start_time[answer]), float(clips.end_time[answer]),
        tuple(clips.labels[answer]), tuple(names[k] for k in suggested),
        float(min(scores[given], default=0.0)), float(min(scores[suggested], default=0.0)),
    )  # fmt: skip
