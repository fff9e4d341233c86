"""Tables of scored clips, from which every number of an experiment comes.

:class:`Predictions` has one label per clip, and a row per clip, setting, arm and draw;
:class:`TagScores` has any number of labels per clip, and the clips of one fold and draw.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import read_csv, write_csv
from semisonic.core.text import count_text
from semisonic.evaluation.metrics import (
    as_classes,
    as_scores,
    as_targets,
    label_precisions,
    mean_average_precision,
)

_TEXT = ("clip", "group", "setting", "arm")
_COLUMNS = ("clip", "group", "fold", "draw", "seed", "setting", "arm", "target", "predicted")
_CELL = ["setting", "arm", "draw", "seed"]
_TAG_COLUMNS = ("clip", "group", "labels")
_PROBABILITY = "p:"


@dataclass(frozen=True, eq=False)
class Predictions:
    """An immutable table of scored clips with one label each.

    Attributes
    ----------
    clip, group : ndarray of str, shape (n,)
        The clip's identity and the recording it was cut from.
    fold : ndarray of int64, shape (n,)
        The test fold in which the clip was scored.
    draw, seed : ndarray of int64, shape (n,)
        The number of the label draw, and the seed of the training.
    setting, arm : ndarray of str, shape (n,)
        What was tried (such as "batch 32"), and which of the compared arms it is.
    target, predicted : ndarray of int64, shape (n,)
        The true class number and the chosen one.
    probabilities : ndarray of float32, shape (n, n_classes)
    classes : tuple of str
    """

    clip: NDArray[np.str_]
    group: NDArray[np.str_]
    fold: NDArray[np.int64]
    draw: NDArray[np.int64]
    seed: NDArray[np.int64]
    setting: NDArray[np.str_]
    arm: NDArray[np.str_]
    target: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.clip)
        for name in (*_COLUMNS, "probabilities"):
            found = len(getattr(self, name))
            if found != n:
                raise DataError(f"predictions: column '{name}' has {found} rows, expected {n}")
        if self.probabilities.shape != (n, len(self.classes)):
            raise DataError(
                f"predictions: probabilities have shape {self.probabilities.shape}, "
                f"expected ({n}, {len(self.classes)})"
            )
        if n:
            as_classes(self.target, "target", len(self.classes))
            as_classes(self.predicted, "predicted", len(self.classes))
            as_scores(self.probabilities)

    @classmethod
    def of(
        cls,
        clip: ArrayLike,
        target: ArrayLike,
        probabilities: ArrayLike,
        classes: Sequence[str],
        *,
        group: ArrayLike | None = None,
        fold: ArrayLike = 0,
        draw: int = 0,
        seed: int = 0,
        setting: str = "default",
        arm: str = "model",
        predicted: ArrayLike | None = None,
    ) -> Predictions:
        """The rows of one job (one fold, arm and draw), or of several folds at once.

        Without ``predicted`` the class of the highest probability is taken; without
        ``group`` each clip is its own recording.
        """
        names = np.asarray(clip, dtype=np.str_)
        n = len(names)
        table = np.asarray(probabilities, dtype=np.float32)
        chosen = table.argmax(axis=1) if predicted is None else predicted
        return cls(
            clip=names,
            group=names if group is None else np.asarray(group, dtype=np.str_),
            fold=np.broadcast_to(np.asarray(fold, np.int64), (n,)).copy(),
            draw=np.full(n, draw, np.int64),
            seed=np.full(n, seed, np.int64),
            setting=np.full(n, setting, dtype=np.dtype(f"<U{max(1, len(setting))}")),
            arm=np.full(n, arm, dtype=np.dtype(f"<U{max(1, len(arm))}")),
            target=np.asarray(target, np.int64),
            predicted=np.asarray(chosen, np.int64),
            probabilities=table,
            classes=tuple(classes),
        )

    @classmethod
    def concat(cls, parts: Iterable[Predictions]) -> Predictions:
        """All rows of several tables with the same classes."""
        tables = list(parts)
        if len({table.classes for table in tables}) != 1:
            raise DataError("predictions: expected tables of one list of classes to be joined")
        names = (*_COLUMNS, "probabilities")
        joined = {name: np.concatenate([getattr(one, name) for one in tables]) for name in names}
        return cls(**joined, classes=tables[0].classes)

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, rows: Any) -> Predictions:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        names = (*_COLUMNS, "probabilities")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def frame(self) -> pd.DataFrame:
        """The columns without the probabilities, and ``correct``."""
        columns = {name: getattr(self, name) for name in (*_COLUMNS, "correct")}
        return pd.DataFrame({name: pd.Series(values.tolist()) for name, values in columns.items()})

    def select(self, **wanted: str | int) -> Predictions:
        """The rows whose columns have these values, as in ``select(arm="control", draw=0)``."""
        mask = np.ones(len(self), np.bool_)
        for name, value in wanted.items():
            if name not in _COLUMNS:
                raise DataError(f"predictions: no column '{name}'; columns: {', '.join(_COLUMNS)}")
            mask &= getattr(self, name) == value
        if not mask.any():
            text = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
            raise DataError(f"predictions: no row has {text}")
        return self[mask]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which rows are right, shape (n,)."""
        return np.equal(self.predicted, self.target)

    @property
    def settings(self) -> list[str]:
        """The settings in the order in which they first occur."""
        return list(dict.fromkeys(self.setting.tolist()))

    @property
    def arms(self) -> list[str]:
        """The arms in the order in which they first occur."""
        return list(dict.fromkeys(self.arm.tolist()))

    def check(self, expected: Iterable[str] | None = None) -> Predictions:
        """Return the table if every clip is scored exactly once in each cell.

        A cell is a setting and arm, trained with one draw and seed.

        Parameters
        ----------
        expected : iterable of str, optional
            The clips that must be there; by default every clip that any cell has.

        Raises
        ------
        DataError
            Names the cell and the clip that is missing, stands twice, is not a test
            clip, or has another target, recording or fold elsewhere in the table.
        """
        frame = self.frame
        wanted = set(self.clip.tolist() if expected is None else expected)
        for cell, clips in frame.groupby(_CELL, sort=False)["clip"]:
            where = "setting '{}', arm '{}', draw {}, seed {}".format(*cell)
            if len(twice := clips[clips.duplicated()]):
                raise DataError(
                    f"predictions: clip '{twice.iloc[0]}' is scored more than once in {where}"
                )
            found = set(clips)
            for wrong, what in ((wanted - found, "not scored"), (found - wanted, "no test clip")):
                if wrong:
                    raise DataError(
                        f"predictions: {what} in {where}: {count_text(len(wrong), 'clip')}, "
                        f"the first is '{min(wrong)}'"
                    )
        facts = frame[["clip", "target", "group", "fold"]].drop_duplicates()
        if len(other := facts[facts["clip"].duplicated(keep=False)]):
            first = other[other["clip"] == other["clip"].iloc[0]].iloc[:2, 1:]
            raise DataError(
                f"predictions: clip '{other['clip'].iloc[0]}' has (target, recording, fold) "
                f"{' in one row and '.join(map(str, first.itertuples(index=False, name=None)))} "
                "in another, expected the same"
            )
        return self

    def write(self, path: str | Path) -> Path:
        """Write a CSV file (gzip when the name ends in .gz); class names stand for numbers."""
        names = [getattr(self, name).tolist() for name in _COLUMNS[:-2]]
        names += [[self.classes[i] for i in row.tolist()] for row in (self.target, self.predicted)]
        headers = [*_COLUMNS, *(_PROBABILITY + name for name in self.classes)]
        rows = (
            [*row, *(f"{p:.9g}" for p in probabilities)]
            for *row, probabilities in zip(*names, self.probabilities.tolist(), strict=True)
        )
        write_csv(path, headers, rows, errors="surrogateescape")
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> Predictions:
        """Read a file that :meth:`write` made.

        Raises
        ------
        DataError
            When it cannot be read, or is something else.
        """
        rows, classes = read_scores(path, _COLUMNS, "predictions")
        number = {name: i for i, name in enumerate(classes)}
        columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, "probabilities")}
        for line, row in enumerate(rows, start=2):
            try:
                for name in _COLUMNS[:-2]:
                    columns[name].append(row[name] if name in _TEXT else int(row[name]))
                for name in _COLUMNS[-2:]:
                    columns[name].append(number[row[name]])
                columns["probabilities"].append([float(row[f"p:{name}"]) for name in classes])
            except (ValueError, KeyError) as error:
                raise DataError(
                    f"{path}, line {line}: not a row of predictions: {error}"
                ) from error
        arrays: dict[str, Any] = {
            name: np.array(values, np.str_ if name in _TEXT else np.int64)
            for name, values in columns.items()
            if name != "probabilities"
        }
        return cls(
            **arrays, probabilities=np.array(columns["probabilities"], np.float32), classes=classes
        )


