"""Published data sets in the layouts of their authors.

ESC-10, ESC-50, ESC-US: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM
Multimedia 2015. UrbanSound, UrbanSound8K: J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and
Taxonomy for Urban Sound Research", ACM Multimedia 2014. FSDKaggle2018, 2019: E. Fonseca et al.,
"General-purpose Tagging of Freesound Audio with AudioSet Labels", DCASE 2018, and "Audio tagging
with noisy labels and minimal supervision", DCASE 2019.

Class names and their order come from the tables, never from sorting: a permuted list of names
cannot rename a class. The group is the recording, by its Freesound number if given; folds are the
official ones.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from semisonic.core.errors import DataError
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import POSITIVE, UNCERTAIN, Clips
from semisonic.data.datasets.layout import (
    DatasetPath,
    Layout,
    base_name,
    first_folder,
    locate,
)
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import groups_of
from semisonic.data.tables import Table, TableRow, normalise, read_table, read_text


def _read_rows(path: Path, columns: Sequence[str]) -> Table:
    """A table that has these columns and at least one row."""
    table = read_table(path)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            f"{path}, row 1: no column '{missing[0]}'. Found {', '.join(table.columns)}; "
            f"expected {', '.join(columns)}"
        )
    if not table.rows:
        raise DataError(f"{path}: found a header and no rows, expected one row per clip")
    return table


def _text(row: TableRow, column: str) -> str:
    if not row[column]:
        raise DataError(f"{row.where}: the {column} is empty, expected a name")
    return row[column]


def _whole(row: TableRow, column: str, lowest: int = 0, highest: int = 10**9) -> int:
    """A whole number out of a table."""
    text = row[column]
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        expected = f"from {lowest}" + (f" to {highest}" if highest < 10**9 else "")
        raise DataError(f"{row.where}: found {column} '{text}', expected a whole number {expected}")
    return int(text)


def _groups(
    table: Table, rows: Iterable[TableRow], files: Sequence[str], column: str, group: str
) -> list[str]:
    """The recording of each row: the data set's own column, unless the user says otherwise.

    If the column is empty or missing, each file is its own recording.
    """
    wanted = column if group == "auto" else normalise(group)
    if wanted in table.columns:
        return [row[wanted] or file for row, file in zip(rows, files, strict=True)]
    return groups_of(files, group)


def _read_numbered(
    path: Path,
    options: ReadOptions,
    name: str,
    *,
    file: Callable[[TableRow], str],
    label: str,
    number: str,
    group: str,
    n_folds: int,
    kept: Callable[[TableRow], bool] = lambda _: True,
) -> Clips:
    """A published table with folds and class numbers, with all of its audio or none.

    ``file`` gives the file of a row, relative to the folder of the audio; ``label``, ``number`` and
    ``group`` are columns: the class, its number, the recording.
    """
    table = _read_rows(path, [label, number, "fold", group])
    rows = [row for row in table.rows if kept(row)]
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for row in rows:
        own, text = _whole(row, number), _text(row, label)
        if names.setdefault(own, text) != text:
            what = f"{number} {own} is '{text}', and '{names[own]}'"
        elif numbers.setdefault(text, own) != own:
            what = f"'{text}' has {number} {own}, and {numbers[text]}"
        else:
            continue
        raise DataError(f"{row.where}: {what} in an earlier row; expected one number per name")
    folds = [_whole(row, "fold", 1, n_folds) for row in rows]
    root, files, notes = locate(
        path,
        [file(row) for row in rows],
        [row.number for row in rows],
        allow_missing=options.allow_missing,
        all_or_none=True,
    )
    groups = _groups(table, rows, files, group, options.group)
    clips = (
        {"file": place, "labels": row[label], "group": its_group, "fold": fold}
        for row, place, its_group, fold in zip(rows, files, groups, folds, strict=True)
    )
    return Clips.from_rows(root, clips, [names[n] for n in sorted(names)], name, notes)


def _by_table(places: Sequence[str], columns: Sequence[str]) -> Callable[[DatasetPath], str | None]:
    """Recognise a data set by one of its tables; the place "" is the path itself."""

    def recognise(dataset: DatasetPath) -> str | None:
        table = dataset.table_with(places, columns)
        return f"{table.name} has the columns {', '.join(columns)}" if table else None

    return recognise


# ESC-50 and ESC-10 as they are published now: ``meta/esc50.csv`` beside ``audio/``. The table alone
# can be read too, to look at its folds and recordings.


_ESC50_TABLES = ("", "meta/esc50.csv", "esc50.csv")
_ESC50_COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file")


def _read_esc50(dataset: DatasetPath, options: ReadOptions, *, only_esc10: bool = False) -> Clips:
    path = dataset.table_with(_ESC50_TABLES, _ESC50_COLUMNS)
    if path is None:
        raise DataError(
            f"{dataset.path}: not ESC-50 in its present layout, expected meta/esc50.csv with the "
            f"columns {', '.join(_ESC50_COLUMNS)} beside audio/. For the old layout with folders "
            "such as '101 - Dog', set the labels 'esc-folders'"
        )
    return _read_numbered(
        path,
        options,
        "ESC-10" if only_esc10 else "ESC-50",
        file=lambda row: _text(row, "filename"),
        label="category",
        number="target",
        group="src_file",
        n_folds=5,
        kept=lambda row: not only_esc10 or row["esc10"].lower() == "true",
    )


# ESC as first published: ``001 - Dog bark/1-100032-A.ogg`` is class 1 "Dog bark", fold 1, Freesound
# recording 100032, take A. Class order is that of the folder numbers.


_ESC_FOLDER = re.compile(r"^(\d{3}) - (.+)$")
_ESC_FILE = re.compile(r"^(\d+)-(\d+)-([A-Z]+)\.\w+$", re.IGNORECASE)


def _recognise_esc_folders(dataset: DatasetPath) -> str | None:
    """Recognise folders such as '001 - Dog bark' with files such as '1-100032-A.ogg'."""
    folders = {first_folder(file) for file in dataset.audio}
    fitting = sum(bool(_ESC_FILE.match(base_name(file))) for file in dataset.audio)
    if not folders or not all(map(_ESC_FOLDER.match, folders)) or 2 * fitting < len(dataset.audio):
        return None
    return (
        f"{len(folders)} folders named like '001 - Dog bark' with files named like "
        "'1-100032-A.ogg' (fold, Freesound recording, take)"
    )


def _read_esc_folders(dataset: DatasetPath, options: ReadOptions) -> Clips:
    numbers: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    files = dataset.need_audio()
    for file in files:
        folder, found = _ESC_FOLDER.match(first_folder(file)), _ESC_FILE.match(base_name(file))
        if folder is None or found is None:
            raise DataError(
                f"{dataset.path / file}: not named as in ESC-50, expected "
                "'NUMBER - CLASS/FOLD-RECORDING-TAKE.ogg', for example "
                "'001 - Dog bark/1-100032-A.ogg'. Move the file away, or read the folder as "
                "plain class folders (labels 'folders')"
            )
        number, label = int(folder[1]), folder[2].strip()
        if numbers.setdefault(number, label) != label:
            raise DataError(
                f"{dataset.path}: class number {number:03d} stands for '{numbers[number]}' and "
                f"for '{label}', expected one folder per number"
            )
        rows.append({"file": file, "labels": label, "group": found[2], "fold": int(found[1])})
    known = [row["group"] for row in rows]
    groups = groups_of(files, options.group, known=known, class_folders=True)
    clips = ({**row, "group": group} for row, group in zip(rows, groups, strict=True))
    classes = [numbers[number] for number in sorted(numbers)]
    return Clips.from_rows(dataset.path, clips, classes, f"ESC-{len(classes)}")


# ESC-US: 250 000 unlabelled Ogg clips in numbered folders (``01/...ogg``), or, as the later
# archive has it, in one ``audio`` folder beside ``ESC-US.csv``. The files are listed, never opened,
# and the table of unverified tags is not read.


UNVERIFIED_TABLE = "esc-us.csv"  # in lower case


def _recognise_esc_us(dataset: DatasetPath) -> str | None:
    """Recognise ``ESC-US.csv``, or only Ogg files in folders called 00, 01, 02, ..."""
    if any(table.name.lower() == UNVERIFIED_TABLE for table in dataset.tables):
        return "it contains ESC-US.csv; the clips are unlabelled and are listed, not opened"
    folders = {first_folder(file) for file in dataset.audio}
    numbered = bool(folders) and all(re.fullmatch(r"\d{2,}", folder) for folder in folders)
    if not numbered or not all(file.lower().endswith(".ogg") for file in dataset.audio):
        return None
    return (
        f"only Ogg files in {len(folders)} numbered folders, as in ESC-US; the clips are "
        "unlabelled and are listed, not opened. If the numbers are classes, set the labels "
        "'folders'"
    )


def _read_esc_us(dataset: DatasetPath, options: ReadOptions) -> Clips:
    files = dataset.need_audio()
    known = [found[2] if (found := _ESC_FILE.match(base_name(file))) else file for file in files]
    groups = groups_of(files, options.group, known=known)
    note = f"{len(files)} clips listed without opening them; ESC-US has no labels"
    rows = ({"file": file, "group": of} for file, of in zip(files, groups, strict=True))
    return Clips.from_rows(dataset.path, rows, name="ESC-US", notes=[note])


# UrbanSound8K: 8 732 slices of at most 4 s in ``audio/fold1`` to ``fold10``, every row of the table
# a clip. ``start`` and ``end`` are times in the recording and say nothing about the slice's file.


_TABLE_8K = "UrbanSound8K.csv"
_TABLES_8K = ("", f"metadata/{_TABLE_8K}", _TABLE_8K)
_COLUMNS_8K = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")


def _recognise_8k(dataset: DatasetPath) -> str | None:
    """The published table by its name, or any table with its columns."""
    columns = map(normalise, _COLUMNS_8K)
    table = dataset.table_with(_TABLES_8K[1:], ()) or dataset.table_with([""], columns)
    return (
        f"{table.name} is the table of UrbanSound8K ({', '.join(_COLUMNS_8K)})" if table else None
    )


def _read_8k(dataset: DatasetPath, options: ReadOptions) -> Clips:
    path = dataset.table_with(_TABLES_8K, ())
    if path is None:
        raise DataError(
            f"{dataset.path}: not UrbanSound8K, expected metadata/{_TABLE_8K} with the columns "
            f"{', '.join(_COLUMNS_8K)} beside audio/fold1 to audio/fold10"
        )
    clips = _read_numbered(
        path,
        options,
        "UrbanSound8K",
        file=lambda row: f"fold{row['fold']}/{_text(row, 'slice_file_name')}",
        label="class",
        number="classid",
        group="fsid",
        n_folds=10,
    )
    listed = {base_name(file) for file in clips.file.tolist()}
    extra = [file for file in dataset.audio if base_name(file) not in listed]
    if not extra:
        return clips
    note = f"{count_text(len(extra), 'recording')} not in the table, left out: {first_few(extra)}"
    return clips.with_columns(notes=(*clips.notes, note))


# UrbanSound, by its own README: ``data/dog_bark/4912.wav`` with its events in ``4912.csv`` beside
# it, and what Freesound knows of it in ``4912.json``, which is not read.
#
# Not UrbanSound8K, whose slices were cut from these 1 302 field recordings. A file of events has no
# header; each line is ``start,end,salience,class`` with times in seconds and salience 1 for
# foreground, 2 for background. Of a recording only the events of one class are marked, that of its
# folder. Every event becomes a clip. Files are named by their Freesound number.


_URBAN_CLASSES = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
"""In the order of UrbanSound8K's class numbers."""

