"""The file of a label log as it is read: a first line about the recordings, then answers.

The last line may be torn, by a crash or because it is being written: it is not read. A line that
is no entry disturbs no other; it is listed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.data.answers import FORMAT, HEADER, Entry


@dataclass(frozen=True)
class LogFile:
    """What a log holds.

    Attributes
    ----------
    root : Path
        The folder of the recordings, absolute.
    entries : tuple of Entry
        In the order of the file.
    problems : tuple of (place, reason)
        Lines that are no entries.
    """

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[tuple[str, str], ...]


def read_log(path: Path) -> LogFile:
    """Read a log.

    Raises
    ------
    DataError
        When the file cannot be read or is none.
    """
    data = _whole_lines(_bytes(path, 0))
    first, _, rest = data.partition(b"\n")
    root = _root(path, first)
    if root is None:
        raise DataError(
            f"{path}: no label log; expected the first line "
            f'{{"log": "{HEADER}", "format": {FORMAT}, "root": "folder of the recordings"}}'
        )
    entries, problems = [], []
    for number, line in enumerate(rest.split(b"\n"), start=2):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line))
        except ValueError as error:
            problems.append((f"{path}, line {number}", str(error)))
    return LogFile(root, tuple(entries), tuple(problems))


def later(path: Path, offset: int) -> tuple[tuple[Entry, ...], int]:
    """The entries after a place in bytes, and the place after the last whole line.

    Raises
    ------
    DataError
        When the file cannot be read, or is shorter than that.
    """
    if not offset:
        read_log(path)  # says so if this is no log
    size = path.stat().st_size if path.exists() else 0
    if not 0 <= offset <= size:
        raise DataError(f"{path}: found {size} bytes, expected at least {offset}: another file")
    data = _bytes(path, offset)
    data = data[: data.rfind(b"\n") + 1]
    return tuple(_entries(data)), offset + len(data)


def is_log(path: Path) -> bool:
    """Whether a file begins as a log does."""
    try:
        with open(path, "rb") as stream:
            return _root(path, stream.readline(65536)) is not None
    except (OSError, DataError):
        return False


def last_entry(data: bytes) -> Entry | None:
    """The last entry of some lines."""
    for line in reversed(data.split(b"\n")):
        for entry in _entries(line):
            return entry
    return None


def _entries(data: bytes) -> Iterator[Entry]:
    for line in data.split(b"\n"):
        try:
            yield _entry(line)
        except ValueError:
            continue  # the first line, an empty one, or one that ``problems`` lists


def _entry(line: bytes) -> Entry:
    return Entry.from_line(line.decode("utf-8"))


def _whole_lines(data: bytes) -> bytes:
    """What ends with a line's end, and a last line without one if it is whole all the same."""
    end = data.rfind(b"\n") + 1
    try:
        _entry(data[end:])
    except ValueError:
        return data[:end]
    return data + b"\n"


def _bytes(path: Path, offset: int) -> bytes:
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _root(path: Path, line: bytes) -> Path | None:
    """The folder that the first line of a log names; None when it is not such a line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("log") != HEADER:
        return None
    if found.get("format") != FORMAT:
        raise DataError(
            f"{path}: found format {found.get('format')}, expected {FORMAT}; a newer Semisonic "
            "wrote it"
        )
    return Path(os.path.abspath(path.parent / str(found.get("root") or ".")))
