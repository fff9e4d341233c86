"""The options of ``suspects``. No torch, no scipy here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import LABEL_CHOICES, TableOptions
from semisonic.engines import workers_option
from semisonic.features import MelOptions
from semisonic.inference.options import GROUP, LABELS, TABLE, TRAIN_FIT
from semisonic.learning.losses import LossOptions
from semisonic.training.options import FitOptions

RULES = ("noise-rate", "confident")
RANKINGS = ("confidence", "margin")
"""Those of :mod:`semisonic.evaluation.suspects`, whose import takes half a second."""

STATISTICS = "statistics"
"""As ``model``: a linear model and a forest of trees on statistics of spectrograms."""


@dataclass(frozen=True)
class SuspectsOptions:
    """Find labels that look wrong."""

    data: Path | None = option(None, "labelled clips: a folder of class folders, a CSV, a data set")
    output: Path = option(Path("runs/suspects"), "run folder")
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)
    group: str = option("auto", GROUP)
    table: TableOptions = option(TableOptions(), TABLE)
    model: str = option(
        STATISTICS,
        "what judges the labels: 'statistics' (simple models on statistics of spectrograms, "
        "seconds), or a network: architecture notation or the name of an architecture (minutes)",
    )
    folds: int = option(
        0, "parts that are judged in turn, by recording; 0: the data's own folds, or 5", minimum=0
    )
    repeats: int = option(
        1, "times that all labels are judged; the scores are averaged", minimum=1, maximum=100
    )
    rule: str = option(
        "noise-rate",
        "how many are suspects: noise-rate, as many as labels seem wrong; confident, those that "
        "surely are another class",
        choices=RULES,
    )
    ranking: str = option(
        "confidence",
        "their order: confidence, the score of the label; margin, that score less the best other",
        choices=RANKINGS,
    )
    most: int = option(
        0, "list so many clips, the most suspicious first; 0: as many as the rule says", minimum=0
    )
    players: int = option(24, "suspects in the report with a player", minimum=0)
    validation: float = option(
        0.15,
        "networks: share of the other labels that chooses the epoch, by recording",
        minimum=0.0,
        maximum=0.5,
    )
    seed: int = option(0, "seed of everything random", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the run folder if not given"
    )
    mel: MelOptions = option(MelOptions(), "front end")
    loss: LossOptions = option(LossOptions(), "networks: loss")
    fit: FitOptions = option(TRAIN_FIT, "networks: training loop")
