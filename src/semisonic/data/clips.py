"""The clip table: one row a clip, with what is known about it; tables joined and selected.

``Clips`` never holds audio. It is immutable: every operation gives a new table. Its rows
are sorted by their identity when a reader makes it, so that nothing downstream can depend
on the order in which a file system lists its files.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import content_hash
from semisonic.core.options import nearest

if TYPE_CHECKING:
    import pandas as pd


LABEL_SEPARATOR = ";"
POSITIVE, UNCERTAIN = LABEL_TYPES = ("positive", "uncertain")


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
        The classes heard in each clip; empty for an unlabelled clip.
    group : ndarray of str, shape (n,)
        The recording (or site) a clip was cut from: clips of one group never stand on
        two sides of a split.
    fold : ndarray of int64, shape (n,)
        The official fold, from 1; 0 where there is none.
    classes : tuple of str
        Class names in their order; the index of a name is its target number.
    name : str
        What the data set is called in tables and reports.
    notes : tuple of str
        What a reader decided that people should know (folders merged, rows left out).
    label_type : ndarray of str, shape (n,)
        "positive" where somebody verified the labels, "uncertain" where nobody did: such clips
        train, and are never validated or tested on. "positive" everywhere if not given.
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
        n = len(self.file)
        if not len(self.label_type):
            object.__setattr__(self, "label_type", all_positive(n))
        for column in ("start_time", "end_time", "labels", "group", "fold", "label_type"):
            if len(getattr(self, column)) != n:
                raise DataError(
                    f"clip table '{self.name}': column '{column}' has "
                    f"{len(getattr(self, column))} rows, expected {n}"
                )
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"clip table '{self.name}': a class name stands twice")
        object.__setattr__(self, "_class_index", {c: i for i, c in enumerate(self.classes)})
        self._check_times()
        for found in sorted(set(self.label_type.tolist()) - set(LABEL_TYPES)):
            raise DataError(
                f"clip table '{self.name}': found label type '{found}', expected one of "
                f"{', '.join(LABEL_TYPES)}"
            )
        unknown = {label for row in self.labels for label in row} - set(self.classes)
        if unknown:
            raise DataError(
                f"clip table '{self.name}': labels without a class: {', '.join(sorted(unknown))}"
            )

    def _check_times(self) -> None:
        """See that every clip has a length, and every fold a number from 0."""
        start, end, fold = (np.asarray(c) for c in (self.start_time, self.end_time, self.fold))
        with np.errstate(invalid="ignore"):
            bad = ~(np.isfinite(start) & (start >= 0)) | (end <= start) | (end == math.inf)
        for row in np.flatnonzero(bad | (fold < 0))[:1]:
            what = (
                f"start {start[row]:g} s, end {end[row]:g} s; expected 0 <= start < end"
                if bad[row]
                else f"fold {fold[row]}; expected 1 or more, or 0 for none"
            )
            raise DataError(f"clip table '{self.name}', {self.file[row]}: found {what}")

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
            ``labels`` may be a name or a sequence of names. Without a ``group`` a file is its own
            group.
        classes : sequence of str, optional
            Class names in their order; alphabetical by default.
        name : str
            What the data set is called.
        notes : iterable of str
            What people should know.

        Returns
        -------
        Clips
            Sorted by file, start and end.

        Raises
        ------
        DataError
            When a row stands twice, or a value is impossible.

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
            file=np.array([str(row["file"]).replace("\\", "/") for row in table], dtype=np.str_),
            start_time=np.array([float(row.get("start_time", 0.0)) for row in table], np.float64),
            end_time=np.array([np.nan if e is None else float(e) for e in end], np.float64),
            labels=labels,
            group=np.array([str(row.get("group") or row["file"]) for row in table], dtype=np.str_),
            fold=np.array([int(row.get("fold", 0)) for row in table], np.int64),
            classes=tuple(classes),
            name=name,
            notes=tuple(notes),
            label_type=np.array([row.get("label_type", POSITIVE) for row in table], np.str_),
        )
        twice = clips.standing_twice()
        if twice:
            raise DataError(f"clip table '{name}': the clip {twice} stands twice")
        return clips

    @classmethod
    def from_files(
        cls,
        root: str | Path,
        files: Sequence[str],
        groups: Sequence[str],
        name: str = "clips",
        notes: Iterable[str] = (),
    ) -> Clips:
        """A table of whole files without labels, as of a large pool: a column at a time.

        Parameters
        ----------
        root : path
            The folder of the files.
        files : sequence of str
            Relative, with forward slashes, each once.
        groups : sequence of str
            The recording or site of each file.
        name, notes
            As for :meth:`from_rows`.

        Returns
        -------
        Clips
            Sorted by file.

        Raises
        ------
        DataError
            When a file stands twice.
        """
        column = np.array(files, dtype=np.str_)
        group = column if groups is files else np.array(groups, dtype=np.str_)
        if (column[1:] < column[:-1]).any():
            order = np.argsort(column, kind="stable")
            column, group = column[order], group[order]
        n = len(column)
        clips = cls(
            Path(root),
            column,
            np.zeros(n),
            np.full(n, np.nan),
            ((),) * n,
            group,
            np.zeros(n, np.int64),
            name=name,
            notes=tuple(notes),
        )
        twice = clips.standing_twice()
        if twice:
            raise DataError(f"clip table '{name}': the clip {twice} stands twice")
        return clips

    def standing_twice(self) -> str:
        """The first clip that stands in the table more than once; empty if there is none."""
        file, start, end = self.file, self.start_time, np.nan_to_num(self.end_time, nan=-1.0)
        if (file[1:] < file[:-1]).any():
            order = np.argsort(file, kind="stable")
            file, start, end = file[order], start[order], end[order]
        else:
            order = np.arange(len(self))
        many = np.flatnonzero(file[1:] == file[:-1])
        if not len(many):
            return ""
        seen: set[tuple[str, float, float]] = set()
        for row in np.union1d(many, many + 1).tolist():
            key = (str(file[row]), round(float(start[row]), 3), round(float(end[row]), 3))
            if key in seen:
                return self[order[row : row + 1]].ids[0]
            seen.add(key)
        return ""

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows: Any) -> Clips:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.arange(len(self))[rows]
        if index.ndim == 0:
            index = index[None]
        return replace(
            self,
            file=self.file[index],
            start_time=self.start_time[index],
            end_time=self.end_time[index],
            labels=tuple(self.labels[i] for i in index),
            group=self.group[index],
            fold=self.fold[index],
            label_type=self.label_type[index],
        )

    def __repr__(self) -> str:
        labelled = int(self.is_labelled.sum())
        return (
            f"Clips({self.name}: {len(self)} clips, {labelled} labelled, "
            f"{len(self.classes)} classes, {len(set(self.group.tolist()))} groups)"
        )

    @property
    def ids(self) -> list[str]:
        """One text a row that names the clip: its file and, for a part of it, its times."""
        return [
            file if start == 0.0 and np.isnan(end) else f"{file}@{start:.3f}-{end:.3f}"
            for file, start, end in zip(
                self.file.tolist(), self.start_time, self.end_time, strict=True
            )
        ]

    @property
    def paths(self) -> list[Path]:
        """Where each clip's recording lies."""
        return [self.root / file for file in self.file.tolist()]

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Which rows carry at least one label, shape (n,)."""
        return np.array([bool(row) for row in self.labels], dtype=np.bool_)

    @property
    def is_verified(self) -> NDArray[np.bool_]:
        """Which rows carry labels that somebody verified, shape (n,): those to measure by."""
        return np.asarray(self.is_labelled & (self.label_type == POSITIVE), np.bool_)

    @property
    def is_multi_label(self) -> bool:
        """Whether any clip carries more than one label."""
        return any(len(row) > 1 for row in self.labels)

    @property
    def folds(self) -> list[int]:
        """The official folds that occur, in order; empty when the set has none."""
        return sorted({int(f) for f in self.fold} - {0})

    def target(self) -> NDArray[np.int64]:
        """The class number of each clip, shape (n,); -1 for an unlabelled clip.

        Raises
        ------
        DataError
            When a clip carries several labels; use :meth:`targets` then.
        """
        if self.is_multi_label:
            raise DataError(f"'{self.name}' has clips with several labels, expected one each")
        return np.array(
            [self._class_index[row[0]] if row else -1 for row in self.labels], dtype=np.int64
        )

    def targets(self) -> NDArray[np.float32]:
        """One column per class, 1 where the label is present, shape (n, n_classes)."""
        hot = np.zeros((len(self), len(self.classes)), np.float32)
        for i, row in enumerate(self.labels):
            for label in row:
                hot[i, self._class_index[label]] = 1.0
        return hot

    def without_labels(self) -> Clips:
        """The same clips as an unlabelled pool, so that no label can leak from them."""
        plain = all_positive(len(self))
        return replace(self, labels=((),) * len(self), classes=(), label_type=plain)

    def with_columns(self, **columns: Any) -> Clips:
        """A copy in which whole columns (or ``classes``, ``name``) are replaced."""
        return replace(self, **columns)

    def to_frame(self) -> pd.DataFrame:
        """The table for pandas; several labels are joined with ';', no fold is missing (NA).

        Written as CSV beside the recordings, it is read back as the same table.
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


