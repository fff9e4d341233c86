"""``train``: a classifier from labelled clips, with or without pre-training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semisonic.classifier.calibration import calibrate_by_validation
from semisonic.classifier.config import (
    AUTO,
    FITTED,
    NO_OBJECTIVE,
    PROTOTYPE,
    SOLVED,
    SYNTHETIC,
    TrainConfig,
    check_noisy,
)
from semisonic.classifier.job import PreparedJob, TrainingJob
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.options import TrainOptions
from semisonic.classifier.planning import job_of, plan_of
from semisonic.classifier.prepare import Failures, Prepared
from semisonic.classifier.pretrain import check_objective, numbers_of, save_pretrained
from semisonic.classifier.pretraining import (
    PretrainOutcome,
)
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.run_files import (
    about,
    cache_of,
    in_processes,
    open_run,
    prepare_in,
    record_data,
    unreadable,
    write_curves,
)
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.selection import (
    Selection,
    load_data,
)
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.starting_encoder import (
    SYNTH,
    starting_note,
    whole_of,
    with_start,
)
from semisonic.classifier.strategy import check_network
from semisonic.classifier.training import TrainedModel
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.files import json_ready, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.parallel import Engine
from semisonic.core.progress import say
from semisonic.core.text import Result, count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.evaluation.intervals import wilson_by_group
from semisonic.evaluation.metrics import summary
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ReadyTraining:
    """A training of a verb, ready to begin.

    Attributes
    ----------
    options : TrainOptions
        With what ``auto`` chose.
    job : TrainingJob
    ready : PreparedJob
    start : PretrainedEncoder, SoundModel or None
    parts : dict
        Who took which part, for the model file.
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained in this run.
    notes : tuple of str
    """

    options: TrainOptions
    job: TrainingJob
    ready: PreparedJob
    start: PretrainedEncoder | SoundModel | None
    parts: dict[str, Any]
    pretrained: PretrainOutcome | None
    notes: tuple[str, ...]


def data_of(options: TrainOptions, command: str) -> Clips:
    """The data set that the options name, when something can be learned from it."""
    check(options)
    if options.objective != AUTO:
        check_objective(options)
    if options.encoder is None:
        check_network(options.model, options.mel)
    return load_data(options.data, options.labels, command, options)


def ready_training(
    options: TrainOptions, clips: Clips, run: RunFolder, engine: Engine
) -> ReadyTraining:
    """Select, resolve ``auto``, decode, pre-train where that is asked for."""
    job, encoder = job_of(options, clips, cache=cache_of(options, run))
    write_budget(run.path("budget.csv"), job)
    for line in plan_of(options, job, encoder).lines():
        say(line)
    options = asked_options(options, job)
    check_objective(options)
    if job.config.has_noisy_part:
        check_noisy(options.method)
    _check_processes(options)
    start = job.start(encoder, device=options.device, workers=options.workers)
    whole = whole_of(options, clips.classes)
    parts = _parts(run, options, job)

    def prepare(sounds: Sounds, mel: MelOptions, place: torch.device | None) -> Prepared:
        return prepare_in(run, sounds.clips, mel, options, engine, place)

    ready = job.prepare(start, prepare, device=options.device, in_batch=options.in_batch)
    pretrained = None
    if options.objective != NO_OBJECTIVE:
        pretrained = ready.pretrain(
            start, seed=options.seed, device=options.device, folder=run.path("pretraining")
        )
        save_pretrained(run.path(ENCODER), pretrained, about("train", options, **parts))
        run.note(pretraining=numbers_of(pretrained))
        start = pretrained.network
    because = (job.because,) if job.because else ()
    notes = (
        *clips.notes,
        *job.notes,
        *because,
        *starting_note(options.encoder),
        *ready.notes,
    )
    return ReadyTraining(
        options, job, ready, start if whole is None else whole, parts, pretrained, notes
    )


def asked_options(options: TrainOptions, job: TrainingJob) -> TrainOptions:
    """The options of a verb with what ``auto`` chose for its job."""
    names = (field.name for field in dataclasses.fields(TrainConfig))
    chosen = {name: getattr(job.config, name) for name in names}
    encoder = Path(SYNTH) if job.begins == SYNTHETIC else options.encoder
    return replace(options, **chosen, encoder=encoder)


def _check_processes(options: TrainOptions) -> None:
    """Refuse several processes where more than one fit, or none, makes the classifier."""
    n, several = options.processes, (*SOLVED, "noisy-student")
    if n > 1 and options.method in several:
        raise OptionError(
            f"option 'processes': found {n} with the method '{options.method}', which is not "
            "trained by several processes; take 1, or another method"
        )


def write_budget(path: Path, job: TrainingJob) -> None:
    """Publish which labels were used, and for what."""
    clips = job.labelled.clips
    validates = np.isin(np.arange(len(clips)), job.validation)
    rows = [
        [name, ";".join(labels), group, fold, "validation" if held else "train"]
        for name, labels, group, fold, held in zip(
            clips.ids, clips.labels, clips.group, clips.fold, validates, strict=True
        )
    ]
    write_csv(path, ["clip", "label", "group", "fold", "part"], rows)


def _parts(run: RunFolder, options: TrainOptions, job: TrainingJob) -> dict[str, Any]:
    """Who took which part in the making of the model, for its file; data go into the record."""
    clips, cache = job.labelled.clips, cache_of(options, run)
    hashes = record_data(run, clips, options.workers, cache=cache)
    learned = np.union1d(job.train, job.noisy)
    parts = {
        "training": DataPart.of(clips[learned], hashes).to_dict(),
        "validation": DataPart.of(clips[job.validation], hashes).to_dict(),
    }
    if job.pool is not None:
        pool = job.pool.clips
        pool_hashes = record_data(run, pool, options.workers, "pool", cache)
        parts["pretraining"] = DataPart.of(pool, pool_hashes).to_dict()
    return with_start(parts, options.encoder, run)


@dataclass(frozen=True)
class TrainResult(Result):
    """What ``train`` made.

    Attributes
    ----------
    outcome : TrainedModel
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained in this run.
    model : Path
        The model file.
    selection : Selection
        Rows of the data set that were learnt from and validated on.
    metrics : dict
        Of the validation clips, with the weights of the best epoch; empty without any.
        Where they chose the epoch they flatter: use ``evaluate`` on other clips.
    failures : tuple of (str, str)
    n_train, n_held_out : int
        Clips of these that could be read.
    remarks : tuple of (str, str)
        Clips that were used although they are silent, clipped or the like.
    notes : tuple of str
        What ``auto`` chose, and what was left out of the pool.
    method : str
        How labels and the pool were learned from.
    """

    outcome: TrainedModel
    pretrained: PretrainOutcome | None
    model: Path
    selection: Selection
    metrics: Mapping[str, Any]
    failures: Failures
    n_train: int
    n_held_out: int
    remarks: Failures = ()
    notes: tuple[str, ...] = ()
    method: str = "supervised"

    def to_frame(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, validation."""
        import pandas as pd

        return pd.DataFrame(self.outcome.history)

    def summary(self) -> str:
        """For a terminal."""
        o = self.outcome
        probed = self.method in SOLVED
        how = f"best of {count_text(len(o.history), 'epoch')} is {o.best_epoch}"
        if probed:
            rounds = count_text(len(o.history), "round")
            how = f"a linear layer in {rounds}, the encoder stays as it is"
        if self.method == PROTOTYPE:
            how = "the mean of each class, the encoder stays as it is"
        if self.method == FITTED:
            how = "a simple classifier, fitted to statistics of each clip"
        lines = [
            f"trained '{o.model.name}' on {count_text(self.n_train, 'clip')} of "
            f"{len(o.model.classes)} classes, {self.n_held_out} for validation: {how}, "
            f"{o.seconds:.0f} s, {o.fit.precision}"
        ]
        if self.metrics:
            flatters = "" if probed else " (it chose the epoch, so it flatters)"
            lines.append(f"validation{flatters}: {headline(self.metrics)}")
        elif probed:
            lines.append("no validation clips: all labels were learned from, nothing was measured")
        else:
            lines.append("no validation clips: all epochs were run and the last weights kept")
        if len(self.selection.test):
            lines.append(
                f"{count_text(len(self.selection.test), 'clip')} of the test fold took no part: "
                "score with evaluate --fold"
            )
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines.append(f"model: {self.model}")
        return "\n".join(lines)


