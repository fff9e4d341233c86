"""Folders of recordings: class folders, and recordings without labels.

Folders inside a class folder may be nested at will. Files directly in the root, and those in
a folder called ``unlabelled`` (or ``unlabeled``), stand in the table without a label.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import DatasetPath, Layout, first_folder
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import groups_by_name

UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})
_PART = re.compile(r"^(?P<stem>.*\S)[\s._-]+part[\s._-]*\d+$", re.IGNORECASE)


def _recognise_class_folders(dataset: DatasetPath) -> str | None:
    """A folder that has recordings in first-level folders."""
    folders = {first_folder(file) for file in dataset.audio} - {""}
    if not folders - {f for f in folders if f.lower() in UNLABELLED_FOLDERS}:
        return None
    return f"recordings in {len(folders)} folders, each named after its class"


def _read_class_folders(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List the recordings; label each with its first-level folder."""
    files = dataset.need_audio()
    folders = {first_folder(file) for file in files}
    label_of, notes = _labels_of_folders(folders, options.merge_parts)
    labels = [label_of[first_folder(file)] for file in files]
    groups, told = groups_by_name(files, options.group, labels, class_folders=True)
    notes += told
    bare = labels.count("")
    if bare:
        notes.append(f"without a label: {count_text(bare, 'recording')} outside class folders")
    alone = sum(file == group for file, group in zip(files, groups, strict=True))
    if options.group == "folder" and alone:
        notes.append(
            f"directly in a class folder: {count_text(alone, 'recording')}, each a group of its own"
        )
    rows = (
        {"file": file, "labels": label, "group": group}
        for file, label, group in zip(files, labels, groups, strict=True)
    )
    return Clips.from_rows(dataset.path, rows, name=dataset.name, notes=notes)


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


CLASS_FOLDERS = Layout(
    "folders", "a folder of class folders", _read_class_folders, _recognise_class_folders
)


# Recordings without labels: one file, a list of files, or a folder of them.


def _recognise_files(dataset: DatasetPath) -> str | None:
    """Any audio file, or a folder with recordings directly in it and no class folders."""
    if dataset.kind == "recording":
        return "one recording"
    if dataset.audio and not any("/" in file for file in dataset.audio):
        n = count_text(len(dataset.audio), "recording")
        return f"{n} directly in the folder, no folders, no table"
    return None


def _read_files(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List every recording below the folder; none gets a label."""
    if dataset.kind == "recording":
        return from_files([dataset.path], dataset.name)
    files = dataset.need_audio()
    groups, notes = groups_by_name(files, options.group)
    return Clips.from_files(dataset.path, files, groups, dataset.name, notes)


def from_files(files: Iterable[str | os.PathLike[str]], name: str = "files") -> Clips:
    """A table of the given recordings, without labels, as for prediction.

    Raises
    ------
    DataError
        When no file is given or one does not exist.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise DataError("no files given, expected at least one recording")
    missing = [str(path) for path in paths if not os.path.isfile(path)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} files do not exist: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
    absolute = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    names = dict.fromkeys(path.relative_to(root).as_posix() for path in absolute)
    return Clips.from_rows(root, ({"file": file} for file in names), name=name)


FILES = Layout("files", "recordings without labels", _read_files, _recognise_files)
