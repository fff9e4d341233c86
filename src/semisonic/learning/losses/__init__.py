"""Losses of labelled clips: logits and targets in, the loss of each row out.

Names are imported when first used, so that the options do not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
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

_WHERE = {
    "cross_entropy": ("CrossEntropy",),
    "generalised": ("GeneralisedCrossEntropy",),
    "base": ("RowLoss",),
    "small_loss": ("SmallLoss",),
    "bootstrapping": ("SoftBootstrapping",),
    "create": ("create_loss",),
}

__getattr__ = lazy_names(__name__, _WHERE)
