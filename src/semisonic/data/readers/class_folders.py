"""A folder of class folders: the name of the first-level folder is the label.

Folders inside a class folder may be nested at will. Files directly in the root, and those in
a folder called ``unlabelled`` (or ``unlabeled``), stand in the table without a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import groups_by_name
from semisonic.data.readers.place import Place, ReadOptions, first_folder

UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})
_PART = re.compile(r"^(?P<stem>.*\S)[\s._-]+part[\s._-]*\d+$", re.IGNORECASE)


def recognise(place: Place) -> str | None:
    """A folder that has recordings in first-level folders."""
    folders = {first_folder(file) for file in place.audio} - {""}
    if not folders - {f for f in folders if f.lower() in UNLABELLED_FOLDERS}:
        return None
    return f"recordings in {len(folders)} folders, each named after its class"


def read(place: Place, options: ReadOptions) -> Clips:
    """List the recordings; label each with its first-level folder."""
    files = place.need_audio()
    folders = {first_folder(file) for file in files}
    label_of, notes = _labels_of_folders(folders, options.merge_parts)
    labels = [label_of[first_folder(file)] for file in files]
    groups, told = groups_by_name(files, options.group, labels, class_folders=True)
    notes += told
    bare = labels.count("")
    if bare:
        notes.append(f"without a label: {counted(bare, 'recording')} outside class folders")
    alone = sum(file == group for file, group in zip(files, groups, strict=True))
    if options.group == "folder" and alone:
        notes.append(
            f"directly in a class folder: {counted(alone, 'recording')}, each a group of its own"
        )
    rows = (
        {"file": file, "labels": label, "group": group}
        for file, label, group in zip(files, labels, groups, strict=True)
    )
    return Clips.from_rows(place.path, rows, name=options.name or place.name, notes=notes)


def merge_parts(folders: Iterable[str]) -> dict[str, str]:
    """The class of each folder when folders such as ``Cat-Part1``, ``Cat-Part2`` are one class.

    A lone folder that happens to end in ``Part1`` keeps its name.
    """
    names = set(folders)
    stems = {name: found["stem"] for name in names if (found := _PART.match(name))}
    result = {}
    for name in names:
        stem = stems.get(name, name)
        shared = sum(stems.get(other, other) == stem for other in names)
        result[name] = stem if shared > 1 else name
    return result


def _labels_of_folders(folders: set[str], merge: bool) -> tuple[dict[str, str], list[str]]:
    """The label of each first-level folder ("" for none), and notes about merged ones."""
    named = {f for f in folders if f and f.lower() not in UNLABELLED_FOLDERS}
    label_of = dict.fromkeys(folders - named, "")
    label_of.update(merge_parts(named) if merge else {name: name for name in named})
    notes = []
    for label in sorted(set(label_of.values()) - {""}):
        parts = sorted(name for name in named if label_of[name] == label)
        if len(parts) > 1:
            notes.append(f"the folders {', '.join(parts)} are one class, {label}")
    return label_of, notes
