"""The score that each class must reach, and which classes are events: for detect and listen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.base.options import nearest
from semisonic.data.readers.table_file import read_table
from semisonic.inference.event_options import AUTO
from semisonic.models import SoundModel

DEFAULT = 0.5
_log = logging.getLogger(__name__)
_COLUMNS = ("label", "threshold")


def thresholds_for(model: SoundModel, option: str | float) -> NDArray[np.float64]:
    """The threshold of each class, shape (n_classes,), above 0 and at most 1.

    Parameters
    ----------
    model : SoundModel
    option : str or float
        "auto", a number, or a CSV file with the columns ``label`` and ``threshold``; classes
        that do not stand in it keep what "auto" gives them.

    Raises
    ------
    OptionError
        For anything else, a threshold out of range, or a label that the model does not know.
    """
    own = _of_model(model)
    if str(option) == AUTO:
        if not has_thresholds(model):
            _log.warning("the model has no thresholds of its own: %g for all classes", DEFAULT)
        return own
    try:
        return np.full(len(own), _checked(float(option), "option 'threshold'"))
    except ValueError:
        return _of_file(model, Path(option), own)  # type: ignore[arg-type]


def has_thresholds(model: SoundModel) -> bool:
    """Whether a model brings thresholds of its own, as ``semisonic calibrate`` finds them."""
    return bool(model.decision.thresholds)


def settled(model: SoundModel, option: str | float) -> str:
    """An option ``threshold`` with what "auto" stands for, where the model has no thresholds.

    For those who tell people in another way than :func:`thresholds_for` does, and once.
    """
    is_default = str(option) == AUTO and not has_thresholds(model)
    return f"{DEFAULT:g}" if is_default else str(option)


def event_classes(
    model: SoundModel, classes: Sequence[str], background: Sequence[str]
) -> tuple[str, ...]:
    """Which classes are events: those named, or all but background.

    Raises
    ------
    OptionError
        When the model has no such class, or nothing but background.
    """
    for name in classes:
        if name not in model.classes:
            raise OptionError(
                f"option 'classes': unknown class '{name}'; {nearest(name, model.classes)}"
            )
    wanted = tuple(classes) or tuple(name for name in model.classes if name not in background)
    if not wanted:
        raise OptionError(
            f"option 'background': all classes of the model ({', '.join(model.classes)}) are "
            "background; name those to be found with 'classes'"
        )
    return wanted


def _of_model(model: SoundModel) -> NDArray[np.float64]:
    own = model.decision.thresholds
    return np.array([own.get(name, DEFAULT) for name in model.classes], np.float64)


def _of_file(model: SoundModel, path: Path, own: NDArray[np.float64]) -> NDArray[np.float64]:
    if not path.is_file():
        raise OptionError(
            f"option 'threshold': found '{path}', expected 'auto', a number from 0 to 1, or a "
            "CSV file with the columns label and threshold"
        )
    try:
        table = read_table(path)
    except DataError as error:
        raise OptionError(f"{error}; expected a table with label and threshold") from error
    if not set(_COLUMNS) <= set(table.columns):
        raise OptionError(
            f"{path}: found the columns {', '.join(table.names)}; expected label and threshold"
        )
    result = own.copy()
    for row in table.rows:
        label = row["label"]
        if label not in model.classes:
            raise OptionError(f"{path}: unknown class '{label}'; {nearest(label, model.classes)}")
        result[model.classes.index(label)] = _checked(
            row["threshold"].replace(",", "."), f"{path}, class '{label}'"
        )
    return result


def _checked(value: Any, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 < number <= 1:
        raise OptionError(f"{where}: found {value}, expected a number above 0 and at most 1")
    return number
