"""A list of finished work that only grows, and that a killed process cannot spoil.

Each record is one line of JSON. Records wait in memory for a second at most; then the data
they speak of is brought to the disk first, and they are appended. So whatever stands in
the journal is true, also after ``kill -9`` or a power cut, and at most the last second of
work is repeated. A last line that was torn is cut off when the journal is opened again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FLUSH_INTERVAL = 1.0
"""Seconds that finished work may wait to be written down."""


class Journal:
    """The journal at ``path``, open for appending; use it as a context manager.

    Parameters
    ----------
    path : Path
        The file; made if missing. A torn last line is removed at once.
    before : callable
        Called before records are written, to bring what they speak of to the disk.
    """

    def __init__(self, path: Path, before: Callable[[], None]) -> None:
        self._before = before
        self._waiting: list[str] = []
        self._written_at = time.monotonic()
        self._file = open(path, "a+b")  # noqa: SIM115  (closed by close)
        self._file.truncate(_whole_size(self._file))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def records(self) -> Iterator[list[Any]]:
        """What was written down so far, oldest first; lines that are no record are left out."""
        self.flush()
        self._file.seek(0)
        for line in self._file:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a damaged disk; the work is done again
            if isinstance(record, list):
                yield record

    def append(self, record: list[Any]) -> None:
        """Add a record; it is on the disk within about a second."""
        self._waiting.append(json.dumps(record, separators=(",", ":")) + "\n")
        if time.monotonic() - self._written_at >= FLUSH_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Bring everything to the disk now."""
        if self._waiting:
            self._before()
            self._file.write("".join(self._waiting).encode())
            self._waiting.clear()  # at once: Ctrl-C while the disk is at work must not double them
            self._file.flush()
            sync(self._file.fileno())
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Write what waits, and close."""
        try:
            self.flush()
        finally:
            self._file.close()


def sync(descriptor: int) -> None:
    """Bring a file's content to the disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def _whole_size(file: Any) -> int:
    """Bytes up to the end of the last whole line."""
    size = file.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        end = start
    return 0
