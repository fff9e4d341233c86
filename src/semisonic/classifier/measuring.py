"""Measure a model on labelled clips: numbers with intervals, for all clips and for each part.

Intervals come from one bootstrap that draws whole recordings, so clips of one recording are in or
out together and all numbers see the same draws (Efron and Tibshirani 1993, percentile method).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.seeds import generator
from semisonic.core.text import percent_text
from semisonic.data.clips import Clips
from semisonic.data.recording_names import groups_of, read_names
from semisonic.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    confusion,
    lwlrap,
    macro_f1,
    mean_average_precision,
    summary,
)
from semisonic.evaluation.statistics import Interval, wilson

if TYPE_CHECKING:
    import pandas as pd

Scores = NDArray[np.float64]
Metric = Callable[[Any, Any], float]
METRICS: dict[bool, tuple[Any, ...]] = {
    False: (accuracy, balanced_accuracy, macro_f1),
    True: (lwlrap, mean_average_precision),
}
"""The metrics with an interval, for one label and for several labels per clip."""
RANKED = ("top_3_accuracy", "mean_average_precision", "lwlrap")
"""Metrics of a summary that use the scores of all classes, not only the best one."""

_LARGEST_CONFUSION = 30
"""Classes up to which a notebook shows the confusions."""


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
    multi_label : bool
        Whether a clip may have several labels.
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
        return {} if self.multi_label else {name: float(self.metrics[name]) for name in RANKED}

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The best class of each clip, shape (n,)."""
        best: NDArray[np.int64] = self.scores.argmax(axis=1)
        return best

    def html_parts(self) -> Iterable[Markup]:
        """Numbers with intervals, and confusions, for a notebook."""
        from semisonic.core.html import FIGURE_DPI, note, picture, table
        from semisonic.evaluation.plots.results import confusion_matrix
        from semisonic.evaluation.report.document import figure_png

        rows = [
            (name.replace("_", " "), *map(percent_text, (self.metrics[name], low, high)))
            for name, (low, high) in self.intervals.items()
        ]
        yield table(["measure", "value", f"{100 * self.level:g} % interval from", "to"], rows)
        pairs = self.confused_pairs(3)
        if pairs:
            yield note("most confused: " + "; ".join(f"{a} as {b} ({n})" for a, b, n in pairs))
        counts, names = self.confusion, self.clips.classes
        if counts is not None and len(names) <= _LARGEST_CONFUSION:
            yield picture(
                figure_png(confusion_matrix(counts, names), FIGURE_DPI), "Confusion matrix"
            )

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
        return confusion(self.target, self.predicted, len(self.clips.classes))

    def mistakes(self) -> NDArray[np.int64]:
        """Rows of wrong clips, the most confident first.

        With several labels per clip, those whose best class is none of their labels.
        """
        confidence = self.scores.max(axis=1)
        right = self.clips.targets()[np.arange(len(self.clips)), self.predicted] > 0
        order = np.argsort(-confidence, kind="stable")
        return order[~right[order]]

    def confused_pairs(self, most: int = 10) -> list[tuple[str, str, int]]:
        """(true class, chosen class, clips), the most frequent first."""
        table, names = self.confusion, self.clips.classes
        if table is None:
            return []
        counts = table * ~np.eye(len(names), dtype=np.bool_)
        order = np.argsort(-counts, axis=None, kind="stable")[:most]
        cells = zip(*np.unravel_index(order, counts.shape), strict=True)
        return [(names[a], names[b], int(counts[a, b])) for a, b in cells if counts[a, b]]


