"""The tables of a scan as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from semisonic.base.files import write_text
from semisonic.data.checks.pair import Duplicate
from semisonic.data.scan.recording import COLUMNS
from semisonic.data.scan.scanning import Scan

RECORDINGS, BAD_FILES, DUPLICATES = "recordings.csv", "bad_files.csv", "duplicates.csv"

_PAIR = (
    "kind", "first", "second", "score", "offset_time", "shared_time", "across_groups", "same_labels"
)  # fmt: skip


def write_tables(folder: Path, scan: Scan) -> None:
    """Write ``recordings.csv``, ``bad_files.csv`` and ``duplicates.csv`` into a folder."""
    _write(folder / RECORDINGS, COLUMNS, (recording.row() for recording in scan.recordings))
    _write(folder / BAD_FILES, ("file", "reason"), scan.bad_files)
    _write(folder / DUPLICATES, _PAIR, map(_pair, scan.duplicates))


def _pair(pair: Duplicate) -> tuple[Any, ...]:
    shared = "" if pair.kind == "identical" else round(pair.shared_time, 2)
    return (
        pair.kind, pair.first, pair.second,
        round(pair.score, 4), round(pair.offset_time, 4), shared,
        "yes" if pair.across else "no", "yes" if pair.same_labels else "no",
    )  # fmt: skip


def _write(path: Path, headers: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)
    write_text(path, text.getvalue())