def all_positive(n: int) -> NDArray[np.str_]:
    """The label type of ``n`` clips whose labels somebody verified."""
    return np.full(n, POSITIVE, dtype=np.dtype(f"<U{len(POSITIVE)}"))


def _place(row: dict[str, Any]) -> tuple[str, float, float]:
    """What rows are sorted by; an open end comes last."""
    end = row.get("end_time")
    last = math.inf if end is None or end != end else float(end)
    return str(row["file"]).replace("\\", "/"), float(row.get("start_time", 0.0)), last


def _as_labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(dict.fromkeys(str(label) for label in value))


# Two tables as one, and a pool without the clips of another table.


def join(first: Clips, second: Clips, name: str | None = None) -> Clips:
    """The rows of two tables as one table, below the folder that both have in common.

    Groups and folds stay as they are: two tables that call different recordings by one name
    should not be joined.

    Parameters
    ----------
    first, second : Clips
    name : str, optional
        Of the new table; both names by default.

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
    files = [(table.root / file).resolve() for table in tables for file in table.file.tolist()]
    return Clips(
        root=root,
        file=np.array([_below(file, root) for file in files], dtype=np.str_),
        start_time=np.concatenate([table.start_time for table in tables]),
        end_time=np.concatenate([table.end_time for table in tables]),
        labels=first.labels + second.labels,
        group=np.concatenate([table.group for table in tables]),
        fold=np.concatenate([table.fold for table in tables]),
        classes=tuple(dict.fromkeys(first.classes + second.classes)),
        name=name or f"{first.name} + {second.name}",
        label_type=np.concatenate([table.label_type for table in tables]),
    )


def without_copies(pool: Clips, of: Clips) -> tuple[Clips, list[str]]:
    """The pool without files that have the same bytes as a file of another table.

    Such a file would bring test audio into pre-training by the back door. Only files of the
    same size are hashed.

    Parameters
    ----------
    pool, of : Clips

    Returns
    -------
    pool : Clips
    dropped : list of str
        Files that were left out.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(of.paths):
        if os.path.isfile(path):
            by_size[os.path.getsize(path)].append(path)
    hashes: dict[int, set[str]] = {}
    dropped = []
    for file in dict.fromkeys(pool.file.tolist()):
        path = pool.root / file
        size = os.path.getsize(path) if os.path.isfile(path) else -1
        if size not in by_size:
            continue
        if size not in hashes:
            hashes[size] = {content_hash(known) for known in by_size[size]}
        if content_hash(path) in hashes[size]:
            dropped.append(file)
    return pool[~np.isin(pool.file, dropped)] if dropped else pool, dropped


