"""``train`` and ``find-rate``: a classifier from labelled clips, with or without pre-training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semisonic.classifier import run_files
from semisonic.classifier.calibration import calibrate_by_validation
from semisonic.classifier.config import (
    AUTO,
    NO_OBJECTIVE,
    SOLVED,
    SYNTHETIC,
    WITHOUT_DECODER,
    WITHOUT_POOL,
    TrainConfig,
    check_noisy,
)
from semisonic.classifier.job import PreparedJob, TrainingJob, select_job
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.options import FindRateOptions, TrainOptions
from semisonic.classifier.prepare import Failures, Prepared, in_batch_device
from semisonic.classifier.pretrain import (
    check_objective,
    numbers_of,
    published_note,
    save_pretrained,
    start_of,
    whole_of,
    with_start,
)
from semisonic.classifier.pretraining import (
    SYNTH,
    SYNTH_CONFIG,
    PretrainOutcome,
    synthetic_place,
    synthetic_sounds,
)
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.selection import Rows, Selection, load_data
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.training import (
    NO_ROWS,
    ClassifierTraining,
    TrainedModel,
    network_of,
    train_model,
)
from semisonic.classifier.windows import cut_clips
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import json_ready, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.parallel import Engine, count_workers
from semisonic.core.progress import say
from semisonic.core.text import Result, bytes_text, count_text, percent_text, rough_duration
from semisonic.data.clips import Clips, join
from semisonic.data.stores import SAMPLE_BYTES
from semisonic.evaluation.intervals import wilson_by_group
from semisonic.evaluation.metrics import summary
from semisonic.evaluation.plots.training import rate_sweep
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel, build
from semisonic.training.devices import choose_device, kept_randomness
from semisonic.training.options import FitOptions
from semisonic.training.rate_sweep import RateSweep, sweep_rate
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# What a training is going to do, how long it takes and how much disk, said before it starts.
#
# Times are estimates: a step of the very network is timed on noise for a moment, the rest are
# counts of clips times what a clip took on one core of an ordinary machine.

MAKING = 0.012
"""Seconds of one core that a second of synthetic sound takes, decoded and with its features."""
DECODING = 0.006
"""Seconds of one core to decode a second of sound and to compute its features."""
WITH_DECODER = 2.5
"""Times as much as the encoder alone that an encoder with its decoder takes."""
TIMED_CLIPS = 16


def plan_training(options: TrainOptions) -> list[str]:
    """What ``train`` or ``find-rate`` would do; copies are not looked for.

    Raises
    ------
    OptionError, DataError, ModelError
        As the verb itself would, before any work.
    """
    clips = load_data(check(options).data, options.labels, "train", options)
    return _plan(options, _job(options, clips, search_copies=False))


def _plan(options: TrainOptions, job: TrainingJob) -> list[str]:
    """The method, the stages of a job with their times, and the disk that they need."""
    config = job.config
    name, mel = network_of(config.model, config.mel, job.start)
    table = job.labelled.clips
    if job.pool is not None:
        table = join(table, job.pool.clips, table.name)
    cut = cut_clips(table, mel.duration, None, workers=options.workers, cache=None)
    cores = count_workers(options.workers)
    solves, pretrains = config.method in SOLVED, config.objective != NO_OBJECTIVE
    per_clip = 0.0
    if pretrains or not solves or job.start is None:
        per_clip = _seconds_a_clip(name, mel, options.device)
    feature_bytes = 2 * int(np.prod(mel.shape))
    stages: list[tuple[str, float]] = []

    def add_fit(what: str, fit: FitOptions, n_clips: int, share: float) -> None:
        steps = fit.n_steps(fit.steps_an_epoch(max(1, -(-n_clips // fit.batch_size))))
        most = "at most " if fit.patience else ""
        text = f"{what}, {most}{steps:,} steps of {fit.batch_size} clips"
        stages.append((text, steps * fit.batch_size * share * per_clip))

    kind = config.standardize
    if job.begins == SYNTHETIC and not synthetic_place(name, mel, standardize=kind).is_file():
        sounds, fit = synthetic_sounds(mel), SYNTH_CONFIG.fit
        n = sounds.n_classes * sounds.clips_per_class
        size = n * (2 * SAMPLE_BYTES * sounds.duration * sounds.sample_rate + feature_bytes)
        text = (
            f"synthetic sounds: make {n:,}, train the encoder for {fit.steps:,} steps (once "
            f"for all runs; takes {bytes_text(size)} of disk meanwhile)"
        )
        making = MAKING * n * sounds.duration / cores
        stages.append((text, making + fit.steps * fit.batch_size * per_clip))
    stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
    n_train = len(job.train) + len(job.noisy)
    if pretrains:
        n_pool = 0 if job.pool is None else len(job.pool)
        contrastive = config.objective in WITHOUT_DECODER
        share = 2 * config.pretext.view_share if contrastive else WITH_DECODER
        add_fit(f"pre-train ({config.objective})", config.pretrain, n_train + n_pool, share)
    if isinstance(options, FindRateOptions):
        steps = options.sweep_steps
        seconds = steps * config.fit.batch_size * per_clip
        stages.append((f"try {steps} learning rates", seconds))
    elif solves:
        stages.append((f"{config.method}: solve for the class layer", 2.0))
    else:
        pool_ratio = 0.0 if config.method in WITHOUT_POOL else config.method_params.pool_ratio
        add_fit(f"train ({config.method})", config.fit, n_train, 1.0 + pool_ratio)
    n_bytes = cut.seconds * mel.sample_rate * SAMPLE_BYTES
    if in_batch_device(options.in_batch, options.device) is None:
        n_bytes += len(cut.clips) * feature_bytes
    cache = run_files.cache_of(options)
    return [
        f"method: {job.because or config.method}",
        *(f"  {i}. {text}: {_about(seconds)}" for i, (text, seconds) in enumerate(stages, 1)),
        f"all of it: {_about(sum(seconds for _, seconds in stages))} where nothing is done yet, "
        f"and about {bytes_text(n_bytes)} in '{cache}', which may be deleted afterwards",
    ]


def _about(seconds: float) -> str:
    return "less than a minute" if seconds < 45 else f"about {rough_duration(seconds)}"


def _seconds_a_clip(name: str, mel: MelOptions, device: str) -> float:
    """How long one clip takes forwards and backwards, on noise, in the faster number format."""
    place = choose_device(device)
    times = []
    with kept_randomness(place):
        model = build(name, mel, ("a", "b"), standardize="none").to(place).train()
        noise = torch.randn(TIMED_CLIPS, *mel.shape, device=place)
        for half in (False, False, True, True):  # the first one of each warms up
            begun = time.perf_counter()
            with torch.autocast(place.type, torch.bfloat16, enabled=half):
                loss = model.from_features(noise).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            times.append(time.perf_counter() - begun)
    return min(times) / TIMED_CLIPS


# From the options of a verb to a training that is ready to begin.


def _data(options: TrainOptions, command: str) -> Clips:
    """The data set that the options name, when something can be learned from it."""
    check(options)
    if options.objective != AUTO:
        check_objective(options)
    if options.encoder is None:
        create(options.model, options.mel.shape)  # a wrong one is refused before hours of decoding
    return load_data(options.data, options.labels, command, options)


def _job(
    options: TrainOptions, clips: Clips, *, search_copies: bool = True, cache: Path | None = None
) -> TrainingJob:
    """The training that a verb's options ask for."""
    pool = None
    if options.unlabelled is not None:
        pool = load_data(options.unlabelled, "none", "train", options)
    job = select_job(
        options,
        Sounds(clips),
        None if pool is None else Sounds(pool),
        start=start_of(options),
        seed=options.seed,
        share=options.validation,
        labels_per_class=options.labels_per_class,
        test_fold=options.test_fold,
        group=options.group,
        near_copies=options.near_copies,
        search_copies=search_copies,
        trains="find-rate" if isinstance(options, FindRateOptions) else "",
        workers=options.workers,
        cache=cache,
    )
    if pool is None:
        return job
    if job.pool is not None and not len(job.pool):
        raise DataError(
            f"'{pool.name}': nothing is left to pre-train on: every clip is a copy of a "
            "labelled one, or of a recording that is tested. Name other recordings, or leave "
            "--unlabelled out"
        )
    return replace(job, notes=(*job.notes, *(f"{pool.name}: {note}" for note in pool.notes)))


