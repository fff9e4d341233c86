"""FSDKaggle2018 and FSDKaggle2019, as Zenodo and as Kaggle give them.

Tools that unpack ``NAME.zip`` into a folder ``NAME`` make ``NAME/NAME``; that is found too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError
from semisonic.data.clips import POSITIVE, UNCERTAIN, Clips
from semisonic.data.datasets.layout import (
    DatasetPath,
    Layout,
    each_once,
    named_groups,
    need_rows,
)
from semisonic.data.options import ReadOptions
from semisonic.data.tables import TableFile, TableRow, read_table

_N_SHOWN = 5


@dataclass(frozen=True)
class EditionPart:
    """A part of a set.

    Attributes
    ----------
    name : str
        What its clips are called in notes.
    tables : tuple of str
        Names that its table goes by, Zenodo's first.
    folders : tuple of str
        Names that its folder goes by; Zenodo puts the name of the set in front of the first.
    columns : tuple of str
        What its table must have.
    recording : tuple of str
        Columns that may name the recording a clip comes from.
    is_test : bool
    remark : str
        Why some of its labels are uncertain, for the notes.
    """

    name: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]
    columns: tuple[str, ...]
    recording: tuple[str, ...]
    is_test: bool = False
    remark: str = ""


def meta_paths(edition: str, names: Sequence[str]) -> list[str]:
    """Where a table of a set may lie below its root, by the names it goes by."""
    meta = f"{edition}.meta"
    folders = (f"{meta}/", f"{meta}/{meta}/", "meta/", "")
    return [folder + name for folder in folders for name in names]


def find_meta(edition: str, names: Sequence[str], root: Path) -> Path | None:
    """A table of a set, by one of the names it goes by."""
    paths = (root / name for name in meta_paths(edition, names))
    return next((path for path in paths if path.is_file()), None)


def audio_folder(edition: str, part: EditionPart, root: Path) -> Path | None:
    """The folder with the recordings of a part."""
    zenodo = f"{edition}.{part.folders[0]}"
    for name in (zenodo, *part.folders):
        for folder in (root / name / name, root / name):
            if folder.is_dir():
                return folder
    return None


def located(
    edition: str, part: EditionPart, root: Path, table: TableFile, *, check: bool
) -> tuple[list[str], list[bool]]:
    """The files of a table relative to the root, and whether each is there.

    Raises
    ------
    DataError
        When the folder of the part is there and some of its files are not, if ``check``.
    """
    folder = audio_folder(edition, part, root)
    names = [row.values["fname"] for row in table.rows]
    if folder is None:
        return [f"{edition}.{part.folders[0]}/{name}" for name in names], [False] * len(names)
    present = set(os.listdir(folder))
    there = [name in present for name in names]
    if check and not all(there):
        missing = [row for row, found in zip(table.rows, there, strict=True) if not found]
        shown = ", ".join(f"{row.values['fname']} (row {row.number})" for row in missing[:_N_SHOWN])
        raise DataError(
            f"{table.path}: {len(missing)} of {len(names)} files are missing: {shown}"
            f"{', ...' if len(missing) > _N_SHOWN else ''}. Looked in {folder}; unpack the archive "
            "anew, or allow missing files"
        )
    inside = folder.relative_to(root).as_posix()
    return [f"{inside}/{name}" for name in names], there


def vocabulary(path: Path, found: set[str]) -> list[str]:
    """The class names in a vocabulary, in its order: the column that knows most of those found.

    Raises
    ------
    DataError
        When it cannot be read, or knows none of them.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
    table = [[cell.strip() for cell in line.split(",")] for line in lines]
    width = max(map(len, table), default=0)
    columns = [[line[i] for line in table if i < len(line)] for i in range(width)]
    names = max(columns, key=lambda column: len(found & set(column)), default=[])
    if not found & set(names):
        raise DataError(
            f"{path}: none of the {len(found)} labels of the tables is in it; expected a row a "
            "class. Take the file as it was published"
        )
    return list(dict.fromkeys(names))


