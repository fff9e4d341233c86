"""Clips with several labels: the table of their scores, and how two ways to score them compare."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import read_csv, write_csv
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    FoldPair,
    cautions_of,
    hull,
    t_test_of_folds,
)
from semisonic.evaluation.intervals import Interval, bootstrap_difference, bootstrap_interval
from semisonic.evaluation.metrics import (
    as_scores,
    as_targets,
    label_precisions,
    mean_average_precision,
)

_COLUMNS = ("clip", "group", "labels")
_SEPARATOR, _SCORE = ";", "p:"


@dataclass(frozen=True, eq=False)
class TagScores:
    """The scored test clips of one fold and draw, each once.

    Attributes
    ----------
    clip, group : ndarray of str, shape (n,)
    targets : ndarray of bool, shape (n, n_classes)
        At least one in each row.
    scores : ndarray of float64, shape (n, n_classes)
        Any numbers by which classes are ranked, such as probabilities.
    classes : tuple of str
    fold, draw : int
    """

    clip: NDArray[np.str_]
    group: NDArray[np.str_]
    targets: NDArray[np.bool_]
    scores: NDArray[np.float64]
    classes: tuple[str, ...]
    fold: int = 0
    draw: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.clip), len(self.classes))
        as_targets(self.targets)
        as_scores(self.scores)
        if self.targets.shape != shape or self.scores.shape != shape:
            raise DataError(
                f"scores of tags: found targets {self.targets.shape} and scores "
                f"{self.scores.shape}, expected {shape}"
            )
        if len(set(self.clip.tolist())) != len(self.clip):
            raise DataError("scores of tags: a clip stands twice, expected each once")
        if not self.targets.any(axis=1).all():
            clip = self.clip[~self.targets.any(axis=1)][0]
            raise DataError(f"scores of tags: the clip '{clip}' has no label to be measured by")

    @classmethod
    def of(
        cls,
        clip: ArrayLike,
        targets: ArrayLike,
        scores: ArrayLike,
        classes: Sequence[str],
        *,
        group: ArrayLike,
        fold: int = 0,
        draw: int = 0,
    ) -> TagScores:
        """The same from whatever numpy takes, in the order of the clips' names."""
        names = np.asarray(clip, np.str_)
        order = np.argsort(names)
        return cls(
            names[order],
            np.asarray(group, np.str_)[order],
            as_targets(targets)[order],
            np.asarray(scores, np.float64)[order],
            tuple(classes),
            fold,
            draw,
        )

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def values(self) -> NDArray[np.float64]:
        """What lwlrap is the mean of, shape (n_labels,); see :func:`label_precisions`."""
        return label_precisions(self.targets, self.scores)

    @property
    def lwlrap(self) -> float:
        """Label-weighted label-ranking average precision, 0 to 1."""
        return float(self.values.mean())

    @property
    def mean_average_precision(self) -> float:
        """Over the classes that have clips, 0 to 1."""
        return mean_average_precision(self.targets, self.scores)

    def write(self, path: str | Path) -> Path:
        """Write a gzipped CSV file: a row per clip, a column per class; it reads back equal."""
        headers = [*_COLUMNS, *(_SCORE + name for name in self.classes)]
        rows = (
            [clip, group, _SEPARATOR.join(map(str, np.flatnonzero(row))), *map(repr, scores)]
            for clip, group, row, scores in zip(
                self.clip.tolist(),
                self.group.tolist(),
                self.targets,
                self.scores.tolist(),
                strict=True,
            )
        )
        write_csv(path, headers, rows)
        return Path(path)

    @classmethod
    def read(cls, path: str | Path, *, fold: int = 0, draw: int = 0) -> TagScores:
        """Read a file that :meth:`write` made.

        Raises
        ------
        DataError
            When it cannot be read or is something else.
        """
        try:
            rows = read_csv(path)
            names = list(rows[0]) if rows else []
            if tuple(names[:3]) != _COLUMNS:
                raise ValueError(f"columns {names[:3]}")
            classes = tuple(name.removeprefix(_SCORE) for name in names[3:])
            targets = np.zeros((len(rows), len(classes)), np.bool_)
            for i, row in enumerate(rows):
                targets[i, [int(k) for k in row["labels"].split(_SEPARATOR)]] = True
            scores = np.array([[float(row[name]) for name in names[3:]] for row in rows])
        except (OSError, EOFError, ValueError, IndexError, csv.Error) as error:
            raise DataError(f"{path}: no table of scores of tags: {error}") from error
        clip, group = (np.array([row[name] for row in rows], np.str_) for name in _COLUMNS[:2])
        return cls(clip, group, targets, scores, classes, fold, draw)


