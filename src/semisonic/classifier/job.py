"""The training job: labelled sounds, a pool and a configuration in; features and data to learn out.

:func:`select_job` says which sounds do what and resolves ``auto``, :meth:`TrainingJob.prepare`
computes features and pre-trains. What is left is
:func:`~semisonic.classifier.training.train_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisonic.classifier.config import (
    AUTO,
    DRAWN,
    FRESH,
    GENERAL,
    GIVEN,
    NO_OBJECTIVE,
    SOLVED,
    SYNTHETIC,
    VALIDATION,
    DataSummary,
    TrainConfig,
    asks_training,
    check_freezing,
    check_noisy,
    check_read,
    resolve_auto,
    validation_share,
)
from semisonic.classifier.model_file import encoder_file, open_encoder
from semisonic.classifier.prepare import Prepared, in_batch_device, without_silence
from semisonic.classifier.pretraining import (
    SYNTH,
    PretrainOutcome,
    hold_out_recordings,
    pretrain_encoder,
    synthetic_file,
)
from semisonic.classifier.provenance import DataPart, PublishedOrigin, chained
from semisonic.classifier.run_files import write_remarks
from semisonic.classifier.selection import (
    Rows,
    check_classes,
    in_fold,
    outside_fold,
    targets_of,
)
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.training import NO_ROWS, TrainingData, network_of
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.options import check
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.duplicates import clean_pool
from semisonic.data.recordings import COPIES, known_recordings
from semisonic.data.splits import hold_out, label_budget
from semisonic.models.model_file import (
    PUBLISHED_WEIGHTS,
    load,
    load_encoder,
    published_in,
    read_about,
)
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder, in_order
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import RunFolder

HELD_OUT_SHARE = 0.1
"""Share of the recordings that pre-training stops by."""

Start = PretrainedEncoder | str | None
"""What a training starts from: an encoder, that of synthetic sounds ("synth"), or nothing."""

# What a verb's training starts from: an encoder's file, or synthetic sounds.


def start_of(encoder: Path | None) -> Start:
    """The encoder that an option names, or "synth"; None where it names none."""
    if encoder is None or str(encoder) == SYNTH:
        return None if encoder is None else SYNTH
    return open_encoder(encoder)


def published_note(encoder: Path | None) -> tuple[str, ...]:
    """What a summary must say of the start: published weights are other people's labels."""
    if encoder is None or str(encoder) == SYNTH:
        return ()
    origin = PublishedOrigin.of(read_about(encoder_file(encoder))["about"])
    return () if origin is None else (f"note: {origin.text()}",)


def with_start(parts: Mapping[str, Any], encoder: Path | None, run: RunFolder) -> dict[str, Any]:
    """The parts of a making and those of the encoder's it starts from, as its file tells them.

    What the encoder learned from without labels counts as this run's pre-training where it has
    none of its own. The file's content goes into the run's record. Synthetic sounds add nothing;
    published weights at its beginning are told on.
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
    """The classifier that is trained further with its class layer.

    Raises
    ------
    OptionError
        When there is no classifier to keep it of, or something else would overwrite it.
    ModelError
        When it is one of other classes.
    """
    if encoder is None or str(encoder) == SYNTH:
        why = "no earlier classifier is given as encoder"
    elif config.method in SOLVED:
        why = f"the method '{config.method}' learns a class layer of its own"
    elif config.objective != NO_OBJECTIVE:
        why = "pre-training would change the encoder beneath it"
    elif read_about(encoder_file(encoder))["kind"] != "classifier":
        why = f"{encoder} is an encoder and has no class layer"
    else:
        return in_order(load(encoder_file(encoder)), classes)
    raise OptionError(f"option 'keep_head': {why}; leave the option out")


# Which labelled clips are learned from, which choose the epoch, which test.


class Selection(NamedTuple):
    """Row numbers of a clip table, ascending.

    ``train`` is to learn from, ``validation`` to choose the epoch by (may be empty), ``test`` the
    fold left for later; empty when none was asked for.
    """

    train: Rows
    validation: Rows
    test: Rows

    @property
    def used(self) -> Rows:
        """All labels that take part: those of training and of validation."""
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

    Every label that takes part counts in the budget, those of the validation part as well.
    Where a class would have less than one label in it (4 per class at 15 %) there is no
    validation part: training then lasts its epochs and ends with its last weights.

    Parameters
    ----------
    clips : Clips
        Rows without a label are passed over.
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
        When there is no such fold.
    """
    require_labels(clips, "training")
    rows = outside_fold(clips, test_fold) if test_fold else np.arange(len(clips))
    rows = rows[clips.is_labelled[rows]]
    if labels_per_class:
        rows = label_budget(clips, rows, labels_per_class, seed)
    has_part = not labels_per_class or labels_per_class * validation >= 1
    train, held = hold_out(clips, rows, validation, seed) if has_part else (rows, NO_ROWS)
    check_classes(clips, train)
    return Selection(train, held, in_fold(clips, test_fold) if test_fold else NO_ROWS)


