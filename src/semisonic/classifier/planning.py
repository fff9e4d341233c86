"""What a training is going to do: the strategy that was chosen, its time and its disk space."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from semisonic.classifier.config import (
    DRAWN,
    FITTED,
    FRESH,
    GENERAL,
    GIVEN,
    NO_OBJECTIVE,
    SOLVED,
    SYNTHETIC,
    WITHOUT_DECODER,
    WITHOUT_POOL,
    DataSummary,
)
from semisonic.classifier.model_file import encoder_file, open_encoder
from semisonic.classifier.options import FindRateOptions, TrainOptions
from semisonic.classifier.prepare import in_batch_device
from semisonic.classifier.run_files import cache_in
from semisonic.classifier.selection import Selection, load_data, select
from semisonic.classifier.starting_encoder import FIT as SYNTHETIC_FIT
from semisonic.classifier.starting_encoder import (
    SYNTH,
    PublishedOrigin,
    encoder_place,
    is_synth,
    sounds_for,
)
from semisonic.classifier.strategy import (
    Strategy,
    asked_method,
    asks_training,
    check_freezing,
    check_read,
    network_of,
    resolve_auto,
    validation_share,
)
from semisonic.classifier.windows import cut_clips
from semisonic.core.options import check, given
from semisonic.core.parallel import count_workers
from semisonic.core.text import bytes_text, rough_duration
from semisonic.data.clips import Clips, join
from semisonic.data.sample_store import SAMPLE_BYTES
from semisonic.features.options import MelOptions
from semisonic.models.model_file import AUTOENCODER, read_about
from semisonic.models.sound_model import build
from semisonic.training.devices import choose_device, kept_randomness
from semisonic.training.options import FitOptions

# From the options of ``train`` to a concrete way of learning; ``auto`` becomes a choice.


def select_for(options: TrainOptions, clips: Clips) -> Selection:
    """The labels to learn from and to validate on."""
    found = _select(options, clips, options.validation)
    share = validation_share(
        asked_way(options), options.validation, TrainOptions().validation, per_class(clips, found)
    )
    return found if share == options.validation else _select(options, clips, share)


def choose(
    options: TrainOptions, clips: Clips, chosen: Selection, n_pool: int
) -> tuple[TrainOptions, str]:
    """The options with a method and an objective instead of ``auto``, and why.

    Raises
    ------
    OptionError
        When something is asked for that would do nothing; see :func:`settle`.
    """
    n_labelled = len(chosen.train)
    situation = DataSummary(per_class(clips, chosen), n_labelled, n_pool, clips.is_multi_label)
    way = resolve_auto(asked_way(options), situation)
    check_read(way.method, options.fit, options.loss, options.dropout, options.label_smoothing)
    check_freezing(way.fit, way.start != FRESH or way.objective != NO_OBJECTIVE)
    settled = replace(
        options,
        method=way.method,
        objective=way.objective,
        encoder=Path(SYNTH) if way.start == SYNTHETIC else options.encoder,
        dropout=way.dropout or 0.0,
        how=way.how,
        fit=way.fit,
        pretrain=way.pretrain,
    )
    return settled, way.because


def asked_way(options: TrainOptions) -> Strategy:
    """The way to learn that the options ask for."""
    start = FRESH
    if is_synth(options.encoder):
        start = SYNTHETIC
    elif options.encoder is not None:
        said = read_about(encoder_file(options.encoder))
        start = DRAWN if said["kind"] == AUTOENCODER else GIVEN
        if PublishedOrigin.of(said["about"]) is not None:
            start = GENERAL
    trains = asks_training(options.fit, options.loss, options.dropout, options.label_smoothing)
    if isinstance(options, FindRateOptions):
        trains = "find-rate"
    return Strategy(
        asked_method(options.model, options.method),
        options.objective,
        start,
        options.how,
        options.fit,
        options.pretrain,
        _dropout_given(options),
        trains=trains,
    )


def _dropout_given(options: TrainOptions) -> float | None:
    return options.dropout if "dropout" in given(options, type(options)()) else None


def per_class(clips: Clips, chosen: Selection) -> float:
    """Mean number of labels per class, those of the validation part as well."""
    return sum(len(clips.labels[row]) for row in chosen.used.tolist()) / len(clips.classes)


def _select(options: TrainOptions, clips: Clips, validation: float) -> Selection:
    return select(
        clips,
        labels_per_class=options.labels_per_class,
        validation=validation,
        test_fold=options.test_fold,
        seed=options.seed,
    )


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
            f"all of it: {_about(whole)} where nothing is done yet, and about {bytes_text(self.n_bytes)} "
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
    cut = cut_clips(table, mel.duration, None, workers=options.workers, cache=None)
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
                    f"steps (once for all runs; takes {bytes_text(meanwhile)} of disk meanwhile)",
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
        stages.append(
            (
                _text(f"pre-train ({options.objective})", steps, options.pretrain),
                steps * seen * per_clip,
            )
        )
    if isinstance(options, FindRateOptions):
        steps = options.sweep.sweep_steps
        stages.append((f"try {steps} learning rates", steps * options.fit.batch_size * per_clip))
    elif options.method in SOLVED:
        stages.append((f"{options.method}: solve for the class layer", 2.0))
    else:
        steps = _steps(options.fit, len(chosen.train))
        with_pool = 0.0 if options.method in WITHOUT_POOL else options.how.pool_ratio
        seen = options.fit.batch_size * (1.0 + with_pool)
        stages.append(
            (_text(f"train ({options.method})", steps, options.fit), steps * seen * per_clip)
        )
    return TrainPlan(because or options.method, tuple(stages), n_bytes, cache)


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
