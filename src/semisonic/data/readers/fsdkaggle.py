"""FSDKaggle2018 and FSDKaggle2019, as Zenodo and as Kaggle give them: what both have in common.

A set has parts, each with a table and a folder of its own. Their official split is kept: the clips
of the test part have fold 1, all others have none, so they only train (``--test-fold 1``, then
``evaluate --fold 1``). Labels that nobody checked are of the label type "uncertain": they train,
and are never validated or tested on.

Zenodo calls the folders ``FSDKaggle2018.audio_train`` and the tables
``FSDKaggle2018.meta/train_post_competition.csv``, Kaggle ``audio_train`` and ``train.csv``.
Kaggle's own tables name no Freesound recording, and there is none for the test part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.data.clips import POSITIVE, UNCERTAIN, Clips
from semisonic.data.readers.fsdkaggle_place import (
    Part,
    audio_folder,
    find_meta,
    located,
    vocabulary,
)
from semisonic.data.readers.named import each_once, named_groups, need_rows
from semisonic.data.readers.place import Place, ReadOptions
from semisonic.data.readers.table_file import Row, TableFile, read_header, read_table

TEST_FOLD = 1


@dataclass(frozen=True)
class Edition:
    """One of the sets.

    Attributes
    ----------
    name : str
    parts : tuple of Part
        Those that train first.
    n_classes : int
        Of the published set, for texts.
    labels_of : callable
        The labels of a row, checked.
    is_certain : callable
        Whether somebody checked the labels of a row of a part.
    vocabulary : str
        The table of classes in the meta folder; empty when the set has none.
    """

    name: str
    parts: tuple[Part, ...]
    n_classes: int
    labels_of: Callable[[TableFile, Row], list[str]]
    is_certain: Callable[[TableFile, Row, Part], bool]
    vocabulary: str = ""


def recognise(edition: Edition, place: Place) -> str | None:
    """A folder with the table of a part that trains, which has the columns of this set."""
    if not place.is_folder:
        return None
    for part in edition.parts:
        table = None if part.is_test else find_meta(edition.name, part.tables, place.path)
        if table and set(read_header(table)) >= set(part.columns):
            where = table.relative_to(place.path).as_posix()
            return f"{where} has the columns of {edition.name} ({', '.join(part.columns)})"
    return None


def read(
    edition: Edition, place: Place, options: ReadOptions, *, only: Callable[[str, str], bool]
) -> Clips:
    """Read the parts that are there.

    Parameters
    ----------
    edition : Edition
    place : Place
    options : ReadOptions
    only : callable
        Which clips are kept, by the name of their part and their label type. The test part is
        always kept.

    Raises
    ------
    DataError
        With file and row: missing columns, values or files, a clip that stands twice, a label
        that the training tables or the vocabulary do not have.
    """
    tables = [(part, find_meta(edition.name, part.tables, place.path)) for part in edition.parts]
    if not any(path and not part.is_test for part, path in tables):
        names = " or ".join(edition.parts[0].tables)
        raise DataError(
            f"{place.path}: not {edition.name}, expected {edition.name}.meta/ with {names}, beside "
            f"folders such as {edition.name}.{edition.parts[0].folders[0]}/"
        )
    has_audio = any(audio_folder(edition.name, part, place.path) for part in edition.parts)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for part, path in tables:
        folder = audio_folder(edition.name, part, place.path)
        if path is None:
            if folder:
                notes.append(f"no table for {folder.name}: its recordings are left out")
            continue
        found = _read_part(edition, part, path, place.path, options)
        if has_audio and folder is None:
            wanted = f"{edition.name}.{part.folders[0]}"
            notes.append(f"no folder {wanted}: {len(found)} {part.name} clips are left out")
            continue
        kept = [row for row in found if part.is_test or only(part.name, row["label_type"])]
        if kept:
            notes.append(_counted(part, kept))
        missing = sum(row.pop("missing") for row in found)
        if missing and has_audio:
            notes.append(f"{missing} of {len(found)} {part.name} files are missing")
        rows += kept
    if not has_audio:
        notes.append("no audio is here; the tables alone were read")
    _check_test(edition, place, rows)
    classes = _classes(edition, place, rows)
    if not any("fold" in row for row in rows):
        notes.append("no test part: the set has no official split here")
    return Clips.from_rows(place.path, rows, classes, options.name or edition.name, notes)


def _read_part(
    edition: Edition, part: Part, path: Path, root: Path, options: ReadOptions
) -> list[dict[str, Any]]:
    table = read_table(path)
    need_rows(table, part.columns)
    each_once(table, "fname")
    folder = audio_folder(edition.name, part, root)
    files, there = located(edition.name, part, root, table, check=not options.allow_missing)
    source = next((name for name in part.recording if name in table.columns), "")
    groups = named_groups(table, table.rows, files, source, options.group)
    fold = {"fold": TEST_FOLD} if part.is_test else {}
    return [
        {
            "file": file,
            "labels": edition.labels_of(table, row),
            "group": group,
            "label_type": POSITIVE if edition.is_certain(table, row, part) else UNCERTAIN,
            "missing": folder is not None and not present,
            "where": table.where(row),
            **fold,
        }
        for row, file, group, present in zip(table.rows, files, groups, there, strict=True)
    ]


def label_of(table: TableFile, row: Row, column: str, separator: str = "") -> list[str]:
    """The labels in a cell, one or several.

    Raises
    ------
    DataError
        With file and row, when there is none or one stands twice.
    """
    text = row.values[column]
    labels = [part.strip() for part in (text.split(separator) if separator else [text])]
    if not all(labels):
        raise DataError(f"{table.where(row)}: found '{text}' as {column}, expected a class name")
    if len(set(labels)) != len(labels):
        raise DataError(f"{table.where(row)}: a label stands twice in '{text}', expected once")
    return labels


def _counted(part: Part, rows: Sequence[dict[str, Any]]) -> str:
    uncertain = sum(row["label_type"] == UNCERTAIN for row in rows)
    checked = f"{len(rows) - uncertain} with checked labels, {uncertain} with uncertain ones"
    place = f"fold {TEST_FOLD}, the official test" if part.is_test else "no fold: they only train"
    why = f". {part.remark}" if uncertain and part.remark else ""
    return f"{len(rows)} {part.name} clips ({checked}), {place}{why}"


def _check_test(edition: Edition, place: Place, rows: list[dict[str, Any]]) -> None:
    """See that every class of the test part is one that can be learnt."""
    trained = {label for row in rows if "fold" not in row for label in row["labels"]}
    for row in rows:
        unknown = [label for label in row["labels"] if label not in trained]
        if unknown:
            raise DataError(
                f"{row['where']}: '{unknown[0]}' is tested, but stands in no training table of "
                f"{place.path}; {edition.name} has {edition.n_classes} classes, {len(trained)} "
                "were found. Take the tables as they were published"
            )


def _classes(edition: Edition, place: Place, rows: list[dict[str, Any]]) -> list[str]:
    """Class names in the order of the set's vocabulary, or in alphabetical order without one."""
    found = {label for row in rows for label in row["labels"]}
    path = find_meta(edition.name, (edition.vocabulary,), place.path)
    if not edition.vocabulary or path is None:
        return sorted(found)
    names = vocabulary(path, found)
    for row in rows:
        unknown = [label for label in row["labels"] if label not in names]
        if unknown:
            raise DataError(
                f"{row['where']}: the label '{unknown[0]}' is not in {path}, which names "
                f"{len(names)} classes. Take both files as they were published"
            )
    return [name for name in names if name in found]
