"""The options of ``suspects``. No torch, no scikit-learn here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.core.options import JobOptions, option
from semisonic.data.options import LabelledOptions
from semisonic.features.options import MelOptions


@dataclass(frozen=True)
class SuspectsOptions(LabelledOptions, JobOptions):
    """Find labels that look wrong."""

    data: Path | None = option(None, "labelled clips: a folder of class folders, a CSV, a data set")
    output: Path = option(Path("runs/suspects"), "run folder")
    folds: int = option(
        0, "parts that are judged in turn, by recording; 0: the data's own folds, or 5", minimum=0
    )
    repeats: int = option(
        1, "times that all labels are judged; the scores are averaged", minimum=1, maximum=100
    )
    most: int = option(
        0,
        "list so many clips, the most suspicious first; 0: as many as labels seem wrong",
        minimum=0,
    )
    players: int = option(24, "suspects in the report with a player", minimum=0)
    mel: MelOptions = option(MelOptions(), "front end")
