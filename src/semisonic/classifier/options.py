"""The options of the verbs: one dataclass a verb. No torch here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.classifier.config import (
    AUTO,
    FEW,
    METHODS,
    NO_OBJECTIVE,
    OBJECTIVE_HELP,
    OBJECTIVES,
    PRETRAIN_FIT,
    RECONSTRUCTION,
    PretextOptions,
    TrainConfig,
    pretraining_fit,
)
from semisonic.core.errors import OptionError
from semisonic.core.options import (
    DeviceOptions,
    EngineOptions,
    JobOptions,
    changed,
    option,
    same_option,
)
from semisonic.data.options import LabelledOptions, ReadOptions
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

ENCODER = (
    "what to start from: a pre-trained encoder or a classifier, which bring their network and "
    "front end; a general encoder by its name (see 'semisonic encoder list'); or 'synth', one "
    "that has learned to name synthetic sounds"
)
NEAR_COPIES = (
    "listen for copies, cut or encoded anew, besides comparing bytes: those of labelled clips in "
    "the pool are left out, those among labelled clips stay on one side of a split; decodes every "
    "clip once more"
)
IN_BATCH = (
    "compute spectrograms in each batch, on the device, from samples that stay there, instead of "
    "once before training; auto: on a GPU"
)
IN_BATCH_CHOICES = ("auto", "yes", "no")
LICENCE = "on what terms the model may be used, as text for its file and card"


@dataclass(frozen=True)
class PretrainOptions(ReadOptions, JobOptions):
    """Pre-train an encoder on recordings without labels."""

    data: Path | None = option(None, "recordings without labels: a folder, a CSV or a data set")
    output: Path = option(Path("runs/pretrain"), "run folder")
    encoder: Path | None = option(None, ENCODER)
    model: str = same_option(TrainConfig, "model")
    objective: str = option(RECONSTRUCTION, OBJECTIVE_HELP, choices=OBJECTIVES)
    decoder: str = same_option(TrainConfig, "decoder")
    standardize: str = same_option(TrainConfig, "standardize")
    validation: float = option(
        0.1, "share of the recordings held out to stop early", minimum=0.01, maximum=0.5
    )
    limit: int = option(0, "use so many clips, drawn at random; 0: all", minimum=0)
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    mel: MelOptions = option(MelOptions(), "front end")
    pretext: PretextOptions = same_option(TrainConfig, "pretext")
    fit: FitOptions = option(PRETRAIN_FIT, "training loop; for simclr the defaults are others")
    where: EngineOptions = option(EngineOptions(), "engine")

    def settled(self) -> PretrainOptions:
        """The options with the training loop that the objective has by default."""
        fit = pretraining_fit(self.objective, self.fit, PRETRAIN_FIT)
        return dataclasses.replace(self, fit=fit)


@dataclass(frozen=True)
class TrainOptions(TrainConfig, LabelledOptions, JobOptions):
    """Train a classifier from labelled clips."""

    data: Path | None = option(None, "labelled clips: a folder of class folders, a CSV, a data set")
    output: Path = option(Path("runs/train"), "run folder")
    unlabelled: Path | None = option(None, "recordings without labels, to learn from as well")
    near_copies: bool = option(True, NEAR_COPIES)
    method: str = option(
        AUTO,
        "how labels and unlabelled recordings are learned from; auto chooses by their "
        "number, and says why. Options that are given hold all the same",
        choices=(AUTO, *METHODS),
    )
    encoder: Path | None = option(None, ENCODER)
    keep_head: bool = option(
        False,
        "go on with a classifier of the same classes, given as encoder: keep its class "
        "layer, instead of a new one",
    )
    objective: str = option(
        AUTO,
        f"{OBJECTIVE_HELP}, on --unlabelled and the training clips; none: no pre-training; "
        "auto: chosen with the method auto; simclr for the method probe, reconstruction for "
        "supervised, else none",
        choices=(AUTO, NO_OBJECTIVE, *OBJECTIVES),
    )
    labels_per_class: int = option(
        0, "use so many labels per class, drawn by recording; 0: all", minimum=0
    )
    validation: float = option(
        0.15,
        "share of the labels held out to choose the epoch, by recording; at 0 all labels are "
        f"learned from and the last weights kept, and as by default up to {FEW:g} labels per class",
        minimum=0.0,
        maximum=0.5,
    )
    test_fold: int = option(
        0, "official fold kept out of all training, for evaluate --fold; 0: none", minimum=0
    )
    calibration: str = option(
        AUTO,
        "auto: calibrate the scores by the validation part, when it has 20 clips (one "
        "temperature, and a rule for unknown sounds); none: leave them as they are",
        choices=(AUTO, "none"),
    )
    licence: str = option("", LICENCE)
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    where: EngineOptions = option(EngineOptions(), "engine")

    @property
    def left_to_auto(self) -> tuple[str, ...]:
        """The options, and groups of options, of which ``auto`` chooses all that was not given."""
        of_method = ("dropout", "method_params", "fit") * (self.method == AUTO)
        return of_method + ("pretrain",) * (self.objective == AUTO)

    def settled(self) -> TrainOptions:
        """The options with the pre-training that a given objective has by default."""
        if self.objective == AUTO:
            return self
        fit = pretraining_fit(self.objective, self.pretrain, PRETRAIN_FIT, self.fit)
        return changed(self, pretrain=fit)


@dataclass(frozen=True)
class FindRateOptions(TrainOptions):
    """Find a learning rate for a training with the same options."""

    output: Path = option(Path("runs/find-rate"), "run folder")
    lowest_rate: float = option(1e-6, "learning rate of the first step", minimum=1e-12)
    highest_rate: float = option(10.0, "learning rate of the last step", minimum=1e-12)
    sweep_steps: int = option(140, "steps from the one to the other", minimum=20)

    def __post_init__(self) -> None:
        if not self.highest_rate > self.lowest_rate:
            raise OptionError(
                f"option 'highest_rate': found {self.highest_rate:g}, expected more than the "
                f"'lowest_rate' of {self.lowest_rate:g}"
            )


PARTS = ("label", "site", "day", "hour", "folder", "group", "fold")
"""What the clips of an evaluation can be parted by."""


@dataclass(frozen=True)
class EvaluateOptions(LabelledOptions, DeviceOptions):
    """Score a model on labelled clips and write a report."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    data: Path | None = option(None, "labelled clips that the model has not seen")
    output: Path = option(Path("runs/evaluate"), "run folder")
    fold: int = option(0, "only the clips of this official fold; 0: all", minimum=0)
    bootstrap: int = option(1000, "resamples for the intervals", minimum=100)
    by: tuple[str, ...] = option(
        (),
        "measure each part by itself: site, day and hour as names of recorders and folders tell",
        choices=PARTS,
    )
    allow_seen: bool = option(False, "go on when the model was trained on some of these recordings")
    allow_unknown: bool = option(False, "leave out clips whose labels the model does not know")
    json: bool = option(False, "print the numbers as JSON, as they stand in metrics.json")


