"""``Queue``: what to listen to next, in its order, with what a model guesses.

As a file it is a CSV table whose column ``label`` is empty: who likes a spreadsheet fills it in
and trains from the table. The names of recordings are relative to the table's folder.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.files import replacing

GUESSES = 3
"""Guesses of a row that a table has columns for."""
RANDOM, UNCERTAIN, DIVERSE, TYPICAL = REASONS = ("random", "uncertain", "diverse", "typical")
"""Why a row is asked: drawn by chance; the model wavers; unlike what is labelled; the middle of
a group of recordings that sound alike."""
SOURCE = "suggest:"
"""How the source of an answer from a queue begins; the reason follows."""

_COLUMNS = (
    "order", "file", "start_time", "end_time", "label", "why",
    *(f"{name}_{k + 1}" for k in range(GUESSES) for name in ("guess", "score")),
    "uncertainty", "cluster", "group",
)  # fmt: skip


@dataclass(frozen=True)
class Suggestion:
    """A stretch to listen to.

    Attributes
    ----------
    file : str
        Relative to the queue's root, or absolute.
    start_time, end_time : float
        Seconds.
    why : str
        One of ``REASONS``.
    guesses : tuple of (str, float)
        Class and calibrated score, the best first; empty without a model.
    uncertainty : float
        0 (the model is sure) to 1; NaN without a model.
    cluster : int
        From 0; -1 where there is none.
    group : str
        The recording it was cut from.
    """

    file: str
    start_time: float
    end_time: float
    why: str
    guesses: tuple[tuple[str, float], ...] = ()
    uncertainty: float = float("nan")
    cluster: int = -1
    group: str = ""

    @property
    def source(self) -> str:
        """What an answer's ``source`` is: "suggest:random" and the like."""
        return SOURCE + self.why


@dataclass(frozen=True)
class Queue:
    """Stretches to listen to, in their order.

    Attributes
    ----------
    root : Path
        The folder that files are relative to.
    rows : tuple of Suggestion
    notes : tuple of str
        What was decided on the way.
    """

    root: Path
    rows: tuple[Suggestion, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Suggestion]:
        return iter(self.rows)

    def path_of(self, row: Suggestion) -> Path:
        """Where a row's recording lies."""
        return self.root / row.file

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the table, whole or not at all."""
        target = Path(path)
        here = os.path.abspath(target.parent)
        with (
            replacing(target) as part,
            part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
        ):
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for order, row in enumerate(self.seen_from(here), start=1):
                writer.writerow(_cells(order, row))
        return target

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Queue:
        """Read what :meth:`write` wrote.

        Raises
        ------
        DataError
            When it is no queue.
        """
        source = Path(path)
        try:
            with source.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
                table = list(csv.DictReader(stream))
        except OSError as error:
            raise DataError(f"{source}: cannot be read: {error.strerror}") from error
        rows = []
        for number, cells in enumerate(table, start=2):
            try:
                rows.append(_row(cells))
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(
                    f"{source}, row {number}: not a row of a queue ({error}); expected a table "
                    "that 'semisonic suggest' wrote"
                ) from error
        return cls(Path(os.path.abspath(source.parent)), tuple(rows))

    def seen_from(self, root: str | PathLike[str]) -> Queue:
        """The same queue with files relative to another folder, such as a log's root."""
        base = os.path.abspath(root)
        return replace(
            self, root=Path(base), rows=tuple(self._moved(row, base) for row in self.rows)
        )

    def _moved(self, row: Suggestion, base: str) -> Suggestion:
        """A row as seen from a folder; where each file is a recording, so is its group."""
        file = _seen_from(base, self.path_of(row))
        return replace(row, file=file, group=file if row.group == row.file else row.group)


def _seen_from(folder: str, path: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return Path(os.path.abspath(path)).as_posix()


def _cells(order: int, row: Suggestion) -> list[object]:
    guesses: list[object] = []
    for k in range(GUESSES):
        name, score = row.guesses[k] if k < len(row.guesses) else ("", None)
        guesses += [name, "" if score is None else f"{score:.4f}"]
    doubt = "" if row.uncertainty != row.uncertainty else f"{row.uncertainty:.4f}"
    return [
        order, row.file, f"{row.start_time:.3f}", f"{row.end_time:.3f}", "", row.why, *guesses,
        doubt, "" if row.cluster < 0 else row.cluster, row.group,
    ]  # fmt: skip


def _row(cells: dict[str, str]) -> Suggestion:
    guesses = (
        (cells[f"guess_{k + 1}"], float(cells[f"score_{k + 1}"]))
        for k in range(GUESSES)
        if cells[f"guess_{k + 1}"]
    )
    return Suggestion(
        cells["file"], float(cells["start_time"]), float(cells["end_time"]), cells["why"],
        tuple(guesses), float(cells["uncertainty"] or "nan"), int(cells["cluster"] or -1),
        cells["group"],
    )  # fmt: skip
