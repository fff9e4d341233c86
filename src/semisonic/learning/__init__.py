"""Objectives: what is minimised, one file a method; tensors in, a loss and terms out.

Names are imported when first used, so that the options of the losses do not pull in torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semisonic.learning.base import BatchLike, Objective
    from semisonic.learning.byol import Byol
    from semisonic.learning.collapse import Spread, spread_of
    from semisonic.learning.consistency import Consistency
    from semisonic.learning.denoising import Denoising
    from semisonic.learning.fixmatch import FixMatch
    from semisonic.learning.joint import Joint
    from semisonic.learning.layerwise import LayerReconstruction, layer_decoder, put_together
    from semisonic.learning.masked import Masked
    from semisonic.learning.mean_teacher import MeanTeacher
    from semisonic.learning.pi_model import PiModel
    from semisonic.learning.reconstruction import Reconstruction
    from semisonic.learning.simclr import SimClr
    from semisonic.learning.supervised import Supervised, batch_accuracy
    from semisonic.learning.two_views import TwoViews, pooled
    from semisonic.learning.vicreg import VicReg

__all__ = [
    "BatchLike",
    "Byol",
    "Consistency",
    "Denoising",
    "FixMatch",
    "Joint",
    "LayerReconstruction",
    "Masked",
    "MeanTeacher",
    "Objective",
    "PiModel",
    "Reconstruction",
    "SimClr",
    "Spread",
    "Supervised",
    "TwoViews",
    "VicReg",
    "batch_accuracy",
    "layer_decoder",
    "pooled",
    "put_together",
    "spread_of",
]

_HOME = {
    "BatchLike": "base",
    "Byol": "byol",
    "Consistency": "consistency",
    "Denoising": "denoising",
    "FixMatch": "fixmatch",
    "Joint": "joint",
    "LayerReconstruction": "layerwise",
    "Masked": "masked",
    "MeanTeacher": "mean_teacher",
    "Objective": "base",
    "PiModel": "pi_model",
    "Reconstruction": "reconstruction",
    "Spread": "collapse",
    "SimClr": "simclr",
    "Supervised": "supervised",
    "TwoViews": "two_views",
    "VicReg": "vicreg",
    "batch_accuracy": "supervised",
    "layer_decoder": "layerwise",
    "pooled": "two_views",
    "put_together": "layerwise",
    "spread_of": "collapse",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