def unverified_apart(config: TrainConfig, clips: Clips, train: Rows) -> tuple[Rows, Rows]:
    """Training clips with verified labels and those without, where they are learned apart.

    All are in the first unless an option tells them apart.

    Raises
    ------
    DataError
        When they are, and one of them is not there.
    """
    if not config.has_noisy_part:
        return train, NO_ROWS
    verified = clips.is_verified[train]
    if verified.all() or not verified.any():
        raise DataError(
            f"options noisy_weight and noisy_loss: '{clips.name}' has {int(verified.sum())} clips "
            f"with verified labels and {int((~verified).sum())} with unverified ones to learn "
            "from; expected some of both, as FSDKaggle2018 and 2019 have"
        )
    return train[verified], train[~verified]


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


@dataclass
class TrainingJob:
    """A training whose sounds are chosen and whose configuration is resolved.

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
        What ``auto`` chose and why; empty where nothing was left to it.
    labelled : Sounds
        Those that take part: to learn from, then to validate.
    train, noisy, validation : ndarray of int64
        Rows of ``labelled`` to learn from, those of unverified labels that are learned apart, and
        those that choose the epoch.
    pool : Sounds or None
        Without copies of labelled sounds and of tested ones.
    n_tested : int
        Clips of the fold that takes no part.
    notes : tuple of str
        What a user must know: about recordings, and about the pool.
    prepared : Prepared
        Of the labelled sounds, then the pool; once prepared, like ``data``.
    data : TrainingData
    start : PretrainedEncoder, SoundModel or None
        What the training starts from, once prepared; a whole classifier where its class layer is
        kept.
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained for this job.
    """

    config: TrainConfig
    seed: int
    encoder: PretrainedEncoder | None
    begins: str
    because: str
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
        cache: Path,
        *,
        device: str,
        workers: int | None,
        in_batch: str = AUTO,
        engine: Engine = LOCAL_ENGINE,
        folder: Path | None = None,
        run: RunFolder | None = None,
    ) -> None:
        """Make the encoder to start from, compute all features, pre-train where that is asked for.

        Parameters
        ----------
        cache : Path
            Keeps samples and features of files.
        in_batch : {"auto", "yes", "no"}
            Where spectrograms are computed; see :func:`in_batch_device`.
        folder : Path, optional
            Keeps the checkpoints of pre-training, in ``pretraining``.
        run : RunFolder, optional
            Lists what is wrong with clips.
        """
        config, start = self.config, self.encoder
        if start is None and self.begins == SYNTHETIC:
            kind = config.standardize
            start = load_encoder(
                synthetic_file(
                    config.model, config.mel, standardize=kind, device=device, workers=workers
                )
            )
        name, mel = network_of(config.model, config.mel, start)
        sounds = self.labelled if self.pool is None else self.labelled.joined(self.pool, mel)
        place = in_batch_device(in_batch, device)
        self.prepared = prepared = sounds.prepare(mel, cache, workers, place, engine)
        if run is not None:
            run.add_bad_files(prepared.failures)
            write_remarks(run, prepared.remarks)
        rows = prepared.rows_of(np.setdiff1d(np.arange(len(sounds)), self.validation))
        rows, silence = without_silence(prepared, rows, len(self.labelled))
        self.notes += tuple(silence)
        check_classes(prepared.clips, prepared.rows_of(np.union1d(self.train, self.noisy)))
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
        kept, held = hold_out_recordings(prepared.clips, rows, share, self.seed)
        of_encoder = self.config
        if start is not None:
            kind = start.frontend.standardize.kind
            of_encoder = replace(of_encoder, model=start.name, standardize=kind)
        self.pretrained = pretrain_encoder(
            of_encoder,
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
        When there are too few labels, or a sound stands twice.
    OptionError
        When something is asked for that would do nothing.
    """
    check(config)
    if twice := labelled.clips.standing_twice():
        raise DataError(f"the sound {twice} stands twice among those to learn from")
    asked = {"labels_per_class": labels_per_class, "test_fold": test_fold, "seed": seed}
    share = 0.0 if validation is not None else share
    chosen = select(labelled.clips, validation=share, **asked)
    n_labels = sum(len(labelled.clips.labels[row]) for row in chosen.used.tolist())
    per_class = n_labels / max(len(labelled.clips.classes), 1)
    share = validation_share(config.method, share, per_class)
    notes: tuple[str, ...] = ()
    splits = labels_per_class or group == COPIES or (share and len(chosen.validation))
    if search_copies and splits:
        labelled, notes = with_recordings(
            labelled, group, near=near_copies, workers=workers, cache=cache
        )
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
        pool, left_out = clean_sounds(pool, known, apart, near=near_copies, workers=workers)
        notes += left_out
    begins = FRESH if start is None else SYNTHETIC
    if isinstance(start, PretrainedEncoder):
        begins = DRAWN if isinstance(start, AutoEncoder) else GIVEN
        begins = GENERAL if start.published else begins
    summary = DataSummary(per_class, len(chosen.train), 0 if pool is None else len(pool), begins)
    ready, begins, because = resolve_auto(config, summary, trains=trains or asks_training(config))
    check_read(ready.method, config)
    check_freezing(ready.fit, begins != FRESH or ready.objective != NO_OBJECTIVE)
    if len(noisy):
        check_noisy(ready.method)
    return TrainingJob(
        ready,
        seed,
        start if isinstance(start, PretrainedEncoder) else None,
        begins,
        because,
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
