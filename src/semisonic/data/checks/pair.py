"""A pair of clips that are the same sound, and what makes a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semisonic.data.clips import Clips


@dataclass(frozen=True)
class Duplicate:
    """Two clips that are the same sound, in whole or in a good part.

    Attributes
    ----------
    kind : {"identical", "near-identical"}
        Same bytes, or same sound.
    first, second : str
        Clip ids.
    first_row, second_row : int
        Row numbers in the table, or for ``second_row`` in the table compared against.
    first_fold, second_fold : int
        Official folds; 0 for none.
    score : float
        1 for identical clips, else the correlation of the waveforms where they overlap.
    offset_time : float
        Seconds by which the second clip lies later in the first.
    shared_time : float
        Seconds in which they agree closely; NaN for identical clips.
    across : bool
        Whether a split may part them: they stand in different folds, or in no fold and in
        different groups, or in different tables.
    same_labels : bool
        False when both carry labels that differ, so that at least one is wrong.
    in_pool : bool
        Whether the second clip is of the table compared against; ids alone do not tell, as
        two tables may use one name for two files.
    """

    kind: str
    first: str
    second: str
    first_row: int
    second_row: int
    first_fold: int
    second_fold: int
    score: float
    offset_time: float
    shared_time: float
    across: bool
    same_labels: bool
    in_pool: bool = False

    def __str__(self) -> str:
        folds = f"folds {self.first_fold} and {self.second_fold}" if self.first_fold else "no folds"
        text = f"{self.kind}: {self.first} and {self.second} ({folds}"
        if self.kind == "near-identical":
            text += (
                f", score {self.score:.2f}, {self.shared_time:.1f} s alike, "
                f"offset {self.offset_time:+.2f} s"
            )
        return text + ("" if self.same_labels else ", DIFFERENT LABELS") + ")"


@dataclass(frozen=True)
class Sound:
    """A row of one of the tables."""

    table: int
    row: int


def may_pair(tables: Sequence[Clips], a: Sound, b: Sound) -> bool:
    """Not two windows of one file in one group: those are known to belong together."""
    x, y = tables[a.table], tables[b.table]
    same_file = x.root / str(x.file[a.row]) == y.root / str(y.file[b.row])
    return not (same_file and x.group[a.row] == y.group[b.row])


def make_pair(
    kind: str,
    tables: Sequence[Clips],
    a: Sound,
    b: Sound,
    numbers: tuple[float, float, float],
) -> Duplicate:
    """A pair with its score, offset and shared time."""
    x, y = tables[a.table], tables[b.table]
    folds = int(x.fold[a.row]), int(y.fold[b.row])
    if a.table != b.table:
        across = True
    elif 0 in folds:
        across = bool(x.group[a.row] != y.group[b.row])
    else:
        across = folds[0] != folds[1]
    labels = set(x.labels[a.row]), set(y.labels[b.row])
    score, offset_time, shared_time = numbers
    return Duplicate(
        kind=kind,
        first=_id(x, a.row),
        second=_id(y, b.row),
        first_row=a.row,
        second_row=b.row,
        first_fold=folds[0],
        second_fold=folds[1],
        score=score,
        offset_time=offset_time,
        shared_time=shared_time,
        across=across,
        same_labels=not all(labels) or labels[0] == labels[1],
        in_pool=b.table > 0,
    )


def _id(clips: Clips, row: int) -> str:
    return clips[row].ids[0]
