"""Objectives: what is minimised, one file a method; tensors in, a loss and terms out."""

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