def _ready(
    options: TrainOptions, clips: Clips, run: RunFolder, engine: Engine
) -> tuple[TrainOptions, TrainingJob, PreparedJob, dict[str, Any]]:
    """Select, resolve ``auto``, decode, pre-train where that is asked for.

    Returns
    -------
    options : TrainOptions
        With what ``auto`` chose.
    job : TrainingJob
    ready : PreparedJob
    parts : dict
        Who took which part, for the model file.
    """
    cache = run_files.cache_of(options)
    job = _job(options, clips, cache=cache)
    write_budget(run.path("budget.csv"), job)
    for line in _plan(options, job):
        say(line)
    fields = dataclasses.fields(TrainConfig)
    chosen = {field.name: getattr(job.config, field.name) for field in fields}
    place = Path(SYNTH) if job.begins == SYNTHETIC else options.encoder
    options = replace(options, **chosen, encoder=place)
    check_objective(options)
    if job.config.has_noisy_part:
        check_noisy(options.method)

    whole = whole_of(options, clips.classes)

    def hashes_of(clips: Clips, role: str) -> dict[str, str]:
        return run_files.record_data(run, clips, options.workers, role, cache)

    def prepare(sounds: Sounds, mel: MelOptions, place: torch.device | None) -> Prepared:
        return run_files.prepare_in(run, sounds.clips, mel, options, engine, place)

    parts = with_start(job.parts(hashes_of), options.encoder, run)
    ready = job.prepare(
        prepare,
        seed=options.seed,
        device=options.device,
        workers=options.workers,
        in_batch=options.in_batch,
        folder=run.folder,
    )
    if ready.pretrained is not None:
        save_pretrained(
            run.path(ENCODER), ready.pretrained, run_files.about("train", options, **parts)
        )
        run.note(pretraining=numbers_of(ready.pretrained))
    because = (job.because,) if job.because else ()
    notes = (*clips.notes, *job.notes, *because, *published_note(options.encoder), *ready.notes)
    start = ready.start if whole is None else whole
    return options, job, replace(ready, start=start, notes=notes), parts


