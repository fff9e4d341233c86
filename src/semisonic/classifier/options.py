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
    "encoder to start from: a pre-trained encoder or a classifier, with its network and front "
    "end; the name of a general encoder (see 'semisonic encoder list'); or 'synth', an encoder "
    "trained on synthetic sounds"
)
NEAR_COPIES = (
    "find copies that were cut or encoded again, not only identical files: copies of labelled "
    "clips in the pool are left out, copies among labelled clips stay on one side of a split; "
    "decodes every clip once more"
)
IN_BATCH = (
    "compute spectrograms in each batch, on the device, from samples that stay there, instead of "
    "once before training; auto: on a GPU"
)
IN_BATCH_CHOICES = ("auto", "yes", "no")
LICENCE = "licence of the model, as text for its file and card"


@dataclass(frozen=True)
class PretrainOptions(ReadOptions, JobOptions):
    """Pre-train an encoder on recordings without labels."""

    data: Path | None = option(
        None, "recordings without labels: a folder, a CSV table or a data set"
    )
    output: Path = option(Path("runs/pretrain"), "run folder")
    encoder: Path | None = option(None, ENCODER)
    model: str = same_option(TrainConfig, "model")
    objective: str = option(RECONSTRUCTION, OBJECTIVE_HELP, choices=OBJECTIVES)
    decoder: str = same_option(TrainConfig, "decoder")
    standardize: str = same_option(TrainConfig, "standardize")
    validation: float = option(
        0.1, "share of the recordings to hold out for early stopping", minimum=0.01, maximum=0.5
    )
    limit: int = option(0, "number of clips to use, drawn at random; 0: all", minimum=0)
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    mel: MelOptions = option(MelOptions(), "front end")
    pretext: PretextOptions = same_option(TrainConfig, "pretext")
    fit: FitOptions = option(PRETRAIN_FIT, "training loop; simclr has other defaults")
    where: EngineOptions = option(EngineOptions(), "engine")

    def settled(self) -> PretrainOptions:
        """The options with the default training loop of the objective."""
        fit = pretraining_fit(self.objective, self.fit, PRETRAIN_FIT)
        return dataclasses.replace(self, fit=fit)


@dataclass(frozen=True)
class TrainOptions(TrainConfig, LabelledOptions, JobOptions):
    """Train a classifier from labelled clips."""

    data: Path | None = option(
        None, "labelled clips: a folder of class folders, a CSV table or a data set"
    )
    output: Path = option(Path("runs/train"), "run folder")
    unlabelled: Path | None = option(None, "recordings without labels to train on as well")
    near_copies: bool = option(True, NEAR_COPIES)
    method: str = option(
        AUTO,
        "how to learn from labels and unlabelled recordings; auto chooses by their number, with "
        "a message why; options that you give are kept",
        choices=(AUTO, *METHODS),
    )
    encoder: Path | None = option(None, ENCODER)
    keep_head: bool = option(
        False,
        "keep the class layer of a classifier of the same classes, given as encoder, instead of "
        "a new one",
    )
    objective: str = option(
        AUTO,
        f"{OBJECTIVE_HELP}, on --unlabelled and the training clips; none: no pre-training; "
        "auto: chosen with the method auto; simclr for probe, reconstruction for supervised, "
        "else none",
        choices=(AUTO, NO_OBJECTIVE, *OBJECTIVES),
    )
    labels_per_class: int = option(
        0, "number of labels per class to use, drawn by recording; 0: all", minimum=0
    )
    validation: float = option(
        0.15,
        "share of the labels to hold out, by recording, to choose the epoch; 0: train on all "
        f"labels and keep the last weights, as by default with up to {FEW:g} labels per class",
        minimum=0.0,
        maximum=0.5,
    )
    test_fold: int = option(
        0, "official fold to keep out of all training, for evaluate --fold; 0: none", minimum=0
    )
    calibration: str = option(
        AUTO,
        "auto: calibrate the scores on the validation part, if it has 20 clips (one "
        "temperature, and rules for unknown sounds); none: do not calibrate them",
        choices=(AUTO, "none"),
    )
    licence: str = option("", LICENCE)
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    where: EngineOptions = option(EngineOptions(), "engine")

    @property
    def left_to_auto(self) -> tuple[str, ...]:
        """The options and groups of options that ``auto`` chooses if they were not given."""
        of_method = ("dropout", "method_params", "fit") * (self.method == AUTO)
        return of_method + ("pretrain",) * (self.objective == AUTO)

    def settled(self) -> TrainOptions:
        """The options with the default pre-training of a given objective."""
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
    sweep_steps: int = option(140, "steps from the lowest to the highest rate", minimum=20)

    def __post_init__(self) -> None:
        if not self.highest_rate > self.lowest_rate:
            raise OptionError(
                f"option 'highest_rate': found {self.highest_rate:g}, expected more than "
                f"'lowest_rate', {self.lowest_rate:g}"
            )


