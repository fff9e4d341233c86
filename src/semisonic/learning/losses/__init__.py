"""Losses of labelled clips: logits and targets in, the loss of each row out.

Names are imported when first used, so that the options do not pull in torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from semisonic.learning.losses.options import LOSSES, LossOptions

if TYPE_CHECKING:
    from semisonic.learning.losses.base import RowLoss
    from semisonic.learning.losses.bootstrapping import SoftBootstrapping
    from semisonic.learning.losses.create import create_loss
    from semisonic.learning.losses.cross_entropy import CrossEntropy
    from semisonic.learning.losses.generalised import GeneralisedCrossEntropy
    from semisonic.learning.losses.small_loss import SmallLoss

__all__ = [
    "LOSSES",
    "CrossEntropy",
    "GeneralisedCrossEntropy",
    "LossOptions",
    "RowLoss",
    "SmallLoss",
    "SoftBootstrapping",
    "create_loss",
]

_HOME = {
    "CrossEntropy": "cross_entropy",
    "GeneralisedCrossEntropy": "generalised",
    "RowLoss": "base",
    "SmallLoss": "small_loss",
    "SoftBootstrapping": "bootstrapping",
    "create_loss": "create",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
