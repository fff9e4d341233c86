"""From a clip table to cached features: decode once, compute once, use everywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.audio.checks import SILENCE_DB, problems
from semisonic.classifier.scoring import audible_windows, mean_by
from semisonic.classifier.windows import CutWindows, cut_clips, cut_stream, features_of_wave
from semisonic.core.errors import DataError
from semisonic.core.files import digest
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.core.text import bytes_text, count_text
from semisonic.data.batches import OnTheFlyFeatures
from semisonic.data.cache import need_disk_space
from semisonic.data.clips import Clips
from semisonic.data.stores import SAMPLE_BYTES, FeatureStore, SampleStore
from semisonic.features.frontend import Extractor, Frontend, make_extractor
from semisonic.features.options import MelOptions, MfccInput
from semisonic.features.statistics import mfcc_statistics
from semisonic.training.devices import choose_device

# Where spectrograms are computed: before training, or in the batch.


def in_batch_device(in_batch: str, device: str | torch.device) -> torch.device | None:
    """The device on which spectrograms are computed batch by batch; None: once, before.

    Parameters
    ----------
    in_batch : {"auto", "yes", "no"}
        Auto: on a graphics card of CUDA only. On a processor a spectrogram takes longer than a
        step of a small network, and features that are kept are read in microseconds.
    device : str or torch.device
        Where the network is trained; see :func:`semisonic.training.devices.choose_device`.
    """
    place = choose_device(device)
    wanted = in_batch == "yes" or (in_batch == "auto" and place.type == "cuda")
    return place if wanted else None


# A clip that is shorter than the model's clip length is padded with zeros; a longer one is cut
# into windows of that length, so that nothing of it is lost. :class:`Prepared` knows which row
# of features came from which clip, so that a split or a budget made on clips carries over to
# windows and the scores of a clip's windows can be put together again.


MOSTLY_PADDED = 0.4
"""Median length, as a share of the window, below which clips are reported as short."""

SILENT = ("silent", "constant")
"""How remarks about silent clips begin; see :func:`semisonic.audio.checks.problems`."""

_log = logging.getLogger(__name__)

FrontOptions = MelOptions | MfccInput
"""The kind of features: a spectrogram, or the statistics of a clip."""

Failures = tuple[tuple[str, str], ...]
"""Clips and their faults: name and reason."""


class FeatureRows(Protocol):
    """Features of windows, row by row, and the clips of a table that they belong to."""

    @property
    def features(self) -> FeatureStore | OnTheFlyFeatures | NDArray[np.float16]:
        """Shape (n, channel, mel, frame), in dB."""

    @property
    def source(self) -> NDArray[np.int64]:
        """The row of the table that each row belongs to."""

    @property
    def is_silent(self) -> NDArray[np.bool_]:
        """Which rows have only silence."""

    @property
    def group(self) -> NDArray[Any]:
        """The recording of each row."""

    def n_clips(self, rows: ArrayLike) -> int:
        """How many clips some rows come from."""


@dataclass(frozen=True)
class Prepared:
    """Clips with their features.

    Attributes
    ----------
    clips : Clips
        The clips that ``features`` was computed from, row by row: those that could be read, long
        ones as windows.
    features : FeatureStore, InBatch or ndarray of float16
        (n, channel, mel, frame) in dB, on disk, computed when they are asked for, or (from
        :func:`prepare_waves`) in memory. Of :class:`MfccInput` (n, 1, 26, 1), the
        statistics of a clip.
    mel : MelOptions or MfccInput
    failures : tuple of (str, str)
        Clips that could not be read, with reasons.
    source : ndarray of int64, shape (n,)
        The row of the table given to :func:`prepare` that each row belongs to.
    n_source : int
        Rows of that table.
    remarks : tuple of (str, str)
        Clips that were read but are silent, clipped or the like, and their faults.
    """

    clips: Clips
    features: FeatureStore | OnTheFlyFeatures | NDArray[np.float16]
    mel: FrontOptions
    failures: Failures
    source: NDArray[np.int64]
    n_source: int
    remarks: Failures = ()

    def __len__(self) -> int:
        return len(self.source)

    def rows_of(self, source_rows: ArrayLike) -> NDArray[np.int64]:
        """The rows of features that belong to some rows of the table given, in order."""
        wanted = np.zeros(self.n_source, dtype=np.bool_)
        wanted[np.asarray(source_rows, dtype=np.int64)] = True
        return np.flatnonzero(wanted[self.source]).astype(np.int64)

    def n_clips(self, rows: ArrayLike) -> int:
        """How many clips of the table given some rows of features come from."""
        return len(np.unique(self.source[np.asarray(rows, dtype=np.int64)]))

    def per_clip(
        self, scores: NDArray[np.float64], rows: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Mean of the scores of each clip's windows, without silent ones if there are others.

        Parameters
        ----------
        scores : ndarray, shape (len(rows), n_classes)
        rows : array of int
            The rows of features that were scored.

        Returns
        -------
        scores : ndarray, shape (n_clips, n_classes)
        source_rows : ndarray of int64, shape (n_clips,)
            Rows of the table given to :func:`prepare`, in rising order.
        """
        index = np.asarray(rows, np.int64)
        used = audible_windows(self.is_silent[index], self.source[index])
        owner, means = mean_by(self.source[index][used], scores[used])
        return means, owner

    @property
    def group(self) -> NDArray[Any]:
        """The recording of each row."""
        return self.clips.group

    @property
    def is_silent(self) -> NDArray[np.bool_]:
        """Which rows have only silence or one constant value, shape (n,)."""
        silent = {clip for clip, text in self.remarks if text.startswith(SILENT)}
        return np.array([clip in silent for clip in self.clips.ids], dtype=np.bool_)


