"""Clips in object storage: a folder, a recording or a table that a URL names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semisonic.audio.remote import copy_of, files_at, url_of
from semisonic.base.errors import AudioError, DataError
from semisonic.data.clips import Clips
from semisonic.data.readers import load_clips

_TABLES = (".csv", ".tsv")


def clips_at(url: str, *, labels: str = "none", group: str = "auto") -> Clips:
    """The clips at a URL; recordings of a folder have no labels.

    Parameters
    ----------
    url : str
        Of a folder, of a recording, or of a table whose files lie beside it or are URLs.
    labels, group : str
        How a table is read: see :func:`load_clips`.

    Raises
    ------
    DataError
        When nothing is there.
    """
    if Path(url).suffix.lower() not in _TABLES:
        return Clips.from_rows(Path(), [{"file": file} for file in files_at(url)], name=url)
    try:
        copy = copy_of(Path(url))
    except AudioError as error:
        raise DataError(str(error)) from error
    try:
        found = load_clips(copy.path, labels=labels, group=group, allow_missing=True)
    finally:
        copy.close()
    folder = url.rpartition("/")[0]
    names = found.file.tolist()
    files = [url_of(file) or f"{folder}/{file}" for file in names]
    groups = [
        file if group == name else group  # a file is its own recording
        for file, name, group in zip(files, names, found.group.tolist(), strict=True)
    ]
    return found.with_columns(
        root=Path(), file=np.array(files, np.str_), group=np.array(groups, np.str_), name=url
    )
