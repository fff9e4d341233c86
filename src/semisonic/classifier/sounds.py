"""Sounds given in Python (arrays, files, tables, clips), and a model's scores for them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import column_or_1d

from semisonic.audio.resample import resample
from semisonic.classifier.prepare import Prepared, prepare, prepare_waves
from semisonic.classifier.scoring import ScoredRows, score_clips, score_waves
from semisonic.core.errors import DataError
from semisonic.core.label_names import labels_of
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.data.clips import Clips, join
from semisonic.data.columns import Columns, find_columns, unused_note
from semisonic.data.datasets.load import load_clips
from semisonic.data.formats.label_files import rate_of
from semisonic.data.tables import normalise
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import SoundModel

Wave = NDArray[np.float32]
MAX_CHANNELS = 8
_log = logging.getLogger(__name__)
_WHOLE = ("uint8", "int16", "int32")


@dataclass(frozen=True)
class Sounds:
    """A clip table, and its samples if they are not in files.

    Attributes
    ----------
    clips : Clips
        In the order given by the user.
    waves : tuple of ndarray of float32, or None
        One a row, mono, at ``sample_rate``.
    sample_rate : int
        Hz; 0 without waves.
    values : mapping of str to int or bool
        The labels that were no text, by the name of their class.
    """

    clips: Clips
    waves: tuple[Wave, ...] | None = None
    sample_rate: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, rows: Any) -> Sounds:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        waves = None if self.waves is None else tuple(self.waves[i] for i in index)
        return replace(self, clips=self.clips[index], waves=waves)

    def at_rate(self, sample_rate: int) -> Sounds:
        """The sounds with waves resampled to a model's rate."""
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
        engine: Engine = LOCAL_ENGINE,
    ) -> Prepared:
        """Features of all clips.

        Parameters
        ----------
        mel : MelOptions
        cache : Path
            Folder below which features of files are kept.
        workers : int, optional
        in_batch : torch.device, optional
            See :func:`semisonic.classifier.prepare.prepare`; of samples in memory the features are
            computed now.
        engine : Engine
            Where files are decoded.
        """
        if self.waves is None:
            return prepare(
                self.clips, mel, cache, workers=workers, engine=engine, in_batch=in_batch
            )
        return prepare_waves(self.clips, self.at_rate(mel.sample_rate).waves or (), mel)

    def joined(self, other: Sounds, mel: MelOptions) -> Sounds:
        """These sounds, then others of the same kind.

        Parameters
        ----------
        other : Sounds
        mel : MelOptions
            Its sample rate is that of the result, for samples in memory.

        Raises
        ------
        DataError
            If one is in files and the other in memory.
        """
        if (self.waves is None) != (other.waves is None):
            raise DataError(
                "found sounds in files together with sounds in arrays; give all of them as "
                "files, or all as arrays"
            )
        if self.waves is None:
            return Sounds(join(self.clips, other.clips, self.clips.name))
        a, b = self.at_rate(mel.sample_rate), other.at_rate(mel.sample_rate)
        b = replace(b, clips=b.clips.with_columns(file=np.array(_names(len(b), len(a)), np.str_)))
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
    """Read sounds in any of the accepted forms.

    Parameters
    ----------
    x : Clips, path, paths, pandas frame, array, tensor, or several arrays or tensors
        A single path is a data set (see :func:`load_clips`). A frame has a row per sound and the
        columns of a table of labels: ``file`` (or ``path``, ``filename`` ...) and, if known,
        ``label`` (``species``, ``category`` ...), ``start_time``, ``end_time``, ``group``,
        ``fold``. Arrays are read as the notes say.
    y : sequence, array or frame, optional
        Labels, as :func:`as_labels` reads them; they replace labels in ``x``.
    sample_rate : int, optional
        Sample rate of arrays, in Hz; required for them.
    groups : array of str, optional
        The recording of each sound; by default each sound is its own recording.
    labels : str
        How a path is read: see :func:`load_clips`.

    Raises
    ------
    DataError
        For anything else, or lengths that differ.

    Notes
    -----
    One sound is an array of shape (n_samples,), (channels, n_samples) or (n_samples, channels);
    the shorter side is the channels, at most 8, and their mean is taken. An array by itself is
    one sound if it has one dimension or two columns (as ``soundfile.read`` gives stereo);
    otherwise its first axis counts the sounds, as in scikit-learn. So a single sound of
    shape (2, n_samples) is given in a list. Whole numbers are scaled as ``soundfile`` does:
    int16 by 1 / 32768; floating-point samples are taken as they are, within -1 to 1.
    """
    sounds = _take(x, sample_rate, labels, name)
    labelled = sounds if y is None else _labelled(sounds.clips, y)
    clips = labelled.clips
    if groups is not None:
        column = np.asarray(groups).astype(str)
        if column.shape != (len(clips),):
            raise DataError(f"groups: found shape {column.shape}, expected ({len(clips)},)")
        clips = clips.with_columns(group=column)
    return replace(sounds, clips=clips, values=labelled.values)


