"""From sounds to a trained model: what ``SoundClassifier.fit`` does."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.calibration import calibrate_by_validation
from semisonic.classifier.config import (
    DRAWN,
    FRESH,
    GENERAL,
    GIVEN,
    NO_OBJECTIVE,
    SYNTHETIC,
    DataSummary,
)
from semisonic.classifier.prepare import Failures, Prepared, in_batch_device, without_silence
from semisonic.classifier.pretraining import (
    PretrainOutcome,
    PretrainSettings,
    frontend_of,
    hold_out_recordings,
    pretrain_encoder,
)
from semisonic.classifier.provenance import DataPart, recording_hashes
from semisonic.classifier.selection import check_classes, select, targets_of
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.starting_encoder import synthetic_encoder
from semisonic.classifier.strategy import (
    Strategy,
    asked_method,
    asks_training,
    check_read,
    network_of,
    resolve_auto,
    validation_share,
)
from semisonic.classifier.training import TrainOutcome, TrainSettings, train_model
from semisonic.core.errors import DataError
from semisonic.data.checks import clean_pool
from semisonic.data.clips import Clips
from semisonic.data.recordings import known_recordings
from semisonic.features.options import MelOptions
from semisonic.models.autoencoder import AutoEncoder
from semisonic.models.model_file import PUBLISHED_WEIGHTS
from semisonic.models.pretrained import PretrainedEncoder

_log = logging.getLogger(__name__)

VALIDATION = 0.15
"""Share of the labels that validate, unless another is asked for."""

HELD_OUT_SHARE = 0.1
"""Share of the recordings that pre-training stops by."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FitOutcome:
    """A trained model, how it came about, and what it was made from (``about``)."""

    outcome: TrainOutcome
    pretrained: PretrainOutcome | None
    failures: Failures
    about: dict[str, Any]


def learn(
    labelled: Sounds,
    pool: Sounds | None,
    held: Sounds | None,
    settings: TrainSettings,
    pretraining: PretrainSettings,
    *,
    mel: MelOptions,
    start: PretrainedEncoder | str | None,
    validation: float,
    seed: int,
    device: str,
    workers: int | None,
    folder: Path,
    keep: bool,
    calibrate: bool = True,
    near_copies: bool = True,
    in_batch: str = "auto",
) -> FitOutcome:
    """Select, prepare, pre-train when there is a pool, train.

    Parameters
    ----------
    labelled : Sounds
        Rows without a label are passed over.
    pool : Sounds, optional
        To learn from without labels, together with the training part of ``labelled``. Copies of
        sounds of ``labelled`` or ``held`` are passed over.
    held : Sounds, optional
        Labelled sounds to choose the epoch by, instead of a share of ``labelled``.
    folder : Path
        For decoded clips, and for checkpoints if ``keep``.
    calibrate : bool
        Whether the validation part calibrates the scores when it is large enough.
    near_copies : bool
        Whether copies are told by their sound, besides their bytes.
    in_batch : {"auto", "yes", "no"}
        Where spectrograms are computed; see :func:`in_batch_device`.
    """
    _check_unique(labelled.clips)
    asked = _asked(settings, pretraining, start)
    chosen = select(labelled.clips, validation=0.0, seed=seed)
    per_class = sum(map(len, labelled.clips.labels)) / max(len(labelled.clips.classes), 1)
    share = validation_share(asked, validation, VALIDATION, per_class)
    if held is None and share:
        labelled = with_recordings(
            labelled, near=near_copies, workers=workers, cache=folder / "cache"
        )
        chosen = select(labelled.clips, validation=share, seed=seed)
    given = start if isinstance(start, PretrainedEncoder) else None
    name, mel = network_of(settings.model, mel, given)
    n, joined = len(labelled), labelled
    rows_held = chosen.validation
    if held is not None:
        held = _with_classes(held, labelled.clips)
        rows_held = np.arange(len(held)) + n
        joined = joined.joined(held, mel)
    n_labelled = len(joined)
    if pool is not None:
        pool, left_out = clean_sounds(pool, joined, near=near_copies, workers=workers)
        for note in left_out:
            _log.warning("%s", note)
        joined = joined.joined(pool, mel)
    n_pool, several = len(joined) - n_labelled, joined.clips.is_multi_label
    situation = DataSummary(per_class, len(chosen.train), n_pool, several)
    way = resolve_auto(asked, situation)
    check_read(way.method, settings.fit, settings.loss, settings.dropout, settings.label_smoothing)
    if way.because:
        _log.info("%s", way.because)
    if way.start == SYNTHETIC:
        start = synthetic_encoder(
            settings.model, mel, standardize=settings.standardize, device=device, workers=workers
        )
    begin = start if isinstance(start, PretrainedEncoder) else None
    place = in_batch_device(in_batch, device)
    prepared = joined.prepare(mel, folder / "cache", workers, place)
    train_rows = prepared.rows_of(chosen.train)
    check_classes(prepared.clips, train_rows)
    pretrained = None
    heard = prepared.rows_of(np.concatenate([chosen.train, np.arange(n_labelled, len(joined))]))
    heard, silence = without_silence(prepared, heard, n_labelled)
    for note in silence:
        _log.warning("%s", note)
    if way.objective != NO_OBJECTIVE:
        kind = frontend_of(begin).standardize.kind if begin else pretraining.standardize
        task = replace(
            pretraining, model=name, objective=way.objective, standardize=kind, fit=way.pretrain
        )
        pretrained = _pretrain(
            prepared,
            heard,
            task,
            mel,
            seed,
            device,
            folder / "pretraining" if keep else None,
            begin,
        )
        begin = pretrained.network
    outcome = train_model(
        prepared.features,
        targets_of(prepared.clips, multi_label=joined.clips.is_multi_label),
        train_rows,
        prepared.rows_of(rows_held),
        replace(
            settings,
            model=name,
            method=way.method,
            how=way.how,
            fit=way.fit,
            dropout=way.dropout or 0.0,
        ),
        mel=mel,
        classes=labelled.clips.classes,
        seed=seed,
        device=device,
        folder=folder / "training" if keep else None,
        start=begin,
        rows_pool=heard if pool is not None else (),
        groups=prepared.clips.group,
    )
    if calibrate:
        said = calibrate_by_validation(
            outcome.model, prepared, prepared.rows_of(rows_held), joined.clips, seed=seed
        )
        _log.info("%s", said)
    about: dict[str, Any] = {
        "command": "SoundClassifier.fit",
        "seed": seed,
        "method": outcome.method,
        "start": way.start,
    }
    if begin is not None and begin.published:
        about[PUBLISHED_WEIGHTS] = dict(begin.published)
    if labelled.waves is None:
        parts = {"training": chosen.train, "validation": rows_held}
        if pool is not None:
            parts["pretraining"] = np.arange(n_labelled, len(joined))
        about.update(_parts(joined.clips, parts, workers))
    return FitOutcome(outcome, pretrained, prepared.failures, about)


