"""The options of ``semisonic curve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import TableOptions
from semisonic.engines.options import EngineOptions
from semisonic.experiments.options import COPIES
from semisonic.features import MelOptions
from semisonic.inference.methods.advice import AUTO
from semisonic.inference.methods.options import METHODS
from semisonic.inference.options import DEFAULT_MODEL, GROUP, TABLE


@dataclass(frozen=True)
class CurveOptions:
    """Accuracy against labels per class: how many labels do I need, and does my pool help?"""

    data: Path = option(Path("synth"), "labelled clips: a folder, a CSV, a data set, or 'synth'")
    unlabelled: Path | None = option(
        None, "recordings without labels, beside the training clips, which are heard without "
        "labels too",
    )  # fmt: skip
    output: Path = option(Path("runs/curve"), "run folder; an interrupted run goes on")
    labels: tuple[int, ...] = option(
        (1, 2, 4, 8, 16, 0),
        "labels per class to try; 0: all there are. Numbers that are more than the rarest class "
        "has are left out",
        minimum=0,
    )
    draws: int = option(3, "how often labels are drawn for each of them", minimum=1)
    folds: tuple[int, ...] = option((), "test folds to run; all if not given", minimum=1)
    method: str = option(
        AUTO, "how labels and pool are learned from, compared with labels alone",
        choices=(AUTO, *METHODS[1:]),
    )  # fmt: skip
    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    goals: tuple[float, ...] = option(
        (0.7, 0.8, 0.9), "accuracies to tell the number of labels for", minimum=0.01, maximum=1.0
    )
    steps: int = option(
        0,
        "steps of each training, which a probe does not have; 0: as many as the method asks for",
        minimum=0,
    )
    group: str = option("auto", GROUP)
    table: TableOptions = option(TableOptions(), TABLE)
    near_copies: bool = option(True, COPIES)
    seed: int = option(0, "seed of draws, splits and first weights", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = option(
        None, "trainings at once; if not given one per core, or one on a GPU", minimum=1
    )
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the run folder if not given"
    )
    mel: MelOptions = option(MelOptions(), "front end")
    where: EngineOptions = option(EngineOptions(), "engine")