def _take(x: Any, sample_rate: int | None, labels: str, name: str) -> Sounds:
    if isinstance(x, Sounds):
        return x
    if isinstance(x, Clips):
        return Sounds(x)
    if isinstance(x, (str, os.PathLike)):
        return Sounds(load_clips(x, labels=labels))
    if isinstance(x, pd.DataFrame):
        return _from_frame(x, name)
    items = _several(x)
    if all(isinstance(item, (str, os.PathLike)) for item in items):
        return Sounds(_table([Path(item).as_posix() for item in items], name))
    if sample_rate is None or sample_rate <= 0:
        raise DataError(
            f"sample_rate: found {sample_rate}, expected the sample rate of the "
            "arrays in Hz, as sample_rate=22050"
        )
    waves = tuple(_wave(item, i) for i, item in enumerate(items))
    return Sounds(_table(_names(len(waves)), name), waves, int(sample_rate))


def _several(x: Any) -> list[Any]:
    """The sounds of an array or another iterable."""
    if issparse(x):
        raise DataError(f"found a sparse {type(x).__name__}, expected samples; use x.toarray()")
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    elif hasattr(x, "__array__"):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiuc":
        is_one = x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 2)
        return [x] if is_one else list(x)
    if isinstance(x, (bytes, Mapping)) or not isinstance(x, Iterable):
        raise DataError(
            f"found {type(x).__name__}, expected a clip table, paths, a frame or arrays of samples"
        )
    items = list(x)
    if items and all(isinstance(item, (int, float, np.number)) for item in items):
        return [np.asarray(items)]  # the samples of one sound, as a list or a column
    return items


def _from_frame(frame: pd.DataFrame, name: str) -> Sounds:
    """The rows of a frame, one a sound, in their order."""
    frame, columns, rows = _frame_columns(frame)
    classes = [] if columns.label else _class_columns(frame, columns)
    if columns.unused and not classes:
        _log.warning("the frame: %s", unused_note(columns)[0])
    files = [Path(row[columns.file]).as_posix() for row in rows]
    clips = _table(files, name)
    more: dict[str, NDArray[Any]] = {}
    if columns.is_timed:
        times = []
        for i, row in enumerate(rows):
            try:
                found = columns.times(row)
                times.append(found.seconds(partial(rate_of, Path(files[i]))))
            except ValueError as error:
                raise DataError(f"the frame, row {i}: {error}") from error
        start, end = np.array(times, np.float64).reshape(-1, 2).T
        more |= {"start_time": np.nan_to_num(start), "end_time": end}
    given = {normalise(str(column)): frame[column] for column in reversed(frame.columns)}
    if columns.group:
        more["group"] = given[columns.group].to_numpy().astype(str)
    if columns.fold:
        folds = given[columns.fold].astype("float64")
        more["fold"] = (folds + (folds == 0).any()).fillna(0).to_numpy(dtype=np.int64)
    clips = clips.with_columns(**more)
    if classes:
        return _labelled(clips, frame[classes].astype(np.int64))
    if not columns.label:
        return Sounds(clips)
    return _labelled(clips, given[columns.label])


def _frame_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, Columns, list[dict[str, str]]]:
    """The frame, the meaning of its columns, and its rows as texts by normalised name.

    An index of the file and the times, as audb and OpenSoundscape have it, becomes columns.
    """
    levels = [name for name in frame.index.names if name is not None]
    if levels and not set(levels) & set(frame.columns):
        frame = frame.reset_index()
    texts = {normalise(str(column)): frame[column].map(_text) for column in reversed(frame.columns)}
    rows = [dict(zip(texts, cells, strict=True)) for cells in zip(*texts.values(), strict=True)]
    return frame, find_columns("the frame", list(map(str, frame.columns)), rows), rows


def _class_columns(frame: pd.DataFrame, columns: Columns) -> list[Any]:
    """The columns that say with 0 and 1 which classes are in a sound, if all others are known."""
    others = [column for column in frame.columns if str(column) in columns.unused]
    return others if others and frame[others].isin([0, 1]).all(axis=None) else []


def _text(cell: Any) -> str:
    """A cell as a table has it; empty for none."""
    if isinstance(cell, (str, os.PathLike)):
        return os.fspath(cell)
    if isinstance(cell, (timedelta, np.timedelta64)):
        return "" if pd.isna(cell) else repr(pd.Timedelta(cell).total_seconds())
    return "" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell)


