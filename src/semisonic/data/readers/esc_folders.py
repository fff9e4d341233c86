"""ESC-10 and ESC-50 as they were first published: one folder a class, Ogg files.

``001 - Dog bark/1-100032-A.ogg`` is class 1 "Dog bark", fold 1, Freesound recording 100032,
take A. Class order is that of the folder numbers, the recording is the group.
K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

import re
from typing import Any

from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import known_or_given
from semisonic.data.readers.place import Place, ReadOptions, base_name, first_folder

_FOLDER = re.compile(r"^(\d{3}) - (.+)$")
_FILE = re.compile(r"^(\d)-(\d+)-([A-Z]+)\.\w+$", re.IGNORECASE)


def recognise(place: Place) -> str | None:
    """Folders such as '001 - Dog bark' with files such as '1-100032-A.ogg'."""
    folders = {first_folder(file) for file in place.audio}
    if not folders or not all(_FOLDER.match(folder) for folder in folders):
        return None
    fitting = sum(bool(_FILE.match(base_name(file))) for file in place.audio)
    if 2 * fitting < len(place.audio):
        return None
    return (
        f"{len(folders)} folders named like '001 - Dog bark' with files named like "
        "'1-100032-A.ogg' (fold, Freesound recording, take)"
    )


def read(place: Place, options: ReadOptions) -> Clips:
    """List the clips with label, fold and recording, all from the names.

    Raises
    ------
    DataError
        When a name does not follow the scheme or a class number stands twice.
    """
    numbers: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    for file in place.need_audio():
        folder, found = _FOLDER.match(first_folder(file)), _FILE.match(base_name(file))
        if folder is None or found is None:
            raise DataError(
                f"{place.path / file}: not named as in ESC-50, expected "
                "'NUMBER - CLASS/FOLD-RECORDING-TAKE.ogg', for example "
                "'001 - Dog bark/1-100032-A.ogg'. Move the file away, or read the folder as "
                "plain class folders (labels 'folders')"
            )
        number, label = int(folder[1]), folder[2].strip()
        if numbers.setdefault(number, label) != label:
            raise DataError(
                f"{place.path}: class number {number:03d} stands for '{numbers[number]}' and for "
                f"'{label}', expected one folder a number"
            )
        rows.append(
            {"file": file, "labels": label, "group": found[2], "fold": int(found[1])},
        )
    groups = known_or_given(
        [row["file"] for row in rows], [row["group"] for row in rows], options.group,
        class_folders=True,
    )  # fmt: skip
    rows = [{**row, "group": group} for row, group in zip(rows, groups, strict=True)]
    classes = [numbers[number] for number in sorted(numbers)]
    name = options.name or f"ESC-{len(classes)}"
    return Clips.from_rows(place.path, rows, classes=classes, name=name)
