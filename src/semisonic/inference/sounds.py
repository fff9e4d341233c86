"""What people have at hand in Python, as one thing: tables, paths, frames, arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.audio import resample
from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.join import join
from semisonic.data.readers import load_clips
from semisonic.features import MelOptions
from semisonic.inference.prepare import Prepared, prepare, prepare_waves

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Sounds:
    """A clip table, and its samples where they do not lie in files.

    Attributes
    ----------
    clips : Clips
        In the order given by the user.
    waves : tuple of ndarray of float32, or None
        One a row, mono, at ``sample_rate``.
    sample_rate : int
        Hz; 0 without waves.
    """

    clips: Clips
    waves: tuple[Wave, ...] | None = None
    sample_rate: int = 0

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, rows: Any) -> Sounds:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        waves = None if self.waves is None else tuple(self.waves[i] for i in index)
        return replace(self, clips=self.clips[index], waves=waves)

    def at_rate(self, sample_rate: int) -> Sounds:
        """With waves resampled to a model's rate."""
        if self.waves is None or self.sample_rate == sample_rate:
            return self
        waves = tuple(resample(wave, self.sample_rate, sample_rate) for wave in self.waves)
        return replace(self, waves=waves, sample_rate=sample_rate)

    def prepare(
        self,
        mel: MelOptions,
        cache: Path,
        workers: int | None,
        in_batch: torch.device | None = None,
    ) -> Prepared:
        """Features of all clips; files are cached below ``cache``.

        ``in_batch``: see :func:`semisonic.inference.prepare.prepare`; of samples in memory the
        features are computed now.
        """
        if self.waves is None:
            return prepare(self.clips, mel, cache, workers=workers, in_batch=in_batch)
        return prepare_waves(self.clips, self.at_rate(mel.sample_rate).waves or (), mel)

    def joined(self, other: Sounds, mel: MelOptions) -> Sounds:
        """These sounds, then others of the same kind.

        Raises
        ------
        DataError
            When one lies in files and the other in memory.
        """
        if (self.waves is None) != (other.waves is None):
            raise DataError(
                "found sounds in files together with sounds in arrays; give all of them as "
                "files, or all as arrays"
            )
        if self.waves is None:
            return Sounds(join(self.clips, other.clips, self.clips.name))
        a, b = self.at_rate(mel.sample_rate), other.at_rate(mel.sample_rate)
        b = replace(b, clips=b.clips.with_columns(file=_names(len(b), len(a))))
        waves = (*(a.waves or ()), *(b.waves or ()))
        return Sounds(join(a.clips, b.clips, a.clips.name), waves, mel.sample_rate)


def as_sounds(
    x: Any,
    y: Iterable[Any] | None = None,
    *,
    sample_rate: int | None = None,
    groups: ArrayLike | None = None,
    labels: str = "auto",
    name: str = "sounds",
) -> Sounds:
    """Take whatever a user has.

    Parameters
    ----------
    x : Clips, path, sequence of paths, pandas frame, array or sequence of arrays
        A path is a data set (see :func:`load_clips`). A frame has the column ``file`` and
        may have ``label``, ``start_time``, ``end_time``, ``group``. Arrays are mono waves
        within -1 to 1, shape (n, n_samples) or a sequence of (n_samples,).
    y : sequence, optional
        A label for each, or a sequence of labels for each; wins over labels in ``x``.
    sample_rate : int, optional
        Hz; for arrays, where it must be given.
    groups : array of str, optional
        The recording each belongs to; each its own by default.
    labels : str
        How a path is read: see :func:`load_clips`.

    Raises
    ------
    DataError
        For anything else, or lengths that differ.
    """
    sounds = _take(x, sample_rate, labels, name)
    clips = sounds.clips
    if y is not None:
        clips = _labelled(clips, list(y))
    if groups is not None:
        column = np.asarray(groups).astype(str)
        if column.shape != (len(clips),):
            raise DataError(f"groups: found shape {column.shape}, expected ({len(clips)},)")
        clips = clips.with_columns(group=column)
    return replace(sounds, clips=clips)


def _take(x: Any, sample_rate: int | None, labels: str, name: str) -> Sounds:
    if isinstance(x, Sounds):
        return x
    if isinstance(x, Clips):
        return Sounds(x)
    if isinstance(x, (str, os.PathLike)):
        return Sounds(load_clips(x, labels=labels))
    if hasattr(x, "columns") and hasattr(x, "iterrows"):
        return Sounds(_from_frame(x, name))
    items = list(x) if isinstance(x, (Sequence, np.ndarray)) else None
    if items is None:
        raise DataError(
            f"found {type(x).__name__}, expected a clip table, paths, a frame or arrays of samples"
        )
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        return Sounds(_table([Path(item).as_posix() for item in items], name))
    if sample_rate is None or sample_rate <= 0:
        raise DataError(f"arrays of samples need their rate: sample_rate=..., found {sample_rate}")
    waves = tuple(_wave(item, i) for i, item in enumerate(items))
    return Sounds(_table(_names(len(waves)).tolist(), name), waves, int(sample_rate))


def _from_frame(frame: Any, name: str) -> Clips:
    if "file" not in frame.columns:
        raise DataError(
            f"frame: found the columns {', '.join(map(str, frame.columns))}; expected 'file' and, "
            "as far as known, 'label', 'start_time', 'end_time', 'group'"
        )
    clips = _table([Path(file).as_posix() for file in frame["file"]], name)
    columns: dict[str, Any] = {}
    for column in ("start_time", "end_time"):
        if column in frame.columns:
            columns[column] = frame[column].to_numpy(dtype=np.float64)
    if "group" in frame.columns:
        columns["group"] = frame["group"].to_numpy().astype(str)
    clips = clips.with_columns(**columns)
    if "label" not in frame.columns:
        return clips
    return _labelled(clips, [str(v).split(";") if v == v and v else () for v in frame["label"]])


def _labelled(clips: Clips, y: list[Any]) -> Clips:
    if len(y) != len(clips):
        raise DataError(f"labels: found {len(y)} for {len(clips)} clips, expected one for each")
    single = all(isinstance(item, (str, int, np.integer, np.str_)) for item in y)
    rows = [(str(item),) if single else tuple(map(str, item)) for item in y]
    kinds = {item for row in y for item in ([row] if single else row)}
    try:
        order = [str(item) for item in sorted(kinds)]
    except TypeError:
        order = sorted(map(str, kinds))
    return clips.with_columns(labels=tuple(rows), classes=tuple(order))


def _wave(item: Any, number: int) -> Wave:
    wave = np.asarray(item)
    if wave.ndim != 1 or not len(wave) or wave.dtype.kind != "f":
        raise DataError(
            f"wave {number}: found shape {wave.shape} of {wave.dtype}, expected (n_samples,) of "
            "floating-point samples within -1 to 1, mono"
        )
    if not np.isfinite(wave).all():
        raise DataError(f"wave {number}: holds samples that are NaN or infinite")
    return wave.astype(np.float32)


def _names(n: int, first: int = 0) -> NDArray[np.str_]:
    return np.array([f"array-{first + i:08d}" for i in range(n)], dtype=np.str_)


def _table(files: list[str], name: str) -> Clips:
    """Files in the order given, relative to here, nothing else known."""
    n = len(files)
    column = np.array(files, dtype=np.str_)
    return Clips(
        root=Path(),
        file=column,
        start_time=np.zeros(n),
        end_time=np.full(n, np.nan),
        labels=((),) * n,
        group=column,
        fold=np.zeros(n, np.int64),
        name=name,
    )