def train(options: TrainOptions) -> TrainResult:
    """Train a classifier; the same command goes on with an interrupted run.

    The recordings of ``unlabelled`` are learned from without labels, and so are the training
    clips: while training, before it, or not at all, as ``method`` and ``objective`` say.
    Copies of clips of the test fold are left out.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When there are too few labels, or nothing can be read.
    ModelError
        When the encoder's file is damaged or fits neither ``model`` nor ``mel``.
    """
    clips = data_of(options, "train")
    with open_run("train", options) as run, open_engine(options.where) as engine:
        training = ready_training(options, clips, run, engine)
        options, ready = training.options, training.ready
        table, rows_held = training.job.labelled.clips, ready.data.validation
        work = partial(ready.train, training.start, seed=options.seed, folder=run.path("training"))
        outcome = in_processes(work, options.processes, engine, options.device)
        options = replace(options, method=outcome.method)
        notes = training.notes + ((outcome.because,) if outcome.because else ())
        if options.calibration == AUTO:
            notes += (
                calibrate_by_validation(
                    outcome.model, ready.prepared, rows_held, table, seed=options.seed
                ),
            )
        metrics = validate(run, outcome, ready.prepared, table, rows_held)
        save(
            run.path(MODEL),
            outcome.model,
            about=about(
                "train",
                options,
                **training.parts,
                measured=_prefixed(metrics),
                **({"licence": options.licence} if options.licence else {}),
            ),
        )
        run.note(best_epoch=outcome.best_epoch, epochs=len(outcome.history), **_prefixed(metrics))
        run.note(
            method=options.method,
            encoder=str(options.encoder or ""),
            precision=outcome.fit.precision,
        )
        if notes:
            run.note(notes=list(notes))
        write_curves(run.folder, outcome.history, "Training")
    learned = np.concatenate([ready.data.labelled, ready.data.noisy])
    return TrainResult(
        outcome,
        training.pretrained,
        run.folder / MODEL,
        training.job.selection,
        metrics,
        ready.prepared.failures,
        ready.prepared.n_clips(learned),
        ready.prepared.n_clips(rows_held),
        ready.prepared.remarks,
        notes,
        options.method,
    )