def _below(file: Path, root: Path) -> str:
    """A path as text below a folder; links are followed, so it may lie elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


# Part of a table by class or by who checked the labels, and classes too rare to work with.


def keep_classes(clips: Clips, classes: Iterable[str]) -> Clips:
    """Only these classes; clips of others go, unlabelled ones stay.

    Parameters
    ----------
    clips : Clips
    classes : iterable of str
        A clip with several labels keeps those among them, and goes when none is.

    Returns
    -------
    Clips
        With the classes in the table's order.

    Raises
    ------
    DataError
        When a class is not in the table.

    Examples
    --------
    >>> rows = [{"file": f"{label}.wav", "labels": label} for label in ("cat", "dog", "hen")]
    >>> keep_classes(Clips.from_rows("sounds", rows), ["dog"]).ids
    ['dog.wav']
    """
    wanted = set(classes)
    for name in sorted(wanted - set(clips.classes)):
        raise DataError(f"'{clips.name}' has no class '{name}'; {nearest(name, clips.classes)}")
    labels = [tuple(label for label in row if label in wanted) for row in clips.labels]
    stays = np.array([bool(new) or not old for new, old in zip(labels, clips.labels, strict=True)])
    kept = clips.with_columns(labels=tuple(labels), classes=_in_order(clips, wanted))
    return kept[stays] if len(kept) else kept


def verified_labels(clips: Clips, purpose: str = "this") -> Clips:
    """The table without the clips whose labels nobody verified; unlabelled ones stay.

    Parameters
    ----------
    clips : Clips
    purpose : str
        What the labels are for, for the message.

    Raises
    ------
    DataError
        When no verified label is left of those there were.
    """
    uncertain = clips.is_labelled & ~clips.is_verified
    if uncertain.any() and not clips.is_verified.any():
        raise DataError(
            f"'{clips.name}': nobody checked the labels of its {len(clips)} clips (label type "
            f"uncertain), and {purpose} needs checked ones; give another part of the data set"
        )
    return clips[~uncertain]


def rare_classes(clips: Clips, n_recordings: int = 2) -> list[str]:
    """The classes with fewer recordings than this, in the table's order.

    Examples
    --------
    >>> rows = [{"file": f, "labels": f[:3]} for f in ("cat1.wav", "cat2.wav", "dog1.wav")]
    >>> rare_classes(Clips.from_rows("sounds", rows))
    ['dog']
    """
    groups: dict[str, set[str]] = {label: set() for label in clips.classes}
    for row, group in zip(clips.labels, clips.group.tolist(), strict=True):
        for label in row:
            groups[label].add(group)
    return [label for label in clips.classes if len(groups[label]) < n_recordings]


def _in_order(clips: Clips, wanted: set[str]) -> tuple[str, ...]:
    return tuple(label for label in clips.classes if label in wanted)