def write_budget(path: Path, job: TrainingJob) -> None:
    """Publish which labels were used, and for what."""
    clips = job.labelled.clips
    part = np.full(len(clips), "train", object)
    part[job.validation] = "validation"
    labels = [";".join(row) for row in clips.labels]
    rows = list(zip(clips.ids, labels, clips.group, clips.fold, part, strict=True))
    write_csv(path, ["clip", "label", "group", "fold", "part"], rows)


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
        o, solved = self.outcome, self.method in SOLVED
        how = f"best of {count_text(len(o.history), 'epoch')} is {o.best_epoch}"
        if solved:
            rounds = count_text(len(o.history), "round")
            how = f"a linear layer in {rounds}, the encoder stays as it is"
        lines = [
            f"trained '{o.model.name}' on {count_text(self.n_train, 'clip')} of "
            f"{len(o.model.classes)} classes, {self.n_held_out} for validation: {how}, "
            f"{o.seconds:.0f} s, {o.fit.precision}"
        ]
        if self.metrics:
            flatters = "" if solved else " (it chose the epoch, so it flatters)"
            lines.append(f"validation{flatters}: {headline(self.metrics)}")
        elif solved:
            lines.append("no validation clips: all labels were learned from, nothing was measured")
        else:
            lines.append("no validation clips: all epochs were run and the last weights kept")
        if len(self.selection.test):
            lines.append(
                f"{count_text(len(self.selection.test), 'clip')} of the test fold took no part: "
                "score with evaluate --fold"
            )
        lines += [
            *self.notes,
            *run_files.unreadable(self.failures, self.remarks),
            f"model: {self.model}",
        ]
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
    clips = _data(options, "train")
    with run_files.open_run("train", options) as run, open_engine(options.where) as engine:
        options, job, ready, parts = _ready(options, clips, run, engine)
        notes, prepared, held = ready.notes, ready.prepared, ready.data.validation
        table = job.labelled.clips
        outcome = train_model(
            ready.config,
            ready.data,
            seed=options.seed,
            device=options.device,
            folder=run.path("training"),
            start=ready.start,
        )
        if options.calibration == AUTO:
            seed = options.seed
            notes += (calibrate_by_validation(outcome.model, prepared, held, table, seed=seed),)
        metrics = validate(run, outcome.model, prepared, table, held)
        measured = {f"validation_{name}": value for name, value in short(metrics).items()}
        licence = {"licence": options.licence} if options.licence else {}
        made = run_files.about("train", options, **parts, measured=measured, **licence)
        save(run.path(MODEL), outcome.model, about=made)
        run.note(
            best_epoch=outcome.best_epoch,
            epochs=len(outcome.history),
            **measured,
            method=options.method,
            encoder=str(options.encoder or ""),
            precision=outcome.fit.precision,
        )
        if notes:
            run.note(notes=list(notes))
        run_files.write_curves(run.folder, outcome.history, "Training")
    learned = np.concatenate([ready.data.labelled, ready.data.noisy])
    return TrainResult(
        outcome,
        ready.pretrained,
        run.folder / MODEL,
        job.selection,
        metrics,
        prepared.failures,
        prepared.n_clips(learned),
        prepared.n_clips(held),
        prepared.remarks,
        notes,
        options.method,
    )


