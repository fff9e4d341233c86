"""The table of predictions: one row per clip, setting, arm and draw. Every number comes from it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import read_csv, write_csv
from semisonic.core.text import count_text
from semisonic.evaluation.metrics import as_classes, as_scores

_TEXT = ("clip", "group", "setting", "arm")
_NUMBER = ("fold", "draw", "seed")
_COLUMNS = ("clip", "group", "fold", "draw", "seed", "setting", "arm", "target", "predicted")
_CELL = ("setting", "arm", "draw", "seed")
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
        if not tables:
            raise DataError("predictions: nothing to join")
        if len({table.classes for table in tables}) > 1:
            raise DataError("predictions: tables with different class lists cannot be joined")
        joined = {
            name: np.concatenate([getattr(table, name) for table in tables])
            for name in (*_COLUMNS, "probabilities")
        }
        return cls(**joined, classes=tables[0].classes)

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, rows: Any) -> Predictions:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "classes"}
        return Predictions(
            **{name: np.atleast_1d(column[rows]) for name, column in columns.items()},
            classes=self.classes,
        )

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
        wanted = set(self.clip.tolist() if expected is None else expected)
        columns = (getattr(self, name).tolist() for name in _CELL)
        for key in dict.fromkeys(zip(*columns, strict=True)):
            cell = dict(zip(_CELL, key, strict=True))
            _check_once(cell, self.select(**cell).clip.tolist(), wanted)
        known: dict[str, tuple[int, str, int]] = {}
        facts = zip(self.target.tolist(), self.group.tolist(), self.fold.tolist(), strict=True)
        for clip, fact in zip(self.clip.tolist(), facts, strict=True):
            if known.setdefault(clip, fact) != fact:
                raise DataError(
                    f"predictions: clip '{clip}' has (target, recording, fold) {fact} in one row "
                    f"and {known[clip]} in another, expected the same"
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
        try:
            rows = read_csv(path)
        except (OSError, EOFError, csv.Error) as error:
            raise DataError(f"predictions: {path} cannot be read: {error}") from error
        names = list(rows[0]) if rows else []
        if tuple(names[: len(_COLUMNS)]) != _COLUMNS:
            raise DataError(f"{path}: not a table of predictions; expected the columns {_COLUMNS}")
        scored = names[len(_COLUMNS) :]
        classes = tuple(name.removeprefix(_PROBABILITY) for name in scored)
        number = {name: i for i, name in enumerate(classes)}
        columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, "probabilities")}
        for line, row in enumerate(rows, start=2):
            try:
                for name in _TEXT:
                    columns[name].append(row[name])
                for name in _NUMBER:
                    columns[name].append(int(row[name]))
                for name in ("target", "predicted"):
                    columns[name].append(number[row[name]])
                columns["probabilities"].append([float(row[name]) for name in scored])
            except (ValueError, KeyError) as error:
                raise DataError(
                    f"{path}, line {line}: not a row of predictions: {error}"
                ) from error
        typed: dict[str, Any] = {name: np.array(columns[name], np.str_) for name in _TEXT}
        for name in (*_NUMBER, "target", "predicted"):
            typed[name] = np.array(columns[name], np.int64)
        typed["probabilities"] = np.array(columns["probabilities"], np.float32)
        return cls(**typed, classes=classes)


def _check_once(cell: Mapping[str, Any], clips: list[str], wanted: set[str]) -> None:
    where = "setting '{setting}', arm '{arm}', draw {draw}, seed {seed}".format_map(cell)
    found = set(clips)
    if len(found) < len(clips):
        seen: set[str] = set()
        twice = next(clip for clip in clips if clip in seen or seen.add(clip))  # type: ignore[func-returns-value]
        raise DataError(f"predictions: clip '{twice}' is scored more than once in {where}")
    for clips_wrong, what in ((wanted - found, "not scored"), (found - wanted, "no test clip")):
        if clips_wrong:
            raise DataError(
                f"predictions: {what} in {where}: {count_text(len(clips_wrong), 'clip')}, "
                f"the first is '{min(clips_wrong)}'"
            )


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
        sorted_parts = [_in_order(member.select(arm=arm)) for member in members]
        first = sorted_parts[0]
        for other in sorted_parts[1:]:
            if not _same_work(first, other):
                raise DataError(
                    f"ensemble '{name}': its settings were not tested on the same clips"
                )
        mean = np.mean([part.probabilities for part in sorted_parts], axis=0).astype(np.float32)
        parts.append(
            replace(
                first,
                setting=np.array([name] * len(first), np.str_),
                predicted=mean.argmax(axis=1).astype(np.int64),
                probabilities=mean,
            )
        )
    return Predictions.concat(parts)


def _in_order(part: Predictions) -> Predictions:
    return part[np.lexsort((part.clip, part.seed, part.draw))]


def _same_work(a: Predictions, b: Predictions) -> bool:
    columns = ("clip", "draw", "seed", "fold", "target")
    return len(a) == len(b) and all(
        np.array_equal(getattr(a, column), getattr(b, column)) for column in columns
    )


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
    order = np.argsort(predictions.clip, kind="stable")
    names, starts = np.unique(predictions.clip[order], return_index=True)
    for clip, rows in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
        mean = predictions.probabilities[rows].astype(np.float64).mean(axis=0)
        target, predicted = int(predictions.target[rows[0]]), int(mean.argmax())
        if predicted == target:
            continue
        found.append(
            ConfidentError(
                clip=clip,
                group=str(predictions.group[rows[0]]),
                fold=int(predictions.fold[rows[0]]),
                target=predictions.classes[target],
                predicted=predictions.classes[predicted],
                score=float(mean[predicted]),
                true_score=float(mean[target]),
                n_wrong=int((~predictions.correct[rows]).sum()),
                n_scored=len(rows),
            )
        )
    return sorted(found, key=lambda wrong: (wrong.true_score - wrong.score, wrong.clip))[:n]
