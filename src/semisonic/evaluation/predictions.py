"""The table of scored clips, from which every number of an experiment comes."""

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
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets

CELL = ["setting", "arm", "draw", "seed"]
_TEXT, _NUMBERS = ["clip", "group", "setting", "arm"], ["fold", "draw", "seed"]
_COLUMNS = ["clip", "group", "fold", "draw", "seed", "setting", "arm", "target", "predicted"]
_PROBABILITY, _SEPARATOR = "p:", ";"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scored clips: a row per clip, setting, arm and draw.

    Attributes
    ----------
    frame : DataFrame
        ``clip`` and ``group`` (the recording it was cut from), the test ``fold``, the ``draw``
        of labels and the ``seed`` of the training, the ``setting`` (such as "batch 32") and the
        ``arm`` that is compared, and the number of the class ``predicted``. Each column is an
        attribute of the table, too.
    target : ndarray
        Class numbers, shape (n,), or for clips of several labels booleans, shape (n, n_classes).
    probabilities : ndarray of float32, shape (n, n_classes)
        Of several labels any scores by which classes are ranked.
    classes : tuple of str
    """

    frame: pd.DataFrame
    target: NDArray[Any]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]

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
        draw: ArrayLike = 0,
        seed: ArrayLike = 0,
        setting: ArrayLike = "default",
        arm: ArrayLike = "model",
        predicted: ArrayLike | None = None,
    ) -> Predictions:
        """The rows of one job (one fold, arm and draw), or of several at once.

        Without ``predicted`` the class of the highest probability is taken; without
        ``group`` each clip is its own recording.

        Raises
        ------
        DataError
            For shapes that do not fit, classes that there are not, clips without a label, and
            scores that are not finite.
        """
        names, truth = np.asarray(clip, object), np.asarray(target)
        table = as_scores(probabilities).astype(np.float32)
        n, n_classes = len(names), len(classes)
        if table.shape != (n, n_classes) or truth.shape not in ((n,), (n, n_classes)):
            raise DataError(
                f"predictions: found {n} clips, targets of shape {truth.shape} and scores of shape "
                f"{table.shape}, expected {n} rows of each and {n_classes} classes"
            )
        if truth.ndim == 1:
            truth = as_classes(truth, "target", n_classes)
        elif not (truth := as_targets(truth)).any(axis=1).all():
            clip = str(names[~truth.any(axis=1)][0])
            raise DataError(f"predictions: the clip '{clip}' has no label to compare with")
        chosen = table.argmax(axis=1) if predicted is None else predicted
        columns = {
            "clip": names,
            "group": names if group is None else group,
            "fold": fold,
            "draw": draw,
            "seed": seed,
            "setting": setting,
            "arm": arm,
            "predicted": as_classes(chosen, "predicted", n_classes),
        }
        frame = pd.DataFrame(index=range(n))
        for name, values in columns.items():
            # As objects, since names of files need not be Unicode.
            kind = object if name in _TEXT else np.int64
            frame[name] = pd.Series(np.broadcast_to(np.asarray(values, kind), n), dtype=kind)
        return cls(frame, truth, table, tuple(classes))

    @classmethod
    def concat(cls, parts: Iterable[Predictions]) -> Predictions:
        """All rows of several tables with the same classes."""
        tables = list(parts)
        if len({table.classes for table in tables}) != 1:
            raise DataError(
                "predictions: found tables with different classes, expected the same classes in all"
            )
        several = any(table.target.ndim == 2 for table in tables)
        return cls(
            pd.concat([table.frame for table in tables], ignore_index=True),
            np.concatenate([table.targets if several else table.target for table in tables]),
            np.concatenate([table.probabilities for table in tables]),
            tables[0].classes,
        )

    def __len__(self) -> int:
        return len(self.frame)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name == "frame" or name not in self.frame:
            raise AttributeError(f"a table of predictions has no '{name}'")
        return np.asarray(self.frame[name])

    def __getitem__(self, rows: Any) -> Predictions:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        return replace(
            self,
            frame=self.frame.iloc[rows].reset_index(drop=True),
            target=self.target[rows],
            probabilities=self.probabilities[rows],
        )

    def __repr__(self) -> str:
        clips = self.frame["clip"].nunique()
        return f"<Predictions: {len(self)} rows, {clips} clips, {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        from semisonic.core.html import MOST_ROWS, card, frame_table, note

        cells = self.frame.assign(correct=self.correct).groupby(CELL[:2], sort=False)
        counts = {"clips": ("clip", "nunique"), "rows": ("clip", "size")}
        table = cells.agg(**counts, right=("correct", "mean"))
        first = self[:MOST_ROWS]
        names = np.array(self.classes, object)
        shown = first.frame.assign(
            target=first._labels(),
            predicted=names[first.frame["predicted"]],
            score=first.probabilities.max(axis=1).astype(np.float64),
        )
        title = f"Predictions: {len(self)} rows, {len(self.classes)} classes"
        about = note("'right' is the share of rows whose class is one of the clip's labels")
        return card(title, frame_table(table.reset_index()), about, frame_table(shown, len(self)))

    def assign(self, **columns: str | int) -> Predictions:
        """The table with one value in all of a column, as in ``assign(setting="batch 32")``."""
        return replace(self, frame=self.frame.assign(**columns))

    def select(self, **wanted: str | int) -> Predictions:
        """The rows whose columns have these values, as in ``select(arm="control", draw=0)``."""
        mask = np.ones(len(self), np.bool_)
        for name, value in wanted.items():
            mask &= (self.frame[name] == value).to_numpy()
        if not mask.any():
            text = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
            raise DataError(f"predictions: found no row with {text}")
        return self[mask]

    @property
    def targets(self) -> NDArray[np.bool_]:
        """Which labels each clip has, shape (n, n_classes)."""
        found: NDArray[np.bool_] = self.target
        if found.ndim == 1:
            found = np.equal.outer(found, np.arange(len(self.classes)))
        return found

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which rows are right, shape (n,)."""
        rows = np.arange(len(self))
        return np.asarray(self.targets[rows, self.frame["predicted"].to_numpy()])

    @property
    def settings(self) -> list[str]:
        """The settings in the order in which they first occur."""
        return list(self.frame["setting"].unique())

    @property
    def arms(self) -> list[str]:
        """The arms in the order in which they first occur."""
        return list(self.frame["arm"].unique())

    def check(self) -> Predictions:
        """Return the table if each cell (setting, arm, draw and seed) has every clip once.

        Raises
        ------
        DataError
            With the cell and the clip that is missing or occurs twice, or the clip whose target,
            recording or fold differs elsewhere in the table.
        """
        counts = self.frame.groupby([*CELL, "clip"], sort=False).size().unstack(fill_value=0)
        times: NDArray[np.int64] = counts.to_numpy()
        for cell, column in np.argwhere(times != 1)[:1].tolist():
            setting, arm, draw, seed = counts.index[cell]
            clip = str(counts.columns[column])
            raise DataError(
                f"predictions: clip '{clip}' is scored {times[cell, column]} "
                f"times in setting '{setting}', arm '{arm}', draw {draw}, seed {seed}, expected "
                "once"
            )
        facts = self.frame[["clip", "group", "fold"]]
        facts = facts.assign(target=pd.Series(self._labels(), dtype=object))
        facts = facts.drop_duplicates()
        if len(other := facts[facts["clip"].duplicated(keep=False)]):
            first, second = other[other["clip"] == other["clip"].iloc[0]].iloc[:2].to_numpy()
            raise DataError(
                f"predictions: clip '{first[0]}' has (recording, fold, target) {(*first[1:],)} in "
                f"one row and {(*second[1:],)} in another, expected the same"
            )
        return self

    def _labels(self) -> list[str]:
        """The labels of each clip as text."""
        names = np.array(self.classes, object)
        if self.target.ndim == 1:
            return list(names[self.target])
        return [_SEPARATOR.join(names[row]) for row in self.target]

    def write(self, path: str | Path) -> Path:
        """Write a CSV file (gzip when the name ends in .gz); class names stand for numbers."""
        predicted = [self.classes[one] for one in self.frame["predicted"]]
        columns = [self.frame[name].tolist() for name in _COLUMNS[:-2]]
        rows = (
            [*row, *(f"{p:.9g}" for p in scores)]
            for *row, scores in zip(
                *columns, self._labels(), predicted, self.probabilities.tolist(), strict=True
            )
        )
        headers = [*_COLUMNS, *(_PROBABILITY + name for name in self.classes)]
        write_csv(path, headers, rows, errors="surrogateescape")
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> Predictions:
        """Read a file that :meth:`write` made.

        Raises
        ------
        DataError
            If it cannot be read, or is not a table of predictions.
        """
        try:
            rows = read_csv(path)
        except (OSError, EOFError, csv.Error) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        names = list(rows[0]) if rows else []
        if names[: len(_COLUMNS)] != _COLUMNS:
            raise DataError(f"{path}: not a table of predictions; expected the columns {_COLUMNS}")
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in _COLUMNS}
        scores = [[row[name] for name in names[len(_COLUMNS) :]] for row in rows]
        classes = [name.removeprefix(_PROBABILITY) for name in names[len(_COLUMNS) :]]
        number = {name: i for i, name in enumerate(classes)}
        labels = columns.pop("target")
        try:
            target: Any = [number.get(text, -1) for text in labels]
            if -1 in target:
                target = np.zeros((len(rows), len(classes)), np.bool_)
                for row, text in zip(target, labels, strict=True):
                    row[[number[name] for name in text.split(_SEPARATOR)]] = True
            columns["predicted"] = [number[name] for name in columns["predicted"]]
            columns |= {name: list(map(int, columns[name])) for name in _NUMBERS}
            table = np.array(scores, np.float32)
        except (ValueError, KeyError) as error:
            raise DataError(f"{path}: not a table of predictions: found {error}") from error
        return cls.of(columns.pop("clip"), target, table, classes, **columns)


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
            f"ensemble '{name}': found {list(settings)}, expected two or more settings and a "
            "new name"
        )
    members = [predictions.select(setting=one) for one in settings]
    parts = [predictions]
    for arm in [one for one in members[0].arms if all(one in member.arms for member in members)]:
        rows = [in_order(member.select(arm=arm)) for member in members]
        first, keys = rows[0], ["clip", "draw", "seed", "fold"]
        if not all(part.frame[keys].equals(first.frame[keys]) for part in rows):
            raise DataError(
                f"ensemble '{name}': found settings that were tested on different "
                "clips, expected the same clips"
            )
        mean = np.mean([part.probabilities for part in rows], axis=0).astype(np.float32)
        frame = first.frame.assign(setting=name, predicted=mean.argmax(axis=1))
        parts.append(replace(first, frame=frame, probabilities=mean))
    return Predictions.concat(parts)


