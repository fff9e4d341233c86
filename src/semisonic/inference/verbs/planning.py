"""What a training is going to do, how long it takes and how much disk, said before it starts.

Times are estimates: a step of the very network is timed on noise for a moment, the rest are
counts of clips times what a clip took on one core of an ordinary machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from semisonic.base.forecast import duration, size
from semisonic.base.options import check
from semisonic.data.clips import Clips
from semisonic.data.join import join
from semisonic.data.store_decode import SAMPLE_BYTES
from semisonic.data.workers import count_workers
from semisonic.features import MelOptions
from semisonic.inference.datasets import load_data
from semisonic.inference.front_end_place import in_batch_device
from semisonic.inference.methods.advice import NO_OBJECTIVE
from semisonic.inference.methods.options import FITTED, SOLVED, WITHOUT_POOL
from semisonic.inference.modelfile import open_encoder
from semisonic.inference.networks import network_of
from semisonic.inference.options import FindRateOptions, TrainOptions
from semisonic.inference.pretext import WITHOUT_DECODER
from semisonic.inference.selection import Selection
from semisonic.inference.synthetic import FIT as SYNTHETIC_FIT
from semisonic.inference.synthetic import encoder_place, sounds_for
from semisonic.inference.verbs.choosing import choose, select_for
from semisonic.inference.verbs.runs import cache_in
from semisonic.inference.verbs.starting import is_synth
from semisonic.inference.windowing import cut_measured
from semisonic.models import build
from semisonic.training import FitOptions, choose_device
from semisonic.training.randomness import kept_randomness

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
            f"all of it: {_about(whole)} where nothing is done yet, and about {size(self.n_bytes)} "
            f"in '{self.cache}', which may be deleted afterwards",
        ]


def plan_training(options: TrainOptions) -> TrainPlan:
    """What ``train`` or ``find-rate`` would do; copies in the pool are not looked for.

    Raises
    ------
    OptionError, DataError, ModelError
        As the verb itself would, before any work.
    """
    check(options)
    clips = load_data(options.data, options.labels, options.group, "train", options.table)
    chosen = select_for(options, clips)
    pool = None
    if options.unlabelled is not None:
        pool = load_data(options.unlabelled, "none", options.group, "train", options.table)
    settled, because = choose(options, clips, chosen, 0 if pool is None else len(pool))
    return plan_of(settled, because, clips, chosen, pool)


def plan_of(
    options: TrainOptions, because: str, clips: Clips, chosen: Selection, pool: Clips | None
) -> TrainPlan:
    """The same of options that are settled already."""
    start = None
    if options.encoder is not None and not is_synth(options.encoder):
        start = open_encoder(options.encoder)
    name, mel = network_of(options.model, options.mel, start)
    cache = cache_in(options.cache, options.output)
    table = clips[chosen.used] if pool is None else join(clips[chosen.used], pool, clips.name)
    cut = cut_measured(table, mel.duration, None, workers=options.workers, cache=None)
    cores = count_workers(options.workers)
    stages: list[tuple[str, float]] = []
    n_bytes = cut.seconds * mel.sample_rate * SAMPLE_BYTES
    feature_bytes = 2.0 * float(np.prod(mel.shape))
    if in_batch_device(options.in_batch, options.device) is None:
        n_bytes += len(cut.clips) * feature_bytes
    trains = options.method not in SOLVED or options.objective != NO_OBJECTIVE
    if options.method == FITTED:
        stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
        stages.append(("fit the classifier to statistics of each clip", 1.0))
        return TrainPlan(
            because or f"{options.model}, a simple classifier", tuple(stages), n_bytes, cache
        )
    per_clip = _seconds_a_clip(name, mel, options.device) if trains or start is None else 0.0
    if is_synth(options.encoder):
        place = encoder_place(name, mel, standardize=options.standardize)
        if not place.is_file():
            sounds = sounds_for(mel)
            n = sounds.n_classes * sounds.clips_per_class
            meanwhile = n * (
                2 * SAMPLE_BYTES * sounds.duration * sounds.sample_rate + feature_bytes
            )
            stages.append(
                (
                    f"made-up sounds: make {n:,}, train the encoder for {SYNTHETIC_FIT.steps:,} "
                    f"steps (once for all runs; takes {size(meanwhile)} of disk meanwhile)",
                    MAKING * n * sounds.duration / cores
                    + SYNTHETIC_FIT.steps * SYNTHETIC_FIT.batch_size * per_clip,
                )
            )
    stages.append((f"decode {len(table):,} clips", DECODING * cut.seconds / cores))
    n_pool = 0 if pool is None else len(pool)
    if options.objective != NO_OBJECTIVE:
        steps = _steps(options.pretrain, len(chosen.train) + n_pool)
        seen = options.pretrain.batch_size * (
            2 * options.pretext.view_share if options.objective in WITHOUT_DECODER else WITH_DECODER
        )
        stages.append((_text(f"pre-train ({options.objective})", steps, options.pretrain),
                       steps * seen * per_clip))  # fmt: skip
    if isinstance(options, FindRateOptions):
        steps = options.sweep.sweep_steps
        stages.append((f"try {steps} learning rates", steps * options.fit.batch_size * per_clip))
    elif options.method in SOLVED:
        stages.append((f"{options.method}: solve for the class layer", 2.0))
    else:
        steps = _steps(options.fit, len(chosen.train))
        with_pool = 0.0 if options.method in WITHOUT_POOL else options.how.pool_ratio
        seen = options.fit.batch_size * (1.0 + with_pool)
        stages.append((_text(f"train ({options.method})", steps, options.fit),
                       steps * seen * per_clip))  # fmt: skip
    return TrainPlan(because or options.method, tuple(stages), n_bytes, cache)


def _text(what: str, steps: int, fit: FitOptions) -> str:
    most = "at most " if fit.patience else ""
    return f"{what}, {most}{steps:,} steps of {fit.batch_size} clips"


def _steps(fit: FitOptions, n_clips: int) -> int:
    return fit.n_steps(fit.steps_an_epoch(max(1, -(-n_clips // fit.batch_size))))


def _about(seconds: float) -> str:
    return "less than a minute" if seconds < 45 else f"about {duration(seconds)}"


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
