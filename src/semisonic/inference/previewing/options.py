"""The options of ``data preview``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.features import MelOptions
from semisonic.features.augment import PRESETS, AugmentOptions

SHOWN = dataclasses.replace(
    PRESETS["strong"],
    pitch=3.0,
    crop_time=1.0,
    crop_bands=10,
    background=1.0,
    white_noise=1.0,
    pink_noise=1.0,
    snr_min_db=5.0,
    snr_max_db=15.0,
)
"""Every augmentation, at the strengths of "strong" where that has it."""


@dataclass(frozen=True)
class PreviewOptions:
    """Draw each augmentation on a real clip, and write it as audio."""

    data: Path = option(
        dataclasses.MISSING, "a recording, a folder of recordings or a CSV table of clips"
    )
    output: Path = option(Path("runs/preview"), "folder for the page, the pictures and the sounds")
    clip: int | None = option(
        None, "row of the clip in the table, from 0; drawn if not given", minimum=0
    )
    start: float = option(0.0, "where in the clip to begin", unit="s", minimum=0)
    seed: int = option(0, "seed of everything random", minimum=0)
    mel: MelOptions = option(MelOptions(), "front end")
    augment: AugmentOptions = option(SHOWN, "strength of each augmentation; 0 leaves it out")
