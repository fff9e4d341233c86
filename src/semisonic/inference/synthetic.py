"""A start from made-up sounds: an encoder that has learned to tell synthetic ones apart.

With a handful of labels, most of what a network learns is what sounds are made of: noise bands,
clicks, tones, pulses, their courses in time. The embedded data set ``synth`` makes as many of
those as one likes, with labels, from numbers alone. An encoder trained on it is a better first
weight than chance, whatever classes come next. No recording is in it.

The idea is old in vision (Dosovitskiy et al. 2015, "FlowNet", trained on drawn chairs) and has
been found to hold for sound (Ishikawa et al. 2024, "Pre-training with synthetic patterns for
audio"). Where we differ: the sounds are of named kinds, and the encoder learns to name them.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from semisonic.base.files import digest
from semisonic.base.lock import alone
from semisonic.base.user_cache import cache_part, in_megabytes, size_of, user_cache
from semisonic.data import synth
from semisonic.data.synth import SynthOptions
from semisonic.features import MelOptions
from semisonic.inference.methods.options import MethodOptions
from semisonic.inference.prepare import prepare
from semisonic.inference.training import TrainSettings, train_model
from semisonic.models import PretrainedEncoder, load_encoder, save_encoder
from semisonic.training import FitOptions

_log = logging.getLogger(__name__)

SYNTH = "synth"
"""Given in place of an encoder's path."""

SOUNDS = SynthOptions(
    n_classes=20, clips_per_class=100, clips_per_recording=1, n_pool=0, snr_db=30.0, seed=7
)
"""Every kind of sound, each clip a recording of its own, mostly well above its background."""

FIT = FitOptions(
    steps=2000,
    epoch_steps=100,
    batch_size=32,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.01,
    schedule="onecycle",
    precision="fp32",
    restore_best=False,
)
"""In one number format, so that the same encoder is made on every machine."""

HOW = MethodOptions(augment="mixed", mixup=0.4)
DROPOUT = 0.2


def synthetic_encoder(
    model: str,
    mel: MelOptions,
    *,
    standardize: str = "global",
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
) -> PretrainedEncoder:
    """An encoder trained to name made-up sounds, on the CPU, in evaluation mode.

    See :func:`synthetic_file` for the parameters and for what is kept.
    """
    return load_encoder(
        synthetic_file(
            model, mel, standardize=standardize, seed=seed, device=device, workers=workers
        )
    )  # fmt: skip


def synthetic_file(
    model: str,
    mel: MelOptions,
    *,
    standardize: str = "global",
    seed: int = 0,
    device: str = "cpu",
    workers: int | None = None,
) -> Path:
    """The file of an encoder trained to name made-up sounds; made once, then found by all runs.

    It lies in the user's cache, see :func:`semisonic.base.user_cache.user_cache`. While it is made,
    sounds and their features take about 0.8 GB there at 22.05 kHz and clips of 5 s. They are
    deleted when it is done. An interrupted making goes on, and of two processes one waits for the
    other.

    Parameters
    ----------
    model : str
        Registered name or architecture notation.
    mel : MelOptions
        The front end it will be used behind.
    standardize : {"global", "mel", "none"}
    seed : int
        Of first weights and training; the sounds are the same for all.
    device : str
    workers : int, optional
        Threads that make and decode sounds.

    Returns
    -------
    Path
        For :func:`semisonic.models.load_encoder`.
    """
    sounds = sounds_for(mel)
    file = encoder_place(model, mel, standardize=standardize, seed=seed)
    if file.is_file():
        return file
    cache_part(file.parent.name)
    waiting = "another process makes the start from made-up sounds; waiting for it"
    with alone(file.with_name(f".{file.stem}.lock"), told=waiting):
        if not file.is_file():  # another process may have made it while this one waited
            working = file.with_name(file.stem.replace("encoder", "making"))
            _make(file, working, model, mel, sounds, standardize, seed, device, workers)
            shutil.rmtree(working)
            _log.info(
                "kept for all runs: %s, %s (see 'semisonic cache')",
                file, in_megabytes(size_of(file)),
            )  # fmt: skip
    return file


def _make(
    file: Path,
    working: Path,
    model: str,
    mel: MelOptions,
    sounds: SynthOptions,
    standardize: str,
    seed: int,
    device: str,
    workers: int | None,
) -> None:
    """Make the encoder's file; everything else lies in the folder ``working``."""
    synth.make(working / "sounds", sounds, workers)
    clips, _ = synth.load(working / "sounds")
    prepared = prepare(clips, mel, working, workers=workers)
    outcome = train_model(
        prepared.features,
        prepared.clips.target(),
        np.arange(len(prepared)),
        [],
        TrainSettings(model, standardize, DROPOUT, how=HOW, fit=FIT),
        mel=mel,
        classes=clips.classes,
        seed=seed,
        device=device,
        folder=working / "training",
        label="synthetic start",
    )
    trained = outcome.model
    encoder = PretrainedEncoder(trained.encoder, frontend=trained.frontend, name=trained.name)
    about = {"command": "synthetic start", "seed": seed, "sounds": len(clips)}
    save_encoder(file, encoder, about=about)


def encoder_place(
    model: str, mel: MelOptions, *, standardize: str = "global", seed: int = 0
) -> Path:
    """Where the encoder's file lies, or would; see :func:`synthetic_file`."""
    key = digest(model, mel.key(), standardize, seed, sounds_for(mel), FIT, HOW, DROPOUT)
    return user_cache() / "synthetic" / f"encoder-{key}.zip"


def sounds_for(mel: MelOptions) -> SynthOptions:
    """The made-up sounds at the rate and length that a front end asks for, where they can be.

    Others are resampled, cut into windows or padded like any recording.
    """
    return replace(
        SOUNDS,
        sample_rate=min(max(mel.sample_rate, 16000), 48000),
        duration=min(max(mel.duration, 1.0), 60.0),
    )
