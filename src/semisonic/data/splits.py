"""Splits by recording: official folds or folds of our own, with an inner validation part.

A recording (``Clips.group``) never stands on two sides of a split. Which clip goes where depends
on the names of the recordings and on the seed, never on the order of files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.base.options import nearest
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.folds import make_folds
from semisonic.data.hold_out import hold_out
from semisonic.data.readers.load import require_labels
from semisonic.data.straddling import move_straddling, straddling_groups

__all__ = [
    "Split",
    "fold_splits",
    "hold_out",
    "make_folds",
    "move_straddling",
    "straddling_groups",
]

Rows = NDArray[np.int64]
VALIDATION_FOLDS = ("inner", "previous")
STRADDLING = ("drop", "move", "keep", "error")


@dataclass(frozen=True)
class Split:
    """One way to divide a table: row numbers, each ascending, none twice.

    Attributes
    ----------
    fold : int
        The fold that is tested.
    train, validation, test : ndarray of int64
        Row numbers of labelled clips.
    dropped : ndarray of int64
        Rows that are used nowhere, because their recording also stands in the test fold (or, with
        the previous fold as validation, in the validation fold).
    """

    fold: int
    train: Rows
    validation: Rows
    test: Rows
    dropped: Rows = field(default_factory=lambda: np.empty(0, np.int64))


def fold_splits(
    clips: Clips,
    *,
    validation: float = 0.15,
    seed: int = 0,
    n_folds: int = 5,
    validation_fold: Literal["inner", "previous"] = "inner",
    straddling: Literal["drop", "move", "keep", "error"] = "drop",
) -> list[Split]:
    """One split for each fold: that fold is tested, the others train and validate.

    A set with one fold, and clips without a fold beside it, has an official test part (fold 1) and
    gives one split. Labels that nobody checked (``label_type`` "uncertain") train only.

    Parameters
    ----------
    clips : Clips
        Rows without a label are in no part of any split. Labelled rows without a fold, in a set
        that has folds, train and validate only.
    validation : float
        Share of the training clips that is cut off for validation, from 0 to below 1.
    seed : int
        Chooses the validation recordings, and the folds where the set has none.
    n_folds : int
        How many folds to make where the set has none; official folds are kept as they are.
    validation_fold : {"inner", "previous"}
        "inner" cuts the validation part from the training folds, by recording. "previous" takes
        the fold before the tested one, cyclic (K. J. Piczak, MLSP 2015); ``validation`` is unused.
    straddling : {"drop", "move", "keep", "error"}
        What happens to recordings that stand in several official folds (ESC-50 has 4). "drop":
        their clips are left out of training and validation while their recording is tested, so
        every test fold stays as published. "move": the whole recording goes to the fold that
        holds most of it. "keep": the published protocol with its small leak. "error": refuse.

    Raises
    ------
    DataError
        When there are no labels, too few recordings, or a class is left without training clips.
    OptionError
        When an option is out of range.
    """
    _check_options(validation, n_folds, validation_fold, straddling)
    require_labels(clips, "a split")
    fold = clips.fold
    if not clips.folds:
        fold = make_folds(clips, n_folds, seed)
    elif straddling == "error" and (groups := straddling_groups(clips)):
        raise DataError(
            f"'{clips.name}': {counted(len(groups), 'recording')} in several folds: "
            f"{', '.join(groups[:10])}{', ...' if len(groups) > 10 else ''}. Expected each in one; "
            "choose 'drop', 'move' or 'keep' for straddling recordings"
        )
    elif straddling == "move":
        fold = move_straddling(clips).fold
    labelled = clips.is_labelled
    folds = sorted({int(f) for f in fold[labelled]} - {0})
    official_test = len(folds) == 1 and bool((labelled & (fold == 0)).any())
    least = 3 if validation_fold == "previous" else 1 if official_test else 2
    if len(folds) < least:
        raise DataError(
            f"'{clips.name}': labelled clips in {len(folds)} fold(s), expected at least {least}; "
            "without a fold column folds are made"
        )
    splits = []
    for i, k in enumerate(folds):
        test = np.flatnonzero(clips.is_certain & (fold == k))
        rest = np.flatnonzero(labelled & (fold != k))
        held, dropped = np.empty(0, np.int64), np.empty(0, np.int64)
        if straddling != "keep":
            rest, dropped = _without_groups_of(clips, rest, test)
        if validation_fold == "previous":
            before = fold[rest] == folds[i - 1]
            held, train = rest[before & clips.is_certain[rest]], rest[~before]
            if straddling != "keep":
                train, more = _without_groups_of(clips, train, held)
                dropped = np.sort(np.concatenate([dropped, more]))
        else:
            train, held = hold_out(clips, rest, validation, seed, f"validation of fold {k}")
        _check_classes(clips, train, test, k)
        splits.append(Split(k, train, held, test, dropped))
    return splits


def _without_groups_of(clips: Clips, rows: Rows, others: Rows) -> tuple[Rows, Rows]:
    """Rows whose recording is not among ``others``, and the rest."""
    shared = np.isin(clips.group[rows], clips.group[others])
    return rows[~shared], rows[shared]


def _check_options(validation: float, n_folds: int, validation_fold: str, straddling: str) -> None:
    if not 0 <= validation < 1:
        raise OptionError(f"validation: found {validation}, expected a share from 0 to below 1")
    if n_folds < 2:
        raise OptionError(f"n_folds: found {n_folds}, expected at least 2")
    if validation_fold not in VALIDATION_FOLDS:
        hint = nearest(validation_fold, VALIDATION_FOLDS)
        raise OptionError(f"validation_fold: found '{validation_fold}'; {hint}")
    if straddling not in STRADDLING:
        raise OptionError(f"straddling: found '{straddling}'; {nearest(straddling, STRADDLING)}")


def _check_classes(clips: Clips, train: Rows, test: Rows, fold: int) -> None:
    trained = {label for row in train for label in clips.labels[row]}
    lost = sorted({label for row in test for label in clips.labels[row]} - trained)
    if lost or not len(train):
        raise DataError(
            f"'{clips.name}', fold {fold}: {', '.join(lost[:10]) or 'all clips'} would be tested, "
            "but no training clip is left. Each class needs recordings in at least two folds; "
            "add recordings, or leave these classes out (keep_classes)"
        )