_BACKGROUND = "2"
_EVENT_COLUMNS = ["start", "end", "salience", "class"]
_EVENT_TABLE = re.compile(rf"(?:^|/)(?:{'|'.join(_URBAN_CLASSES)})/\d+\.csv$")


def _recognise_urbansound(dataset: DatasetPath) -> str | None:
    """Files of events beside recordings in folders named after the classes."""
    stems = _event_stems(dataset)
    try:
        if not stems or not _events(dataset.path / f"{stems[0]}.csv"):
            return None
    except DataError:
        return None
    n = count_text(len(stems), "file")
    return f"{n} such as {stems[0]}.csv list events as in UrbanSound"


def _event_stems(dataset: DatasetPath) -> list[str]:
    """The files of events below the folder, relative to it, without their ending."""
    return [
        path.relative_to(dataset.path).with_suffix("").as_posix()
        for path in dataset.texts
        if _EVENT_TABLE.search(path.as_posix())
    ]


def _read_urbansound(
    dataset: DatasetPath, options: ReadOptions, *, only_foreground: bool = False
) -> Clips:
    """Read every event, or those of the foreground, as a clip."""
    stems = _event_stems(dataset)
    if not stems:
        raise DataError(
            f"{dataset.path}: not UrbanSound, expected recordings and files of events such as "
            "data/dog_bark/4912.csv with lines of start,end,salience,class"
        )
    audio = {file.rpartition(".")[0]: file for file in dataset.need_audio()}
    unread = {file.rpartition(".")[0] for file in dataset.unread} - audio.keys()
    missing = [stem for stem in stems if stem not in audio and stem not in unread]
    if missing and not options.allow_missing:
        raise DataError(
            f"{dataset.path}: {len(missing)} of {len(stems)} files of events have no recording "
            f"beside them: {first_few(missing)}. Unpack the data set again, or use --allow-missing"
        )
    there = [stem for stem in stems if stem in audio]
    known = [base_name(stem) for stem in there]
    groups = groups_of([audio[stem] for stem in there], options.group, known=known)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    n_background = n_empty = 0
    for stem, group in zip(there, groups, strict=True):
        for start, end, salience, label in _events(dataset.path / f"{stem}.csv"):
            n_background += salience == _BACKGROUND
            n_empty += not end > start
            if end > start and not (only_foreground and salience == _BACKGROUND):
                row = {"file": audio[stem], "start_time": start, "end_time": end}
                rows[*row.values(),] = {**row, "labels": label, "group": group}
    if not rows:
        raise DataError(
            f"{dataset.path}: found no event in {count_text(len(stems), 'file')} of events"
        )
    hint = " left out" if only_foreground else "; --labels urbansound-foreground leaves them out"
    counts = [
        (n_background, "event", f"in the background (salience 2){hint}"),
        (n_empty, "event", "without a length left out"),
        (len(audio.keys() - set(stems)), "recording", "without a file of events left out"),
        (len(unread & set(stems)), "recording", "in a format that cannot be read left out"),
        (len(missing), "recording", "missing"),
    ]
    notes = [f"{count_text(n, noun)} {text}" for n, noun, text in counts if n]
    found = {row["labels"] for row in rows.values()}
    classes = [label for label in _URBAN_CLASSES if label in found]
    name = "UrbanSound, foreground" if only_foreground else "UrbanSound"
    return Clips.from_rows(dataset.path, rows.values(), classes, name, notes)


