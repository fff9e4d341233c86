"""The learning curve of a project: a row each time that it learned."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.files import replacing

HISTORY = "history.csv"


@dataclass(frozen=True)
class Step:
    """One training.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    n_answers, n_classes : int
        Labelled stretches and their classes.
    accuracy, low, high : float
        Over the random sample, with its 95 % interval; NaN without one.
    n_random : int
        Clips of that sample.
    left_out : float
        Accuracy over all answers, each by a classifier that learned from other recordings. The
        answers are mostly the hard ones, so this is below what the pool would show.
    seconds : float
        Of the training and its measuring.
    state : str
        What was learned from: a hash of answers, index and options.
    """

    time: str
    n_answers: int
    n_classes: int
    accuracy: float
    low: float
    high: float
    n_random: int
    left_out: float
    seconds: float
    state: str


_NAMES = tuple(field.name for field in fields(Step))
_DIGITS = {"accuracy": 4, "low": 4, "high": 4, "left_out": 4, "seconds": 2}


def read_history(folder: Path) -> tuple[Step, ...]:
    """The steps so far, oldest first; none without a history.

    Raises
    ------
    DataError
        When the file is none.
    """
    path = folder / HISTORY
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    steps = []
    for number, cells in enumerate(table, start=2):
        try:
            steps.append(
                Step(
                    cells["time"], int(cells["n_answers"]), int(cells["n_classes"]),
                    float(cells["accuracy"] or "nan"), float(cells["low"] or "nan"),
                    float(cells["high"] or "nan"),
                    int(cells["n_random"]), float(cells["left_out"] or "nan"),
                    float(cells["seconds"]), cells["state"],
                )
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path}, row {number}: not a step of a history ({error})") from error
    return tuple(steps)


def write_history(folder: Path, steps: Sequence[Step]) -> Path:
    """Write the whole history, or nothing."""
    with replacing(folder / HISTORY) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_NAMES)
        for step in steps:
            writer.writerow(
                _cell(name, value) for name, value in zip(_NAMES, astuple(step), strict=True)
            )
    return folder / HISTORY


def _cell(name: str, value: object) -> object:
    if isinstance(value, float):
        return "" if value != value else f"{value:.{_DIGITS.get(name, 4)}f}"
    return value