def validate(
    run: RunFolder, model: SoundModel, prepared: Prepared, table: Clips, rows: Rows
) -> dict[str, Any]:
    """Score the validation clips once more, each by the mean of its windows; write both files.

    ``metrics.json`` holds the numbers, ``validation.csv`` a row per clip.
    """
    if not len(rows):
        return {}
    scores, owner = prepared.per_clip(score_rows(model, prepared.features, rows), rows)
    clips, best = table[owner], scores.argmax(axis=1)
    target = clips.targets() if model.multi_label else clips.target()
    metrics = summary(target, scores, model.classes)
    metrics["n_recordings"] = len(set(clips.group.tolist()))
    if not model.multi_label:
        metrics["accuracy_interval"] = list(wilson_by_group(best == target, clips.group))
    write_json(run.path("metrics.json"), {"validation": json_ready(metrics)})
    names, sure = np.array(model.classes)[best], scores.max(axis=1)
    labels = [";".join(row) for row in clips.labels]
    write_csv(
        run.path("validation.csv"),
        ["clip", "label", "predicted", "score"],
        list(zip(clips.ids, labels, names, (f"{one:.4f}" for one in sure), strict=True)),
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


# ``find-rate``: try learning rates on the training clips, before a training.


@dataclass(frozen=True)
class FindRateResult(Result):
    """What ``find-rate`` found.

    Attributes
    ----------
    sweep : RateSweep
    figure : Path
    n_train : int
        Clips that were learned from.
    frozen : bool
        Whether the encoder was.
    notes : tuple of str
    failures : tuple of (str, str)
    remarks : tuple of (str, str)
    """

    sweep: RateSweep
    figure: Path
    n_train: int
    frozen: bool
    notes: tuple[str, ...]
    failures: Failures
    remarks: Failures

    def to_frame(self) -> pd.DataFrame:
        """A row per step: the learning rate, the loss, and its moving average."""
        import pandas as pd

        return pd.DataFrame(
            {"rate": self.sweep.rates, "loss": self.sweep.losses, "smoothed": self.sweep.smoothed}
        )

    def summary(self) -> str:
        """For a terminal."""
        sweep, what = self.sweep, "frozen encoder" if self.frozen else "whole network"
        lines = [
            f"{len(sweep.rates)} steps on {self.n_train} clips, {what}, learning rates "
            f"{sweep.rates[0]:.2g} to {sweep.rates[-1]:.2g}"
            + (": the loss exploded there" if sweep.stopped else "")
        ]
        if sweep.suggestion is None:
            lines.append(
                "the loss fell at none of them: give a smaller --lowest-rate, and see the figure"
            )
        else:
            lines.append(
                f"the loss was lowest at {sweep.rates[sweep.lowest]:.2g}; a tenth of that is a "
                f"good start: --learning-rate {sweep.suggestion:.2g}"
            )
            if not sweep.stopped and sweep.lowest == len(sweep.rates) - 1:
                lines.append("it was still falling at the end: give a larger --highest-rate")
        lines += self.notes
        lines += run_files.unreadable(self.failures, self.remarks)
        lines.append(f"figure: {self.figure}")
        return "\n".join(lines)


def find_rate(options: FindRateOptions) -> FindRateResult:
    """Train for some steps with a rising learning rate, keep the losses and no weights.

    The method ``auto`` is a training here. ``rates.csv`` and ``rates.png`` are written into the
    run folder.

    Raises
    ------
    OptionError, DataError, ModelError
        As ``train`` does; and for a method that solves for its class layer.
    """
    if options.method in SOLVED:
        raise OptionError(
            f"option 'method': '{options.method}' solves for its class layer and has no learning "
            "rate; choose a method that trains, such as 'supervised'"
        )
    clips = _data(options, "find-rate")
    with run_files.open_run("find-rate", options) as run, open_engine(options.where) as engine:
        ready = _ready(options, clips, run, engine)[2]
        config, data = ready.config, replace(ready.data, validation=NO_ROWS)
        device = choose_device(options.device)
        one = ClassifierTraining(config, data, device, ready.start)
        model = one.fresh_model(options.seed)
        sweep = sweep_rate(
            *one.parts(model, data.target, data.labelled, options.seed),
            lowest=options.lowest_rate,
            highest=options.highest_rate,
            steps=options.sweep_steps,
            seed=options.seed,
            device=device,
        )
        frozen = bool(config.fit.freeze_epochs)
        columns = (sweep.rates, sweep.losses, sweep.smoothed)
        write_csv(
            run.path("rates.csv"),
            ["step", "learning_rate", "loss", "smoothed_loss"],
            [[i, *(f"{x:.6g}" for x in row)] for i, row in enumerate(zip(*columns, strict=True))],
        )
        title = "Learning rates" + (", encoder frozen" if frozen else "")
        figure = rate_sweep(*columns, sweep.suggestion, title)
        run_files.write_figure(run.path("rates.png"), figure)
        run.note(suggestion=sweep.suggestion, lowest_at=sweep.rates[sweep.lowest])
    return FindRateResult(
        sweep,
        run.folder / "rates.png",
        ready.prepared.n_clips(data.labelled),
        frozen,
        ready.notes,
        ready.prepared.failures,
        ready.prepared.remarks,
    )
