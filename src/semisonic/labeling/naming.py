"""Clips of an index: files are named from the index's folder, so both can be moved together."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from semisonic.audio.remote import url_of
from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.readers import load_clips
from semisonic.data.readers.place import Place
from semisonic.data.remote import clips_at

Failures = tuple[tuple[str, str], ...]


def gather(
    paths: Iterable[str | PathLike[str]], folder: Path, *, labels: str = "auto", group: str = "auto"
) -> tuple[Clips, Failures]:
    """The clips that some paths stand for, with labels where they have any; nothing is opened.

    Parameters
    ----------
    paths : iterable of path
        Recordings, folders, tables of clips, files of labels, logs of answers.
    folder : Path
        What files are named from.
    labels, group : str
        How folders and tables are read: see :func:`load_clips`.

    Returns
    -------
    clips : Clips
        Sorted; what is named twice stands once.
    failures : tuple of (str, str)
        Paths that do not exist or hold nothing, with the reason.

    Raises
    ------
    DataError
        When nothing at all is found.
    """
    tables: list[Clips] = []
    failures: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            url = url_of(path)
            if url is not None:
                tables.append(clips_at(url, labels=labels, group=group))
                continue
            place = Place(path)
            is_audio = path.is_file() and not (place.is_text or place.is_log)
            how = "files" if is_audio else labels
            tables.append(load_clips(path, labels=how, group=group, allow_missing=True))
        except DataError as error:
            failures.append((str(path), str(error).removeprefix(f"{path}: ")))
    if not tables:
        text = "; ".join(map(": ".join, failures[:3])) or "no file was named"
        raise DataError(f"nothing to embed: {text}")
    return named_from(folder, tables), tuple(failures)


def named_from(folder: Path, tables: Iterable[Clips]) -> Clips:
    """Clips of several tables as one, named from a folder and sorted; each clip once.

    A group that is called after a file gets that file's new name, whichever row it stands in, so
    that clips of one group stay together.
    """
    root = folder.resolve()
    rows: dict[tuple[str, float, float | None], dict[str, object]] = {}
    classes: dict[str, None] = {}
    for clips in tables:
        classes |= dict.fromkeys(clips.classes)
        files = clips.file.tolist()
        new_name = {file: name_from(root, clips.root / file) for file in dict.fromkeys(files)}
        for i, (file, group) in enumerate(zip(files, clips.group.tolist(), strict=True)):
            name = new_name[file]
            end = None if np.isnan(clips.end_time[i]) else float(clips.end_time[i])
            start = float(clips.start_time[i])
            rows[name, start, end] = {
                "file": name,
                "start_time": start,
                "end_time": end,
                "labels": clips.labels[i],
                "group": new_name.get(group, group),
                "fold": int(clips.fold[i]),
                "label_type": str(clips.label_type[i]),
            }
    return Clips.from_rows(root, rows.values(), classes=tuple(classes), name="recordings")


def shown_names(files: Iterable[str]) -> dict[str, str]:
    """Each file's name for people: without the folders that all have in common."""
    names = list(dict.fromkeys(files))
    folders = [name.rpartition("/")[0].split("/") for name in names]
    shared = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return {name: "/".join(name.split("/")[shared:]) for name in names}


def name_from(root: Path, file: Path) -> str:
    """A file as it is called from a folder; a URL stays as it is."""
    url = url_of(file)
    if url is not None:
        return url
    path = os.path.abspath(file)
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive
        return Path(path).as_posix()
