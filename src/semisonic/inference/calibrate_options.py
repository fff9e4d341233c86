"""The options of ``calibrate``. No torch, no scipy here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import LABEL_CHOICES, TableOptions
from semisonic.engines import workers_option
from semisonic.inference.options import GROUP, LABELS, LICENCE, TABLE

CALIBRATIONS = ("auto", "temperature", "vector", "isotonic", "none")
UNKNOWN_RULES = ("auto", "energy", "distance", "none")


@dataclass(frozen=True)
class CalibrateOptions:
    """Make scores mean what they say, with thresholds and a rule for unknown sounds."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    data: Path | None = option(None, "labelled clips that the model was not trained on")
    output: Path = option(Path("runs/calibrate"), "run folder; the new model lies in it")
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)
    group: str = option("auto", GROUP)
    table: TableOptions = option(TableOptions(), TABLE)
    fold: int = option(0, "only the clips of this official fold; 0: all", minimum=0)
    method: str = option(
        "auto",
        "how scores are calibrated; auto chooses by log loss on recordings left out in turn",
        choices=CALIBRATIONS,
    )
    precision: float = option(
        0.9,
        "share of right answers that each class's threshold is to give; 0: the best F1 instead",
        minimum=0.0,
        maximum=0.999,
    )
    level: float = option(
        0.9, "confidence with which that share is shown, one side", minimum=0.5, maximum=0.999
    )
    unknown: str = option(
        "auto",
        "rule for sounds that are like nothing learned; each comes with one against noise and "
        "silence; auto is energy, or distance for simple classifiers that have none",
        choices=UNKNOWN_RULES,
    )
    kept: float = option(
        0.95, "share of known clips that the rules may not refuse", minimum=0.5, maximum=1.0
    )
    licence: str = option("", LICENCE)
    allow_seen: bool = option(False, "go on when the model was trained on some of these recordings")
    allow_unknown: bool = option(False, "leave out clips whose labels the model does not know")
    seed: int = option(0, "seed of everything random", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the run folder if not given"
    )
