"""How good a model is on labelled clips: numbers with intervals, in all and for each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.seeds import generator
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.recording_names import groups_of, read_names
from semisonic.evaluation.intervals import Interval, wilson
from semisonic.evaluation.metrics import confusion, lwlrap, mean_average_precision, summary

if TYPE_CHECKING:
    import pandas as pd

# How good a model is on labelled clips: numbers with intervals.
#
# Intervals come from one bootstrap that draws whole recordings, so clips of one recording are
# in or out together and all numbers see the same draws (Efron and Tibshirani 1993, percentile
# method).


OF_RANKS = ("top_3_accuracy", "mean_average_precision", "lwlrap")
"""Numbers of a summary that heed all classes' scores, and not the best one alone."""
Scores = NDArray[np.float64]
Metric = Callable[[NDArray[Any], Scores], float]


@dataclass(frozen=True)
class Measurement:
    """Scores of labelled clips and what follows from them.

    Attributes
    ----------
    clips : Clips
        The clips scored, with the model's classes in the model's order.
    scores : ndarray, shape (n, n_classes)
    metrics : dict
        As :func:`semisonic.evaluation.metrics.summary` gives them.
    intervals : mapping of str to Interval
        For the numbers among them.
    level : float
        Of the intervals.
    """

    clips: Clips
    scores: Scores
    metrics: Mapping[str, Any]
    intervals: Mapping[str, Interval]
    level: float
    multi_label: bool

    @property
    def target(self) -> NDArray[Any]:
        """Class numbers (n,), or (n, n_classes) of 0 and 1 for several labels per clip."""
        return self.clips.targets() if self.multi_label else self.clips.target()

    @property
    def others(self) -> dict[str, float]:
        """Numbers of ranks, of one label per clip, that have no interval."""
        names = () if self.multi_label else OF_RANKS
        return {name: float(self.metrics[name]) for name in names}

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The best class of each clip, shape (n,)."""
        best: NDArray[np.int64] = self.scores.argmax(axis=1)
        return best

    def to_frame(self) -> pd.DataFrame:
        """A row per clip: labels, recording, best class, and the score of each class."""
        import pandas as pd

        names = self.clips.classes
        table = {
            "clip": self.clips.ids,
            "label": [LABEL_SEPARATOR.join(row) for row in self.clips.labels],
            "group": self.clips.group.astype(object),
            "predicted": [names[best] for best in self.predicted],
        }
        scores = pd.DataFrame(self.scores, columns=list(names))
        return pd.concat([pd.DataFrame(table), scores], axis=1)

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts by true and chosen class; None for several labels per clip."""
        if self.multi_label:
            return None
        n_classes = len(self.clips.classes)
        return confusion(self.target, self.predicted, n_classes)

    def mistakes(self) -> NDArray[np.int64]:
        """Rows of wrong clips, the surest mistake first.

        With several labels per clip, those whose best class is none of their labels.
        """
        rows = np.arange(len(self.clips))
        hit = (
            self.target[rows, self.predicted] > 0
            if self.multi_label
            else (self.target == self.predicted)
        )
        wrong = np.flatnonzero(~hit)
        sure = self.scores[wrong, self.predicted[wrong]]
        return wrong[np.argsort(-sure, kind="stable")]

    def confused_pairs(self, most: int = 10) -> list[tuple[str, str, int]]:
        """(true class, chosen class, clips), the most frequent first."""
        table = self.confusion
        if table is None:
            return []
        counts = table.copy()
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts, axis=None, kind="stable")[:most]
        pairs = [divmod(int(cell), len(counts)) for cell in order]
        names = self.clips.classes
        return [(names[a], names[b], int(counts[a, b])) for a, b in pairs if counts[a, b]]