# FSDKaggle2018 and FSDKaggle2019, as Zenodo and as Kaggle give them: what both have in common.
#
# A set has parts, each with a table and a folder of its own. Their official split is kept: the
# clips of the test part have fold 1, all others have none, so they only train (``--test-fold 1``,
# then ``evaluate --fold 1``). Labels that nobody checked are of the label type "uncertain": they
# train, and are never validated or tested on.
#
# Zenodo calls the folders ``FSDKaggle2018.audio_train`` and the tables
# ``FSDKaggle2018.meta/train_post_competition.csv``, Kaggle ``audio_train`` and ``train.csv``.
# Kaggle's own tables name no Freesound recording, and there is none for the test part.


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
    is_verified : callable
        Whether somebody checked the labels of a row of a part.
    vocabulary : str
        The table of classes in the meta folder; empty when the set has none.
    """

    name: str
    parts: tuple[EditionPart, ...]
    n_classes: int
    labels_of: Callable[[TableFile, TableRow], list[str]]
    is_verified: Callable[[TableFile, TableRow, EditionPart], bool]
    vocabulary: str = ""


def _read(
    edition: Edition,
    dataset: DatasetPath,
    options: ReadOptions,
    *,
    only: Callable[[str, str], bool],
) -> Clips:
    """Read the parts that are there.

    Parameters
    ----------
    edition : Edition
    dataset : DatasetPath
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
    tables = [(part, find_meta(edition.name, part.tables, dataset.path)) for part in edition.parts]
    if not any(path and not part.is_test for part, path in tables):
        names = " or ".join(edition.parts[0].tables)
        raise DataError(
            f"{dataset.path}: not {edition.name}, expected {edition.name}.meta/ with {names}, "
            f"beside folders such as {edition.name}.{edition.parts[0].folders[0]}/"
        )
    has_audio = any(audio_folder(edition.name, part, dataset.path) for part in edition.parts)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for part, path in tables:
        folder = audio_folder(edition.name, part, dataset.path)
        if path is None:
            if folder:
                notes.append(f"no table for {folder.name}: its recordings are left out")
            continue
        found = _read_part(edition, part, path, dataset.path, options)
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
    _check_test(edition, dataset, rows)
    classes = _classes(edition, dataset, rows)
    if not any("fold" in row for row in rows):
        notes.append("no test part: the set has no official split here")
    return Clips.from_rows(dataset.path, rows, classes, edition.name, notes)


def _layout(
    kind: str,
    title: str,
    edition: Edition,
    only: Callable[[str, str], bool] = lambda part, label_type: True,
) -> Layout:
    training = [part for part in edition.parts if not part.is_test]
    tables = [path for part in training for path in meta_paths(edition.name, part.tables)]
    read = partial(_read, edition, only=only)
    return Layout(kind, title, read, tables=tuple(tables), columns=training[0].columns)


def _read_part(
    edition: Edition, part: EditionPart, path: Path, root: Path, options: ReadOptions
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
            "label_type": POSITIVE if edition.is_verified(table, row, part) else UNCERTAIN,
            "missing": folder is not None and not present,
            "where": table.where(row),
            **fold,
        }
        for row, file, group, present in zip(table.rows, files, groups, there, strict=True)
    ]


def label_of(table: TableFile, row: TableRow, column: str, separator: str = "") -> list[str]:
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


def _counted(part: EditionPart, rows: Sequence[dict[str, Any]]) -> str:
    uncertain = sum(row["label_type"] == UNCERTAIN for row in rows)
    checked = f"{len(rows) - uncertain} with checked labels, {uncertain} with uncertain ones"
    fold = f"fold {TEST_FOLD}, the official test" if part.is_test else "no fold: they only train"
    why = f". {part.remark}" if uncertain and part.remark else ""
    return f"{len(rows)} {part.name} clips ({checked}), {fold}{why}"


def _check_test(edition: Edition, dataset: DatasetPath, rows: list[dict[str, Any]]) -> None:
    """See that every class of the test part is one that can be learnt."""
    trained = {label for row in rows if "fold" not in row for label in row["labels"]}
    for row in rows:
        unknown = [label for label in row["labels"] if label not in trained]
        if unknown:
            raise DataError(
                f"{row['where']}: '{unknown[0]}' is tested, but stands in no training table of "
                f"{dataset.path}; {edition.name} has {edition.n_classes} classes, {len(trained)} "
                "were found. Take the tables as they were published"
            )


def _classes(edition: Edition, dataset: DatasetPath, rows: list[dict[str, Any]]) -> list[str]:
    """Class names in the order of the set's vocabulary, or in alphabetical order without one."""
    found = {label for row in rows for label in row["labels"]}
    path = find_meta(edition.name, (edition.vocabulary,), dataset.path)
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


# FSDKaggle2018: 41 classes, one label per clip, 0.3 to 30 s, of Freesound.
#
# 9 473 clips train, of which 3 710 were verified by people (``manually_verified`` 1); the labels of
# the others, at least 65 to 70 % right in each class by the authors' estimate, are of the label
# type "uncertain". All 1 600 clips of the test part were verified.
# E. Fonseca et al., "General-purpose Tagging of Freesound Audio with AudioSet Labels", DCASE 2018.


