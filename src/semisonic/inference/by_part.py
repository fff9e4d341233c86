"""How good a model is on each part of a test: each label, site, day, hour, folder, fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic import evaluation
from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import groups_of
from semisonic.data.recorder_names import read_names
from semisonic.evaluation import Interval
from semisonic.inference.measuring import Measurement, bootstrap

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Part:
    """One part of the clips.

    Attributes
    ----------
    name : str
        The label, the site, ...
    n_clips, n_recordings : int
    value : float
        Accuracy, or lwlrap for several labels per clip, 0 to 1.
    interval : Interval
        Over recordings.
    """

    name: str
    n_clips: int
    n_recordings: int
    value: float
    interval: Interval


def by_part(m: Measurement, by: str, *, n_resamples: int = 1000, seed: int = 0) -> list[Part]:
    """Measure each part by itself.

    With ``by="label"`` a clip of several labels stands in the part of each.

    Parameters
    ----------
    m : Measurement
    by : str
        One of :data:`semisonic.inference.options.PARTS`. Site, day and hour are told by names
        of recorders and by folders.
    n_resamples, seed
        Of the bootstrap.

    Raises
    ------
    DataError
        When no clip tells what is asked for.
    """
    metric = _lwlrap if m.multi_label else _accuracy
    name = "value"
    found = []
    for part, rows in _rows(m.clips, by).items():
        target, scores = m.target[rows], m.scores[rows]
        ends = bootstrap(
            {name: metric}, target, scores, m.clips.group[rows], level=m.level,
            n_resamples=n_resamples, seed=seed,
        )[name]  # fmt: skip
        n_recordings = len(np.unique(m.clips.group[rows]))
        found.append(Part(part, len(rows), n_recordings, metric(target, scores), ends))
    return found


def _accuracy(target: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    return float((scores.argmax(axis=1) == target).mean())


def _lwlrap(target: NDArray[np.float32], scores: NDArray[np.float64]) -> float:
    return evaluation.lwlrap(target, scores) if target.any() else float("nan")


def _rows(clips: Clips, by: str) -> dict[str, NDArray[np.int64]]:
    """The rows of each part, in the order of classes, or of names."""
    if by == "label":
        return {
            name: rows
            for name in clips.classes
            if len(rows := np.flatnonzero([name in labels for labels in clips.labels]))
        }
    names = np.array(_NAMES[by](clips), np.str_)
    return {name: np.flatnonzero(names == name) for name in np.unique(names).tolist()}


def _of_recorders(rule: str) -> Callable[[Clips], Sequence[str]]:
    def names(clips: Clips) -> list[str]:
        files = clips.file.tolist()
        inner = [file for file in files if "/" in file]
        first = {file.partition("/")[0] for file in inner}
        class_folders = bool(first) and first <= set(clips.classes)
        told = groups_of(files, rule, class_folders=class_folders)
        return [UNKNOWN if name == file else name for name, file in zip(told, files, strict=True)]

    return names


def _hours(clips: Clips) -> list[str]:
    times = [name.recorded_at for name in read_names(clips.file.tolist())]
    if not any(times):
        raise DataError(
            f"'{clips.name}': no file name tells a time, such as {clips.file[0]}; expected names "
            "such as SITE1_20240601_043000.wav"
        )
    return [UNKNOWN if time is None else f"{time.hour:02d} h" for time in times]


_NAMES: dict[str, Callable[[Clips], Sequence[str]]] = {
    "site": _of_recorders("site"),
    "day": _of_recorders("day"),
    "hour": _hours,
    "folder": lambda clips: [str(file).rpartition("/")[0] or "." for file in clips.file],
    "group": lambda clips: clips.group.tolist(),
    "fold": lambda clips: [f"fold {fold}" if fold else "none" for fold in clips.fold],
}