def in_order(predictions: Predictions) -> Predictions:
    """The rows sorted by draw, seed and clip."""
    return predictions[predictions.frame.sort_values(["draw", "seed", "clip"]).index.to_numpy()]


def top_errors(predictions: Predictions, n: int = 12) -> pd.DataFrame:
    """List the clips with the largest gap between a wrong class and the right one.

    Each clip occurs once: the probabilities of its scorings (draws) are averaged, and it
    counts as an error when the average is highest for a wrong class.

    Parameters
    ----------
    predictions : Predictions
        Of one label per clip.
    n : int
        At most so many.

    Returns
    -------
    DataFrame
        The most certain first: ``clip``, ``target`` and ``predicted`` by name, their mean scores
        ``true_score`` and ``score``, and in how many of its scorings the clip was wrong,
        ``n_wrong`` of ``n_scored``.
    """
    names = np.array(predictions.classes, object)
    owner, clips = pd.factorize(predictions.frame["clip"])
    mean = pd.DataFrame(predictions.probabilities.astype(np.float64)).groupby(owner).mean()
    rows, table = np.arange(len(clips)), mean.to_numpy()
    target = predictions.target[np.unique(owner, return_index=True)[1]]
    predicted = table.argmax(axis=1)
    found = pd.DataFrame(
        {
            "clip": clips,
            "target": names[target],
            "predicted": names[predicted],
            "score": table[rows, predicted],
            "true_score": table[rows, target],
            "n_wrong": np.bincount(owner, ~predictions.correct).astype(int),
            "n_scored": np.bincount(owner),
        }
    )
    found["gap"] = found["true_score"] - found["score"]
    wrong: pd.DataFrame = found[target != predicted]
    return wrong.sort_values(["gap", "clip"], ignore_index=True).head(n).drop(columns="gap")