PARTS = ("label", "site", "day", "hour", "folder", "group", "fold")
"""The divisions of the clips of an evaluation."""


@dataclass(frozen=True)
class EvaluateOptions(LabelledOptions, DeviceOptions):
    """Score a model on labelled clips and write a report."""

    model: Path = option(dataclasses.MISSING, "model file or its run folder")
    data: Path | None = option(None, "labelled clips that the model was not trained on")
    output: Path = option(Path("runs/evaluate"), "run folder")
    fold: int = option(0, "use only the clips of this official fold; 0: all", minimum=0)
    bootstrap: int = option(1000, "number of resamples for the intervals", minimum=100)
    by: tuple[str, ...] = option(
        (),
        "also measure each part separately; site, day and hour come from file and folder names",
        choices=PARTS,
    )
    allow_seen: bool = option(
        False, "continue if the model was trained on some of these recordings"
    )
    allow_unknown: bool = option(False, "leave out clips whose labels the model does not know")
    json: bool = option(False, "print the numbers of metrics.json")


# The options of ``calibrate``. No torch, no scipy here: the command line reads this file.


CALIBRATIONS = ("auto", "temperature", "vector", "none")


@dataclass(frozen=True)
class CalibrateOptions(LabelledOptions, JobOptions):
    """Calibrate scores, and fit thresholds and rules for unknown sounds."""

    model: Path = option(dataclasses.MISSING, "model file or its run folder")
    data: Path | None = option(None, "labelled clips that the model was not trained on")
    output: Path = option(Path("runs/calibrate"), "run folder, with the new model")
    fold: int = option(0, "use only the clips of this official fold; 0: all", minimum=0)
    method: str = option(
        "auto",
        "calibration of the scores; auto chooses by log loss, cross-validated by recording",
        choices=CALIBRATIONS,
    )
    precision: float = option(
        0.9,
        "share of right answers that the threshold of each class must give; 0: the best F1 instead",
        minimum=0.0,
        maximum=0.999,
    )
    unknown: bool = option(
        True,
        "fit rules for unknown sounds: one of distance to the nearest class, one against noise "
        "and silence",
    )
    kept: float = option(
        0.95, "share of known clips that the rules must not call unknown", minimum=0.5, maximum=1.0
    )
    licence: str = option("", LICENCE)
    allow_seen: bool = option(
        False, "continue if the model was trained on some of these recordings"
    )
    allow_unknown: bool = option(False, "leave out clips whose labels the model does not know")


@dataclass(frozen=True)
class SuspectsOptions(LabelledOptions, JobOptions):
    """Find labels that look wrong."""

    data: Path | None = option(
        None, "labelled clips: a folder of class folders, a CSV table or a data set"
    )
    output: Path = option(Path("runs/suspects"), "run folder")
    folds: int = option(
        0,
        "number of parts to judge in turn, by recording; 0: the folds of the data, or 5",
        minimum=0,
    )
    repeats: int = option(
        1, "number of times to judge all labels; the scores are averaged", minimum=1, maximum=100
    )
    most: int = option(
        0,
        "number of clips to list, most suspicious first; 0: as many as labels seem wrong",
        minimum=0,
    )
    players: int = option(24, "suspects with a player in the report", minimum=0)
    mel: MelOptions = option(MelOptions(), "front end")


FRAMES, WINDOWS = "frames", "windows"
BACKGROUND = ("background", "noise", "silence", "other")


@dataclass(frozen=True)
class EventOptions:
    """The rules for events: when a sound counts, and when it begins and ends."""

    threshold: str = option(
        AUTO,
        "score that an event must reach: a number from 0 to 1, or a CSV file with the columns "
        "label and threshold; auto: the model's thresholds, or 0.5 if it has none",
    )
    hop: float | None = option(
        None,
        "step between windows; by default a quarter of the model's clip length",
        unit="s",
        minimum=0.001,
    )
    times: str = option(
        AUTO,
        "source of times: frames, scores along time within a window, which are more precise; "
        "windows, scores of whole windows; auto: frames if the network has them",
        choices=(AUTO, FRAMES, WINDOWS),
    )
    edge: float | None = option(
        None,
        "an event begins and ends where its score passes this share of its largest score; if "
        "not given, 0.6 with frames, 0.8 with windows",
        minimum=0.05,
        maximum=1.0,
    )
    merge_gap: float = option(
        0.3, "join events of a class with at most this gap between them", unit="s", minimum=0.0
    )
    min_duration: float = option(0.1, "leave out shorter events", unit="s", minimum=0.0)
    classes: tuple[str, ...] = option((), "find only these classes; by default all but background")
    background: tuple[str, ...] = option(BACKGROUND, "classes to ignore, if the model has them")
