"""Clips with several labels: the table of their scores, and how two ways to score them compare."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import read_csv, write_csv
from semisonic.evaluation.comparison import ArmAccuracy, Comparison, ScoredArm, compare_arms
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


def tag_arm(name: str, tables: Iterable[TagScores], *, level: float = 0.95) -> ArmAccuracy:
    """Compute mean lwlrap of one arm over draws, with its spread and interval."""
    return _arm_of(name, tables).accuracy(level=level)


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
    """Compare arm b with arm a by their lwlrap on the same clips, draws and folds.

    Two tests, as for one label per clip: a paired bootstrap over recordings and draws, and the
    corrected resampled t-test over folds and draws.

    Raises
    ------
    DataError
        When they were not tested alike.
    """
    return compare_arms(
        _arm_of(name_a, tables_a),
        _arm_of(name_b, tables_b),
        setting=setting or name_b,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
    )


def _arm_of(name: str, tables: Iterable[TagScores]) -> ScoredArm:
    """All folds and draws of one arm, with a value per label of a clip."""
    by_draw: dict[int, list[TagScores]] = {}
    for table in sorted(tables, key=lambda one: (one.draw, one.fold)):
        by_draw.setdefault(table.draw, []).append(table)
    if not by_draw:
        raise DataError("scores of tags: nothing to compare")
    draws = []
    for parts in by_draw.values():
        # A clip in two folds would count twice.
        names = np.concatenate([part.clip for part in parts])
        if len(np.unique(names)) != len(names):
            raise DataError("scores of tags: a clip is tested in two folds of one draw")
        times = [part.targets.sum(axis=1) for part in parts]
        clip, group, fold = (
            np.concatenate(
                [
                    np.repeat(np.broadcast_to(getattr(part, column), len(part)), n)
                    for part, n in zip(parts, times, strict=True)
                ]
            )
            for column in ("clip", "group", "fold")
        )
        draws.append((np.concatenate([part.values for part in parts]), clip, group, fold))
    _, *first = draws[0]
    for _, clip, _, fold in draws[1:]:
        if not (np.array_equal(clip, first[0]) and np.array_equal(fold, first[2])):
            raise DataError("scores of tags: draws with other test clips cannot be joined")
    keys = tuple((draw, 0) for draw in by_draw)
    return ScoredArm(name, keys, np.stack([values for values, *_ in draws]), *first)
