"""What a training is going to do: the strategy that was chosen, its time and its disk space."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from semisonic.classifier.config import (
    FITTED,
    NO_OBJECTIVE,
    SOLVED,
    SYNTHETIC,
    WITHOUT_DECODER,
    WITHOUT_POOL,
)
from semisonic.classifier.job import Start, TrainingJob, select_job
from semisonic.classifier.model_file import open_encoder
from semisonic.classifier.options import FindRateOptions, TrainOptions
from semisonic.classifier.prepare import in_batch_device
from semisonic.classifier.run_files import cache_in
from semisonic.classifier.selection import load_data
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.starting_encoder import FIT as SYNTHETIC_FIT
from semisonic.classifier.starting_encoder import (
    SYNTH,
    encoder_place,
    is_synth,
    sounds_for,
)
from semisonic.classifier.strategy import (
    network_of,
)
from semisonic.classifier.windows import cut_clips
from semisonic.core.errors import DataError
from semisonic.core.options import check
from semisonic.core.parallel import count_workers
from semisonic.core.text import bytes_text, rough_duration
from semisonic.data.clips import Clips, join
from semisonic.data.sample_store import SAMPLE_BYTES
from semisonic.features.options import MelOptions
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import build
from semisonic.training.devices import choose_device, kept_randomness
from semisonic.training.options import FitOptions

# What a training is going to do, how long it takes and how much disk, said before it starts.
#
# Times are estimates: a step of the very network is timed on noise for a moment, the rest are
# counts of clips times what a clip took on one core of an ordinary machine.


MAKING = 0.012
"""Seconds of one core that a second of made-up sound takes, decoded and with its features."""
DECODING = 0.006
"""Seconds of one core to decode a second of sound and to compute its features."""
WITH_DECODER = 2.5
"""Times as much as the encoder alone that an encoder with its decoder takes."""
TIMED_CLIPS = 16


@dataclass(frozen=True)
class TrainPlan:
    """What is going to be done.

    Attributes
    ----------
    because : str
        The method, and why where ``auto`` chose it.
    stages : tuple of (str, float)
        What is done, in order, and about how many seconds it takes.
    n_bytes : float
        About how much is kept in ``cache``.
    cache : Path
    """

    because: str
    stages: tuple[tuple[str, float], ...]
    n_bytes: float
    cache: Path

    def lines(self) -> list[str]:
        """For a terminal."""
        whole = sum(seconds for _, seconds in self.stages)
        return [
            f"method: {self.because}",
            *(f"  {i}. {text}: {_about(s)}" for i, (text, s) in enumerate(self.stages, 1)),
            f"all of it: {_about(whole)} where nothing is done yet, and about "
            f"{bytes_text(self.n_bytes)} in '{self.cache}', which may be deleted afterwards",
        ]


def job_of(
    options: TrainOptions,
    clips: Clips,
    *,
    search_copies: bool = True,
    cache: Path | None = None,
) -> tuple[TrainingJob, Start]:
    """The training that a verb's options ask for, and what it starts from."""
    start: Start = None
    if options.encoder is not None:
        start = SYNTH if is_synth(options.encoder) else open_encoder(options.encoder)
    pool = None
    if options.unlabelled is not None:
        pool = load_data(options.unlabelled, "none", "train", options)
    job = select_job(
        options,
        Sounds(clips),
        None if pool is None else Sounds(pool),
        start=start,
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
    if pool is not None:
        if job.pool is not None and not len(job.pool):
            raise DataError(
                f"'{pool.name}': nothing is left to pre-train on: every clip is a copy of a "
                "labelled one, or of a recording that is tested. Name other recordings, or leave "
                "--unlabelled out"
            )
        job = replace(job, notes=(*job.notes, *(f"{pool.name}: {note}" for note in pool.notes)))
    return job, start


def plan_training(options: TrainOptions) -> TrainPlan:
    """What ``train`` or ``find-rate`` would do; copies are not looked for.

    Raises
    ------
    OptionError, DataError, ModelError
        As the verb itself would, before any work.
    """
    check(options)
    clips = load_data(options.data, options.labels, "train", options)
    job, start = job_of(options, clips, search_copies=False)
    return plan_of(options, job, start)


def plan_of(options: TrainOptions, job: TrainingJob, start: Start) -> TrainPlan:
    """The stages of a job, with their times."""
    config, because = job.config, job.because
    encoder = start if isinstance(start, PretrainedEncoder) else None
    name, mel = network_of(config.model, config.mel, encoder)
    cache = cache_in(options.cache, options.output)
    n_train, n_pool = len(job.train) + len(job.noisy), 0 if job.pool is None else len(job.pool)
    table = job.labelled.clips
    if job.pool is not None:
        table = join(table, job.pool.clips, table.name)
    cut = cut_clips(table, mel.duration, None, workers=options.workers, cache=None)
    cores = count_workers(options.workers)
    stages: list[tuple[str, float]] = []
    n_bytes = cut.seconds * mel.sample_rate * SAMPLE_BYTES
    feature_bytes = 2.0 * float(np.prod(mel.shape))
    if in_batch_device(options.in_batch, options.device) is None:
        n_bytes += len(cut.clips) * feature_bytes
    trains = config.method not in SOLVED or config.objective != NO_OBJECTIVE
    if config.method == FITTED:
        stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
        stages.append(("fit the classifier to statistics of each clip", 1.0))
        return TrainPlan(
            because or f"{config.model}, a simple classifier", tuple(stages), n_bytes, cache
        )
    per_clip = _seconds_a_clip(name, mel, options.device) if trains or encoder is None else 0.0
    if job.begins == SYNTHETIC:
        place = encoder_place(name, mel, standardize=config.standardize)
        if not place.is_file():
            sounds = sounds_for(mel)
            n = sounds.n_classes * sounds.clips_per_class
            meanwhile = n * (
                2 * SAMPLE_BYTES * sounds.duration * sounds.sample_rate + feature_bytes
            )
            stages.append(
                (
                    f"made-up sounds: make {n:,}, train the encoder for {SYNTHETIC_FIT.steps:,} "
                    f"steps (once for all runs; takes {bytes_text(meanwhile)} of disk meanwhile)",
                    MAKING * n * sounds.duration / cores
                    + SYNTHETIC_FIT.steps * SYNTHETIC_FIT.batch_size * per_clip,
                )
            )
    stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
    if config.objective != NO_OBJECTIVE:
        steps = _steps(config.pretrain, n_train + n_pool)
        seen = config.pretrain.batch_size * (
            2 * config.pretext.view_share if config.objective in WITHOUT_DECODER else WITH_DECODER
        )
        stages.append(
            (
                _text(f"pre-train ({config.objective})", steps, config.pretrain),
                steps * seen * per_clip,
            )
        )
    if isinstance(options, FindRateOptions):
        steps = options.sweep_steps
        stages.append((f"try {steps} learning rates", steps * config.fit.batch_size * per_clip))
    elif config.method in SOLVED:
        stages.append((f"{config.method}: solve for the class layer", 2.0))
    else:
        steps = _steps(config.fit, n_train)
        with_pool = 0.0 if config.method in WITHOUT_POOL else config.method_params.pool_ratio
        seen = config.fit.batch_size * (1.0 + with_pool)
        stages.append(
            (_text(f"train ({config.method})", steps, config.fit), steps * seen * per_clip)
        )
    return TrainPlan(because or config.method, tuple(stages), n_bytes, cache)


def _text(what: str, steps: int, fit: FitOptions) -> str:
    most = "at most " if fit.patience else ""
    return f"{what}, {most}{steps:,} steps of {fit.batch_size} clips"


def _steps(fit: FitOptions, n_clips: int) -> int:
    return fit.n_steps(fit.steps_an_epoch(max(1, -(-n_clips // fit.batch_size))))


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