def _events(path: Path) -> list[tuple[float, float, str, str]]:
    """The lines of one file of events: start, end, salience and class."""
    events = []
    for number, cells in enumerate(csv.reader(read_text(path).splitlines()), start=1):
        values = [cell.strip() for cell in cells]
        if not any(values) or (number == 1 and values == _EVENT_COLUMNS):
            continue
        where = f"{path}, row {number}"
        if len(values) != 4:
            expected = f"four: {', '.join(_EVENT_COLUMNS)}"
            raise DataError(f"{where}: found {len(values)} values, expected {expected}")
        start, end, salience, label = values
        if salience not in ("1", _BACKGROUND):
            expected = "1 (foreground) or 2 (background)"
            raise DataError(f"{where}: found salience '{salience}', expected {expected}")
        if label not in _URBAN_CLASSES:
            expected = f"one of {', '.join(_URBAN_CLASSES)}"
            raise DataError(f"{where}: found the class '{label}', expected {expected}")
        try:
            events.append((float(start), float(end), salience, label))
        except ValueError:
            raise DataError(
                f"{where}: found the times '{start}' and '{end}', expected seconds"
            ) from None
    return events


# FSDKaggle2018 and FSDKaggle2019, as Zenodo gives them.
#
# A set has parts, each with a table and a folder of its own, ``FSDKaggle2018.audio_train`` and
# ``FSDKaggle2018.meta/train_post_competition.csv``. Tools that unpack ``NAME.zip`` into a folder
# ``NAME`` make ``NAME/NAME``; that is found too. The official split is kept: the clips of the test
# part have fold 1, all others have none, so they only train (``--test-fold 1``, then ``evaluate
# --fold 1``). Unverified labels are of the label type "uncertain": they train, and are never
# validated or tested on.
#
# 2018: 41 classes, one label per clip. 9 473 clips train, of which 3 710 were verified by people
# (``manually_verified`` 1); the labels of the others are, by the authors' estimate, at least 65 to
# 70 % right in each class. All 1 600 clips of the test part were verified.
#
# 2019: 80 classes, one or several labels per clip, ``"Bark,Growling"``. 4 970 curated clips of
# Freesound train with labels that people gave; 19 815 noisy ones of Flickr with labels that a
# program gave. The 4 481 clips of the test part are of Freesound too.


