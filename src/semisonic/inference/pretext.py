"""What an encoder can be pre-trained by, and the options of each objective.

This file imports no torch: the command line and recipes read it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from semisonic.base.errors import OptionError
from semisonic.base.options import OpenChoices, check, option
from semisonic.features.augment.own import OWN

RECONSTRUCTION, DENOISING, MASKED = "reconstruction", "denoising", "masked"
LAYERWISE, BYOL, VICREG, SIMCLR = "layer-wise", "byol", "vicreg", "simclr"
OBJECTIVES = (RECONSTRUCTION, DENOISING, MASKED, LAYERWISE, BYOL, VICREG, SIMCLR)
WITHOUT_DECODER = (BYOL, VICREG, SIMCLR)
"""Objectives that compare views of a clip and give an encoder alone."""

OBJECTIVE_HELP = "what pre-training asks of the encoder"
PRETEXT_HELP = "pre-training objective"


@dataclass(frozen=True)
class PretextOptions:
    """Options of the pre-training objectives; the first word of a text says whose."""

    noise_db: float = option(
        6.0, "denoising: deviation of the noise on each cell; 0: none", unit="dB", minimum=0
    )
    cell_dropout: float = option(
        0.25, "denoising: share of cells that are dropped", minimum=0.0, maximum=0.95
    )
    mask_share: float = option(
        0.6, "masked: share of the patches that are hidden", minimum=0.01, maximum=0.99
    )
    patch_mels: int = option(8, "masked: height of a patch", unit="mel bands", minimum=1)
    patch_frames: int = option(8, "masked: width of a patch", unit="frames", minimum=1)
    masked_only: bool = option(True, "masked: count hidden cells alone in the loss")
    layer_epochs: int = option(5, "layer-wise: epochs of each layer by itself; 0: none", minimum=0)
    together: bool = option(True, "layer-wise: train the whole auto-encoder after its layers")
    views: str = option(
        "strong", "byol, vicreg, simclr: how the views of a clip are changed",
        choices=OpenChoices(("none", "weak", "strong"), OWN),
    )  # fmt: skip
    view_share: float = option(
        0.5, "byol, vicreg, simclr: length of a view as a share of the clip, cut at random; 1: "
        "all of it",
        minimum=0.05, maximum=1.0,
    )  # fmt: skip
    view_background: float = option(
        0.5, "byol, vicreg, simclr: share of views with another clip beneath", minimum=0.0,
        maximum=1.0,
    )  # fmt: skip
    view_crop: float = option(
        0.25, "byol, vicreg, simclr: most that is cut off a view's bands, as a share; the rest is "
        "stretched over them", minimum=0.0, maximum=0.9,
    )  # fmt: skip
    projection: int = option(
        128, "byol, vicreg, simclr: length of the vectors that are compared", minimum=2
    )
    target_decay: float = option(
        0.99, "byol: share of the target's weights that stays at each step; 0: no slow target",
        minimum=0.0, maximum=0.9999,
    )  # fmt: skip
    predictor: bool = option(True, "byol: predict the target; without, embeddings collapse")
    contrast_temperature: float = option(
        0.2, "simclr: what similarities are divided by; smaller: the most alike of the other "
        "clips count more", minimum=0.01, maximum=10.0,
    )  # fmt: skip
    invariance: float = option(25.0, "vicreg: weight of equal views", minimum=0.0)
    variance: float = option(25.0, "vicreg: weight of varied embeddings", minimum=0.0)
    covariance: float = option(1.0, "vicreg: weight of independent entries", minimum=0.0)

    def check_for(self, objective: str) -> None:
        """See that only options were changed that an objective reads.

        Raises
        ------
        OptionError
            When an option of another objective was changed, which would do nothing, or when
            nothing is left to train.
        """
        check(self)
        if objective == LAYERWISE and not (self.layer_epochs or self.together):
            raise OptionError(
                "options 'layer_epochs', 'together': found 0 and false, so that nothing would be "
                "trained; give the layers epochs, or train the whole"
            )
        for field in dataclasses.fields(self):
            readers = field.metadata["help"].split(":")[0].split(", ")
            value = getattr(self, field.name)
            if objective not in readers and value != field.default:
                raise OptionError(
                    f"option '{field.name}': found {value}, but the objective '{objective}' does "
                    f"not read it; it is for {' and '.join(readers)}"
                )
