"""What a training starts from: synthetic sounds, published weights, or an encoder's file."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.classifier.config import NO_OBJECTIVE, SOLVED, MethodOptions, TrainConfig
from semisonic.classifier.model_file import encoder_file, open_encoder
from semisonic.classifier.options import PretrainOptions, TrainOptions
from semisonic.classifier.prepare import prepare
from semisonic.classifier.pretraining import frontend_of
from semisonic.classifier.provenance import PublishedOrigin, chained
from semisonic.classifier.run_files import stamp
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import OptionError
from semisonic.core.files import content_hash, digest
from semisonic.core.locks import exclusive
from semisonic.core.text import Result, bytes_text
from semisonic.core.user_cache import cache_part, disk_size, user_cache
from semisonic.data.options import SynthOptions
from semisonic.data.outputs import check_file
from semisonic.data.synth.dataset import load_synth, make_synth
from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import (
    PUBLISHED_WEIGHTS,
    load,
    load_encoder,
    published_in,
    read_about,
    save_encoder,
)
from semisonic.models.pretrained import PretrainedEncoder, in_order
from semisonic.models.published import convert_published
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# A start from made-up sounds: an encoder that has learned to tell synthetic ones apart.
#
# With a handful of labels, most of what a network learns is what sounds are made of: noise bands,
# clicks, tones, pulses, their courses in time. The embedded data set ``synth`` makes as many of
# those as one likes, with labels, from numbers alone. An encoder trained on it is a better first
# weight than chance, whatever classes come next. No recording is in it.
#
# The idea is old in vision (Dosovitskiy et al. 2015, "FlowNet", trained on drawn chairs) and has
# been found to hold for sound (Ishikawa et al. 2024, "Pre-training with synthetic patterns for
# audio"). Where we differ: the sounds are of named kinds, and the encoder learns to name them.


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
    )


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

    It lies in the user's cache, see :func:`semisonic.core.user_cache.user_cache`. While it is made,
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
        For :func:`semisonic.models.model_file.load_encoder`.
    """
    sounds = sounds_for(mel)
    file = encoder_place(model, mel, standardize=standardize, seed=seed)
    if file.is_file():
        return file
    cache_part(file.parent.name)
    waiting = "another process makes the start from made-up sounds; waiting for it"
    with exclusive(file.with_name(f".{file.stem}.lock"), message=waiting):
        if not file.is_file():  # another process may have made it while this one waited
            working = file.with_name(file.stem.replace("encoder", "making"))
            _make(file, working, model, mel, sounds, standardize, seed, device, workers)
            shutil.rmtree(working)
            _log.info(
                "kept for all runs: %s, %s (see 'semisonic cache')",
                file,
                bytes_text(disk_size(file)),
            )
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
    make_synth(working / "sounds", sounds, workers)
    clips, _ = load_synth(working / "sounds")
    prepared = prepare(clips, mel, working, workers=workers)
    config = TrainConfig(
        model, standardize=standardize, dropout=DROPOUT, mel=mel, method_params=HOW, fit=FIT
    )
    target, every = prepared.clips.target(), np.arange(len(prepared))
    data = TrainingData(prepared.features, target, clips.classes, every)
    outcome = train_model(
        config,
        data,
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


# What ``pretrain`` and ``train`` start from: an encoder's file, or made-up sounds.


def is_synth(encoder: Path | None) -> bool:
    """Whether an option ``encoder`` asks for a start from made-up sounds."""
    return str(encoder) == SYNTH


def start_of(options: PretrainOptions | TrainOptions, run: RunFolder) -> PretrainedEncoder | None:
    """The encoder that the options name, if they name one; that of made-up sounds is made."""
    if options.encoder is None:
        return None
    if not is_synth(options.encoder):
        return open_encoder(options.encoder)
    return synthetic_encoder(
        options.model,
        options.mel,
        standardize=options.standardize,
        device=options.device,
        workers=options.workers,
    )


def starting_note(encoder: Path | None) -> tuple[str, ...]:
    """What a summary must say of the start: published weights are other people's labels."""
    if encoder is None or is_synth(encoder):
        return ()
    origin = PublishedOrigin.of(read_about(encoder_file(encoder))["about"])
    return () if origin is None else (f"note: {origin.text()}",)


def whole_of(options: TrainOptions, classes: Sequence[str]) -> SoundModel | None:
    """The classifier that is trained further with its class layer, where one is.

    Raises
    ------
    OptionError
        When there is no classifier to keep it of, or something else would overwrite it.
    ModelError
        When it is one of other classes.
    """
    if not options.keep_head:
        return None
    why = ""
    if options.encoder is None or is_synth(options.encoder):
        why = "no earlier classifier is given as encoder"
    elif options.method in SOLVED:
        why = f"the method '{options.method}' learns a class layer of its own"
    elif options.objective != NO_OBJECTIVE:
        why = "pre-training would change the encoder beneath it"
    elif read_about(encoder_file(options.encoder))["kind"] != "classifier":
        why = f"{options.encoder} is an encoder and has no class layer"
    if why or options.encoder is None:
        raise OptionError(f"option 'keep_head': {why}; leave the option out")
    return in_order(load(encoder_file(options.encoder)), classes)


def standardize_of(options: PretrainOptions | TrainOptions, start: PretrainedEncoder | None) -> str:
    """How features are standardised: as the encoder's are, where there is one."""
    return options.standardize if start is None else frontend_of(start).standardize.kind


def with_start(parts: Mapping[str, Any], encoder: Path | None, run: RunFolder) -> dict[str, Any]:
    """The parts of a making and those of the encoder's it starts from, as its file tells them.

    What the encoder heard without labels counts as this run's pre-training where it has none of
    its own. The file's content goes into the run's record. Made-up sounds add nothing; published
    weights at its beginning are told on.
    """
    if encoder is None or is_synth(encoder):
        return dict(parts)
    file = encoder_file(encoder)
    run.add_data("encoder", content_hash(file)[:16])
    said = read_about(file)["about"]
    found = chained(parts, said)
    if published_in(said):
        found[PUBLISHED_WEIGHTS] = published_in(said)
    return found


# ``convert``: published weights to an encoder of ours, for ``train --encoder``.


@dataclass(frozen=True)
class ConvertResult(Result):
    """What ``convert`` made.

    Attributes
    ----------
    network : PretrainedEncoder
    encoder : Path
        Its file.
    origin : Origin
    """

    network: PretrainedEncoder
    encoder: Path
    origin: PublishedOrigin

    def to_frame(self) -> pd.DataFrame:
        """One row: the network, its parameters, its file."""
        import pandas as pd

        return pd.DataFrame(
            {
                "network": [self.network.name],
                "parameters": [count_parameters(self.network)],
                "encoder": [str(self.encoder)],
            }
        )

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Nothing can fail in part."""
        return ()

    def summary(self) -> str:
        """For a terminal."""
        frontend = self.network.frontend
        lines = [f"{self.origin.title}, {count_parameters(self.network):,} parameters"]
        if frontend is not None:
            mel = frontend.options
            lines.append(f"input: {mel.duration:g} s at {mel.sample_rate} Hz, shorter clips padded")
        return "\n".join([*lines, *self.origin.facts(), f"encoder: {self.encoder}"])


def convert(
    network: str,
    weights: str | os.PathLike[str],
    output: str | os.PathLike[str] = "general.encoder",
    *,
    duration: float = 5.0,
) -> ConvertResult:
    """Make an encoder file of a published network's weights; nothing in their file is run.

    Parameters
    ----------
    network : str
        Such as ``"yamnet"``.
    weights : path
        File of its published weights.
    output : path
        The encoder's file, for ``encoder=`` of ``train``.
    duration : float
        Length of the clips it will be used for, in seconds; shorter ones are padded.

    Returns
    -------
    ConvertResult

    Raises
    ------
    ModelError
        When the file is missing, damaged, needs code to be run, or is that of another network.
    OptionError
        For a duration out of range, or when there is a file of the output's name.
    """
    if not 0.5 <= duration <= 60:
        raise OptionError(f"option 'duration': found {duration:g} s, expected 0.5 to 60 s")
    source, target = Path(weights), Path(output)
    check_file(target, "convert", (".encoder", ".zip"), inputs=[source], again=False)
    found = convert_published(network, source, duration=duration)
    options = {
        "network": network,
        "weights": str(source),
        "output": str(target),
        "duration": duration,
    }
    save_encoder(target, found, about={**stamp("convert"), "options": options})
    return ConvertResult(found, target, PublishedOrigin.told(found.published))