def _asked(
    settings: TrainSettings, pretraining: PretrainSettings, start: PretrainedEncoder | str | None
) -> Strategy:
    """The way to learn that was asked for."""
    if isinstance(start, PretrainedEncoder):
        begin = DRAWN if isinstance(start, AutoEncoder) else GIVEN
        if start.published:
            begin = GENERAL
    else:
        begin = FRESH if start is None else SYNTHETIC
    return Strategy(
        asked_method(settings.model, settings.method),
        pretraining.objective,
        begin,
        settings.how,
        settings.fit,
        pretraining.fit,
        settings.dropout or None,
        trains=asks_training(
            settings.fit, settings.loss, settings.dropout, settings.label_smoothing
        ),
    )


def _pretrain(
    prepared: Prepared,
    rows: Rows,
    settings: PretrainSettings,
    mel: MelOptions,
    seed: int,
    device: str,
    folder: Path | None,
    start: PretrainedEncoder | None,
) -> PretrainOutcome:
    share = HELD_OUT_SHARE if settings.fit.heeds_validation else 0.0
    kept, held = hold_out_recordings(prepared.clips, rows, share, seed)
    return pretrain_encoder(
        prepared.features,
        kept,
        held,
        settings,
        mel=mel,
        seed=seed,
        device=device,
        folder=folder,
        start=start,
    )


def _parts(clips: Clips, parts: dict[str, Rows], workers: int | None) -> dict[str, Any]:
    hashes = recording_hashes(clips, workers=workers)
    return {role: DataPart.of(clips[rows], hashes).to_dict() for role, rows in parts.items()}


def _with_classes(held: Sounds, labelled: Clips) -> Sounds:
    """Validation sounds with the classes of the training sounds."""
    unknown = sorted(set(held.clips.classes) - set(labelled.classes))
    if unknown or not held.clips.is_labelled.all():
        raise DataError(
            "validation sounds: "
            + (
                f"found the unknown classes {', '.join(unknown)}"
                if unknown
                else "some have no label"
            )
            + "; expected a class of the training sounds for each"
        )
    return replace(held, clips=held.clips.with_columns(classes=labelled.classes))


def with_recordings(
    sounds: Sounds, *, near: bool = True, workers: int | None = None, cache: Path | None = None
) -> Sounds:
    """Sounds of files with copies in one group, where nobody says what a recording is.

    Arrays are recordings of their own unless ``groups`` says otherwise.
    """
    if sounds.waves is not None:
        return sounds
    found = known_recordings(sounds.clips, near=near, workers=workers, cache=cache)
    for note in found.notes:
        _log.info("%s", note)
    return replace(sounds, clips=found.clips)


def clean_sounds(
    pool: Sounds, labelled: Sounds, *, near: bool, workers: int | None = None
) -> tuple[Sounds, list[str]]:
    """The pool without labels and, of files, without copies of labelled ones; what to say of it."""
    if pool.waves is not None or labelled.waves is not None:
        return replace(pool, clips=pool.clips.without_labels()), []
    clean = clean_pool(pool.clips, labelled.clips, near=near, workers=workers)
    return replace(pool, clips=clean.clips), clean.notes()


def _check_unique(clips: Clips) -> None:
    ids = clips.ids
    if len(set(ids)) != len(ids):
        seen: set[str] = set()
        twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise DataError(f"the sound {twice} stands twice among those to learn from")
