"""The table of clips, one per row; selecting and joining tables.

``Clips`` contains no audio. It is immutable: every operation returns a new table. Readers sort its
rows, so that no result depends on the order in which a file system lists files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import path_text
from semisonic.core.errors import DataError
from semisonic.core.label_names import LABEL_SEPARATOR, class_name, name_fault
from semisonic.core.options import nearest

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from semisonic.audio.player import SoundPart


LEAVE_OUT = (
    "leave these classes out (remove their clips from the folder or table; in Python: "
    "clips.keep_classes([...]))"
)
"""What to do about classes with too few clips."""
POSITIVE, UNCERTAIN = LABEL_TYPES = ("positive", "uncertain")
_COLUMNS = ("file", "start_time", "end_time", "group", "fold", "label_type")


@dataclass(frozen=True, eq=False)
class Clips:
    """An immutable table of clips.

    Attributes
    ----------
    root : Path
        The folder that ``file`` is relative to.
    file : ndarray of str, shape (n,)
        Path below ``root``, with forward slashes.
    start_time, end_time : ndarray of float64, shape (n,)
        Seconds in the recording; ``end_time`` is NaN for "to the end of the file".
    labels : tuple of tuples of str, length n
        The classes in each clip; empty for an unlabelled clip.
    group : ndarray of str, shape (n,)
        The recording (or site) that a clip was cut from: clips of one group are never on both
        sides of a split.
    fold : ndarray of int64, shape (n,)
        The official fold, from 1; 0 for none.
    classes : tuple of str
        Class names in order; the index of a name is its target number.
    name : str
        Name of the data set in tables and reports.
    notes : tuple of str
        Decisions of the reader that users should know (folders merged, rows left out).
    label_type : ndarray of str, shape (n,)
        "positive" for verified labels, "uncertain" for unverified ones, which are used for
        training only. By default "positive".
    """

    root: Path
    file: NDArray[np.str_]
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]
    labels: tuple[tuple[str, ...], ...]
    group: NDArray[np.str_]
    fold: NDArray[np.int64]
    classes: tuple[str, ...] = ()
    name: str = "clips"
    notes: tuple[str, ...] = ()
    label_type: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    _class_index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n, name = len(self.file), f"clip table '{self.name}'"
        if not len(self.label_type):
            object.__setattr__(self, "label_type", np.full(n, POSITIVE))
        for column in (*_COLUMNS, "labels"):
            if (found := len(getattr(self, column))) != n:
                raise DataError(f"{name}: column '{column}' has {found} rows, expected {n}")
        self._name_classes()
        object.__setattr__(self, "_class_index", {c: i for i, c in enumerate(self.classes)})
        if len(self._class_index) != len(self.classes):
            raise DataError(f"{name}: found a class name twice, expected once")
        start, end, fold = (np.asarray(c) for c in (self.start_time, self.end_time, self.fold))
        bad = ~(np.isfinite(start) & (start >= 0)) | (end <= start) | (end == math.inf)
        for row in np.flatnonzero(bad | (fold < 0))[:1]:
            what = f"fold {fold[row]}; expected 1 or more, or 0 for none"
            if bad[row]:
                what = f"start {start[row]:g} s, end {end[row]:g} s; expected 0 <= start < end"
            raise DataError(f"{name}, {self.file[row]}: found {what}")
        if wrong := set(self.label_type.tolist()) - set(LABEL_TYPES):
            raise DataError(
                f"{name}: found label type '{wrong.pop()}', expected one of "
                f"{', '.join(LABEL_TYPES)}"
            )
        if unknown := {label for row in self.labels for label in row} - set(self.classes):
            raise DataError(f"{name}: labels without a class: {', '.join(sorted(unknown))}")

    def _name_classes(self) -> None:
        """Bring names of classes to their normal form; DataError for what cannot be a name."""
        for given in self.classes:
            if fault := name_fault(class_name(given)):
                rows = (row for row, labels in enumerate(self.labels) if given in labels)
                where = next((f", {self.file[row]}" for row in rows), "")
                raise DataError(f"clip table '{self.name}'{where}: {fault}")
        if all(class_name(given) == given for given in self.classes):
            return
        labels = tuple(tuple(dict.fromkeys(map(class_name, row))) for row in self.labels)
        classes = tuple(dict.fromkeys(map(class_name, self.classes)))
        if list(self.classes) == sorted(self.classes):
            classes = tuple(sorted(classes))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "classes", classes)

    @classmethod
    def from_rows(
        cls,
        root: str | Path,
        rows: Iterable[dict[str, Any]],
        classes: Sequence[str] | None = None,
        name: str = "clips",
        notes: Iterable[str] = (),
    ) -> Clips:
        """Build a table from mappings with ``file`` and, optionally, the other columns.

        Parameters
        ----------
        root : path
            The folder that ``file`` is relative to.
        rows : iterable of dict
            ``labels`` may be a name or a sequence of names. Without a ``group``, each file is its
            own group.
        classes : sequence of str, optional
            Class names in order; alphabetical by default.
        name : str
            Name of the data set.
        notes : iterable of str
            Notes for users.

        Returns
        -------
        Clips
            Sorted by file, start and end.

        Raises
        ------
        DataError
            When a clip occurs twice, or a value is impossible.

        Examples
        --------
        >>> rows = [{"file": "b.wav", "labels": "dog"}, {"file": "a.wav", "end_time": 2.0}]
        >>> Clips.from_rows("sounds", rows).ids
        ['a.wav@0.000-2.000', 'b.wav']
        """
        table = sorted(rows, key=_place)
        labels = tuple(_as_labels(row.get("labels", ())) for row in table)
        if classes is None:
            classes = sorted({label for row in labels for label in row})
        end = [row.get("end_time") for row in table]
        clips = cls(
            root=Path(root),
            file=np.array([_place(row)[0] for row in table], np.str_),
            start_time=np.array([float(row.get("start_time", 0.0)) for row in table], np.float64),
            end_time=np.array([np.nan if e is None else float(e) for e in end], np.float64),
            labels=labels,
            group=np.array([str(row.get("group") or row["file"]) for row in table], np.str_),
            fold=np.array([int(row.get("fold", 0)) for row in table], np.int64),
            classes=tuple(classes),
            name=name,
            notes=tuple(notes),
            label_type=np.array([row.get("label_type", POSITIVE) for row in table], np.str_),
        )
        if twice := clips.standing_twice():
            raise DataError(f"clip table '{name}': found the clip {twice} twice, expected once")
        return clips

    def standing_twice(self) -> str:
        """The first clip that occurs more than once; empty if there is none."""
        times = (
            np.nan_to_num(t, nan=-1.0).round(3).tolist() for t in (self.start_time, self.end_time)
        )
        seen: set[tuple[str, float, float]] = set()
        for row, key in enumerate(zip(self.file.tolist(), *times, strict=True)):
            if key in seen:
                return self[row].ids[0]
            seen.add(key)
        return ""

    def rows(self) -> list[dict[str, Any]]:
        """The rows in the form that :meth:`from_rows` takes."""
        columns = (getattr(self, name).tolist() for name in _COLUMNS)
        values = zip(self.labels, *columns, strict=True)
        return [dict(zip(("labels", *_COLUMNS), row, strict=True)) for row in values]

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows: Any) -> Clips:
        """The rows of a slice, a mask or an array of row numbers; all classes are kept."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        columns = {name: getattr(self, name)[index] for name in _COLUMNS}
        return replace(self, **columns, labels=tuple(self.labels[i] for i in index))

    def __repr__(self) -> str:
        labelled = int(self.is_labelled.sum())
        return (
            f"Clips({self.name}: {len(self)} clips, {labelled} labelled, "
            f"{len(self.classes)} classes, {len(set(self.group.tolist()))} groups)"
        )

    def _repr_html_(self) -> str:
        return _clips_html(self)

    @property
    def ids(self) -> list[str]:
        """A text per row that identifies the clip: its file and, for a part of it, its times."""
        return [
            file if start == 0.0 and np.isnan(end) else f"{file}@{start:.3f}-{end:.3f}"
            for file, start, end in zip(
                self.file.tolist(), self.start_time, self.end_time, strict=True
            )
        ]

    @property
    def paths(self) -> list[Path]:
        """The path of each clip's recording."""
        return [self.root / file for file in self.file.tolist()]

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Which rows have at least one label, shape (n,)."""
        return np.array([bool(row) for row in self.labels], dtype=np.bool_)

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which rows have verified labels, shape (n,): only these are used for measuring."""
        return np.asarray(self.is_labelled & (self.label_type == POSITIVE), np.bool_)

    @property
    def is_multi_label(self) -> bool:
        """Whether any clip has more than one label."""
        return any(len(row) > 1 for row in self.labels)

    @property
    def folds(self) -> list[int]:
        """The official folds, in order; empty if there are none."""
        return sorted({int(f) for f in self.fold} - {0})

    def target(self) -> NDArray[np.int64]:
        """The class number of each clip, shape (n,); -1 for an unlabelled clip.

        Raises
        ------
        DataError
            When a clip has several labels; then use :meth:`targets`.
        """
        if self.is_multi_label:
            raise DataError(f"'{self.name}': found clips with several labels, expected one each")
        return np.array(
            [self._class_index[row[0]] if row else -1 for row in self.labels], dtype=np.int64
        )

    def targets(self) -> NDArray[np.float32]:
        """One column per class, 1 where the label is present, shape (n, n_classes)."""
        hot = np.zeros((len(self), len(self.classes)), np.float32)
        for i, row in enumerate(self.labels):
            hot[i, [self._class_index[label] for label in row]] = 1.0
        return hot

    def keep_classes(self, classes: Iterable[str]) -> Clips:
        """Only these classes: clips of others are removed, unlabelled ones stay.

        Parameters
        ----------
        classes : iterable of str
            A clip with several labels keeps those among these classes, and is removed if there are
            none.

        Returns
        -------
        Clips
            With the classes in the order of this table. ``clips[rows]`` keeps all classes instead.

        Raises
        ------
        DataError
            When a class is not in the table.

        Examples
        --------
        >>> rows = [{"file": f"{label}.wav", "labels": label} for label in ("cat", "dog", "hen")]
        >>> Clips.from_rows("sounds", rows).keep_classes(["dog"]).ids
        ['dog.wav']
        """
        wanted = set(classes)
        for name in sorted(wanted - set(self.classes)):
            raise DataError(f"'{self.name}' has no class '{name}'; {nearest(name, self.classes)}")
        labels = [tuple(label for label in row if label in wanted) for row in self.labels]
        stays = [bool(new) or not old for new, old in zip(labels, self.labels, strict=True)]
        kept = tuple(label for label in self.classes if label in wanted)
        return replace(self, labels=tuple(labels), classes=kept)[np.array(stays, np.bool_)]

    def without_labels(self) -> Clips:
        """The same clips without labels, as a pool."""
        no_types = np.empty(0, np.str_)
        return replace(self, labels=((),) * len(self), classes=(), label_type=no_types)

    def read(self, row: int, sample_rate: int) -> NDArray[np.float32]:
        """The samples of a clip at a rate in Hz, shape (n,); AudioError if it cannot be read."""
        from semisonic.audio.read import read

        part = {"start_time": self.start_time[row].item(), "end_time": self.end_time[row].item()}
        return read(self.root / str(self.file[row]), sample_rate=sample_rate, **part)[0]

    def with_columns(self, **columns: Any) -> Clips:
        """A copy with some columns (or ``classes``, ``name``) replaced."""
        return replace(self, **columns)

    def to_frame(self) -> pd.DataFrame:
        """The table as a data frame; several labels are joined with ';', no fold becomes missing
        (NA).

        If it is written as CSV beside the recordings, it can be read back as the same table.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "file": self.file.astype(object),
                "start_time": self.start_time,
                "end_time": self.end_time,
                "label": [LABEL_SEPARATOR.join(row) for row in self.labels],
                "group": self.group.astype(object),
                "fold": pd.array([int(f) or None for f in self.fold], dtype="Int64"),
                "label_type": self.label_type.astype(object),
            }
        )


def _place(row: dict[str, Any]) -> tuple[str, float, float]:
    """The sort key of rows; an open end comes last."""
    end = row.get("end_time")
    last = math.inf if end is None or end != end else float(end)
    return str(row["file"]).replace("\\", "/"), float(row.get("start_time", 0.0)), last


def _as_labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(dict.fromkeys(str(label) for label in value))


# Two tables as one, and a pool without the clips of another table.


def join(first: Clips, second: Clips, name: str | None = None) -> Clips:
    """The rows of two tables as one table, relative to their common folder.

    Groups and folds are kept: do not join tables that use one name for different recordings.

    Parameters
    ----------
    first, second : Clips
    name : str, optional
        Name of the new table; by default both names.

    Returns
    -------
    Clips
        The rows of ``first``, then those of ``second``. Classes are those of ``first``, then the
        new ones of ``second``.

    Examples
    --------
    >>> dogs = Clips.from_rows("sounds", [{"file": "a.wav", "labels": "dog"}])
    >>> cats = Clips.from_rows("sounds", [{"file": "b.wav", "labels": "cat"}], name="more")
    >>> join(dogs, cats)
    Clips(clips + more: 2 clips, 2 labelled, 2 classes, 2 groups)
    """
    root = Path(os.path.commonpath([first.root.resolve(), second.root.resolve()]))
    tables = (first, second)
    files = [
        Path(os.path.realpath(table.root / file))
        for table in tables
        for file in table.file.tolist()
    ]
    # Links are followed, so a file may lie elsewhere.
    names = [(f.relative_to(root) if f.is_relative_to(root) else f).as_posix() for f in files]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in _COLUMNS
    }
    return Clips(
        root,
        **{**columns, "file": np.array(names, np.str_)},
        labels=first.labels + second.labels,
        classes=tuple(dict.fromkeys(first.classes + second.classes)),
        name=name or f"{first.name} + {second.name}",
    )


# Part of a table by who checked the labels.


def verified_labels(clips: Clips, purpose: str = "this") -> Clips:
    """Remove clips with unverified labels; unlabelled ones stay.

    Parameters
    ----------
    clips : Clips
    purpose : str
        Purpose of the labels, for the message.

    Raises
    ------
    DataError
        When the table has labels, but no verified ones.
    """
    uncertain = clips.is_labelled & ~clips.is_verified
    if uncertain.any() and not clips.is_verified.any():
        raise DataError(
            f"'{clips.name}': the labels of its {len(clips)} clips are unverified (label type "
            f"uncertain), but {purpose} needs verified ones; use another part of the data set"
        )
    return clips[~uncertain]


def examples_of(clips: Clips, n: int) -> list[int]:
    """Row numbers of the first clip of each class, then of the others, at most ``n``."""
    first = {labels: row for row, labels in reversed(list(enumerate(clips.labels)))}
    chosen = sorted(first.values())[:n]
    taken = set(chosen)
    others = (row for row in range(len(clips)) if row not in taken)
    return [*chosen, *islice(others, n - len(chosen))]


def part_of(clips: Clips, row: int, said: str = "") -> SoundPart:
    """A row of a table, for a player."""
    from semisonic.audio.player import SoundPart

    times = clips.start_time[row].item(), clips.end_time[row].item()
    label = LABEL_SEPARATOR.join(clips.labels[row]) or "unlabelled"
    return SoundPart(clips.root / str(clips.file[row]), *times, label, said)


def _clips_html(clips: Clips) -> Markup:
    """A table of clips in a notebook: a summary, the first rows, and a few sounds."""
    from semisonic.audio.player import N_EXAMPLES, part_players
    from semisonic.core.html import MOST_ROWS, card, facts, frame_table, note

    n_labelled, n_groups = int(clips.is_labelled.sum()), len(set(clips.group.tolist()))
    names = ", ".join(clips.classes[:MOST_ROWS]) + ", ..." * (len(clips.classes) > MOST_ROWS)
    values = {
        "folder": path_text(clips.root),
        "clips": f"{len(clips)} ({n_labelled} with a label)",
        "recordings": n_groups,
        "classes": f"{len(clips.classes)}: {names}" if clips.classes else "",
        "folds": ", ".join(map(str, clips.folds)),
    }
    frame = clips[:MOST_ROWS].to_frame()[["file", "start_time", "end_time", "label", "group"]]
    frame = frame.rename(columns={"group": "recording"}).dropna(axis=1, how="all")
    if "end_time" not in frame and not frame.start_time.any():  # whole files
        frame = frame.drop(columns="start_time")
    sounds = part_players(part_of(clips, row) for row in examples_of(clips, N_EXAMPLES))
    return card(
        f"Clips: {clips.name}",
        facts(values),
        *map(note, clips.notes),
        frame_table(frame, len(clips)),
        sounds,
    )
