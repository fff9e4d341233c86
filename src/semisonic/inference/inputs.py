"""What a user names for prediction: files, folders and tables as one list of clips."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from semisonic.audio.remote import shown, url_of
from semisonic.base.errors import DataError
from semisonic.base.members import SHARD_SUFFIXES, is_there, member_of, member_path
from semisonic.data.clips import Clips
from semisonic.data.readers import load_clips
from semisonic.data.remote import clips_at

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})


def gather(
    paths: Iterable[str | PathLike[str]],
) -> tuple[Clips, tuple[tuple[str, str], ...]]:
    """List the clips that some paths stand for; nothing is opened.

    Parameters
    ----------
    paths : iterable of path
        A recording, a folder (all recordings below it, or in the shards below it), a shard or a
        member of one, or a CSV of clips with or without times.

    Returns
    -------
    clips : Clips
        Without labels, sorted; files are named by the path given, so that they can be opened
        from here. What is named twice stands once.
    failures : tuple of (str, str)
        Paths that do not exist or hold nothing, with the reason.

    Raises
    ------
    DataError
        When nothing at all is found.
    """
    rows: dict[tuple[str, float, float | None], dict[str, object]] = {}
    failures: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            found = _clips_of(path)
        except DataError as error:
            name = url_of(path) or str(path)
            failures.append((name, str(error).removeprefix(f"{name}: ")))
            continue
        for file, start, end in zip(found.file, found.start_time, found.end_time, strict=True):
            name = shown(found.root / str(file))
            stop = None if np.isnan(end) else float(end)
            row = {"file": name, "start_time": float(start), "end_time": stop}
            rows[name, float(start), stop] = row
    if not rows:
        raise DataError(
            "nothing to hear: " + ("; ".join(map(": ".join, failures[:3])) or "no file was named")
        )
    return Clips.from_rows(Path(), rows.values(), name="files"), tuple(failures)


def _clips_of(path: Path) -> Clips:
    url = url_of(path)
    if url is not None:
        return clips_at(url, labels="none")
    if path.is_dir():
        return load_clips(path, labels="files")
    if not path.exists() and not is_there(path):
        raise DataError(f"{path}: no such file or folder")
    if path.suffix.lower() in SHARD_SUFFIXES:
        return load_clips(path, labels="none")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return load_clips(path, labels="none", allow_missing=True)
    member = member_of(path)
    if member is not None:
        file = member_path(member.shard.name, member.name)
        return Clips.from_rows(member.shard.parent, [{"file": file}])
    return Clips.from_rows(path.parent, [{"file": path.name}])
