"""Objectives: what is minimised, one file a method; tensors in, a loss and terms out.

Names are imported when first used, so that the options of the losses do not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names

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

_WHERE = {
    "base": ("BatchLike", "Objective"),
    "byol": ("Byol",),
    "consistency": ("Consistency",),
    "denoising": ("Denoising",),
    "fixmatch": ("FixMatch",),
    "joint": ("Joint",),
    "layerwise": ("LayerReconstruction", "layer_decoder", "put_together"),
    "masked": ("Masked",),
    "mean_teacher": ("MeanTeacher",),
    "pi_model": ("PiModel",),
    "reconstruction": ("Reconstruction",),
    "collapse": ("Spread", "spread_of"),
    "simclr": ("SimClr",),
    "supervised": ("Supervised", "batch_accuracy"),
    "two_views": ("TwoViews", "pooled"),
    "vicreg": ("VicReg",),
}

__getattr__ = lazy_names(__name__, _WHERE)
