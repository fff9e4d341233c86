"""Published results of others, to show beside ours, with how they were measured.

The numbers and their sources are in ``published.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from semisonic.data.categories import esc_name


@dataclass(frozen=True)
class PublishedResult:
    """One published accuracy, 0 to 1. ``folds`` has it by fold, if known."""

    system: str
    data: str
    accuracy: float
    protocol: str
    source: str
    note: str = ""
    folds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Study:
    """The results of one study, and how its protocol differs from ours.

    Attributes
    ----------
    source : str
        Who and where.
    rows : tuple of PublishedResult
    notes : tuple of str
        Differences of protocol, each a sentence.
    measure : str
        What the values are.
    """

    source: str
    rows: tuple[PublishedResult, ...]
    notes: tuple[str, ...]
    measure: str = "accuracy"


_FILE = tomllib.loads((files(__package__) / "published.toml").read_text(encoding="utf-8"))


def _results(rows: Sequence[dict[str, Any]]) -> tuple[PublishedResult, ...]:
    return tuple(PublishedResult(**{**row, "folds": tuple(row.get("folds", ()))}) for row in rows)


def _study(study: dict[str, Any]) -> Study:
    rows = [
        *study.get("rows", ()),
        *(row for name in study.get("tables", ()) for row in _FILE[name]),
    ]
    measure = study.get("measure", "accuracy")
    return Study(study["source"], _results(rows), tuple(study["notes"]), measure)


SOURCES: dict[str, str] = _FILE["sources"]
BASELINES = _results(_FILE["baselines"])
HUMAN = _results(_FILE["human"])
HUMAN_ESC_10: dict[str, tuple[int, int]] = {
    name: (right, judged) for name, (right, judged) in _FILE["human_esc_10"].items()
}
"""Right judgements and all of them, by class."""

ESC_NOTES: tuple[str, ...] = tuple(_FILE["esc_notes"])
STUDIES = {name: _study(study) for name, study in _FILE["studies"].items()}
"""By the value of the recipe key ``published``."""

ALL = (
    *BASELINES,
    *STUDIES["piczak"].rows,
    *_results(_FILE["cae_table_2"][-1:] + _FILE["cae_upsampling"]),
    *HUMAN,
)
"""Published results on ESC and UrbanSound8K, each number once."""


def published_for(data: str) -> list[PublishedResult]:
    """List the published results on a data set, the lowest first.

    Parameters
    ----------
    data : str
        Its name.

    Returns
    -------
    list of PublishedResult

    Examples
    --------
    >>> published_for("esc50")[-1].system
    'human listeners'
    """
    return sorted((p for p in ALL if same_data(p.data, data)), key=lambda p: p.accuracy)


def same_data(a: str, b: str) -> bool:
    """Tell whether two names mean the same data set.

    Examples
    --------
    >>> same_data("ESC-10", "esc10")
    True
    """

    def plain(name: str) -> str:
        return "".join(c for c in name.lower() if c.isalnum())

    return plain(a) == plain(b)


def human_accuracy(data: str) -> float | None:
    """The accuracy of listeners on a data set, 0 to 1; None if it was not measured."""
    return next((one.accuracy for one in HUMAN if same_data(one.data, data)), None)


def human_recall(data: str, classes: Sequence[str]) -> list[float] | None:
    """The recall of listeners for each class, 0 to 1; None if it is not known for every class."""
    names = [esc_name(name) for name in classes]
    if not same_data(data, "ESC-10") or not all(name in HUMAN_ESC_10 for name in names):
        return None
    return [HUMAN_ESC_10[name][0] / HUMAN_ESC_10[name][1] for name in names]


def listeners(data: str) -> str:
    """A sentence about the accuracy of listeners on a data set; empty if it was not measured."""
    for one in HUMAN:
        if same_data(one.data, data):
            return (
                f"People who listened to {one.data} were right in {100 * one.accuracy:.1f} % "
                f"({one.protocol}; Piczak 2015)."
            )
    return ""
