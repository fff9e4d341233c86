"""The score from which on each class is heard."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.inference.live.options import AUTO
from semisonic.models import SoundModel

DEFAULT = 0.5
_log = logging.getLogger(__name__)


def live_thresholds(model: SoundModel, threshold: str = AUTO) -> NDArray[np.float64]:
    """Thresholds, shape (n_classes,): the model's own, or one number for all.

    Raises
    ------
    OptionError
        When it is neither "auto" nor a number above 0 and at most 1.
    """
    n = len(model.classes)
    if threshold == AUTO:
        own = getattr(getattr(model, "decision", None), "thresholds", {})
        if own:
            return np.array([own[name] for name in model.classes], np.float64)
        _log.warning("the model has no thresholds of its own: %g for all classes", DEFAULT)
        return np.full(n, DEFAULT)
    try:
        number = float(threshold)
    except ValueError:
        number = float("nan")
    if not 0 < number <= 1:
        raise OptionError(
            f"option 'threshold': found '{threshold}', expected auto or a number above 0, at most 1"
        )
    return np.full(n, number)


def chosen_classes(
    model: SoundModel, classes: tuple[str, ...], background: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Which classes are reported, shape (n_classes,): those named, or all but background.

    Raises
    ------
    OptionError
        When the model has no such class, or nothing but background.
    """
    for name in classes:
        if name not in model.classes:
            raise OptionError(
                f"option 'classes': no class '{name}'; {nearest(name, model.classes)}"
            )
    wanted = classes or tuple(name for name in model.classes if name not in background)
    if not wanted:
        raise OptionError(
            f"option 'background': all classes of the model ({', '.join(model.classes)}) are "
            "background; name those to be reported with 'classes'"
        )
    return np.array([name in wanted for name in model.classes])