@dataclass(frozen=True, eq=False)
class _Arm:
    """All folds and draws of one way: values of labels, shape (n_draws, n_labels)."""

    draws: tuple[int, ...]
    values: NDArray[np.float64]
    clip: NDArray[np.str_]
    group: NDArray[np.str_]
    fold: NDArray[np.int64]

    @classmethod
    def of(cls, tables: Iterable[TagScores]) -> _Arm:
        by_draw: dict[int, list[TagScores]] = {}
        for table in tables:
            by_draw.setdefault(table.draw, []).append(table)
        if not by_draw:
            raise DataError("scores of tags: nothing to compare")
        found = []
        for parts in by_draw.values():
            parts.sort(key=lambda one: one.fold)
            clip, group, fold = (
                np.concatenate([_of_labels(part, name) for part in parts])
                for name in ("clip", "group", "fold")
            )
            # Where folds hold the same clips, as in no set of ours, a clip would count twice.
            names = np.concatenate([part.clip for part in parts])
            if len(np.unique(names)) != len(names):
                raise DataError("scores of tags: a clip is tested in two folds of one draw")
            found.append((np.concatenate([part.values for part in parts]), clip, group, fold))
        first = found[0]
        for values, clip, _, fold in found[1:]:
            same = len(values) == len(first[0]) and (clip == first[1]).all()
            if not (same and (fold == first[3]).all()):
                raise DataError("scores of tags: draws with other test clips cannot be joined")
        return cls(tuple(by_draw), np.stack([one[0] for one in found]), *first[1:])

    @property
    def by_fold(self) -> list[tuple[int, int, float]]:
        """Draw, fold and lwlrap of each test."""
        return [
            (draw, number, float(row[self.fold == number].mean()))
            for draw, row in zip(self.draws, self.values, strict=True)
            for number in np.unique(self.fold).tolist()
        ]


def _of_labels(table: TagScores, name: str) -> NDArray[Any]:
    """A column with a row per label instead of a row per clip."""
    column = np.broadcast_to(np.asarray(getattr(table, name)), (len(table),))
    return np.repeat(column, table.targets.sum(axis=1))


def tag_arm(name: str, tables: Iterable[TagScores], *, level: float = 0.95) -> ArmAccuracy:
    """Mean lwlrap of one way over draws, with its spread and interval."""
    return _summary(name, _Arm.of(tables), {"level": level})


def _summary(name: str, arm: _Arm, options: dict[str, Any]) -> ArmAccuracy:
    by_draw = arm.values.mean(axis=1)
    by_fold = [value for _, _, value in arm.by_fold]
    several = len(np.unique(arm.group)) > 1
    return ArmAccuracy(
        name=name,
        mean=float(by_draw.mean()),
        spread=float(by_draw.std(ddof=1)) if len(by_draw) > 1 else float("nan"),
        fold_spread=float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else float("nan"),
        interval=bootstrap_interval(arm.values, arm.group, **options)
        if several
        else Interval(float("nan"), float("nan")),
    )


def compare_tags(
    name_a: str,
    tables_a: Iterable[TagScores],
    name_b: str,
    tables_b: Iterable[TagScores],
    *,
    setting: str = "",
    level: float = 0.95,
    n_resamples: int = 5000,
    seed: int = 0,
) -> Comparison:
    """Hold way b against way a by their lwlrap on the same clips, draws and folds.

    Two tests, as for one label per clip: a paired bootstrap over recordings and draws, and the
    corrected resampled t-test over folds and draws.

    Raises
    ------
    DataError
        When they were not tested alike.
    """
    a, b = _Arm.of(tables_a), _Arm.of(tables_b)
    if a.draws != b.draws or a.values.shape != b.values.shape or (a.clip != b.clip).any():
        raise DataError(
            f"compare: '{name_a}' and '{name_b}' were not tested on the same clips and draws"
        )
    options: dict[str, Any] = {"level": level, "n_resamples": n_resamples, "seed": seed}
    clips, first = np.unique(a.clip, return_index=True)
    folds = tuple(
        FoldPair(draw, seed, fold, len(np.unique(a.clip[a.fold == fold])), x, y)
        for (draw, fold, x), (_, _, y) in zip(a.by_fold, b.by_fold, strict=True)
    )
    boot = bootstrap_difference(b.values - a.values, a.group, **options)
    test = t_test_of_folds(folds, None, level)
    interval = Interval(boot.low, boot.high)
    return Comparison(
        setting=setting or name_b,
        a=_summary(name_a, a, options),
        b=_summary(name_b, b, options),
        n_clips=len(clips),
        n_recordings=len(np.unique(a.group)),
        folds=folds,
        draws=(),
        difference=boot.difference,
        interval=interval,
        wide_interval=hull(interval, test.interval),
        p_mcnemar=float("nan"),
        p_folds=test.p,
        t=test.t,
        p_bootstrap=boot.p,
        level=level,
        cautions=cautions_of(a.group[first], clips, a.fold[first], len(a.draws)),
    )
