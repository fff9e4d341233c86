"""From a log and an index to what a probe learns from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.labels.clips import BACKGROUND
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.kept_probe import Answered
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.matching import match

UNSURE = 0.5
"""Weight of an answer that its annotator, or another one, is not sure of."""


@dataclass(frozen=True)
class Known:
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

    answered: Answered
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
            zip(self.answered.classes, self.answered.hot.sum(axis=0).astype(int).tolist(),
                strict=True)
        )  # fmt: skip


def known_rows(log: LabelLog, index: EmbeddingIndex, *, several_labels: bool = False) -> Known:
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
        [
            bool(names) and (certain[i] or names != (BACKGROUND,))
            for i, names in enumerate(labels)
        ],
        np.bool_,
    )  # fmt: skip
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
    answered = Answered(
        rows, hot, np.where(certain[keep], 1.0, UNSURE), index.clips.group[rows], classes,
        several_labels,
    )  # fmt: skip
    return Known(
        answered,
        certain[keep],
        found.rows,
        found.answers,
        answers,
        found.n_unmatched,
        int(mixed.sum()),
    )


def require_classes(known: Known) -> None:
    """See that there is something to learn.

    Raises
    ------
    DataError
        With fewer than two classes, and what to do.
    """
    n = len(known.answered.classes)
    if n >= 2:
        return
    said = f"{counted(len(known.answers), 'answer')} of {counted(n, 'class', 'classes')}"
    more = [
        f"{known.n_unmatched} of them speak of no stretch of the pool" * bool(known.n_unmatched),
        mixed_note(known),
    ]
    raise DataError(
        f"the log: found {'; '.join([said, *filter(None, more)])}; expected at "
        "least two classes ('none of the classes' counts as one). Answer more of the queue first"
    )


def mixed_note(known: Known) -> str:
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
