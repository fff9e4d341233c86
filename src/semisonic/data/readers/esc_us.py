"""ESC-US: 250 000 unlabelled Ogg clips in numbered folders (``01/...ogg``), or, as the later
archive has it, in one ``audio`` folder beside ``ESC-US.csv``.

The files are listed, never opened. The table of unverified tags is not read: ESC-US has no
labels. K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM MM 2015.
"""

from __future__ import annotations

import re

from semisonic.data.clips import Clips
from semisonic.data.readers.groups import known_or_given
from semisonic.data.readers.place import Place, ReadOptions, base_name, first_folder

UNVERIFIED_TABLE = "esc-us.csv"  # in lower case
_NUMBERED = re.compile(r"^\d{2,}$")
_FREESOUND = re.compile(r"^\d+-(\d+)-[A-Z]+\.\w+$", re.IGNORECASE)


def recognise(place: Place) -> str | None:
    """``ESC-US.csv``, or nothing but Ogg files in folders called 00, 01, 02, ..."""
    if any(table.name.lower() == UNVERIFIED_TABLE for table in place.tables):
        return "it holds ESC-US.csv; the clips are unlabelled and are listed, not opened"
    folders = {first_folder(file) for file in place.audio}
    numbered = bool(folders) and all(_NUMBERED.match(folder) for folder in folders)
    if not numbered or not all(file.lower().endswith(".ogg") for file in place.audio):
        return None
    return (
        f"nothing but Ogg files in {len(folders)} numbered folders, as ESC-US has them; the clips "
        "are unlabelled and are listed, not opened. If the numbers are classes, ask for labels "
        "'folders'"
    )


def read(place: Place, options: ReadOptions) -> Clips:
    """List the clips; the Freesound recording is the group where the name tells it."""
    files = place.need_audio()
    known = [found[1] if (found := _FREESOUND.match(base_name(f))) else f for f in files]
    groups = known_or_given(files, known, options.group)
    note = f"{len(files)} clips listed without opening them; ESC-US has no labels"
    return Clips.from_files(place.path, files, groups, options.name or "ESC-US", [note])