def measure(
    clips: Clips,
    scores: Scores,
    *,
    multi_label: bool,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Measurement:
    """Hold scores against labels.

    Parameters
    ----------
    clips : Clips
        Every row has a label; classes in the order of the columns.
    scores : ndarray, shape (n, n_classes)
    multi_label : bool
        Whether a clip may carry several labels.
    level, n_resamples, seed
        Of the bootstrap.
    """
    target: NDArray[Any] = clips.targets() if multi_label else clips.target()
    metrics = summary(target, scores, clips.classes)
    intervals = bootstrap(
        _several() if multi_label else _single(len(clips.classes)),
        target,
        scores,
        clips.group,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
    )
    return Measurement(clips, scores, metrics, intervals, level, multi_label)


def bootstrap(
    metrics: Mapping[str, Metric],
    target: NDArray[Any],
    scores: Scores,
    groups: NDArray[np.str_],
    *,
    level: float,
    n_resamples: int,
    seed: int,
) -> dict[str, Interval]:
    """Percentile intervals of several numbers from resamples of whole recordings.

    Where all resamples agree, as for a model without a mistake, they say nothing about what
    other recordings would bring; Wilson's interval for as many recordings stands there then.
    """
    _, owner = np.unique(groups, return_inverse=True)
    rows_of = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    rng = generator(seed, "bootstrap of recordings")
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for _ in range(n_resamples):
        drawn = rng.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[i] for i in drawn])
        for name, metric in metrics.items():
            values[name].append(metric(target[rows], scores[rows]))
    tails = [0.5 - level / 2, 0.5 + level / 2]
    intervals: dict[str, Interval] = {}
    for name, found in values.items():
        low, high = (float(end) for end in np.nanquantile(found, tails))
        if low == high:
            n = len(rows_of)
            low, high = wilson(round(low * n), n, level)
        intervals[name] = Interval(low, high)
    return intervals


def _single(n_classes: int) -> dict[str, Metric]:
    def by_table(statistic: Callable[[NDArray[np.float64]], float]) -> Metric:
        def metric(target: NDArray[Any], scores: Scores) -> float:
            cells = target * n_classes + scores.argmax(axis=1)
            counts = np.bincount(cells, minlength=n_classes * n_classes)
            return statistic(counts.reshape(n_classes, n_classes).astype(np.float64))

        return metric

    def balanced(table: NDArray[np.float64]) -> float:
        present = table.sum(axis=1)
        return float((np.diag(table)[present > 0] / present[present > 0]).mean())

    def f1(table: NDArray[np.float64]) -> float:
        size = table.sum(axis=0) + table.sum(axis=1)
        return float((2 * np.diag(table)[size > 0] / size[size > 0]).mean())

    return {
        "accuracy": by_table(lambda table: float(np.trace(table) / table.sum())),
        "balanced_accuracy": by_table(balanced),
        "macro_f1": by_table(f1),
    }


def _several() -> dict[str, Metric]:
    def guarded(metric: Metric) -> Metric:
        return lambda truth, scores: metric(truth, scores) if truth.any() else float("nan")

    return {
        "lwlrap": guarded(lwlrap),
        "mean_average_precision": guarded(mean_average_precision),
    }


# How good a model is on each part of a test: each label, site, day, hour, folder, fold.


UNKNOWN = "unknown"


@dataclass(frozen=True)
class ScoredPart:
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


def by_part(m: Measurement, by: str, *, n_resamples: int = 1000, seed: int = 0) -> list[ScoredPart]:
    """Measure each part by itself.

    With ``by="label"`` a clip of several labels stands in the part of each.

    Parameters
    ----------
    m : Measurement
    by : str
        One of :data:`semisonic.classifier.options.PARTS`. Site, day and hour are told by names
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
            {name: metric},
            target,
            scores,
            m.clips.group[rows],
            level=m.level,
            n_resamples=n_resamples,
            seed=seed,
        )[name]
        n_recordings = len(np.unique(m.clips.group[rows]))
        found.append(ScoredPart(part, len(rows), n_recordings, metric(target, scores), ends))
    return found


def _accuracy(target: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    return float((scores.argmax(axis=1) == target).mean())


def _lwlrap(target: NDArray[np.float32], scores: NDArray[np.float64]) -> float:
    return lwlrap(target, scores) if target.any() else float("nan")


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