@dataclass(frozen=True, eq=False)
class TagScores:
    """The scored test clips of one fold and draw with any number of labels, each once.

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
        headers = [*_TAG_COLUMNS, *(_PROBABILITY + name for name in self.classes)]
        labels = [";".join(map(str, np.flatnonzero(row))) for row in self.targets]
        rows = zip(
            self.clip.tolist(), self.group.tolist(), labels, self.scores.tolist(), strict=True
        )
        write_csv(path, headers, ([*row, *map(repr, scores)] for *row, scores in rows))
        return Path(path)

    @classmethod
    def read(cls, path: str | Path, *, fold: int = 0, draw: int = 0) -> TagScores:
        """Read a file that :meth:`write` made.

        Raises
        ------
        DataError
            When it cannot be read or is something else.
        """
        rows, classes = read_scores(path, _TAG_COLUMNS, "scores of tags")
        targets = np.zeros((len(rows), len(classes)), np.bool_)
        try:
            for found, row in zip(targets, rows, strict=True):
                found[[int(k) for k in row["labels"].split(";")]] = True
            scores = np.array([[float(row[f"p:{name}"]) for name in classes] for row in rows])
        except (ValueError, IndexError) as error:
            raise DataError(f"{path}: no table of scores of tags: {error}") from error
        clip, group = (np.array([row[name] for row in rows], np.str_) for name in ("clip", "group"))
        return cls(clip, group, targets, scores, classes, fold, draw)


def read_scores(
    path: str | Path, columns: Sequence[str], what: str
) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Rows of a table of scores, and the classes, whose columns follow the given ones.

    Raises
    ------
    DataError
        For a file that cannot be read or has other columns.
    """
    try:
        rows = read_csv(path)
    except (OSError, EOFError, csv.Error) as error:
        raise DataError(f"{what}: {path} cannot be read: {error}") from error
    names = list(rows[0]) if rows else []
    if names[: len(columns)] != list(columns):
        raise DataError(f"{path}: not a table of {what}; expected the columns {tuple(columns)}")
    return rows, tuple(name.removeprefix(_PROBABILITY) for name in names[len(columns) :])


