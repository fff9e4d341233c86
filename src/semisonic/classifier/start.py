"""What a training starts from: an encoder's file, or an encoder trained on synthetic sounds."""

from __future__ import annotations

import dataclasses
import gc
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.config import (
    DEFAULT_MODEL,
    NO_OBJECTIVE,
    SOLVED,
    MethodOptions,
    TrainConfig,
)
from semisonic.classifier.model_file import encoder_file, open_encoder
from semisonic.classifier.prepare import prepare
from semisonic.classifier.provenance import PublishedOrigin, chained
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import content_hash, digest, exclusive
from semisonic.core.text import bytes_text
from semisonic.core.user_cache import cache_part, disk_size, user_cache
from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import load_synth, make_synth
from semisonic.features.options import MelOptions
from semisonic.models.model_file import (
    PUBLISHED_WEIGHTS,
    load,
    load_encoder,
    published_in,
    read_about,
    save_encoder,
)
from semisonic.models.pretrained import PretrainedEncoder, in_order
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder

_log = logging.getLogger(__name__)

# An encoder that has learned to tell synthetic sounds apart.
#
# With a handful of labels, most of what a network learns is what sounds are made of: noise bands,
# clicks, tones, pulses, their courses in time. Those can be made from numbers alone, with labels.
# An encoder trained on them is a better first weight than chance, whatever classes come next. No
# recording is in it.
#
# The idea is old in vision (Dosovitskiy et al. 2015, "FlowNet", trained on drawn chairs) and has
# been found to hold for sound (Ishikawa et al. 2024, "Pre-training with synthetic patterns for
# audio"). Where we differ: the sounds are of named kinds, and the encoder learns to name them.
#
# The encoder of the default network and front end comes with the package: it has learned 912
# kinds. For other networks and front ends one is made on the user's machine from 20 kinds.


SYNTH = "synth"
"""The word that replaces an encoder's path."""

SHIPPED = "start.encoder"
"""The file in :mod:`semisonic.models` that ``benchmarks/start_encoder.py`` made."""
SHIPPED_HASH = "c237bc5731231c672459a9be9f872adf03c530903c9bd5f9a4db18991f6cc2ab"
"""SHA-256 of its bytes."""

SYNTH_SOUNDS = SynthOptions(
    n_classes=20, clips_per_class=100, clips_per_recording=1, n_pool=0, snr_db=30.0, seed=7
)
"""Every kind of sound; each clip is its own recording, mostly well above its background."""

SYNTH_CONFIG = TrainConfig(
    dropout=0.2,
    method_params=MethodOptions(augment="mixed", mixup=0.4),
    fit=FitOptions(
        steps=2000,
        epoch_steps=100,
        batch_size=32,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.01,
        schedule="onecycle",
        precision="fp32",  # so that the same encoder is made on every machine
        restore_best=False,
    ),
)


@cache
def shipped_file() -> Path:
    """The encoder of the package: ``small`` with the default front end.

    Raises
    ------
    ModelError
        If the file is missing or is not that of this release.
    """
    file = Path(str(files("semisonic.models").joinpath(SHIPPED)))
    found = content_hash(file) if file.is_file() else "no file"
    if found != SHIPPED_HASH:
        raise ModelError(
            f"{file}: found {found[:12]}, expected the file {SHIPPED_HASH[:12]}... of this "
            "release; install Semisonic again"
        )
    return file


def other_than_shipped(model: str, mel: MelOptions, standardize: str = "global") -> list[str]:
    """Names of the options with which the encoder of the package cannot be used.

    The duration may differ: the encoder takes any length. Its weights depend on the bands and
    frames that it was trained with, so other values need a new training.
    """
    theirs = replace(MelOptions(), duration=mel.duration)
    front = [one.name for one in dataclasses.fields(mel)]
    names = [name for name in front if getattr(mel, name) != getattr(theirs, name)]
    network = [("model", model != DEFAULT_MODEL), ("standardize", standardize != "global")]
    return [name for name, is_other in network if is_other] + names


def synthetic_file(
    model: str,
    mel: MelOptions,
    *,
    standardize: str = "global",
    device: str = "cpu",
    workers: int | None = None,
) -> Path:
    """The file of an encoder trained to name synthetic sounds.

    The package has it for the default network and front end. Others are made once, in some
    minutes, and kept in the user's cache, see :func:`semisonic.core.user_cache.user_cache`. During
    this, sounds and features take about 0.8 GB there at 22.05 kHz and clips of 5 s; they are
    deleted afterwards. An interrupted training continues, and a second process waits for the
    first.

    Parameters
    ----------
    model : str
        Registered name or architecture notation.
    mel : MelOptions
        The front end that it will be used with.
    standardize : {"global", "mel", "none"}
    device : str
    workers : int, optional
        Threads that make and decode sounds.

    Returns
    -------
    Path
        For :func:`semisonic.models.model_file.load_encoder`.
    """
    if not other_than_shipped(model, mel, standardize):
        return shipped_file()
    file = synthetic_place(model, mel, standardize=standardize)
    if file.is_file():
        return file
    cache_part(file.parent.name)
    waiting = "another process is training the encoder on synthetic sounds; waiting for it"
    with exclusive(file.with_name(f".{file.stem}.lock"), message=waiting):
        if file.is_file():  # another process made it while this one waited
            return file
        working = file.with_name(file.stem.replace("encoder", "making"))
        config = replace(SYNTH_CONFIG, model=model, mel=mel, standardize=standardize)
        encoder, n_sounds = _learned(working, config, device, workers)
        about = {"command": "synthetic start", "seed": 0, "sounds": n_sounds}
        save_encoder(file, encoder, about=about)
        gc.collect()  # a training refers to itself, and Windows removes no file that is open
        shutil.rmtree(working, ignore_errors=True)
    size = bytes_text(disk_size(file))
    _log.info("kept for all runs: %s, %s (see 'semisonic cache')", file, size)
    return file


