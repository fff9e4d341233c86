"""Recordings without labels: one file, a list of files, or a folder of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.members import is_there
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import groups_by_name
from semisonic.data.readers.place import Place, ReadOptions


def recognise(place: Place) -> str | None:
    """Any audio file, or a folder with recordings directly in it and no class folders."""
    if place.is_audio_file:
        return "one recording"
    if place.audio and not any("/" in file for file in place.audio):
        return (
            f"{counted(len(place.audio), 'recording')} directly in the folder, no folders, no table"
        )
    return None


def read(place: Place, options: ReadOptions) -> Clips:
    """List every recording below the folder; none gets a label."""
    if place.is_audio_file:
        return from_files([place.path], options.name or place.name)
    files = place.need_audio()
    groups, notes = groups_by_name(files, options.group)
    return Clips.from_files(place.path, files, groups, options.name or place.name, notes)


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
    missing = [str(path) for path in paths if not is_there(path)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} files do not exist: {', '.join(missing[:5])}"
            + (", ..." if len(missing) > 5 else "")
        )
    absolute = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    names = dict.fromkeys(path.relative_to(root).as_posix() for path in absolute)
    return Clips.from_rows(root, ({"file": file} for file in names), name=name)