def ensemble(predictions: Predictions, settings: Sequence[str], name: str) -> Predictions:
    """Add a setting that averages the probabilities of others, in each arm that all have.

    Parameters
    ----------
    predictions : Predictions
        The settings on the same clips and draws.
    settings : sequence of str
        Two or more names.
    name : str
        What the new setting is called.

    Returns
    -------
    Predictions

    Raises
    ------
    DataError
        For fewer than two settings, a name that is taken, or clips that one of them lacks.
    """
    if len(settings) < 2 or name in predictions.settings:
        raise DataError(
            f"ensemble '{name}' of {list(settings)}: expected two or more settings and a new name"
        )
    members = [predictions.select(setting=one) for one in settings]
    arms = [arm for arm in members[0].arms if all(arm in member.arms for member in members)]
    parts = [predictions]
    for arm in arms:
        rows = [member.select(arm=arm) for member in members]
        rows = [part[np.lexsort((part.clip, part.seed, part.draw))] for part in rows]
        first, keys = rows[0], ["clip", "draw", "seed", "fold", "target"]
        if not all(part.frame[keys].equals(first.frame[keys]) for part in rows):
            raise DataError(f"ensemble '{name}': its settings were not tested on the same clips")
        mean = np.mean([part.probabilities for part in rows], axis=0).astype(np.float32)
        parts.append(
            replace(
                first,
                setting=np.array([name] * len(first), np.str_),
                predicted=mean.argmax(axis=1).astype(np.int64),
                probabilities=mean,
            )
        )
    return Predictions.concat(parts)


@dataclass(frozen=True)
class ConfidentError:
    """A clip that was wrong: in how many of its scorings, and how sure the classifier was.

    ``score`` is the probability (0 to 1) given to ``predicted``, ``true_score`` that given
    to the right class, both the mean over all scorings of the clip.
    """

    clip: str
    group: str
    fold: int
    target: str
    predicted: str
    score: float
    true_score: float
    n_wrong: int
    n_scored: int


def top_errors(predictions: Predictions, n: int = 12) -> list[ConfidentError]:
    """List the clips with the largest gap between a wrong class and the right one.

    Each clip occurs once: the probabilities of its scorings (draws) are averaged, and it
    counts as an error when the average is highest for a wrong class.

    Parameters
    ----------
    predictions : Predictions
    n : int
        At most so many.

    Returns
    -------
    list of ConfidentError
        The most certain first.
    """
    found = []
    for clip, rows in predictions.frame.groupby("clip").indices.items():
        mean = predictions.probabilities[rows].astype(np.float64).mean(axis=0)
        first, target, predicted = rows[0], int(predictions.target[rows[0]]), int(mean.argmax())
        if predicted != target:
            found.append(
                ConfidentError(
                    clip=str(clip),
                    group=str(predictions.group[first]),
                    fold=int(predictions.fold[first]),
                    target=predictions.classes[target],
                    predicted=predictions.classes[predicted],
                    score=float(mean[predicted]),
                    true_score=float(mean[target]),
                    n_wrong=int((~predictions.correct[rows]).sum()),
                    n_scored=len(rows),
                )
            )
    return sorted(found, key=lambda wrong: (wrong.true_score - wrong.score, wrong.clip))[:n]
