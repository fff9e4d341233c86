"""How good a model is on labelled clips: numbers with intervals.

Intervals come from one bootstrap that draws whole recordings, so clips of one recording are
in or out together and all numbers see the same draws (Efron and Tibshirani 1993, percentile
method).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic import evaluation
from semisonic.base.seeds import generator
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.evaluation import Interval

if TYPE_CHECKING:
    import pandas as pd

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
        As :func:`semisonic.evaluation.summary` gives them.
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
        return evaluation.confusion(self.target, self.predicted, n_classes)

    def mistakes(self) -> NDArray[np.int64]:
        """Rows of wrong clips, the surest mistake first.

        With several labels per clip, those whose best class is none of their labels.
        """
        rows = np.arange(len(self.clips))
        hit = self.target[rows, self.predicted] > 0 if self.multi_label else (
            self.target == self.predicted
        )  # fmt: skip
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
    metrics = evaluation.summary(target, scores, clips.classes)
    intervals = bootstrap(
        _several() if multi_label else _single(len(clips.classes)),
        target, scores, clips.group, level=level, n_resamples=n_resamples, seed=seed,
    )  # fmt: skip
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
            low, high = evaluation.wilson(round(low * n), n, level)
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
        "lwlrap": guarded(evaluation.lwlrap),
        "mean_average_precision": guarded(evaluation.mean_average_precision),
    }
