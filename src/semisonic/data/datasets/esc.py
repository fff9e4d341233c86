"""ESC-10 and ESC-50, as published now and as first published, and ESC-US.

``001 - Dog bark/1-100032-A.ogg`` is class 1 "Dog bark", fold 1, Freesound recording 100032,
take A. Class order is that of the folder numbers, the recording is the group.
K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import (
    DatasetPath,
    Layout,
    base_name,
    classes_by_number,
    first_folder,
    locate_all_or_none,
    named_groups,
    whole,
)
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import known_or_given
from semisonic.data.tables import read_table

_FOLDER = re.compile(r"^(\d{3}) - (.+)$")
_FILE = re.compile(r"^(\d)-(\d+)-([A-Z]+)\.\w+$", re.IGNORECASE)


def _recognise_old(dataset: DatasetPath) -> str | None:
    """Folders such as '001 - Dog bark' with files such as '1-100032-A.ogg'."""
    folders = {first_folder(file) for file in dataset.audio}
    if not folders or not all(_FOLDER.match(folder) for folder in folders):
        return None
    fitting = sum(bool(_FILE.match(base_name(file))) for file in dataset.audio)
    if 2 * fitting < len(dataset.audio):
        return None
    return (
        f"{len(folders)} folders named like '001 - Dog bark' with files named like "
        "'1-100032-A.ogg' (fold, Freesound recording, take)"
    )


def _read_old(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List the clips with label, fold and recording, all from the names.

    Raises
    ------
    DataError
        When a name does not follow the scheme or a class number stands twice.
    """
    numbers: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    for file in dataset.need_audio():
        folder, found = _FOLDER.match(first_folder(file)), _FILE.match(base_name(file))
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
                f"{dataset.path}: class number {number:03d} stands for '{numbers[number]}' and for "
                f"'{label}', expected one folder a number"
            )
        rows.append(
            {"file": file, "labels": label, "group": found[2], "fold": int(found[1])},
        )
    groups = known_or_given(
        [row["file"] for row in rows],
        [row["group"] for row in rows],
        options.group,
        class_folders=True,
    )
    rows = [{**row, "group": group} for row, group in zip(rows, groups, strict=True)]
    classes = [numbers[number] for number in sorted(numbers)]
    name = f"ESC-{len(classes)}"
    return Clips.from_rows(dataset.path, rows, classes=classes, name=name)


ESC_FOLDERS = Layout("esc-folders", "ESC in its old layout", _read_old, _recognise_old)


# ESC-50 and ESC-10 as they are published now: ``meta/esc50.csv`` beside ``audio/``.
#
# Class names and their order come from the columns ``category`` and ``target``, never from sorting:
# a permuted list of names cannot rename a class. The group is ``src_file``, the Freesound
# recording.
# The table alone can be read too, to look at its folds and recordings.
# K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.


COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
_NEEDED = COLUMNS[:-1]


def _read_esc50(dataset: DatasetPath, options: ReadOptions, *, only_esc10: bool = False) -> Clips:
    path = ESC50.table_of(dataset)
    if path is None:
        raise DataError(
            f"{dataset.path}: not ESC-50 in its present layout, expected meta/esc50.csv with the "
            f"columns {', '.join(COLUMNS)} beside audio/. For the old layout with folders such as "
            "'101 - Dog', ask for labels 'esc-folders'"
        )
    table = read_table(path)
    kept = [row for row in table.rows if not only_esc10 or row.values["esc10"].lower() == "true"]
    if not kept:
        raise DataError(f"{path}: no rows{' with esc10 True' if only_esc10 else ''}")
    classes = classes_by_number(table, kept, "target", "category")
    files = [row.values["filename"] for row in kept]
    numbers = [row.number for row in kept]
    found = locate_all_or_none(path, files, numbers, allow_missing=options.allow_missing)
    groups = named_groups(table, kept, found.files, "src_file", options.group)
    rows = [
        {
            "file": file,
            "labels": row.values["category"],
            "group": group,
            "fold": whole(table, row, "fold", 1),
        }
        for row, file, group in zip(kept, found.files, groups, strict=True)
    ]
    name = "ESC-10" if only_esc10 else "ESC-50"
    return Clips.from_rows(found.root, rows, classes, name, found.notes)


ESC50 = Layout(
    "esc50",
    "ESC-50 with meta/esc50.csv",
    _read_esc50,
    paths=("folder", "table"),
    tables=("", "meta/esc50.csv", "esc50.csv"),
    columns=_NEEDED,
)
ESC10 = Layout("esc10", "the ESC-10 part of ESC-50", partial(_read_esc50, only_esc10=True))


# ESC-US: 250 000 unlabelled Ogg clips in numbered folders (``01/...ogg``), or, as the later
# archive has it, in one ``audio`` folder beside ``ESC-US.csv``.
#
# The files are listed, never opened. The table of unverified tags is not read: ESC-US has no
# labels. K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM MM 2015.


UNVERIFIED_TABLE = "esc-us.csv"  # in lower case
_NUMBERED = re.compile(r"^\d{2,}$")
_FREESOUND = re.compile(r"^\d+-(\d+)-[A-Z]+\.\w+$", re.IGNORECASE)


def _recognise_esc_us(dataset: DatasetPath) -> str | None:
    """``ESC-US.csv``, or nothing but Ogg files in folders called 00, 01, 02, ..."""
    if any(table.name.lower() == UNVERIFIED_TABLE for table in dataset.tables):
        return "it holds ESC-US.csv; the clips are unlabelled and are listed, not opened"
    folders = {first_folder(file) for file in dataset.audio}
    numbered = bool(folders) and all(_NUMBERED.match(folder) for folder in folders)
    if not numbered or not all(file.lower().endswith(".ogg") for file in dataset.audio):
        return None
    return (
        f"nothing but Ogg files in {len(folders)} numbered folders, as ESC-US has them; the clips "
        "are unlabelled and are listed, not opened. If the numbers are classes, ask for labels "
        "'folders'"
    )


def _read_esc_us(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List the clips; the Freesound recording is the group where the name tells it."""
    files = dataset.need_audio()
    known = [found[1] if (found := _FREESOUND.match(base_name(f))) else f for f in files]
    groups = known_or_given(files, known, options.group)
    note = f"{len(files)} clips listed without opening them; ESC-US has no labels"
    return Clips.from_files(dataset.path, files, groups, "ESC-US", [note])


ESC_US = Layout("esc-us", "ESC-US, unlabelled", _read_esc_us, _recognise_esc_us)
