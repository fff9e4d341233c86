"""The data of an experiment: labelled clips, a pool, changed copies, and their features."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from semisonic.audio.write import write
from semisonic.classifier.config import (
    CLASS_WISE,
    EITHER,
    PINK,
    PITCH,
    STRETCH,
    WHITE,
    SegmentOptions,
)
from semisonic.classifier.prepare import SILENT, FrontOptions, Prepared, prepare, without_silence
from semisonic.classifier.scoring import audible_windows
from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import digest
from semisonic.core.parallel import LOCAL_ENGINE, Engine, one_torch_thread
from semisonic.core.progress import track
from semisonic.core.seeds import derive
from semisonic.core.text import count_text
from semisonic.data.batches import OnTheFlyFeatures
from semisonic.data.cache import file_stamps
from semisonic.data.clips import Clips, join
from semisonic.data.duplicates import clean_pool
from semisonic.data.recordings import AUTO, COPIES, KnownRecordings, copies_together, unnamed_note
from semisonic.data.splits import make_folds
from semisonic.data.stores import FeatureStore
from semisonic.features.augmentation import TimeStretch
from semisonic.features.options import WAVE, MelOptions
from semisonic.features.wave_augmentation import (
    PICZAK_OTHERS,
    ClassWise,
    Noise,
    PitchShift,
    piczak_limits,
)

# Changed copies of training clips, as files in the cache.
#
# Papers: Piczak 2015 (delay, pitch and stretch within limits of each class); Salamon and Bello
# 2017, "Deep convolutional neural networks and data augmentation" (copies of each kind).
#
# Where we differ from what was published with such copies: every copy draws its own change, at
# the clip's own sample rate, a signal-to-noise ratio is what it says, and copies of a test clip
# do not exist for training or testing.


SEMITONES = 4.0
FACTORS = (0.8, 1.2)
SNR_DB = (10.0, 17.0)
N_FOLDS = 5
"""Number of folds for a set that has none."""
_NOTHING = np.zeros(0, np.float32)
Rows = NDArray[np.int64]
_VERSION = 2  # raise when the same clips and options give other copies

_log = logging.getLogger(__name__)

Change = Callable[[Tensor, Tensor], Tensor]
"""A wave (1, time) and its class number (1,) to a changed wave."""


def augmented_copies(
    clips: Clips, kinds: Sequence[str], cache: Path, *, sample_rate: int, seed: int
) -> tuple[Clips, NDArray[np.int64]]:
    """Make the copies that do not exist yet.

    Parameters
    ----------
    clips : Clips
        With one label each.
    kinds : sequence of str
        What each copy of a clip is changed by: of ``COPIES``; one may be there several times.
    cache : Path
        Folder that the files are kept below: 16-bit flac at ``sample_rate``.
    sample_rate : int
        Hz.
    seed : int

    Returns
    -------
    copies : Clips
        Labels, groups and folds are those of the clips they were made from. The name tells the
        kinds, as features are kept by the name of their table.
    source : ndarray of int64
        The row that each copy was made from. A clip that cannot be read has no copies.
    """
    changes = {kind: _change(kind, clips, sample_rate) for kind in dict.fromkeys(kinds)}
    folder = (
        cache / "copies" / digest(clips.root.resolve(), sample_rate, seed, clips.classes, _VERSION)
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = clips.target()
    files: list[str] = []
    source: list[int] = []
    numbered = _numbered(kinds)
    for row in track(range(len(clips)), "copies", "clip"):
        key = _key(clips, row)
        names = [f"{key}-{one}.flac" for one in numbered]
        missing = [k for k, name in enumerate(names) if not (folder / name).is_file()]
        try:
            x = torch.from_numpy(clips.read(row, sample_rate) if missing else _NOTHING)[None]
        except AudioError as error:
            _log.warning("no copies of %s: %s", clips.paths[row], error.reason)
            continue
        for k in missing:
            # One clip is too little for several threads: they would wait for each other.
            with one_torch_thread(), torch.random.fork_rng(devices=[]):
                # Not of the key: a copy of the data set elsewhere has files of another time.
                torch.manual_seed(derive(seed, "copy", clips.ids[row], numbered[k]) % (1 << 31))
                changed = changes[kinds[k]](x, torch.tensor([target[row]]))
            write(folder / names[k], changed[0].numpy(), sample_rate, overload="scale")
        files += names
        source += [row] * len(names)
    rows = np.array(source, np.int64)
    copies = clips[rows].with_columns(
        file=np.array(files, dtype=np.str_),
        start_time=np.zeros(len(rows)),
        end_time=np.full(len(rows), np.nan),
        root=folder,
        name=f"{clips.name}, copies: {', '.join(kinds)}",
    )
    return copies, rows


def _change(kind: str, clips: Clips, rate: int) -> Change:
    """What a kind of copy is changed by."""
    if kind == CLASS_WISE:
        limits = piczak_limits(clips.classes)
        return ClassWise(rate, clips.classes, limits, PICZAK_OTHERS)
    if kind == EITHER:
        both = [_change(one, clips, rate) for one in (PITCH, STRETCH)]
        return lambda x, y: both[int(torch.rand(()) < 0.5)](x, y)
    waves = MelOptions(input=WAVE, sample_rate=rate)
    one = {
        PITCH: PitchShift(waves, SEMITONES),
        STRETCH: TimeStretch(waves, *FACTORS),
        WHITE: Noise(waves, "white", *SNR_DB),
        PINK: Noise(waves, "pink", *SNR_DB),
    }[kind]
    return lambda x, _: one(x)


def _key(clips: Clips, row: int) -> str:
    """Of a clip's copies: its file and when that changed, what is cut of it, and its label."""
    return digest(clips.ids[row], clips.labels[row], *file_stamps(clips[row]))


