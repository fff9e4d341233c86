"""Which column of somebody's table means what.

The names are those of our own tables and of the tools and data sets people come from:
OpenSoundscape, Perch Hoplite, BirdNET, ESC-50, UrbanSound8K, FSDKaggle, DCASE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError

# In order of preference; names are normalised (lower case, '_' for anything else).
FILE = (
    "file", "filename", "file_name", "filepath", "file_path", "path", "slice_file_name", "fname",
    "audio", "audio_file", "wav", "begin_file", "recording",
)  # fmt: skip
LABEL = (
    "label", "labels", "category", "class", "class_name", "common_name", "species", "tag", "tags",
)  # fmt: skip
START = ("start_time", "start", "start_offset_s", "start_s", "begin_time_s", "onset")
END = ("end_time", "end", "end_offset_s", "end_s", "end_time_s", "offset")
GROUP = (
    "group", "src_file", "fsid", "fs_id", "freesound_id", "recording_id", "recording",
)  # fmt: skip
FOLD = ("fold",)
TARGET = ("target", "classid", "class_id", "class_index")
LABEL_TYPE = ("label_type", "presence")


@dataclass(frozen=True)
class Columns:
    """The column of a table for each of ours; None where it has none."""

    file: str
    label: str | None
    start: str | None
    end: str | None
    group: str | None
    fold: str | None
    target: str | None
    label_type: str | None


def find_columns(path: Path, columns: Sequence[str]) -> Columns:
    """Recognise the columns of a table.

    Raises
    ------
    DataError
        When there is no column for the file.
    """
    file = _first(columns, FILE)
    if file is None:
        raise DataError(
            f"{path}, row 1: no column for the audio file. Found "
            f"{', '.join(columns) or 'nothing'}; expected one of {', '.join(FILE[:6])}. "
            "The first row must name the columns, for example 'file,label'"
        )
    # UrbanSound8K's start and end are times in the recording its slices were cut from.
    sliced = file == "slice_file_name"
    return Columns(
        file=file,
        label=_first(columns, LABEL),
        start=None if sliced else _first(columns, START),
        end=None if sliced else _first(columns, END),
        group=_first(columns, tuple(name for name in GROUP if name != file)),
        fold=_first(columns, FOLD),
        target=_first(columns, TARGET),
        label_type=_first(columns, LABEL_TYPE),
    )


def looks_like_labels(columns: Sequence[str]) -> bool:
    """Whether a table has both a file and a label column."""
    return _first(columns, FILE) is not None and _first(columns, LABEL) is not None


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)