# The options of ``calibrate``. No torch, no scipy here: the command line reads this file.


CALIBRATIONS = ("auto", "temperature", "vector", "none")


@dataclass(frozen=True)
class CalibrateOptions(LabelledOptions, JobOptions):
    """Calibrate scores, and fit thresholds and rules for unknown sounds."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    data: Path | None = option(None, "labelled clips that the model was not trained on")
    output: Path = option(Path("runs/calibrate"), "run folder; the new model lies in it")
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
    unknown: bool = option(
        True,
        "rules for sounds that are like nothing learned: one by the distance to the nearest class, "
        "and one against noise and silence",
    )
    kept: float = option(
        0.95, "share of known clips that the rules may not refuse", minimum=0.5, maximum=1.0
    )
    licence: str = option("", LICENCE)
    allow_seen: bool = option(False, "go on when the model was trained on some of these recordings")
    allow_unknown: bool = option(False, "leave out clips whose labels the model does not know")


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


FRAMES, WINDOWS = "frames", "windows"
BACKGROUND = ("background", "noise", "silence", "other")


@dataclass(frozen=True)
class EventOptions:
    """When a sound is an event, from when to when."""

    threshold: str = option(
        AUTO,
        "score that an event must reach: a number from 0 to 1; a CSV file with the columns label "
        "and threshold; or auto, the model's own where it has some, else 0.5",
    )
    hop: float | None = option(
        None,
        "step between windows; a quarter of the model's clip length if not given",
        unit="s",
        minimum=0.001,
    )
    times: str = option(
        AUTO,
        "what times come from: frames, the network's answer along time, which is sharper; "
        "windows, its answers to whole windows; auto: frames where the network has them",
        choices=(AUTO, FRAMES, WINDOWS),
    )
    edge: float | None = option(
        None,
        "an event reaches as far as its score is at least this share of its largest; if not "
        "given 0.6 with frames, 0.8 with windows",
        minimum=0.05,
        maximum=1.0,
    )
    merge_gap: float = option(
        0.3, "events of a class with at most this between them are one", unit="s", minimum=0.0
    )
    min_duration: float = option(0.1, "shorter events are left out", unit="s", minimum=0.0)
    classes: tuple[str, ...] = option((), "only these classes; all but background if none given")
    background: tuple[str, ...] = option(
        BACKGROUND, "classes that are no events, as far as the model has them"
    )