def _learned(
    folder: Path, config: TrainConfig, device: str, workers: int | None
) -> tuple[PretrainedEncoder, int]:
    """An encoder trained on synthetic sounds, and their number."""
    make_synth(folder / "sounds", synthetic_sounds(config.mel), workers)
    clips, _ = load_synth(folder / "sounds")
    prepared = prepare(clips, config.mel, folder, workers=workers)
    every, target = np.arange(len(prepared)), prepared.clips.target()
    trained = train_model(
        config,
        TrainingData(prepared.features, target, clips.classes, every),
        seed=0,
        device=device,
        folder=folder / "training",
        label="synthetic start",
    ).model
    return PretrainedEncoder(trained.encoder, trained.frontend, trained.name), len(clips)


def synthetic_encoder(
    config: TrainConfig, *, device: str = "cpu", workers: int | None = None
) -> PretrainedEncoder:
    """The encoder of :func:`synthetic_file` for a configuration."""
    kind = config.standardize
    file = synthetic_file(
        config.model, config.mel, standardize=kind, device=device, workers=workers
    )
    return load_encoder(file)


def synthetic_place(model: str, mel: MelOptions, *, standardize: str = "global") -> Path:
    """The path of the encoder's file, which may not exist; see :func:`synthetic_file`."""
    if not other_than_shipped(model, mel, standardize):
        return shipped_file()
    key = digest(model, mel.key(), standardize, synthetic_sounds(mel), SYNTH_CONFIG)
    return user_cache() / "synthetic" / f"encoder-{key}.zip"


def synthetic_sounds(mel: MelOptions) -> SynthOptions:
    """The synthetic sounds at the rate and length of a front end, if possible.

    Otherwise they are resampled, cut into windows or padded like any recording.
    """
    return replace(
        SYNTH_SOUNDS,
        sample_rate=min(max(mel.sample_rate, 16000), 48000),
        duration=min(max(mel.duration, 1.0), 60.0),
    )


Start = PretrainedEncoder | str | None
"""What a training starts from: an encoder, that of synthetic sounds ("synth"), or nothing."""

# What a verb's training starts from: an encoder's file, or synthetic sounds.


def start_of(encoder: Path | None) -> Start:
    """The encoder that an option names, or "synth"; None if it names none."""
    if encoder is None or str(encoder) == SYNTH:
        return None if encoder is None else SYNTH
    return open_encoder(encoder)


def published_note(encoder: Path | None) -> tuple[str, ...]:
    """What a summary must say about the start: published weights learned from labels of others."""
    if encoder is None or str(encoder) == SYNTH:
        return ()
    origin = PublishedOrigin.of(read_about(encoder_file(encoder))["about"])
    return () if origin is None else (f"note: {origin.text()}",)


def with_start(parts: Mapping[str, Any], encoder: Path | None, run: RunFolder) -> dict[str, Any]:
    """The provenance of a model, with that of the encoder it starts from, as in its file.

    Recordings that the encoder used without labels count as this run's pre-training if the run has
    none. The file's content goes into the run's record. Synthetic sounds add nothing; published
    weights that the encoder started from are passed on.
    """
    if encoder is None or str(encoder) == SYNTH:
        return dict(parts)
    file = encoder_file(encoder)
    run.add_data("encoder", content_hash(file)[:16])
    earlier = read_about(file)["about"]
    found = chained(parts, earlier)
    if published_in(earlier):
        found[PUBLISHED_WEIGHTS] = published_in(earlier)
    return found


def kept_classifier(
    encoder: Path | None, config: TrainConfig, classes: Sequence[str]
) -> SoundModel:
    """The classifier to train further with its class layer.

    Raises
    ------
    OptionError
        If no classifier is given, or something else would overwrite the class layer.
    ModelError
        If the classifier has other classes.
    """
    if encoder is None or str(encoder) == SYNTH:
        why = "no classifier is given as encoder"
    elif config.method in SOLVED:
        why = f"the method '{config.method}' trains its own class layer"
    elif config.objective != NO_OBJECTIVE:
        why = "pre-training would change the encoder"
    elif read_about(encoder_file(encoder))["kind"] != "classifier":
        why = f"{encoder} is an encoder and has no class layer"
    else:
        return in_order(load(encoder_file(encoder)), classes)
    raise OptionError(f"option 'keep_head': {why}; leave the option out")