class _Part(NamedTuple):
    """Names of the table and the folder of a part, and the columns of its table."""

    name: str
    table: str
    folder: str
    columns: tuple[str, ...]


_EDITIONS = {
    "FSDKaggle2018": (
        _Part(
            "train",
            "train_post_competition.csv",
            "audio_train",
            ("fname", "label", "manually_verified"),
        ),
        _Part("test", "test_post_competition_scoring_clips.csv", "audio_test", ("fname", "label")),
    ),
    "FSDKaggle2019": tuple(
        _Part(name, f"{part}_post_competition.csv", f"audio_{part}", ("fname", "labels"))
        for name, part in (
            ("curated", "train_curated"),
            ("noisy", "train_noisy"),
            ("test", "test"),
        )
    ),
}
_SOURCES = ("freesound_id", "fsid", "flickr_video_url", "flickr_id")
"""Columns that may name the recording of a clip."""
_KNOWN_BAD = frozenset(
    {"f76181c4.wav", "77b925c2.wav", "6a1f682a.wav", "c7db12aa.wav", "7752cc8a.wav", "1d44b0bd.wav"}
)
"""Clips that the README of FSDKaggle2019 names: wrong labels, and an empty one."""


def _meta(edition: str, name: str) -> list[str]:
    """Folders below the root that may contain a table of a set."""
    meta = f"{edition}.meta"
    return [f"{meta}/{name}", f"{meta}/{meta}/{name}"]