_RECORDING = ("freesound_id", "fsid")


def _labels_2018(table: TableFile, row: TableRow) -> list[str]:
    return label_of(table, row, "label")


def _is_verified_2018(table: TableFile, row: TableRow, part: EditionPart) -> bool:
    if part.is_test:
        return True
    flag = row.values["manually_verified"]
    if flag not in ("0", "1"):
        raise DataError(
            f"{table.where(row)}: found manually_verified '{flag}', expected 1 (verified by "
            "people) or 0"
        )
    return flag == "1"


_EDITION_2018 = Edition(
    name="FSDKaggle2018",
    parts=(
        EditionPart(
            "train",
            ("train_post_competition.csv", "train.csv"),
            ("audio_train",),
            ("fname", "label", "manually_verified"),
            _RECORDING,
            remark="Those with manually_verified 0 are the uncertain ones",
        ),
        EditionPart(
            "test",
            ("test_post_competition_scoring_clips.csv", "test_post_competition.csv"),
            ("audio_test",),
            ("fname", "label"),
            _RECORDING,
            is_test=True,
        ),
    ),
    n_classes=41,
    labels_of=_labels_2018,
    is_verified=_is_verified_2018,
)


FSDKAGGLE2018 = _layout("fsdkaggle2018", "FSDKaggle2018", _EDITION_2018)
VERIFIED2018 = _layout(
    "fsdkaggle2018-verified",
    "the verified clips of FSDKaggle2018",
    _EDITION_2018,
    lambda _, label_type: label_type == POSITIVE,
)


# FSDKaggle2019: 80 classes, one or several labels per clip, 0.3 to 30 s.
#
# 4 970 curated clips of Freesound train with labels that people gave; 19 815 noisy ones of Flickr
# train with labels that a program gave, of the label type "uncertain". The 4 481 clips of the test
# part are of Freesound too. ``"Bark,Growling"`` in a table is two labels.
# E. Fonseca et al., "Audio tagging with noisy labels and minimal supervision", DCASE 2019.


CURATED, NOISY = "curated", "noisy"
# Its README names these curated clips: five have the label of another, the last one is empty.
KNOWN_BAD = frozenset(
    {"f76181c4.wav", "77b925c2.wav", "6a1f682a.wav", "c7db12aa.wav", "7752cc8a.wav"}
    | {"1d44b0bd.wav"}
)
_COLUMNS_2019 = ("fname", "labels")


def _labels_2019(table: TableFile, row: TableRow) -> list[str]:
    return label_of(table, row, "labels", ",")


def _is_verified_2019(_table: TableFile, row: TableRow, part: EditionPart) -> bool:
    return part.name != NOISY and row.values["fname"] not in KNOWN_BAD


_EDITION_2019 = Edition(
    name="FSDKaggle2019",
    parts=(
        EditionPart(
            CURATED,
            ("train_curated_post_competition.csv", "train_curated.csv"),
            ("audio_train_curated", "train_curated"),
            _COLUMNS_2019,
            ("freesound_id",),
            remark=f"Its README names wrong or empty ones: {', '.join(sorted(KNOWN_BAD))}",
        ),
        EditionPart(
            NOISY,
            ("train_noisy_post_competition.csv", "train_noisy.csv"),
            ("audio_train_noisy", "train_noisy"),
            _COLUMNS_2019,
            ("flickr_video_url", "flickr_id"),
        ),
        EditionPart(
            "test",
            ("test_post_competition.csv",),
            ("audio_test", "test"),
            _COLUMNS_2019,
            ("freesound_id",),
            is_test=True,
        ),
    ),
    n_classes=80,
    labels_of=_labels_2019,
    is_verified=_is_verified_2019,
    vocabulary="vocabulary.csv",
)


FSDKAGGLE2019 = _layout("fsdkaggle2019", "FSDKaggle2019", _EDITION_2019)
CURATED2019 = _layout(
    "fsdkaggle2019-curated",
    "the curated clips of FSDKaggle2019 and its test part",
    _EDITION_2019,
    lambda part, _: part == CURATED,
)
NOISY2019 = _layout(
    "fsdkaggle2019-noisy",
    "the noisy clips of FSDKaggle2019 and its test part",
    _EDITION_2019,
    lambda part, _: part == NOISY,
)
