"""Which labelled clips are learnt from and which choose the epoch, by recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.data.budgets import label_budget
from semisonic.data.clips import Clips
from semisonic.data.hold_out import hold_out
from semisonic.data.readers.load import require_labels
from semisonic.inference.datasets import in_fold, outside_fold

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """Row numbers of a clip table, ascending.

    Attributes
    ----------
    train, validation : ndarray of int64
        To learn from; to choose the epoch by (may be empty).
    test : ndarray of int64
        The fold left for later; empty when none was asked for.
    """

    train: Rows
    validation: Rows
    test: Rows

    @property
    def used(self) -> Rows:
        """All labels that take part: those of training and of validation."""
        return np.sort(np.concatenate([self.train, self.validation]))


def select(
    clips: Clips,
    *,
    labels_per_class: int = 0,
    validation: float = 0.15,
    test_fold: int = 0,
    seed: int = 0,
) -> Selection:
    """Draw the budget, then cut the validation part from it.

    Every label that takes part counts in the budget, those of the validation part as well.
    Where a class would have less than one label in it (4 per class at 15 %) there is no
    validation part: training then lasts its epochs and ends with its last weights.

    Parameters
    ----------
    clips : Clips
        Rows without a label are passed over.
    labels_per_class : int
        The budget; 0 is all.
    validation : float
        Share of the labels, 0 to below 1.
    test_fold : int
        An official fold that takes no part, nor any clip of its recordings; 0 is none.
    seed : int

    Raises
    ------
    DataError
        Without labels, with fewer than two classes, or when a class has no clip to learn from.
    OptionError
        When there is no such fold.
    """
    require_labels(clips, "training")
    none = np.zeros(0, np.int64)
    rows = outside_fold(clips, test_fold) if test_fold else np.arange(len(clips))
    test = in_fold(clips, test_fold) if test_fold else none
    rows = rows[clips.is_labelled[rows]]
    if labels_per_class:
        rows = label_budget(clips, rows, labels_per_class, seed)
    has_part = not labels_per_class or labels_per_class * validation >= 1
    train, held = hold_out(clips, rows, validation, seed) if has_part else (rows, none)
    check_classes(clips, train)
    return Selection(train, held, test)


def check_classes(clips: Clips, rows: Rows) -> None:
    """See that every class has something to learn from.

    Raises
    ------
    DataError
        When one has not, or when there are fewer than two classes.
    """
    found = {label for row in rows for label in clips.labels[row]}
    lost = [name for name in clips.classes if name not in found]
    if lost:
        raise DataError(
            f"'{clips.name}': no clip to learn from for {', '.join(lost[:8])}"
            f"{', ...' if len(lost) > 8 else ''}. Add recordings of these classes, or leave them "
            "out of the data set"
        )
    if len(clips.classes) < 2:
        raise DataError(
            f"'{clips.name}': found {len(clips.classes)} class(es), expected at least 2; add a "
            "class for everything else"
        )


def targets_of(clips: Clips, *, multi_label: bool) -> NDArray[np.int64] | NDArray[np.float32]:
    """Class numbers (n,), or a column per class (n, n_classes) for several labels per clip."""
    return clips.targets() if multi_label else clips.target()
