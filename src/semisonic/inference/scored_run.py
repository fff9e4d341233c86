"""The scored clips of a finished run, as its tables tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import read_csv, read_json
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.inference.modelfile import MODEL

TEST, VALIDATION = "test", "validation"
_FILES = {TEST: "scores.csv", VALIDATION: "validation.csv"}
_OWN = ("clip", "label", "group", "predicted", "score")


@dataclass(frozen=True)
class ScoredClip:
    """One clip of a run.

    Attributes
    ----------
    labels : tuple of str
    predicted : str
        The class with the highest score.
    group : str
        The recording; the clip itself where the table does not tell.
    scores : mapping of str to float
        By class; empty where the table has the best one only.
    """

    labels: tuple[str, ...]
    predicted: str
    group: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class ScoredRun:
    """A run with the clips that it scored.

    Attributes
    ----------
    folder : Path
    part : {"test", "validation"}
        Validation clips have chosen the epoch, so they flatter.
    clips : mapping of str to ScoredClip
        By the clip's name.
    measures : mapping of str to float
    options : mapping
        What ``run.json`` says was asked for.
    """

    folder: Path
    part: str
    clips: Mapping[str, ScoredClip]
    measures: Mapping[str, float]
    options: Mapping[str, Any]

    @property
    def is_multi_label(self) -> bool:
        """Whether some clip carries several labels, or none."""
        return any(len(one.labels) != 1 for one in self.clips.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels and predictions that occur, and classes with a score; sorted."""
        found: set[str] = set()
        for one in self.clips.values():
            found |= {*one.labels, one.predicted, *one.scores}
        return tuple(sorted(found))

    def targets(self, clips: Iterable[str], classes: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which labels some clips carry, shape (n, n_classes)."""
        return np.array([[name in self.clips[c].labels for name in classes] for c in clips])


def scored_run(folder: Path) -> ScoredRun:
    """What a run of ``evaluate`` or ``train`` scored.

    Raises
    ------
    DataError
        When it scored nothing clip by clip.
    """
    record = _json(folder / "run.json")
    for part, name in _FILES.items():
        table = folder / name
        if not table.is_file():
            continue
        metrics = _json(folder / "metrics.json")
        numbers = metrics if part == TEST else metrics.get(part, {})
        measures = {
            key: float(value)
            for key, value in {**numbers, **metrics.get("cost", {})}.items()
            if isinstance(value, int | float)
        }
        options = record.get("options", {})
        return ScoredRun(folder, part, _clips(table), measures, options)
    raise DataError(
        f"{folder.name}: no scores clip by clip; 'semisonic evaluate {folder} LABELLED' makes them"
    )


def measured_in(model: Path, others: Iterable[Path]) -> list[Path]:
    """Those of some run folders in which ``evaluate`` measured the model of a folder."""
    wanted = {model.resolve(), (model / MODEL).resolve()}
    found = []
    for folder in others:
        record = _json(folder / "run.json")
        asked = record.get("options", {}).get("model")
        is_measure = record.get("command") == "evaluate" and (folder / _FILES[TEST]).is_file()
        if is_measure and isinstance(asked, str) and Path(asked).resolve() in wanted:
            found.append(folder)
    return found


def _clips(table: Path) -> dict[str, ScoredClip]:
    rows = read_csv(table)
    found = {}
    try:
        for row in rows:
            labels = tuple(filter(None, row["label"].split(LABEL_SEPARATOR)))
            scores = {name: float(value) for name, value in row.items() if name not in _OWN}
            group = row.get("group") or row["clip"]
            found[row["clip"]] = ScoredClip(labels, row["predicted"], group, scores)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{table}: not a table of scored clips: {error}") from None
    if not found:
        raise DataError(f"{table}: holds no clip")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
