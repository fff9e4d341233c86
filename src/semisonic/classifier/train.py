"""``train``: train a classifier from labelled clips, with or without pre-training.

:func:`select_job` selects the sounds of each part and resolves ``auto``,
:meth:`TrainingJob.prepare` computes features and pre-trains,
:func:`~semisonic.classifier.training.train_model` trains. ``SoundClassifier.fit``, ``train`` and
``find-rate`` take the same steps.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from markupsafe import Markup

from semisonic.classifier import run_files
from semisonic.classifier.config import (
    AUTO,
    DRAWN,
    FEW,
    FRESH,
    GENERAL,
    GENERAL_NOTE,
    GIVEN,
    NO_OBJECTIVE,
    SOLVED,
    SYNTHETIC,
    VALIDATION,
    WITHOUT_DECODER,
    WITHOUT_POOL,
    DataSummary,
    TrainConfig,
    all_learned_note,
    asks_training,
    check_freezing,
    check_noisy,
    check_pretraining,
    check_read,
    check_trainable,
    resolve_auto,
    validation_share,
)
from semisonic.classifier.copies import clean_sounds, with_recordings
from semisonic.classifier.finish import finish_training
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.options import FindRateOptions, TrainOptions
from semisonic.classifier.prepare import (
    Failures,
    Prepared,
    in_batch_device,
    silent_classes,
    without_silence,
)
from semisonic.classifier.pretrain import (
    HELD_OUT,
    PretrainOutcome,
    hold_out_recordings,
    pretrain_encoder,
    save_pretrained,
)
from semisonic.classifier.provenance import DataPart, recording_prints
from semisonic.classifier.run_files import write_remarks
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.selection import (
    Rows,
    check_classes,
    in_fold,
    load_data,
    outside_fold,
    targets_of,
)
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.start import (
    SYNTH,
    SYNTH_CONFIG,
    Start,
    kept_classifier,
    other_than_shipped,
    published_note,
    start_of,
    synthetic_encoder,
    synthetic_place,
    synthetic_sounds,
    with_start,
)
from semisonic.classifier.training import (
    NO_ROWS,
    TrainedModel,
    TrainingData,
    network_of,
    train_model,
    without_validation,
)
from semisonic.classifier.windows import cut_clips
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError
from semisonic.core.files import json_ready, write_csv, write_json
from semisonic.core.html import Result
from semisonic.core.options import check
from semisonic.core.parallel import LOCAL_ENGINE, Engine, count_workers
from semisonic.core.progress import say
from semisonic.core.seeds import generator
from semisonic.core.text import bytes_text, count_text, percent_text, rough_duration
from semisonic.data.cache import Key
from semisonic.data.clips import Clips, join
from semisonic.data.datasets.load import require_labels
from semisonic.data.fingerprints import Fingerprint
from semisonic.data.recordings import COPIES
from semisonic.data.splits import hold_out, label_budget
from semisonic.data.stores import SAMPLE_BYTES
from semisonic.evaluation.metrics import summary
from semisonic.evaluation.statistics import wilson_by_group
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.registry import create
from semisonic.models.sound_model import SoundModel, build
from semisonic.training.devices import choose_device, computing_in, kept_randomness
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


HELD_OUT_SHARE = 0.1
"""Share of the recordings held out to stop pre-training."""


# Which labelled clips are learned from, which choose the epoch, which test.


class Selection(NamedTuple):
    """Row numbers of a clip table, ascending.

    ``train`` is for training, ``validation`` for choosing the epoch (may be empty), ``test`` is
    the fold kept for later (empty if none was asked for).
    """

    train: Rows
    validation: Rows
    test: Rows

    @property
    def used(self) -> Rows:
        """All labels that are used, for training and validation."""
        return np.sort(np.concatenate([self.train, self.validation]))


def select(
    clips: Clips,
    *,
    labels_per_class: int = 0,
    validation: float = 0.15,
    test_fold: int = 0,
    seed: int = 0,
) -> Selection:
    """Draw the budget, then cut the validation part from it.

    Every label that is used counts in the budget, including those of the validation part. Without
    a validation part, all epochs are run and the last weights kept.

    Parameters
    ----------
    clips : Clips
        Rows without a label are skipped.
    labels_per_class : int
        The budget; 0 is all.
    validation : float
        Share of the labels, 0 to below 1.
    test_fold : int
        An official fold that takes no part, nor any clip of its recordings; 0 is none.
    seed : int

    Raises
    ------
    DataError
        Without labels, with fewer than two classes, or when a class has no clip to learn from.
    OptionError
        If the fold does not exist.
    """
    require_labels(clips, "training")
    rows = outside_fold(clips, test_fold) if test_fold else np.arange(len(clips))
    rows = rows[clips.is_labelled[rows]]
    if labels_per_class:
        rows = label_budget(clips, rows, labels_per_class, seed)
    train, held = hold_out(clips, rows, validation, seed) if validation else (rows, NO_ROWS)
    check_classes(clips, train)
    return Selection(train, held, in_fold(clips, test_fold) if test_fold else NO_ROWS)


def unverified_apart(config: TrainConfig, clips: Clips, train: Rows) -> tuple[Rows, Rows]:
    """Training clips with verified and with unverified labels, if they are treated separately.

    All are in the first unless an option separates them.

    Raises
    ------
    DataError
        If they are, and one of them is not there.
    """
    if not config.has_noisy_part:
        return train, NO_ROWS
    verified = clips.is_verified[train]
    if verified.all() or not verified.any():
        raise DataError(
            f"options noisy_weight and noisy_loss: found {int(verified.sum())} training clips "
            f"with verified labels and {int((~verified).sum())} with unverified ones in "
            f"'{clips.name}', expected some of both, as in FSDKaggle2018 and 2019"
        )
    return train[verified], train[~verified]


@dataclass
class TrainingJob:
    """A training with selected sounds and a resolved configuration.

    Attributes
    ----------
    config : TrainConfig
        With nothing left to ``auto``; once prepared, with the network and the front end of the
        encoder that it starts from.
    seed : int
    encoder : PretrainedEncoder or None
        The one that was given.
    begins : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder starts from.
    because : str
        What ``auto`` chose and why; empty if it had nothing to choose.
    advice : tuple of str
        What may give better results.
    labelled : Sounds
        The sounds that are used: for training, then for validation.
    train, noisy, validation : ndarray of int64
        Rows of ``labelled`` to learn from, those of unverified labels that are learned apart, and
        those that choose the epoch.
    pool : Sounds or None
        Without copies of labelled sounds and of tested ones.
    n_tested : int
        Clips of the fold that is kept out.
    notes : tuple of str
        What a user must know about recordings and the pool.
    prepared : Prepared
        Features of the labelled sounds, then of the pool; once prepared, like ``data``.
    data : TrainingData
    start : PretrainedEncoder, SoundModel or None
        What the training starts from, once prepared; a whole classifier if its class layer is
        kept.
    pretrained : PretrainOutcome or None
        The pre-training of this job, if there was one.
    """

    config: TrainConfig
    seed: int
    encoder: PretrainedEncoder | None
    begins: str
    because: str
    advice: tuple[str, ...]
    labelled: Sounds
    train: Rows
    noisy: Rows
    validation: Rows
    pool: Sounds | None
    n_tested: int
    notes: tuple[str, ...]
    prepared: Prepared = field(init=False)
    data: TrainingData = field(init=False)
    start: PretrainedEncoder | SoundModel | None = None
    pretrained: PretrainOutcome | None = None

    def parts(
        self,
        hashes_of: Callable[[Clips, str], Mapping[str, str]],
        prints_of: Callable[[Clips], Mapping[Key, Fingerprint]],
    ) -> dict[str, Any]:
        """The recordings of each role, by what they are known again, for the model file.

        Parameters
        ----------
        hashes_of : callable
            From clips and a role ("" or "pool") to the content hash of each file.
        prints_of : callable
            From labelled clips to their fingerprints.
        """
        clips = self.labelled.clips
        rows = {"training": np.union1d(self.train, self.noisy), "validation": self.validation}
        known = hashes_of(clips, ""), prints_of(clips)
        parts = {role: DataPart.of(clips[of], *known).to_dict() for role, of in rows.items()}
        if self.pool is not None:
            pool = self.pool.clips
            parts["pretraining"] = DataPart.of(pool, hashes_of(pool, "pool")).to_dict()
        return parts

    def prepare(
        self,
        cache: Path,
        *,
        device: str,
        workers: int | None,
        in_batch: str = AUTO,
        engine: Engine = LOCAL_ENGINE,
        folder: Path | None = None,
        run: RunFolder | None = None,
    ) -> None:
        """Make the encoder to start from, compute all features, and pre-train if asked for.

        Parameters
        ----------
        cache : Path
            Keeps samples and features of files.
        in_batch : {"auto", "yes", "no"}
            Where spectrograms are computed; see :func:`in_batch_device`.
        folder : Path, optional
            Keeps the checkpoints of pre-training, in ``pretraining``.
        run : RunFolder, optional
            Lists faults of clips.
        """
        config, start = self.config, self.encoder
        if start is None and self.begins == SYNTHETIC:
            start = synthetic_encoder(config, device=device, workers=workers)
        name, mel = network_of(config.model, config.mel, start)
        sounds = self.labelled if self.pool is None else self.labelled.joined(self.pool, mel)
        place = in_batch_device(in_batch, device)
        self.prepared = prepared = sounds.prepare(mel, cache, workers, place, engine)
        if run is not None:
            run.add_bad_files(prepared.failures)
            write_remarks(run, prepared.remarks)
        rows = prepared.rows_of(np.setdiff1d(np.arange(len(sounds)), self.validation))
        rows, silence = without_silence(prepared, rows, len(self.labelled))
        learned = np.union1d(self.train, self.noisy)
        check_classes(prepared.clips, prepared.rows_of(learned))
        labelled = prepared.rows_of(np.union1d(learned, self.validation))
        self.notes += (*silence, *silent_classes(prepared, labelled))
        self.data = TrainingData(
            prepared.features,
            targets_of(prepared.clips, multi_label=sounds.clips.is_multi_label),
            self.labelled.clips.classes,
            prepared.rows_of(self.train),
            prepared.rows_of(self.validation),
            rows if self.pool is not None else NO_ROWS,
            prepared.rows_of(self.noisy),
        )
        self.config, self.start = replace(config, model=name, mel=mel), start
        if config.objective == NO_OBJECTIVE:
            return
        share = HELD_OUT_SHARE if config.pretrain.heeds_validation else 0.0
        kept, held = hold_out_recordings(
            prepared.group, rows, share, generator(self.seed, HELD_OUT)
        )
        self.pretrained = pretrain_encoder(
            self.config,
            prepared.features,
            kept,
            held,
            seed=self.seed,
            device=device,
            folder=None if folder is None else folder / "pretraining",
            start=start,
        )
        self.start = self.pretrained.network


def select_job(
    config: TrainConfig,
    labelled: Sounds,
    pool: Sounds | None = None,
    validation: Sounds | None = None,
    start: Start = None,
    *,
    seed: int,
    share: float = VALIDATION,
    labels_per_class: int = 0,
    test_fold: int = 0,
    group: str = AUTO,
    near_copies: bool = True,
    search_copies: bool = True,
    trains: str = "",
    workers: int | None = None,
    cache: Path | None = None,
) -> TrainingJob:
    """Select the sounds of each part, clean the pool, and resolve ``auto``.

    Parameters
    ----------
    config : TrainConfig
    labelled : Sounds
        Rows without a label are skipped.
    pool : Sounds, optional
        Sounds to learn from without labels. Copies of labelled sounds, including validation and
        test, are left out; so are other clips of their recordings.
    validation : Sounds, optional
        Labelled sounds to choose the epoch by, instead of a share of ``labelled``.
    start : PretrainedEncoder, "synth" or None
    seed : int
    share : float
        Share of the labels for validation, by recording; see :func:`validation_share`.
    labels_per_class : int
        The budget; 0 is all.
    test_fold : int
        An official fold that takes no part; 0 is none.
    group : str
        How recordings are known; see :func:`known_recordings`.
    near_copies : bool
        Whether copies are also found by their sound, not only by their bytes.
    search_copies : bool
        Whether to search for copies; a plan does not.
    trains : str
        What asks for training the encoder, besides options.
    workers : int, optional
    cache : Path, optional
        Keeps what is known about files.

    Raises
    ------
    DataError
        If there are too few labels, or a sound occurs twice.
    OptionError
        If an option would do nothing.
    """
    check(config)
    if twice := labelled.clips.standing_twice():
        raise DataError(f"found the training sound {twice} twice, expected once")
    asked = {"labels_per_class": labels_per_class, "test_fold": test_fold, "seed": seed}
    share = 0.0 if validation is not None else share
    chosen = select(labelled.clips, validation=share, **asked)
    n_labels = sum(len(labelled.clips.labels[row]) for row in chosen.used.tolist())
    per_class = n_labels / max(len(labelled.clips.classes), 1)
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    asked_share, share = share, validation_share(config, share, per_class)
    if share < asked_share and config.method not in (AUTO, *SOLVED):
        advice = (all_learned_note(per_class),)
    splits = labels_per_class or group == COPIES or (share and len(chosen.validation))
    if search_copies and splits:
        labelled, found = with_recordings(
            labelled, group, near=near_copies, workers=workers, cache=cache
        )
        notes += found
    chosen = select(labelled.clips, validation=share, **asked)
    used = labelled[chosen.used]
    verified, noisy = unverified_apart(config, labelled.clips, chosen.train)
    rows_held = np.searchsorted(chosen.used, chosen.validation)
    if validation is not None:
        rows_held = np.arange(len(validation)) + len(used)
        used = used.joined(_with_classes(validation, labelled.clips), config.mel)
    if pool is not None and search_copies:
        known = labelled[np.union1d(chosen.used, chosen.test)] if len(chosen.test) else used
        apart = labelled.clips[np.concatenate([chosen.test, chosen.validation])]
        pool, left_out = clean_sounds(
            pool, known, apart, near=near_copies, workers=workers, cache=cache
        )
        notes += left_out
    begins = FRESH if start is None else SYNTHETIC
    if isinstance(start, PretrainedEncoder):
        begins = DRAWN if isinstance(start, AutoEncoder) else GIVEN
        begins = GENERAL if start.published else begins
    summary = DataSummary(per_class, len(chosen.train), 0 if pool is None else len(pool), begins)
    ready, begins, because = resolve_auto(config, summary, trains=trains or asks_training(config))
    check_read(ready.method, config)
    check_freezing(ready.fit, begins != FRESH or ready.objective != NO_OBJECTIVE)
    if isinstance(start, PretrainedEncoder):
        check_trainable(start.name, start.encoder.trainable, ready.method, ready.objective)
    if config.method == AUTO and begins == SYNTHETIC and per_class <= FEW and start is None:
        advice = (GENERAL_NOTE,)
    if len(noisy):
        check_noisy(ready.method)
    return TrainingJob(
        ready,
        seed,
        start if isinstance(start, PretrainedEncoder) else None,
        begins,
        because,
        advice,
        used,
        np.searchsorted(chosen.used, verified),
        np.searchsorted(chosen.used, noisy),
        rows_held,
        pool,
        len(chosen.test),
        notes,
    )


def _with_classes(validation: Sounds, labelled: Clips) -> Sounds:
    """Validation sounds with the classes of the training sounds."""
    unknown = sorted(set(validation.clips.classes) - set(labelled.classes))
    if unknown or not validation.clips.is_labelled.all():
        what = (
            f"found the unknown classes {', '.join(unknown)}" if unknown else "some have no label"
        )
        raise DataError(
            f"validation sounds: {what}; expected a class of the training sounds for each"
        )
    return replace(validation, clips=validation.clips.with_columns(classes=labelled.classes))


# What a training is going to do, how long it takes and how much disk, said before it starts.
#
# Times are estimates: a step of the very network is timed on noise for a moment, the rest are
# counts of clips times what a clip took on one core of an ordinary machine.

MAKING = 0.012
"""Seconds of one core that a second of synthetic sound takes, decoded and with its features."""
DECODING = 0.006
"""Seconds of one core to decode a second of sound and to compute its features."""
WITH_DECODER = 2.5
"""Work of an encoder with its decoder, as a multiple of the encoder alone."""
TIMED_CLIPS = 16


def plan_training(options: TrainOptions) -> list[str]:
    """What ``train`` or ``find-rate`` would do, without a search for copies.

    Raises
    ------
    OptionError, DataError, ModelError
        As the verb itself would, before any work.
    """
    clips = load_data(check(options).data, options.labels, "train", options)
    return plan_of(options, job_of(options, clips, search_copies=False))


def plan_of(options: TrainOptions, job: TrainingJob) -> list[str]:
    """The method, the stages of a job with their times, and the disk space they need."""
    config = job.config
    name, mel = network_of(config.model, config.mel, job.encoder)
    table = job.labelled.clips
    n_train, n_pool = len(job.train) + len(job.noisy), 0
    if job.pool is not None:
        table, n_pool = join(table, job.pool.clips, table.name), len(job.pool)
    cut = cut_clips(table, mel.duration, None, workers=options.workers, cache=None)
    cores = count_workers(options.workers)
    per_clip = 0.0
    if config.objective != NO_OBJECTIVE or config.method not in SOLVED or job.encoder is None:
        per_clip = _seconds_a_clip(name, mel, options.device)
    feature_bytes = 2 * int(np.prod(mel.shape))

    def fit_stage(what: str, fit: FitOptions, n_clips: int, share: float) -> tuple[str, float]:
        steps = fit.n_steps(fit.steps_an_epoch(max(1, -(-n_clips // fit.batch_size))))
        most = "at most " * bool(fit.patience)
        text = f"{what}, {most}{steps:,} steps of {fit.batch_size} clips"
        return text, steps * fit.batch_size * share * per_clip

    stages: list[tuple[str, float]] = []
    why: list[str] = []
    kind = config.standardize
    if job.begins == SYNTHETIC and not synthetic_place(name, mel, standardize=kind).is_file():
        sounds, fit = synthetic_sounds(mel), SYNTH_CONFIG.fit
        n = sounds.n_classes * sounds.clips_per_class
        size = n * (2 * SAMPLE_BYTES * sounds.duration * sounds.sample_rate + feature_bytes)
        text = (
            f"synthetic sounds: make {n:,}, train the encoder for {fit.steps:,} steps (once for "
            f"all runs; needs {bytes_text(size)} of disk space meanwhile)"
        )
        making = MAKING * n * sounds.duration / cores
        stages.append((text, making + fit.steps * fit.batch_size * per_clip))
        others = ", ".join(f"'{one}'" for one in other_than_shipped(name, mel, kind))
        why = [
            "note: step 1 is needed because the encoder of the package was trained with other "
            f"values of: {others}. To avoid it, leave these options at their defaults, or give "
            "the method 'supervised', which starts from random weights"
        ]
    stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
    if config.objective != NO_OBJECTIVE:
        contrastive = config.objective in WITHOUT_DECODER
        share = 2 * config.pretext.view_share if contrastive else WITH_DECODER
        what = f"pre-train ({config.objective})"
        stages.append(fit_stage(what, config.pretrain, n_train + n_pool, share))
    if isinstance(options, FindRateOptions):
        steps = options.sweep_steps
        seconds = steps * config.fit.batch_size * per_clip
        stages.append((f"try {steps} learning rates", seconds))
    elif config.method in SOLVED:
        stages.append((f"{config.method}: solve for the class layer", 2.0))
    else:
        ratio = 0.0 if config.method in WITHOUT_POOL else config.method_params.pool_ratio
        is_held = len(job.validation) > 0
        fit = config.fit if is_held else without_validation(config.fit)
        text, seconds = fit_stage(f"train ({config.method})", fit, n_train, 1.0 + ratio)
        stages.append((text if is_held else f"{text}, none held out", seconds))
    n_bytes = cut.seconds * mel.sample_rate * SAMPLE_BYTES
    if in_batch_device(options.in_batch, options.device) is None:
        n_bytes += len(cut.clips) * feature_bytes
    stages.append(("all of it", sum(seconds for _, seconds in stages)))
    times = [
        "less than a minute" if seconds < 45 else f"about {rough_duration(seconds)}"
        for _, seconds in stages
    ]
    return [
        f"method: {job.because or config.method}",
        *why,
        *(f"  {i}. {text}: {times[i - 1]}" for i, (text, _) in enumerate(stages[:-1], 1)),
        f"total: {times[-1]} if nothing is done yet, and about {bytes_text(n_bytes)} in "
        f"'{run_files.cache_of(options)}', which you can delete afterwards",
    ]


def _seconds_a_clip(name: str, mel: MelOptions, device: str) -> float:
    """How long one clip takes forwards and backwards, on noise, in the faster number format."""
    place, times = choose_device(device), []
    with kept_randomness(place):
        model = build(name, mel, ("a", "b"), standardize="none").to(place).train()
        noise = torch.randn(TIMED_CLIPS, *mel.shape, device=place)
        for precision in ("fp32", "fp32", "bf16", "bf16"):  # the first one of each warms up
            begun = time.perf_counter()
            with computing_in(precision, place):
                loss = model.from_features(noise).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            if place.type == "cuda":
                torch.cuda.synchronize(place)
            times.append(time.perf_counter() - begun)
    return min(times) / TIMED_CLIPS


# From the options of a verb to a training that is ready to begin.


def read_data(options: TrainOptions, command: str) -> Clips:
    """The data set that the options name, if it has something to learn."""
    check(options)
    if options.objective != AUTO:
        check_pretraining(options.objective, options.decoder, options.pretext, options.pretrain)
    if options.encoder is None:
        create(options.model, options.mel.shape)  # a wrong one is refused before hours of decoding
    return load_data(options.data, options.labels, command, options)


def job_of(
    options: TrainOptions, clips: Clips, *, search_copies: bool = True, cache: Path | None = None
) -> TrainingJob:
    """The training job of a verb's options."""
    choose_device(options.device)  # one that is not there is told before the work
    pool = None
    if options.unlabelled is not None:
        pool = load_data(options.unlabelled, "none", "train", options)
    job = select_job(
        options,
        Sounds(clips),
        None if pool is None else Sounds(pool),
        start=start_of(options.encoder),
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
    job.notes = (*clips.notes, *job.notes)
    if pool is not None:
        if job.pool is not None and not len(job.pool):
            raise DataError(
                f"'{pool.name}': no clip is left for pre-training: every clip is a copy of a "
                "labelled clip, or from a test recording. Give other recordings, or leave "
                "--unlabelled out"
            )
        job.notes += tuple(f"{pool.name}: {note}" for note in pool.notes)
    if job.because:
        job.notes += (job.because,)
    job.notes += job.advice
    return job


def prepared_job(
    options: TrainOptions, clips: Clips, run: RunFolder, engine: Engine
) -> tuple[TrainOptions, TrainingJob, dict[str, Any]]:
    """Select, resolve ``auto``, decode, and pre-train if asked for.

    Returns
    -------
    options : TrainOptions
        With what ``auto`` chose.
    job : TrainingJob
    parts : dict
        Who took which part, for the model file.
    """
    cache = run_files.cache_of(options)
    job = job_of(options, clips, cache=cache)
    write_budget(run.path("budget.csv"), job)
    for line in plan_of(options, job):
        say(line)
    chosen = {one.name: getattr(job.config, one.name) for one in dataclasses.fields(TrainConfig)}
    place = Path(SYNTH) if job.begins == SYNTHETIC else options.encoder
    options = replace(options, **chosen, encoder=place)
    check_pretraining(options.objective, options.decoder, options.pretext, options.pretrain)
    kept = None
    if options.keep_head:
        kept = kept_classifier(options.encoder, job.config, clips.classes)

    def hashes_of(clips: Clips, role: str) -> dict[str, str]:
        return run_files.record_data(run, clips, options.workers, role, cache)

    def prints_of(clips: Clips) -> dict[Key, Fingerprint]:
        near = options.near_copies
        return recording_prints(clips, workers=options.workers, cache=cache) if near else {}

    parts = with_start(job.parts(hashes_of, prints_of), options.encoder, run)
    job.notes += published_note(options.encoder)
    job.prepare(
        cache,
        device=options.device,
        workers=options.workers,
        in_batch=options.in_batch,
        engine=engine,
        folder=run.folder,
        run=run,
    )
    job.start = job.start if kept is None else kept
    if job.pretrained is not None:
        about = run_files.about("train", options, **parts)
        run.note(pretraining=save_pretrained(run.path(ENCODER), job.pretrained, about))
    return options, job, parts


def write_budget(path: Path, job: TrainingJob) -> None:
    """Write which labels were used, and for what."""
    clips = job.labelled.clips
    part = np.full(len(clips), "train", object)
    part[job.validation] = "validation"
    labels = [";".join(row) for row in clips.labels]
    rows = list(zip(clips.ids, labels, clips.group, clips.fold, part, strict=True))
    write_csv(path, ["clip", "label", "group", "fold", "part"], rows)


@dataclass(frozen=True)
class TrainResult(Result):
    """The result of ``train``.

    Attributes
    ----------
    job : TrainingJob
        The training sounds and the configuration.
    outcome : TrainedModel
    model : Path
        The model file.
    metrics : dict
        Metrics of the validation clips, with the weights of the best epoch; empty without any. If
        these clips chose the epoch, the metrics are too good: use ``evaluate`` on other clips.
    """

    job: TrainingJob
    outcome: TrainedModel
    model: Path
    metrics: Mapping[str, Any]

    @property
    def failures(self) -> Failures:
        """Clips that could not be read, with the reason."""
        return self.job.prepared.failures

    def to_frame(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, validation."""
        import pandas as pd

        return pd.DataFrame(self.outcome.history)

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.classifier.show import training_parts

        return training_parts(self, self.outcome.history)

    def summary(self) -> str:
        """For a terminal."""
        o, job = self.outcome, self.job
        solved, prepared, data = job.config.method in SOLVED, job.prepared, job.data
        how = f"best of {count_text(len(o.history), 'epoch')} is {o.best_epoch}"
        if solved:
            rounds = count_text(len(o.history), "round")
            how = f"a linear layer in {rounds}, the encoder unchanged"
        n_train = prepared.n_clips(np.concatenate([data.labelled, data.noisy]))
        lines = [
            f"trained '{o.model.name}' on {count_text(n_train, 'clip')} of "
            f"{len(o.model.classes)} classes, {prepared.n_clips(data.validation)} for "
            f"validation: {how}, {o.seconds:.0f} s, {o.fit.precision}"
        ]
        if self.metrics:
            flatters = "" if solved else " (it chose the epoch, so the numbers are too good)"
            lines.append(f"validation{flatters}: {headline(self.metrics)}")
        elif solved:
            lines.append("no validation clips: training used all labels, so nothing was measured")
        else:
            lines.append("no validation clips: all epochs were run and the last weights kept")
        if job.n_tested:
            lines.append(
                f"{count_text(job.n_tested, 'clip')} of the test fold were not used: to measure "
                "on them, use evaluate --fold"
            )
        bad = run_files.unreadable(prepared.failures, prepared.remarks)
        return "\n".join([*lines, *job.notes, *bad, f"model: {self.model}"])


def train(options: TrainOptions) -> TrainResult:
    """Train a classifier; the same command continues an interrupted run.

    The recordings of ``unlabelled`` and the training clips are used without labels during
    training, before it, or not at all, as ``method`` and ``objective`` say. Copies of test clips
    are left out.

    Raises
    ------
    OptionError
        If an option is wrong, or the run folder belongs to another run.
    DataError
        If there are too few labels, or nothing can be read.
    ModelError
        If the encoder's file is damaged or does not fit ``model`` or ``mel``.
    """
    clips = read_data(options, "train")
    with run_files.open_run("train", options) as run, open_engine(options.where) as engine:
        options, job, parts = prepared_job(options, clips, run, engine)
        outcome = train_model(
            job.config,
            job.data,
            seed=job.seed,
            device=options.device,
            folder=run.path("training"),
            start=job.start,
        )
        job.notes += finish_training(
            outcome,
            job.prepared,
            job.data,
            job.labelled.clips,
            job.config,
            seed=job.seed,
            device=options.device,
            calibrate=options.calibration == AUTO,
        )
        metrics = validate(run, outcome.model, job)
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
            notes=list(job.notes),
        )
        run_files.write_curves(run.folder, outcome.history, "Training")
    return TrainResult(job, outcome, run.folder / MODEL, metrics)


def validate(run: RunFolder, model: SoundModel, job: TrainingJob) -> dict[str, Any]:
    """Score the validation clips again, each by the mean of its windows; write both files.

    ``metrics.json`` has the numbers, ``validation.csv`` a row per clip.
    """
    rows, prepared = job.data.validation, job.prepared
    if not len(rows):
        return {}
    scores, owner = prepared.per_clip(score_rows(model, prepared.features, rows), rows)
    clips, best = job.labelled.clips[owner], scores.argmax(axis=1)
    target = targets_of(clips, multi_label=model.multi_label)
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
    said = [f"{n.replace('_', ' ')} {percent_text(metrics[n])}" for n in main if n in metrics]
    n_clips, n_recordings = int(metrics["n_clips"]), int(metrics["n_recordings"])
    of = count_text(n_clips, "clip")
    if n_recordings < n_clips:
        of += f" of {count_text(n_recordings, 'recording')}"
    if "accuracy" not in metrics:
        return f"{', '.join(said)} ({of})"
    low, high = map(percent_text, metrics["accuracy_interval"])
    n_right = round(metrics["accuracy"] * n_clips)
    said[0] += f" ({n_right} of {of}; 95 % interval {low} to {high})"
    return ", ".join(said)