def _numbered(kinds: Sequence[str]) -> list[str]:
    """The kinds, each with how often it stood there before."""
    seen: Counter[str] = Counter()
    found = []
    for kind in kinds:
        found.append(f"{kind}-{seen[kind]}")
        seen[kind] += 1
    return found


# What an experiment works on: labelled clips, a pool, and their features on disk.


WHOLE = SegmentOptions()
"""Clips as they are; long ones in windows."""


@dataclass(frozen=True)
class FeatureTable:
    """Features of one front end as worker processes share them: a file, no array.

    ``source`` tells for each row of features the row of the joined table it belongs to, -1 for
    none; ``copy_of`` the labelled clip that it is a changed copy of, -1 for none;
    ``is_silent`` whether it has only silence; ``group`` the recording.
    """

    features: FeatureStore | OnTheFlyFeatures
    source: NDArray[np.int64]
    copy_of: NDArray[np.int64]
    is_silent: NDArray[np.bool_]
    group: NDArray[Any]

    @classmethod
    def of(cls, prepared: Prepared) -> FeatureTable:
        """The path of the features of a prepared table."""
        if isinstance(prepared.features, np.ndarray):
            raise DataError(
                "features in memory cannot be shared by processes; prepare the "
                "features of a table of files"
            )
        no_copies = np.full(len(prepared), -1, np.int64)
        return cls(
            prepared.features, prepared.source, no_copies, prepared.is_silent, prepared.group
        )

    def rows_of(self, source_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of features that belong to some rows of the joined table."""
        return np.flatnonzero(np.isin(self.source, source_rows))

    def n_clips(self, rows: ArrayLike) -> int:
        """How many rows of the joined table some rows of features come from."""
        return len(np.unique(self.source[np.asarray(rows, np.int64)]))

    def scored_rows(self, source_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those that count in the scores of their clips, as in ``evaluate`` and ``predict``."""
        rows = self.rows_of(source_rows)
        return rows[audible_windows(self.is_silent[rows], self.source[rows])]

    def with_copies(self, source_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same and the rows of their changed copies, which are for training only."""
        mine = np.isin(self.source, source_rows) | np.isin(self.copy_of, source_rows)
        return np.flatnonzero(mine)

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values by row of the joined table as values by row of features; 0 if it has none."""
        owner = np.maximum(self.source, self.copy_of)
        found: NDArray[Any] = values[np.maximum(owner, 0)]
        found[owner < 0] = 0
        return found

    def target(self, labelled: Clips) -> NDArray[np.int64]:
        """Class numbers of all rows; -1 for those that belong to no labelled clip."""
        owner = np.where(self.copy_of >= 0, self.copy_of, self.source)
        target = np.full(len(owner), -1, np.int64)
        known = (owner >= 0) & (owner < len(labelled))
        target[known] = labelled.target()[owner[known]]
        return target


@dataclass(frozen=True)
class Material:
    """The data that the jobs of an experiment use.

    Attributes
    ----------
    labelled, pool : Clips
        The clips that could be read. In the joined table the pool's rows follow.
    tables : dict of str to FeatureTable
        By :func:`table_key`.
    failures : tuple of (clip, reason)
    notes : tuple of str
        What a reader of the report must know about the data.
    remarks : tuple of (clip, remark)
        Clips that are used although they are silent, clipped or the like.
    """

    labelled: Clips
    pool: Clips
    tables: dict[str, FeatureTable]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    remarks: tuple[tuple[str, str], ...] = ()

    def table(self, mel: FrontOptions, segments: SegmentOptions = WHOLE) -> FeatureTable:
        """The features of a front end and a way to cut clips."""
        return self.tables[table_key(mel, segments)]


def table_key(mel: FrontOptions, segments: SegmentOptions) -> str:
    """What a table of features depends on."""
    return digest(mel.key(), segments.hop, segments.rest, segments.copies)


def gather(
    labelled: Clips,
    pool: Clips | None,
    inputs: Iterable[tuple[FrontOptions, SegmentOptions]],
    cache: Path,
    *,
    seed: int,
    group: str = AUTO,
    near_copies: bool = True,
    several: bool = False,
    inner_folds: int = 0,
    workers: int | None = None,
    engine: Engine = LOCAL_ENGINE,
    in_batch: torch.device | None = None,
) -> Material:
    """Decode both tables and compute the features of every front end, or find them cached.

    Parameters
    ----------
    labelled, pool : Clips
    inputs : iterable of (MelOptions or MfccInput, SegmentOptions)
        Front ends, and how clips are cut for them.
    cache : Path
    seed : int
        Seed of folds, if the data have none.
    group : str
        How recordings are known: if the user gave it, there is no search for copies.
    near_copies : bool
        Find copies that were cut or encoded again, not only identical files: copies of labelled
        clips in the pool are left out, and if folds are made, copies among labelled clips stay in
        one. Decodes every clip once more.
    several : bool
        Allow several labels per clip.
    inner_folds : int
        If given, the labelled clips are training clips without folds, to be divided into so many.
    workers : int, optional
        Threads that decode.
    engine : Engine
        Where clips are decoded.
    in_batch : torch.device, optional
        Compute spectrograms there, as batches ask for them.

    Raises
    ------
    DataError
        If there are no labels, several labels per clip, fewer than two classes, or only silence in
        the pool.
    """
    labelled, pool, notes = _checked(labelled, pool, near_copies, several, workers)
    nameless = unnamed_note(labelled, group)
    joined = join(labelled, pool)
    whole = np.ones(len(joined), np.bool_)
    failures: dict[tuple[str, str], None] = {}
    remarks: dict[tuple[str, str], None] = {}
    silences: dict[str, None] = {}
    parts: dict[str, tuple[Prepared, Rows, Rows]] = {}
    for mel, segments in {table_key(*one): one for one in inputs}.values():
        table, source = joined, np.zeros(0, np.int64)
        if segments.copies:
            changed, source = augmented_copies(
                labelled, segments.copies, cache, sample_rate=mel.sample_rate, seed=seed
            )
            table = join(joined, changed)
        part = prepare(
            table,
            mel,
            cache,
            hop=segments.hop or None,
            rest=segments.rest,
            workers=workers,
            engine=engine,
            in_batch=in_batch,
        )
        own = np.flatnonzero(part.source < len(joined))
        rows, silence = without_silence(part, own, len(labelled))
        whole &= np.isin(np.arange(len(joined)), part.source[rows])
        failures |= dict.fromkeys(part.failures)
        remarks |= dict.fromkeys(part.remarks)
        silences |= dict.fromkeys(f"{note}.".capitalize() for note in silence)
        parts[table_key(mel, segments)] = part, rows, source
    if failures:
        notes.append(
            f"{count_text(len(failures), 'clip')} could not be read; bad_files.csv lists them."
        )
    notes += silences
    silent = {clip for clip, text in remarks if text.startswith(SILENT)} & set(labelled.ids)
    if silent:
        notes.append(f"{len(silent)} labelled clips are silent; see remarks.csv.")
    keep = np.cumsum(whole) - 1
    tables = {}
    for key, (part, rows, source) in parts.items():
        copy = part.source - len(joined)  # from 0 for changed copies
        used = np.isin(np.arange(len(part)), rows) | ((copy >= 0) & ~part.is_silent)
        owner = np.where(copy < 0, part.source, np.append(source, 0)[np.maximum(copy, 0)])
        owner = np.where(used & whole[owner], keep[owner], -1).astype(np.int64)
        tables[key] = replace(
            FeatureTable.of(part),
            source=np.where(copy < 0, owner, -1),
            copy_of=np.where(copy < 0, -1, owner),
        )
    labelled, pool = labelled[whole[: len(labelled)]], pool[whole[len(labelled) :]]
    if not labelled.folds:
        labelled, said = with_folds(
            labelled,
            inner_folds or N_FOLDS,
            group,
            seed,
            near=near_copies,
            workers=workers,
            cache=cache,
        )
        notes += said[1:] if inner_folds else said
    notes += nameless
    return Material(labelled, pool, tables, tuple(failures), tuple(notes), tuple(remarks))


def with_folds(
    clips: Clips,
    n: int,
    group: str,
    seed: int,
    *,
    near: bool,
    workers: int | None,
    cache: Path,
) -> tuple[Clips, list[str]]:
    """Clips divided into folds by recording, with copies in one fold, and a message."""
    together = KnownRecordings(clips)
    if group in (AUTO, COPIES):
        together = copies_together(clips, near=near, workers=workers, cache=cache)
    notes = [
        f"The data have no official folds: {n} folds were made, by recording.",
        *together.notes,
    ]
    return together.clips.with_columns(fold=make_folds(together.clips, n, seed)), notes


def _checked(
    labelled: Clips, pool: Clips | None, near_copies: bool, several: bool, workers: int | None
) -> tuple[Clips, Clips, list[str]]:
    notes: list[str] = []
    if labelled.is_multi_label and not several:
        raise DataError(
            f"'{labelled.name}': found clips with several labels, expected one label per clip "
            "for this comparison"
        )
    if len(labelled.classes) < 2:
        raise DataError(
            f"'{labelled.name}': found {len(labelled.classes)} classes, expected at least 2"
        )
    unlabelled = labelled[~labelled.is_labelled].without_labels()
    labelled = labelled[labelled.is_labelled]
    if pool is None:
        pool = unlabelled
    else:
        clean = clean_pool(pool, labelled, near=near_copies, workers=workers)
        pool = _with_own_names(clean.clips, labelled)
        notes += clean.notes()
        if len(unlabelled):
            pool = join(pool, unlabelled, pool.name)
    return labelled, pool, notes


def _with_own_names(pool: Clips, labelled: Clips) -> Clips:
    """The pool with recordings that are named by their file told from the labelled ones.

    ``1.wav`` here and ``1.wav`` there are two recordings. A name that a data set gave, such as
    a number at Freesound, is one recording in both.
    """
    by_file = np.isin(pool.group, pool.file) & np.isin(pool.group, labelled.group)
    own = np.char.add("pool: ", pool.group)
    return pool.with_columns(group=np.where(by_file, own, pool.group).astype(np.str_))