def as_labels(y: Any) -> list[Any]:
    """Read labels in any of the accepted forms.

    Parameters
    ----------
    y : sequence, array or frame
        For each sound a name, a whole number, several of them, or none (None, NaN, NA). An array
        or a frame of 0 and 1, shape (n, n_classes), says which classes are in a sound: the names
        of a frame's columns, or numbers from 0. With one class in each it is as if these
        were given.

    Returns
    -------
    list of str, int, tuple or None
        A tuple for several labels, None for no label.

    Raises
    ------
    DataError
        For anything else.

    Examples
    --------
    >>> as_labels(pd.DataFrame({"frog": [1, 0], "rain": [1, 1]}))
    [('frog', 'rain'), ('rain',)]
    """
    table = np.asarray(y) if hasattr(y, "__array__") else y
    if isinstance(table, np.ndarray) and table.ndim == 2 and table.dtype.kind in "biuf":
        if table.shape[1] == 1:
            return as_labels(column_or_1d(table, warn=True))
        if not np.isin(table, (0, 1)).all():
            raise DataError(
                f"labels: found numbers other than 0 and 1 in an array of shape {table.shape}, "
                "expected 1 if a sound has the class of the column, or one label for each sound"
            )
        names = list(y.columns) if isinstance(y, pd.DataFrame) else range(table.shape[1])
        return [tuple(name for name, has in zip(names, row, strict=True) if has) for row in table]
    if isinstance(table, (str, bytes, Mapping)) or not isinstance(table, Iterable):
        raise DataError(
            f"labels: found {type(y).__name__}, expected a sequence with a label for each sound"
        )
    return [_label(row, item) for row, item in enumerate(table)]


def _label(row: int, item: Any) -> Any:
    try:
        found = labels_of(item)
    except ValueError as error:
        raise DataError(f"labels, row {row}: {error}") from error
    is_several = isinstance(item, Iterable) and not isinstance(item, (str, bytes))
    if is_several or len(found) > 1:
        return found
    return found[0] if found else None


def _labelled(clips: Clips, y: Any) -> Sounds:
    """Clips with their labels."""
    found = as_labels(y)
    if len(found) != len(clips):
        raise DataError(f"labels: found {len(found)} for {len(clips)} clips, expected one for each")
    rows = [item if isinstance(item, tuple) else () if item is None else (item,) for item in found]
    kinds = {label for labels in rows for label in labels}
    try:
        order = [str(label) for label in sorted(kinds)]
    except TypeError:
        order = sorted(map(str, kinds))
    labels = tuple(tuple(map(str, row)) for row in rows)
    values = {str(label): label for label in kinds if not isinstance(label, str)}
    order = list(dict.fromkeys(order))
    return Sounds(clips.with_columns(labels=labels, classes=tuple(order)), values=values)


def _wave(item: Any, number: int) -> Wave:
    """One sound as mono samples within -1 to 1."""
    found = item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else np.asarray(item)
    wave = found
    if wave.ndim == 2 and wave.size:
        wave = wave if wave.shape[0] > wave.shape[1] else wave.T  # (n_samples, channels)
    channels = wave.shape[1] if wave.ndim == 2 else 1
    if wave.ndim not in (1, 2) or not wave.size or channels > MAX_CHANNELS:
        raise DataError(
            f"wave {number}: found shape {found.shape}, expected (n_samples,), (channels, "
            f"n_samples) or (n_samples, channels) with at most {MAX_CHANNELS} channels"
        )
    if wave.dtype.name in _WHOLE:  # as files hold them, around the middle of their range
        low, high = np.iinfo(wave.dtype).min, np.iinfo(wave.dtype).max
        wave = (wave.astype(np.float64) - (low + high + 1) // 2) / ((high - low + 1) // 2)
    elif wave.dtype.kind != "f":
        raise DataError(
            f"wave {number}: found samples of type {wave.dtype}, expected floating-point samples "
            f"within -1 to 1, or one of {', '.join(_WHOLE)}"
        )
    if not np.isfinite(wave).all():
        raise DataError(
            f"wave {number}: found samples that are NaN or infinite, expected finite ones"
        )
    mono: Wave = (wave.mean(axis=1) if wave.ndim == 2 else wave).astype(np.float32)
    return mono


def _names(n: int, first: int = 0) -> list[str]:
    return [f"array-{first + i:08d}" for i in range(n)]


def _table(files: list[str], name: str) -> Clips:
    """Files in the order given, relative to the current folder, without other data."""
    n, column = len(files), np.array(files, dtype=np.str_)
    start, end, fold = np.zeros(n), np.full(n, np.nan), np.zeros(n, np.int64)
    return Clips(Path(), column, start, end, ((),) * n, group=column, fold=fold, name=name)


def score_sounds(
    model: SoundModel,
    sounds: Sounds,
    *,
    device: str = "cpu",
    workers: int | None = None,
    embed: bool = False,
) -> ScoredRows:
    """Scores of sounds, from files or from memory: means over their windows.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    sounds : Sounds
    device : str
    workers : int, optional
        Threads that decode.
    embed : bool
        Return embeddings instead of scores.

    Returns
    -------
    ScoredRows
        A row for each sound, in order.

    Raises
    ------
    DataError
        If there is no sound, or one cannot be read.
    """
    if not len(sounds):
        raise DataError("found no sounds, expected at least one")
    if sounds.waves is None:
        found = score_clips(model, sounds.clips, device=device, workers=workers, embed=embed)
    else:
        waves = sounds.at_rate(model.mel.sample_rate).waves or ()
        found = score_waves(model, waves, device=device, embed=embed)
    means, known = [], []
    for clip in found:
        if clip.reason:
            raise DataError(f"{sounds.clips.ids[clip.row]}: {clip.reason}")
        means.append(clip.mean)
        known.append(clip.mean_known)
    return ScoredRows(np.stack(means), np.array(known))
