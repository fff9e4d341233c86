"""What a model says, with its decision where it has one: scores, and what they must reach."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.files import digest
from semisonic.base.options import nearest
from semisonic.inference.detecting.options import AUTO
from semisonic.models import SoundModel

DEFAULT = 0.5
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
        return own
    try:
        return np.full(len(own), _checked(float(option), "option 'threshold'"))
    except ValueError:
        return _of_file(model, Path(option), own)  # type: ignore[arg-type]


def window_scores(model: SoundModel, embedding: Tensor) -> NDArray[np.float64]:
    """Scores of windows, shape (n, n_classes), as ``predict`` gives them."""
    logits = model.head(embedding).float()
    decision: Any = getattr(model, "decision", None)
    if decision is None or decision.is_empty:
        return _table(model.scores(logits))
    said = decision.apply(_table(logits), _table(embedding), multi_label=model.multi_label)
    return np.asarray(said.scores)


def frame_scores(model: SoundModel, embedding: Tensor) -> NDArray[np.float64]:
    """Scores of single frames, shape (n, n_frames, n_classes), calibrated if the model is."""
    logits = model.head(embedding).float()
    decision: Any = getattr(model, "decision", None)
    if decision is None or decision.is_empty:
        return _table(model.scores(logits))
    scores = decision.calibration.apply(_table(logits.flatten(0, 1)), multi_label=model.multi_label)
    return np.asarray(scores).reshape(logits.shape)


def decision_key(model: SoundModel) -> str:
    """What the two depend on beside the network; empty for a model without a decision."""
    decision: Any = getattr(model, "decision", None)
    if decision is None or decision.is_empty:
        return ""
    tables = [(name, table.tobytes().hex()) for name, table in sorted(decision.tensors().items())]
    return digest(decision.to_dict(), tables)


def _table(x: Tensor) -> NDArray[np.float64]:
    table: NDArray[np.float64] = x.double().cpu().numpy()
    return table


def _of_model(model: SoundModel) -> NDArray[np.float64]:
    found: Any = getattr(getattr(model, "decision", None), "thresholds", None)
    if found is None:
        return np.full(len(model.classes), DEFAULT)
    if isinstance(found, Mapping):
        found = [found.get(name, DEFAULT) for name in model.classes]
    return np.asarray(found, np.float64)


def _of_file(model: SoundModel, path: Path, own: NDArray[np.float64]) -> NDArray[np.float64]:
    if not path.is_file():
        raise OptionError(
            f"option 'threshold': found '{path}', expected 'auto', a number from 0 to 1, or a "
            "CSV file with the columns label and threshold"
        )
    try:
        table = pd.read_csv(path, dtype={"label": str})
    except ValueError as error:  # also what pandas cannot parse or decode
        raise OptionError(f"{path}: not a CSV table ({error})") from error
    if not set(_COLUMNS) <= set(table.columns):
        raise OptionError(
            f"{path}: found the columns {', '.join(map(str, table.columns))}; expected label and "
            "threshold"
        )
    result = own.copy()
    for label, value in zip(table["label"], table["threshold"], strict=True):
        if label not in model.classes:
            raise OptionError(f"{path}: unknown class '{label}'; {nearest(label, model.classes)}")
        result[model.classes.index(label)] = _checked(value, f"{path}, class '{label}'")
    return result


def _checked(value: Any, where: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 < number <= 1:
        raise OptionError(f"{where}: found {value}, expected a number above 0 and at most 1")
    return number