def _read_fsd(dataset: DatasetPath, options: ReadOptions, *, edition: str, only: str = "") -> Clips:
    """Read the existing parts.

    ``only`` keeps one part, or the "verified" clips; the test part is always kept.
    """
    root, parts = dataset.path, _EDITIONS[edition]
    tables = {part.name: dataset.table_with(_meta(edition, part.table), ()) for part in parts}
    if not any(path for name, path in tables.items() if name != "test"):
        raise DataError(
            f"{root}: not {edition}, expected {edition}.meta/ with {parts[0].table}, beside "
            f"folders such as {edition}.{parts[0].folder}/"
        )
    folders = {}
    for part in parts:
        name = f"{edition}.{part.folder}"
        there = (place for place in (f"{name}/{name}", name) if (root / place).is_dir())
        folders[part.name] = next(there, "")
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for part in parts:
        path, folder, is_test = tables[part.name], folders[part.name], part.name == "test"
        wanted = f"{edition}.{part.folder}"
        if path is None:
            if folder:
                notes.append(f"no table for {base_name(folder)}: its recordings are left out")
            continue
        found, n_missing = _read_part(part, path, root, folder, wanted, options)
        if any(folders.values()) and not folder:
            notes.append(f"no folder {wanted}: {len(found)} {part.name} clips are left out")
            continue
        if only == "verified" and not is_test:
            found = [row for row in found if row["label_type"] == POSITIVE]
        if found and (is_test or only in ("", "verified", part.name)):
            n_uncertain = sum(row["label_type"] == UNCERTAIN for row in found)
            fold = "fold 1, the official test" if is_test else "no fold: used for training only"
            notes.append(
                f"{len(found)} {part.name} clips ({len(found) - n_uncertain} with verified labels, "
                f"{n_uncertain} with unverified ones), {fold}"
            )
            if n_uncertain and part.name == "curated":
                bad = ", ".join(sorted(_KNOWN_BAD))
                notes.append(
                    f"unverified curated clips are those that its README calls wrong: {bad}"
                )
            rows += found
        if n_missing:
            notes.append(f"{n_missing} of {len(found)} {part.name} files are missing")
    if not any(folders.values()):
        notes.append("no audio found; only the tables were read")
    vocabulary = dataset.table_with(_meta(edition, "vocabulary.csv"), ())
    classes = _check_classes(rows, root, vocabulary)
    if not any(row["fold"] for row in rows):
        notes.append("no test part, and so no official split")
    return Clips.from_rows(root, rows, classes, edition, notes)


def _read_part(
    part: _Part, path: Path, root: Path, folder: str, wanted: str, options: ReadOptions
) -> tuple[list[dict[str, Any]], int]:
    """The clips of a part, and how many of its files are missing."""
    table = _read_rows(path, part.columns)
    names = [_text(row, "fname") for row in table.rows]
    present = set(os.listdir(root / folder)) if folder else set(names)
    missing = [
        f"{row['fname']} (row {row.number})" for row in table.rows if row["fname"] not in present
    ]
    if missing and not options.allow_missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(names)} files are missing: {first_few(missing)}. "
            f"Looked in {root / folder}; unpack the archive again, or allow missing files"
        )
    files = [f"{folder or wanted}/{row['fname']}" for row in table.rows]
    groups = _groups(table, table.rows, files, table.find(*_SOURCES), options.group)
    rows = [
        {
            "file": file,
            "labels": _labels(row, part.columns[1]),
            "group": group,
            "label_type": POSITIVE if _is_verified(part, row) else UNCERTAIN,
            "fold": 1 if part.name == "test" else 0,
            "where": row.where,
        }
        for row, file, group in zip(table.rows, files, groups, strict=True)
    ]
    return rows, len(missing)