def without_silence(
    prepared: Prepared, rows: NDArray[np.int64], n_labelled: int
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The rows to learn from, without silent clips of the pool, and a message.

    Parameters
    ----------
    prepared : Prepared
    rows : ndarray of int64
        Of features.
    n_labelled : int
        Rows of the table given to :func:`prepare` from this one on are the pool.

    Raises
    ------
    DataError
        If all clips of the pool are silent.
    """
    of_pool = prepared.source[rows] >= n_labelled
    silent = of_pool & prepared.is_silent[rows]
    if not silent.any():
        return rows, ()
    if silent.sum() == of_pool.sum():
        raise DataError(
            f"the unlabelled recordings: all {silent.sum()} clips are silent; check the "
            "recordings, or leave them out"
        )
    return rows[~silent], (f"{silent.sum()} silent clips of the pool were left out",)


def silent_classes(prepared: Prepared, rows: NDArray[np.int64]) -> tuple[str, ...]:
    """A message for each class of which most clips have nothing but silence.

    Parameters
    ----------
    prepared : Prepared
    rows : ndarray of int64
        Of features, with labels.
    """
    clips: dict[str, set[int]] = {}
    audible: dict[str, set[int]] = {}
    silent, labels = prepared.is_silent, prepared.clips.labels
    for row, clip in zip(rows.tolist(), prepared.source[rows].tolist(), strict=True):
        for name in labels[row]:
            clips.setdefault(name, set()).add(clip)
            if not silent[row]:
                audible.setdefault(name, set()).add(clip)
    counts = {name: (len(of), len(of) - len(audible.get(name, ()))) for name, of in clips.items()}
    return tuple(
        f"class '{name}': {n_silent} of {count_text(n, 'clip')} "
        f"{'is' if n_silent == 1 else 'are'} silent (nothing above {SILENCE_DB:g} dBFS), and no "
        "class is found in silence, also not this one; check these recordings, or leave the class "
        "out"
        for name, (n, n_silent) in counts.items()
        if 2 * n_silent > n
    )


def prepare(
    clips: Clips,
    mel: FrontOptions,
    cache: Path,
    *,
    hop: float | None = None,
    rest: bool = True,
    workers: int | None = None,
    engine: Engine = LOCAL_ENGINE,
    in_batch: torch.device | None = None,
) -> Prepared:
    """Decode clips and compute their features, or use those of an earlier call.

    Parameters
    ----------
    clips : Clips
    mel : MelOptions or MfccInput
    cache : Path
        Folder for samples (shared by all front ends of one sample rate) and features. Only
        clips that are new or changed are computed.
    hop : float, optional
        Seconds from window to window of a longer clip; windows do not overlap by default.
    rest : bool
        Add a window for the rest of a longer clip, which ends with the clip.
    workers : int, optional
        Threads; by default one for each processor core. On a cluster: calls at once.
    engine : Engine
        Where clips are decoded and features computed.
    in_batch : torch.device, optional
        Compute spectrograms there, when a batch asks for them, instead of now; see
        :func:`in_batch_device`.

    Raises
    ------
    DataError
        If no clip could be read, with the reasons, or if a clip is in the table twice.
    """
    twice = clips.standing_twice()
    if twice:
        raise DataError(f"'{clips.name}': found the clip {twice} twice, expected once")
    cut = cut_clips(clips, mel.duration, hop, rest=rest, workers=workers, cache=cache)
    way = "" if hop is None and rest else f"-{digest(mel.duration, hop, rest)}"
    root = clips.root.resolve()
    of_samples = cache / "samples" / f"{digest(root)}-{mel.sample_rate}{way}"
    of_features = cache / "features" / f"{digest(root)}-{mel.key()}{way}"
    in_batches = in_batch is not None and isinstance(mel, MelOptions)
    _check_room(cut, mel, of_samples, None if in_batches else of_features)
    samples = SampleStore.build(
        cut.clips, of_samples, sample_rate=mel.sample_rate, workers=workers, engine=engine
    )
    failures = (*cut.failures, *samples.failures)
    kept = cut.source[samples.rows]
    if not len(kept):
        reasons = "; ".join(f"{clip}: {reason}" for clip, reason in failures[:3])
        raise DataError(
            f"'{clips.name}': none of {count_text(len(clips), 'clip')} could be read "
            f"({reasons}{'; ...' * (len(failures) > 3)}). Check the recordings below "
            f"{clips.root}"
        )
    _warn_of_padding(samples, mel)
    features: FeatureStore | OnTheFlyFeatures
    if in_batch is not None and isinstance(mel, MelOptions):
        module = Frontend(mel, standardize="none").mel
        features = OnTheFlyFeatures(samples, module, mel.shape, mel.n_samples, in_batch)
    else:
        features = FeatureStore.build(
            samples,
            of_features,
            extractor=partial(_extractor, mel),
            key=mel.key(),
            shape=mel.shape,
            n_samples=mel.n_samples,
            workers=workers,
            engine=engine,
        )
    remarks = samples.notes
    return Prepared(features.clips, features, mel, failures, kept, len(clips), remarks)


def _check_room(cut: CutWindows, mel: FrontOptions, samples: Path, features: Path | None) -> None:
    """Check, before hours of work, that the disk has room for the results."""
    n_bytes = round(cut.seconds * mel.sample_rate * SAMPLE_BYTES)
    what, folders = f"samples ({bytes_text(n_bytes)})", [samples]
    if features is not None:
        n_features = len(cut.clips) * 2 * int(np.prod(mel.shape))
        n_bytes += n_features
        what += f" and features ({bytes_text(n_features)})"
        folders.append(features)
    there = sum(path.stat().st_size for folder in folders for path in folder.glob("*"))
    need_disk_space(samples, max(n_bytes - there, 0), f"{what} of {len(cut.clips):,} clips")


def prepare_waves(clips: Clips, waves: Sequence[NDArray[np.float32]], mel: MelOptions) -> Prepared:
    """The same for samples in memory.

    Parameters
    ----------
    clips : Clips
        A row a wave; its files are only names.
    waves : sequence of ndarray of float32, each shape (n_samples,)
        At ``mel.sample_rate``, of any length.
    """
    ids = clips.ids
    remarks = tuple(
        (ids[row], text)
        for row, wave in enumerate(waves)
        for text in problems(wave, mel.sample_rate)
    )
    extractor = make_extractor(mel)
    features: list[NDArray[np.float16]] = []
    source: list[int] = []
    for row, wave in enumerate(waves):
        for _, part in cut_stream([wave], mel.n_samples, mel.n_samples, mel.sample_rate):
            features.append(features_of_wave(part, mel, extractor).astype(np.float16))
            source.append(row)
    rows = np.array(source, np.int64)
    table = np.stack(features) if features else np.zeros((0, *mel.shape), np.float16)
    return Prepared(clips[rows], table, mel, (), rows, len(clips), remarks)


def _extractor(front: FrontOptions) -> Extractor:
    """A function that computes the features of one clip; each thread has its own."""
    if isinstance(front, MelOptions):
        return make_extractor(front)
    return lambda wave: mfcc_statistics(wave, front.sample_rate).reshape(front.shape)


def _warn_of_padding(samples: SampleStore, mel: FrontOptions) -> None:
    """Warn if the network would mostly see the silence after short clips."""
    median = float(np.median(samples.n_samples)) / mel.sample_rate
    if median < MOSTLY_PADDED * mel.duration:
        _log.warning(
            "half of the clips of '%s' are shorter than %.2g s, but a window has %g s: they are "
            "padded with silence; a duration of about %.2g s may give better results",
            samples.clips.name,
            median,
            mel.duration,
            max(2 * median, 0.1),
        )
