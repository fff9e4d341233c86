"""Which labels of clips that nobody checked are kept: those a model trained on others agrees with.

Paper: the rule of the k best classes is that of a student system for FSDKaggle2019 (k = 5 of 80
classes); the threshold is the usual one of pseudo-labels (Lee 2013), asked of labels that are
there already.

A label is kept where both rules agree that are in use. The model says nothing new: no label is
added, and a clip that has none left is an unlabelled one. Each decision is a row of a table.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.base.files import unguarded, write_csv
from semisonic.base.options import option

_COLUMNS = ("clip", "label", "kept", "reason", "rank", "score")
_YES = {True: "yes", False: "no"}


@dataclass(frozen=True)
class FilterOptions:
    """Which labels that nobody checked are kept."""

    top_k: int = option(
        5, "keep a label that is among the model's so many best classes; 0: any rank", minimum=0
    )
    threshold: float = option(
        0.0, "keep a label with at least this score; 0: any score", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class Decision:
    """What became of one label of one clip.

    Attributes
    ----------
    clip, label : str
    kept : bool
    reason : str
    rank : int
        Of the class among all, from 1; equal scores are ranked by class number.
    score : float
    """

    clip: str
    label: str
    kept: bool
    reason: str
    rank: int
    score: float


def filter_labels(
    clips: Sequence[str],
    labels: Sequence[Sequence[str]],
    scores: NDArray[np.float64],
    classes: Sequence[str],
    options: FilterOptions,
) -> list[Decision]:
    """Decide about each label of each clip.

    Parameters
    ----------
    clips : sequence of str, length n
    labels : sequence of sequences of str, length n
    scores : ndarray, shape (n, n_classes)
        Probabilities by a model in evaluation mode.
    classes : sequence of str
    options : FilterOptions

    Returns
    -------
    list of Decision
        In the order of clips and their labels.

    Raises
    ------
    DataError
        When scores are not finite or of another shape.
    OptionError
        When neither rule is in use.
    """
    if not options.top_k and not options.threshold:
        raise OptionError(
            "filter: found top_k 0 and threshold 0, which keep every label; expected one above 0"
        )
    if scores.shape != (len(clips), len(classes)) or not np.isfinite(scores).all():
        raise DataError(
            f"filter: found scores of shape {scores.shape}, expected finite ones of shape "
            f"({len(clips)}, {len(classes)})"
        )
    column = {name: number for number, name in enumerate(classes)}
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
    found = []
    for row, (clip, names) in enumerate(zip(clips, labels, strict=True)):
        for name in names:
            place, score = int(rank[row, column[name]]), float(scores[row, column[name]])
            kept, reason = _judged(place, score, options)
            found.append(Decision(clip, name, kept, reason, place, score))
    return found


def _judged(rank: int, score: float, options: FilterOptions) -> tuple[bool, str]:
    k, least = options.top_k, options.threshold
    if k and rank > k:
        return False, f"rank {rank} is not among the best {k}"
    if score < least:
        return False, f"score {score:.3f} is below {least:g}"
    said = [f"rank {rank} is among the best {k}"] if k else []
    said += [f"score {score:.3f} is at least {least:g}"] if least else []
    return True, ", ".join(said)


def kept_labels(decisions: Sequence[Decision]) -> dict[str, tuple[str, ...]]:
    """The labels that each clip is left with; none for one that becomes unlabelled."""
    found: dict[str, tuple[str, ...]] = {one.clip: () for one in decisions}
    for one in decisions:
        if one.kept:
            found[one.clip] += (one.label,)
    return found


def write_decisions(path: Path, decisions: Sequence[Decision]) -> None:
    """Write a CSV file with a row per label; :func:`read_decisions` gives the same back."""
    rows = (
        [one.clip, one.label, _YES[one.kept], one.reason, one.rank, repr(one.score)]
        for one in decisions
    )
    write_csv(path, _COLUMNS, rows)


def read_decisions(path: Path) -> list[Decision]:
    """Read what :func:`write_decisions` wrote.

    Raises
    ------
    DataError
        With the row, for a file that is something else.
    """
    with open(path, encoding="utf-8", newline="") as stream:
        header, *rows = [list(map(unguarded, row)) for row in csv.reader(stream)] or [[]]
    if tuple(header) != _COLUMNS:
        raise DataError(f"{path}: found columns {header}, expected {', '.join(_COLUMNS)}")
    return [_decision(path, number, row) for number, row in enumerate(rows, start=2)]


def _decision(path: Path, number: int, row: list[str]) -> Decision:
    try:
        clip, label, kept, reason, rank, score = row
        answers: dict[str, Any] = {text: value for value, text in _YES.items()}
        return Decision(clip, label, answers[kept], reason, int(rank), float(score))
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}, row {number}: not a decision about a label: {row}") from error