def measure(
    clips: Clips,
    scores: Scores,
    *,
    multi_label: bool,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Measurement:
    """Compare scores with labels.

    Parameters
    ----------
    clips : Clips
        Every row has a label; classes in the order of the columns.
    scores : ndarray, shape (n, n_classes)
    multi_label : bool
        Whether a clip may have several labels.
    level, n_resamples, seed
        Of the bootstrap.
    """
    target: NDArray[Any] = clips.targets() if multi_label else clips.target()
    found = scores if multi_label else scores.argmax(axis=1)
    metrics = {one.__name__: one for one in METRICS[multi_label]}
    rng = generator(seed, "bootstrap of recordings")
    intervals = _bootstrap(metrics, target, found, clips.group, level, n_resamples, rng)
    whole = summary(target, scores, clips.classes)
    return Measurement(clips, scores, whole, intervals, level, multi_label)


def _bootstrap(
    metrics: Mapping[str, Metric],
    target: NDArray[Any],
    found: NDArray[Any],
    groups: NDArray[np.str_],
    level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Percentile intervals of several numbers from resamples of whole recordings.

    If all resamples agree, as for a model without a mistake, they say nothing about other
    recordings; then Wilson's interval for this number of recordings is used.
    """
    _, owner = np.unique(groups, return_inverse=True)
    rows_of = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    n = len(rows_of)
    values = np.full((n_resamples, len(metrics)), np.nan)
    for number in range(n_resamples):
        rows = np.concatenate([rows_of[i] for i in rng.integers(n, size=n)])
        if target.ndim == 1 or target[rows].any():
            values[number] = [metric(target[rows], found[rows]) for metric in metrics.values()]
    lows, highs = np.nanquantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return {
        name: Interval(low, high) if low < high else wilson(round(low * n), n, level)
        for name, low, high in zip(metrics, lows.tolist(), highs.tolist(), strict=True)
    }


PART_COLUMNS = ["by", "part", "clips", "recordings", "value", "low", "high"]
_UNKNOWN = "unknown"


def by_part(m: Measurement, by: str, *, n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Measure each part by itself: accuracy, or lwlrap for several labels per clip.

    With ``by="label"``, a clip with several labels is in the part of each.

    Parameters
    ----------
    m : Measurement
    by : str
        One of :data:`semisonic.classifier.options.PARTS`. Site, day and hour come from file and
        folder names.
    n_resamples, seed
        Of the bootstrap.

    Returns
    -------
    DataFrame
        A row per part, in the order of classes or of names, with :data:`PART_COLUMNS`; the
        interval is over recordings.

    Raises
    ------
    DataError
        If no clip has the information that is asked for.
    """
    import pandas as pd

    metric: Metric = lwlrap if m.multi_label else accuracy
    found: NDArray[Any] = m.scores if m.multi_label else m.predicted
    if by == "label":
        has = {name: m.clips.targets()[:, i] > 0 for i, name in enumerate(m.clips.classes)}
    else:
        names = np.array(_NAMES[by](m.clips), np.str_)
        has = {name: names == name for name in np.unique(names).tolist()}
    rows = []
    for part, mine in has.items():
        if not mine.any():
            continue
        target, groups = m.target[mine], m.clips.group[mine]
        value = metric(target, found[mine])
        rng = generator(seed, "bootstrap of recordings")
        low, high = _bootstrap(
            {"value": metric}, target, found[mine], groups, m.level, n_resamples, rng
        )["value"]
        rows.append((by, part, int(mine.sum()), len(np.unique(groups)), value, low, high))
    return pd.DataFrame(rows, columns=PART_COLUMNS)


def _of_recorders(rule: str) -> Callable[[Clips], Sequence[str]]:
    def names(clips: Clips) -> list[str]:
        files = clips.file.tolist()
        folders = {file.partition("/")[0] for file in files if "/" in file}
        class_folders = bool(folders) and folders <= set(clips.classes)
        told = groups_of(files, rule, class_folders=class_folders)
        return [_UNKNOWN if name == file else name for name, file in zip(told, files, strict=True)]

    return names


def _hours(clips: Clips) -> list[str]:
    times = [name.recorded_at for name in read_names(clips.file.tolist())]
    if not any(times):
        raise DataError(
            f"'{clips.name}': found no file name with a time, such as {clips.file[0]}; expected "
            "names such as SITE1_20240601_043000.wav"
        )
    return [_UNKNOWN if time is None else f"{time.hour:02d} h" for time in times]


_NAMES: dict[str, Callable[[Clips], Sequence[str]]] = {
    "site": _of_recorders("site"),
    "day": _of_recorders("day"),
    "hour": _hours,
    "folder": lambda clips: [str(file).rpartition("/")[0] or "." for file in clips.file],
    "group": lambda clips: clips.group.tolist(),
    "fold": lambda clips: [f"fold {fold}" if fold else "none" for fold in clips.fold],
}