def validate(
    run: RunFolder, outcome: TrainedModel, prepared: Prepared, table: Clips, rows: Any
) -> dict[str, Any]:
    """Score the validation clips once more, each by the mean of its windows; write both files.

    ``metrics.json`` holds the numbers, ``validation.csv`` a row per clip.
    """
    if not len(rows):
        return {}
    scores, owner = prepared.per_clip(score_rows(outcome.model, prepared.features, rows), rows)
    clips = table[owner]
    target = clips.targets() if outcome.model.multi_label else clips.target()
    metrics = summary(target, scores, outcome.model.classes)
    metrics["n_recordings"] = len(set(clips.group.tolist()))
    if not outcome.model.multi_label:
        right = scores.argmax(axis=1) == target
        metrics["accuracy_interval"] = list(wilson_by_group(right, clips.group))
    write_json(run.path("metrics.json"), {"validation": json_ready(metrics)})
    best = scores.argmax(axis=1)
    write_csv(
        run.path("validation.csv"),
        ["clip", "label", "predicted", "score"],
        [
            [clip, ";".join(labels), outcome.model.classes[k], f"{row[k]:.4f}"]
            for clip, labels, k, row in zip(clips.ids, clips.labels, best, scores, strict=True)
        ],
    )
    return metrics


def short(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary, without its tables."""
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float))}


def headline(metrics: Mapping[str, Any]) -> str:
    """The main numbers of a validation in one line, and of how many clips they are."""
    main = ("accuracy", "balanced_accuracy", "macro_f1", "lwlrap", "mean_average_precision")
    found = short(metrics)
    said = {n: f"{n.replace('_', ' ')} {percent_text(found[n])}" for n in main if n in found}
    n_clips, n_recordings = int(found["n_clips"]), int(found["n_recordings"])
    of = f"{n_clips} clip{'s' * (n_clips != 1)}"
    if n_recordings < n_clips:
        of += f" of {n_recordings} recording{'s' * (n_recordings != 1)}"
    if "accuracy" in said:
        low, high = metrics["accuracy_interval"]
        n_right = round(found["accuracy"] * n_clips)
        said["accuracy"] += (
            f" ({n_right} of {of}; 95 % interval {percent_text(low)} to {percent_text(high)})"
        )
        return ", ".join(said.values())
    return f"{', '.join(said.values())} ({of})"


def _prefixed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers as they stand in records, where they must not pass for test results."""
    return {f"validation_{name}": value for name, value in short(metrics).items()}