def _is_verified(part: _Part, row: TableRow) -> bool:
    if part.name != "train":
        return part.name != "noisy" and row["fname"] not in _KNOWN_BAD
    flag = row["manually_verified"]
    if flag not in ("0", "1"):
        raise DataError(
            f"{row.where}: found manually_verified '{flag}', expected 1 (verified by people) or 0"
        )
    return flag == "1"


def _labels(row: TableRow, column: str) -> list[str]:
    """The labels in a cell: one, or several in the column ``labels``."""
    text = row[column]
    labels = [part.strip() for part in (text.split(",") if column == "labels" else [text])]
    if not all(labels):
        raise DataError(f"{row.where}: found '{text}' as {column}, expected a class name")
    if len(set(labels)) != len(labels):
        raise DataError(f"{row.where}: found a label twice in '{text}', expected once")
    return labels


def _check_classes(
    rows: Sequence[dict[str, Any]], root: Path, vocabulary: Path | None
) -> list[str]:
    """Class names in the order of the set's vocabulary, or in alphabetical order without one.

    Every class of the test part must be in a training part and in the vocabulary.
    """
    found = {label for row in rows for label in row["labels"]}
    trained = {label for row in rows if not row["fold"] for label in row["labels"]}
    names = sorted(found)
    if vocabulary is not None:
        lines = csv.reader(read_text(vocabulary).splitlines())
        columns = [
            [cell.strip() for cell in column] for column in zip_longest(*lines, fillvalue="")
        ]
        # The column that knows most of those found.
        names = max(columns, key=lambda column: len(found & set(column)), default=[])
        if not found & set(names):
            raise DataError(
                f"{vocabulary}: contains none of the {len(found)} labels of the tables; expected "
                "one row per class. Use the file as published"
            )
    for row in rows:
        for label in row["labels"]:
            if label not in trained:
                what = f"'{label}' is in the test table, but in no training table of {root}"
            elif label not in names:
                what = f"the label '{label}' is not in {vocabulary}"
            else:
                continue
            raise DataError(f"{row['where']}: {what}. Use all tables as published")
    return [name for name in dict.fromkeys(names) if name in found]


def _recognise_fsd(edition: str) -> Callable[[DatasetPath], str | None]:
    training = [part for part in _EDITIONS[edition] if part.name != "test"]
    places = [place for part in training for place in _meta(edition, part.table)]
    return _by_table(places, training[0].columns)


PUBLISHED = (
    Layout(
        "esc50", "ESC-50 with meta/esc50.csv", _read_esc50, _by_table(_ESC50_TABLES, _ESC50_COLUMNS)
    ),
    Layout("urbansound8k", "UrbanSound8K", _read_8k, _recognise_8k),
    Layout("urbansound", "UrbanSound", _read_urbansound, _recognise_urbansound),
    *(
        Layout(name.lower(), name, partial(_read_fsd, edition=name), _recognise_fsd(name))
        for name in _EDITIONS
    ),
)
"""Data sets with tables, which are recognised before other tables."""

ESC = (
    Layout("esc-us", "ESC-US, unlabelled", _read_esc_us, _recognise_esc_us),
    Layout("esc-folders", "ESC in its old layout", _read_esc_folders, _recognise_esc_folders),
)
"""Data sets that are recognised by names of files and folders."""

PARTS = (
    Layout("esc10", "the ESC-10 part of ESC-50", partial(_read_esc50, only_esc10=True)),
    Layout(
        "urbansound-foreground",
        "the foreground events of UrbanSound",
        partial(_read_urbansound, only_foreground=True),
    ),
    *(
        Layout(
            f"{edition.lower()}-{only}",
            f"the {only} clips of {edition} and its test part",
            partial(_read_fsd, edition=edition, only=only),
        )
        for edition, only in (
            ("FSDKaggle2018", "verified"),
            ("FSDKaggle2019", "curated"),
            ("FSDKaggle2019", "noisy"),
        )
    ),
)
"""Parts of data sets, available by name."""
