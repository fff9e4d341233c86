"""The learning curve of a project: a row each time that it learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.files import read_csv, write_csv
from semisonic.labeling.estimate import Estimate

HISTORY = "history.csv"
_ESTIMATE = tuple(field.name for field in fields(Estimate))
_BY_RANDOM, _LEFT_OUT = "by_chance_", "left_out_"
_BETWEEN = " | "


@dataclass(frozen=True)
class Step:
    """One training.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    n_answers, n_classes : int
        Labelled stretches and their classes.
    several_labels : bool
        Whether a clip could carry several; the accuracies of steps where it could and of steps
        where it could not do not compare.
    by_random : Estimate
        Accuracy over the random sample: the number to believe; of no clips without one.
    left_out : Estimate
        Accuracy over all answers, each by a classifier that learned from other recordings. The
        answers are mostly the hard ones, so this is below what the pool would show.
    seconds : float
        Of the training and its measuring.
    state : str
        What was learned from: a hash of answers, index and options.
    notes : tuple of str
        What has to be said beside the numbers.
    """

    time: str
    n_answers: int
    n_classes: int
    several_labels: bool
    by_random: Estimate
    left_out: Estimate
    seconds: float
    state: str
    notes: tuple[str, ...] = ()


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
    steps = []
    for number, cells in enumerate(read_csv(path), start=2):
        try:
            steps.append(
                Step(
                    cells["time"],
                    int(cells["n_answers"]),
                    int(cells["n_classes"]),
                    cells["several_labels"] == "yes",
                    _estimate(cells, _BY_RANDOM),
                    _estimate(cells, _LEFT_OUT),
                    float(cells["seconds"]),
                    cells["state"],
                    tuple(filter(None, cells["notes"].split(_BETWEEN))),
                )
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}, row {number}: not a step of a history ({error})") from error
    return tuple(steps)


def write_history(folder: Path, steps: Sequence[Step]) -> Path:
    """Write the whole history, or nothing."""
    rows = [_row(step) for step in steps]
    write_csv(folder / HISTORY, list(rows[0]) if rows else [], [row.values() for row in rows])
    return folder / HISTORY


def _row(step: Step) -> dict[str, str]:
    return {
        "time": step.time,
        "n_answers": str(step.n_answers),
        "n_classes": str(step.n_classes),
        "several_labels": "yes" if step.several_labels else "no",
        **_cells(step.by_random, _BY_RANDOM),
        **_cells(step.left_out, _LEFT_OUT),
        "seconds": f"{step.seconds:.2f}",
        "state": step.state,
        "notes": _BETWEEN.join(step.notes),
    }


def _cells(found: Estimate, prefix: str) -> dict[str, str]:
    values = {name: getattr(found, name) for name in _ESTIMATE}
    return {
        prefix + name: str(value) if isinstance(value, int) else f"{value:.4f}"
        for name, value in values.items()
    }


def _estimate(cells: Mapping[str, str], prefix: str) -> Estimate:
    n_right, n, n_recordings = (
        int(cells[prefix + name]) for name in ("n_right", "n", "n_recordings")
    )
    accuracy, low, high = (float(cells[prefix + name]) for name in ("accuracy", "low", "high"))
    return Estimate(n_right, n, accuracy, low, high, n_recordings)
