"""The training job: labelled sounds, a pool and a configuration in, a trained model out.

:func:`train` is all of it. Verbs take the same steps one by one: :func:`select_job` says which
sounds do what and resolves ``auto``, :meth:`TrainingJob.prepare` computes features and pre-trains,
and :func:`~semisonic.classifier.training.train_model` learns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semisonic.classifier.calibration import calibrate_by_validation
from semisonic.classifier.config import (
    AUTO,
    DRAWN,
    FRESH,
    GENERAL,
    GIVEN,
    NO_OBJECTIVE,
    SYNTHETIC,
    VALIDATION,
    DataSummary,
    TrainConfig,
    asks_training,
    check_freezing,
    check_read,
    resolve_auto,
    validation_share,
)
from semisonic.classifier.prepare import Prepared, in_batch_device, without_silence
from semisonic.classifier.pretraining import (
    PretrainOutcome,
    hold_out_recordings,
    pretrain_encoder,
    synthetic_file,
)
from semisonic.classifier.provenance import DataPart, recording_hashes
from semisonic.classifier.selection import (
    Rows,
    Selection,
    check_classes,
    select,
    targets_of,
    unverified_apart,
)
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.training import (
    NO_ROWS,
    TrainedModel,
    TrainingData,
    frontend_of,
    network_of,
    train_model,
)
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.duplicates import clean_pool
from semisonic.data.recordings import COPIES, known_recordings
from semisonic.features.options import MelOptions
from semisonic.models.model_file import PUBLISHED_WEIGHTS, load_encoder
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.sound_model import SoundModel

_log = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.1
"""Share of the recordings that pre-training stops by."""

Start = PretrainedEncoder | str | None
"""What a training starts from: an encoder, that of synthetic sounds ("synth"), or nothing."""

Prepare = Callable[[Sounds, MelOptions, torch.device | None], Prepared]
"""From sounds, a front end and the device of batches to features."""


@dataclass(frozen=True)
class TrainingJob:
    """A training whose sounds are chosen and whose configuration is resolved.

    Attributes
    ----------
    config : TrainConfig
        With nothing left to ``auto``.
    start : PretrainedEncoder or None
        The encoder that was given.
    begins : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder starts from.
    because : str
        What ``auto`` chose and why; empty where nothing was left to it.
    labelled : Sounds
        Those that take part: to learn from, then to validate.
    train, noisy, validation : ndarray of int64
        Rows of ``labelled`` to learn from, those of unverified labels that are learned apart, and
        those that choose the epoch.
    pool : Sounds or None
        Without copies of labelled sounds and of tested ones.
    selection : Selection
        Rows of the sounds that were given.
    notes : tuple of str
        What a user must know: about recordings, and about the pool.
    """

    config: TrainConfig
    start: PretrainedEncoder | None
    begins: str
    because: str
    labelled: Sounds
    train: Rows
    noisy: Rows
    validation: Rows
    pool: Sounds | None
    selection: Selection
    notes: tuple[str, ...]

    def parts(self, hashes_of: Callable[[Clips, str], Mapping[str, str]]) -> dict[str, Any]:
        """Which recordings took which part, told by content, for the model file.

        Parameters
        ----------
        hashes_of : callable
            From clips and a role ("" or "pool") to the content hash of each file.
        """
        clips = self.labelled.clips
        rows = {"training": np.union1d(self.train, self.noisy), "validation": self.validation}
        hashes = hashes_of(clips, "")
        parts = {role: DataPart.of(clips[of], hashes).to_dict() for role, of in rows.items()}
        if self.pool is not None:
            pool = self.pool.clips
            parts["pretraining"] = DataPart.of(pool, hashes_of(pool, "pool")).to_dict()
        return parts

    def prepare(
        self,
        prepare: Prepare,
        *,
        seed: int,
        device: str,
        workers: int | None,
        in_batch: str = AUTO,
        folder: Path | None = None,
    ) -> PreparedJob:
        """Make the encoder to start from, compute all features, pre-train where that is asked for.

        Parameters
        ----------
        prepare : callable
            From sounds, a front end and the device of batches to features.
        seed, device, workers
            Of the pre-training.
        in_batch : {"auto", "yes", "no"}
            Where spectrograms are computed; see :func:`in_batch_device`.
        folder : Path, optional
            Keeps the checkpoints of pre-training, in ``pretraining``.
        """
        config, start = self.config, self.start
        if start is None and self.begins == SYNTHETIC:
            kind = config.standardize
            file = synthetic_file(
                config.model, config.mel, standardize=kind, device=device, workers=workers
            )
            start = load_encoder(file)
        name, mel = network_of(config.model, config.mel, start)
        sounds = self.labelled if self.pool is None else self.labelled.joined(self.pool, mel)
        prepared = prepare(sounds, mel, in_batch_device(in_batch, device))
        rows = prepared.rows_of(np.setdiff1d(np.arange(len(sounds)), self.validation))
        rows, notes = without_silence(prepared, rows, len(self.labelled))
        labelled = prepared.rows_of(np.union1d(self.train, self.noisy))
        check_classes(prepared.clips, labelled)
        data = TrainingData(
            prepared.features,
            targets_of(prepared.clips, multi_label=sounds.clips.is_multi_label),
            self.labelled.clips.classes,
            prepared.rows_of(self.train),
            prepared.rows_of(self.validation),
            rows if self.pool is not None else NO_ROWS,
            prepared.rows_of(self.noisy),
        )
        config, pretrained = replace(config, model=name, mel=mel), None
        if config.objective != NO_OBJECTIVE:
            share = HELD_OUT_SHARE if config.pretrain.heeds_validation else 0.0
            kept, held = hold_out_recordings(prepared.clips, rows, share, seed)
            of_encoder = config
            if start is not None:
                kind = frontend_of(start).standardize.kind
                of_encoder = replace(config, model=start.name, standardize=kind)
            pretrained = pretrain_encoder(
                of_encoder,
                prepared.features,
                kept,
                held,
                seed=seed,
                device=device,
                folder=None if folder is None else folder / "pretraining",
                start=start,
            )
            start = pretrained.network
        return PreparedJob(config, start, pretrained, prepared, data, tuple(notes))


@dataclass(frozen=True)
class PreparedJob:
    """A job with its features, ready to train.

    Attributes
    ----------
    config : TrainConfig
        With the network and the front end of the encoder that it starts from.
    start : PretrainedEncoder, SoundModel or None
        A whole classifier where its class layer is kept.
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained for this job.
    prepared : Prepared
        Of the labelled sounds, then the pool.
    data : TrainingData
    notes : tuple of str
    """

    config: TrainConfig
    start: PretrainedEncoder | SoundModel | None
    pretrained: PretrainOutcome | None
    prepared: Prepared
    data: TrainingData
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TrainedJob:
    """A trained model, how it came about, and what it was made from (``about``)."""

    outcome: TrainedModel
    ready: PreparedJob
    about: dict[str, Any]


def kind_of_start(start: Start) -> str:
    """What kind of encoder a training starts from."""
    if start is None:
        return FRESH
    if isinstance(start, str):
        return SYNTHETIC
    if start.published:
        return GENERAL
    return DRAWN if isinstance(start, AutoEncoder) else GIVEN


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
    """Say which sounds do what, clean the pool, and resolve ``auto``.

    Parameters
    ----------
    config : TrainConfig
    labelled : Sounds
        Rows without a label are passed over.
    pool : Sounds, optional
        To learn from without labels. Copies of labelled sounds, of those that validate and of
        those of the test fold are left out; so are other clips of their recordings.
    validation : Sounds, optional
        Labelled sounds to choose the epoch by, instead of a share of ``labelled``.
    start : PretrainedEncoder, "synth" or None
    seed : int
    share : float
        Of the labels that validate, by recording.
    labels_per_class : int
        The budget; 0 is all.
    test_fold : int
        An official fold that takes no part; 0 is none.
    group : str
        How recordings are told; see :func:`known_recordings`.
    near_copies : bool
        Whether copies are told by their sound, besides their bytes.
    search_copies : bool
        Whether copies are looked for at all; a look at what would be done leaves it.
    trains : str
        What asks for the encoder to be trained, besides options.
    workers : int, optional
    cache : Path, optional
        Keeps what is known of files.

    Raises
    ------
    DataError
        When there are too few labels.
    OptionError
        When something is asked for that would do nothing.
    """

    def selected(share: float) -> Selection:
        return select(
            labelled.clips,
            labels_per_class=labels_per_class,
            validation=share,
            test_fold=test_fold,
            seed=seed,
        )

    if validation is not None:
        share = 0.0
    selection = selected(share)
    share = validation_share(config.method, share, selection.labels_per_class(labelled.clips))
    selection = selected(share)
    notes: tuple[str, ...] = ()
    if search_copies and (len(selection.validation) or labels_per_class or group == COPIES):
        labelled, notes = with_recordings(
            labelled, group, near=near_copies, workers=workers, cache=cache
        )
        selection = selected(share)
    used = labelled[selection.used]
    verified, noisy = unverified_apart(config, labelled.clips, selection)
    rows_held = np.searchsorted(selection.used, selection.validation)
    if validation is not None:
        validation = _with_classes(validation, labelled.clips)
        rows_held = np.arange(len(validation)) + len(used)
        used = used.joined(validation, config.mel)
    if pool is not None and search_copies:
        known = used
        if len(selection.test):
            known = labelled[np.union1d(selection.used, selection.test)]
        apart = labelled.clips[np.concatenate([selection.test, selection.validation])]
        pool, left_out = clean_sounds(pool, known, apart, near=near_copies, workers=workers)
        notes += left_out
    summary = DataSummary(
        selection.labels_per_class(labelled.clips),
        len(selection.train),
        0 if pool is None else len(pool),
        labelled.clips.is_multi_label,
        kind_of_start(start),
    )
    resolved = resolve_auto(config, summary, trains=trains or asks_training(config))
    ready = resolved.config
    check_read(ready.method, config)
    check_freezing(ready.fit, resolved.start != FRESH or ready.objective != NO_OBJECTIVE)
    return TrainingJob(
        ready,
        start if isinstance(start, PretrainedEncoder) else None,
        resolved.start,
        resolved.because,
        used,
        np.searchsorted(selection.used, verified),
        np.searchsorted(selection.used, noisy),
        rows_held,
        pool,
        selection,
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


def with_recordings(
    sounds: Sounds,
    group: str = AUTO,
    *,
    near: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> tuple[Sounds, tuple[str, ...]]:
    """Sounds of files with copies in one group, where it is not known better; what to say of it.

    Arrays are recordings of their own unless ``groups`` says otherwise.
    """
    if sounds.waves is not None:
        return sounds, ()
    found = known_recordings(sounds.clips, group, near=near, workers=workers, cache=cache)
    return replace(sounds, clips=found.clips), found.notes


def clean_sounds(
    pool: Sounds,
    known: Sounds,
    apart: Clips | None = None,
    *,
    near: bool,
    workers: int | None = None,
) -> tuple[Sounds, tuple[str, ...]]:
    """The pool without labels and, of files, without copies of known sounds; what to say of it.

    Parameters
    ----------
    pool, known : Sounds
    apart : Clips, optional
        Clips that are tested or that validate: where pool and labelled sounds are of one set,
        other clips of their recordings are left out, too.
    """
    if pool.waves is not None or known.waves is not None:
        return replace(pool, clips=pool.clips.without_labels()), ()
    clips = pool.clips
    if apart is not None and clips.root.resolve() == apart.root.resolve():
        clips = clips[~np.isin(clips.group, apart.group)]
    clean = clean_pool(clips, known.clips, near=near, workers=workers)
    return replace(pool, clips=clean.clips), tuple(clean.notes())


def train(
    config: TrainConfig,
    labelled: Sounds,
    pool: Sounds | None = None,
    validation: Sounds | None = None,
    start: Start = None,
    *,
    seed: int,
    folder: Path,
    share: float = VALIDATION,
    device: str = "cpu",
    workers: int | None = None,
    keep: bool = False,
    calibrate: bool = True,
    near_copies: bool = True,
    in_batch: str = AUTO,
) -> TrainedJob:
    """Train a classifier from sounds: select, prepare, pre-train if asked for, train, calibrate.

    Parameters
    ----------
    config, labelled, pool, validation, start, seed, share, near_copies, workers
        See :func:`select_job`.
    folder : Path
        For decoded clips, and for checkpoints if ``keep``.
    calibrate : bool
        Whether the validation part calibrates the scores when it is large enough.
    in_batch : {"auto", "yes", "no"}
        Where spectrograms are computed.

    Raises
    ------
    DataError, OptionError, ModelError
        For sounds or options that no training can be made of.
    """
    if twice := labelled.clips.standing_twice():
        raise DataError(f"the sound {twice} stands twice among those to learn from")
    cache = folder / "cache"
    job = select_job(
        config,
        labelled,
        pool,
        validation,
        start,
        seed=seed,
        share=share,
        near_copies=near_copies,
        workers=workers,
        cache=cache,
    )
    for note in job.notes:
        _log.warning("%s", note)
    if job.because:
        _log.info("%s", job.because)
    ready = job.prepare(
        lambda sounds, mel, place: sounds.prepare(mel, cache, workers, place),
        seed=seed,
        device=device,
        workers=workers,
        in_batch=in_batch,
        folder=folder if keep else None,
    )
    for note in ready.notes:
        _log.warning("%s", note)
    outcome = train_model(
        ready.config,
        ready.data,
        seed=seed,
        device=device,
        folder=folder / "training" if keep else None,
        start=ready.start,
    )
    if calibrate:
        rows, clips = ready.data.validation, job.labelled.clips
        note = calibrate_by_validation(outcome.model, ready.prepared, rows, clips, seed=seed)
        _log.info("%s", note)
    about: dict[str, Any] = {
        "command": "SoundClassifier.fit",
        "seed": seed,
        "method": job.config.method,
        "start": job.begins,
    }
    if isinstance(ready.start, PretrainedEncoder) and ready.start.published:
        about[PUBLISHED_WEIGHTS] = dict(ready.start.published)
    if labelled.waves is None:
        about |= job.parts(lambda clips, _: recording_hashes(clips, workers=workers))
    return TrainedJob(outcome, ready, about)
