"""The tables of a scan as CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semisonic.base.files import write_csv
from semisonic.data.checks.pair import Duplicate
from semisonic.data.scan.recording import COLUMNS
from semisonic.data.scan.scanning import Scan

RECORDINGS, BAD_FILES, DUPLICATES = "recordings.csv", "bad_files.csv", "duplicates.csv"

_PAIR = (
    "kind", "first", "second", "score", "offset_time", "shared_time", "across_groups", "same_labels"
)  # fmt: skip


def write_tables(folder: Path, scan: Scan) -> None:
    """Write ``recordings.csv``, ``bad_files.csv`` and ``duplicates.csv`` into a folder."""
    write_csv(folder / RECORDINGS, COLUMNS, (recording.row() for recording in scan.recordings))
    write_csv(folder / BAD_FILES, ("file", "reason"), scan.bad_files)
    write_csv(folder / DUPLICATES, _PAIR, map(_pair, scan.duplicates))


def _pair(pair: Duplicate) -> tuple[Any, ...]:
    shared = "" if pair.kind == "identical" else round(pair.shared_time, 2)
    return (
        pair.kind, pair.first, pair.second,
        round(pair.score, 4), round(pair.offset_time, 4), shared,
        "yes" if pair.across else "no", "yes" if pair.same_labels else "no",
    )  # fmt: skip
