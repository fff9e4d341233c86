"""The clips that a verb works on, as its options say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.data.checks.recordings import AUTO, COPIES
from semisonic.data.clips import Clips
from semisonic.data.readers import TableOptions, load_clips

Rows = NDArray[np.int64]


def load_data(path: Path | None, labels: str, group: str, verb: str, table: TableOptions) -> Clips:
    """Read the data set that the option ``data`` of a verb names.

    Before clips are split, :func:`semisonic.inference.verbs.runs.recordings_in` keeps copies
    together.

    Raises
    ------
    OptionError
        When it was not given.
    """
    if path is None:
        before = "MODEL " if verb == "evaluate" else ""
        raise OptionError(
            f"option 'data' is missing: name a folder or a CSV, as in 'semisonic {verb} "
            f"{before}FOLDER'"
        )
    rule = AUTO if group == COPIES else group  # known_recordings looks for them, with a cache
    return load_clips(path, labels=labels, group=rule, **dataclasses.asdict(table))


def in_fold(clips: Clips, fold: int) -> Rows:
    """The rows of an official fold.

    Raises
    ------
    OptionError
        When the set has no such fold.
    """
    if fold not in clips.folds:
        known = ", ".join(map(str, clips.folds)) or "none"
        raise OptionError(f"'{clips.name}': found fold {fold}, the official folds are: {known}")
    return np.flatnonzero(clips.fold == fold)


def outside_fold(clips: Clips, fold: int) -> Rows:
    """The rows of other folds whose recording does not stand in this one."""
    tested = in_fold(clips, fold)
    apart = ~np.isin(clips.group, clips.group[tested])
    return np.flatnonzero(apart & (clips.fold != fold))


def as_classes_of(
    clips: Clips, classes: Sequence[str], *, allow_unknown: bool = False
) -> tuple[Clips, list[str]]:
    """The labelled clips with a model's classes in the model's order, by name.

    Returns
    -------
    clips : Clips
        A label that the model does not know is dropped, and a clip left without a label, too.
    unknown : list of str
        The labels dropped.

    Raises
    ------
    DataError
        When there are labels that the model does not know, unless allowed, or nothing is left.
    """
    known = set(classes)
    unknown = sorted({label for row in clips.labels for label in row} - known)
    if unknown and not allow_unknown:
        raise DataError(
            f"'{clips.name}': the model does not know {len(unknown)} of its classes: "
            f"{', '.join(unknown[:8])}{', ...' if len(unknown) > 8 else ''}. The model knows: "
            f"{', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''}. Rename the labels, "
            "or leave such clips out with --allow-unknown"
        )
    labels = tuple(tuple(label for label in row if label in known) for row in clips.labels)
    kept = clips.with_columns(labels=labels, classes=tuple(classes))
    kept = kept[kept.is_labelled]
    if not len(kept):
        raise DataError(f"'{clips.name}': no clip carries a label that the model knows")
    return kept, unknown
