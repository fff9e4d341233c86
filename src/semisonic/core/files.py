"""Atomic writing of files, small formats (CSV, JSON), and locks."""

from __future__ import annotations

import csv
import dataclasses
import errno
import gzip
import hashlib
import io
import itertools
import json
import logging
import math
import os
import re
import stat
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from semisonic.core.errors import DataError, OptionError

_log = logging.getLogger(__name__)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; move the file to ``path`` if the block succeeds.

    Errors of the system, such as a full disk, name ``path``.

    Parameters
    ----------
    path : path
        The file that is written; its folder is made.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OSError
        When it cannot be written; the error names ``path``.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(place) as part:
    ...     _ = part.write_text("whole")
    >>> place.read_text()
    'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    end = f".{os.getpid()}.part"
    # A name may have 255 bytes; a name of so many still gets a temporary one.
    start = target.name.encode("utf-8", "surrogateescape")[: 254 - len(end)]
    temporary = target.with_name(f".{start.decode('utf-8', 'ignore')}{end}")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.filename in (None, str(temporary), temporary):
            error.filename, error.filename2 = str(target), None
        raise
    finally:
        with suppress(OSError):  # on a read-only disk even removing nothing is an error
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically, with the same bytes on every system.

    Bytes of a file name that are not Unicode (see :func:`to_bytes`) are written as ``\\udcff``,
    which JSON reads back.

    Parameters
    ----------
    path : path
    text : str
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file atomically, readable by people.

    Parameters
    ----------
    path : path
    value : object
        Values that JSON does not know are written as text.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def write_csv(
    path: str | os.PathLike[str],
    headers: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    errors: str = "backslashreplace",
) -> None:
    """Write a CSV file atomically: a line of headers, then the rows; see :func:`csv_line`.

    Bytes of a file name that are not Unicode are written as ``\\udcff``; with ``errors=
    "surrogateescape"`` they are kept. A file whose name ends in .gz is compressed.

    Parameters
    ----------
    path : path
    headers : sequence of str
    rows : iterable of iterables
        Cells of any type, written as text.
    errors : str
        What to do with names that are not Unicode, as for :func:`open`.
    """
    lines = itertools.chain([csv_line(headers)], map(csv_line, rows))
    with replacing(path) as part:
        if _is_zipped(path):  # without the time and the temporary name that a stream would hold
            part.write_bytes(gzip.compress("".join(lines).encode("utf-8", errors), mtime=0))
            return
        with part.open("w", encoding="utf-8", errors=errors, newline="") as stream:
            stream.writelines(lines)


def _is_zipped(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).lower().endswith(".gz")


def write_frame(path: str | os.PathLike[str], frame: pd.DataFrame, digits: int = 4) -> None:
    """Write a data frame as :func:`write_csv` does, with this many digits for floats.

    Parameters
    ----------
    path : path
    frame : DataFrame
    digits : int
    """
    rows = (
        [f"{cell:.{digits}f}" if isinstance(cell, float) else cell for cell in row]
        for row in frame.itertuples(index=False, name=None)
    )
    write_csv(path, list(map(str, frame)), rows)


def csv_line(cells: Iterable[object]) -> str:
    """A line of CSV, with its line end, in which a spreadsheet sees no formula.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets a ``'`` in
    front, with which spreadsheets mark text. Numbers are not changed.

    Parameters
    ----------
    cells : iterable

    Returns
    -------
    str

    Examples
    --------
    >>> csv_line(["rain", 0.5, "=1+1"])
    "rain,0.5,'=1+1\\n"
    """
    line = io.StringIO()
    # So that a cell with a carriage return is quoted, too.
    csv.writer(line, lineterminator="\r\n").writerow(map(guarded, cells))
    return line.getvalue()[:-2] + "\n"


def guarded(cell: object) -> object:
    """A cell as it is written: see :func:`csv_line`."""
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def unguarded(cell: str) -> str:
    """A cell as it was before :func:`guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_csv(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """The rows of a file of :func:`write_csv`, by column; a short row has empty cells.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of dict
    """
    opened = gzip.open if _is_zipped(path) else open
    with opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = csv.DictReader(stream, restval="")
        return [{unguarded(k): unguarded(cell) for k, cell in row.items() if k} for row in rows]


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        For anything else, also for brackets nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML text; ValueError as for :func:`parse_json`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


def read_json(
    path: str | os.PathLike[str],
    entries: Mapping[str, type | tuple[type, ...]] = MappingProxyType({}),
) -> Any:
    """Read a UTF-8 JSON file.

    Parameters
    ----------
    path : path
    entries : mapping of str to type
        What the file must have, if it must be a mapping: names, dotted where nested, and the type
        of each value. With ``EllipsisType`` among the types, the entry may be missing.

    Raises
    ------
    DataError
        When the file is no JSON, or lacks one of these entries.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "a.json"
    >>> write_json(place, {"rate": 8000})
    >>> read_json(place, {"rate": int})["rate"]
    8000
    """
    try:
        found = parse_json(Path(path).read_bytes().decode("utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: damaged: expected JSON ({error})") from error
    for name, kind in entries.items():
        value = found
        for part in name.split("."):
            value = value.get(part, ...) if isinstance(value, dict) else ...
        if not isinstance(value, kind):
            raise DataError(
                f"{path}: damaged, or of another program: found no usable '{name}' in it"
            )
    return found


_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}
_FULL = {errno.ENOSPC, errno.EDQUOT}


def why_unwritable(error: OSError) -> str:
    """Why a file could not be written, and what to do, as the end of a message."""
    reason = f"cannot be written ({error.strerror or type(error).__name__})"
    if error.errno in _FULL:
        return f"{reason}. Make room on the disk, and start again"
    if error.errno in _UNWRITABLE:
        return f"{reason}. Choose a folder that can be written to"
    return reason


def why_refused(error: OSError) -> str:
    """What the system refused, and what to do, for an error of which nothing else is known."""
    found = error.filename
    path = os.fsdecode(found) if isinstance(found, str | bytes | os.PathLike) else ""
    where = f"{path}: " if path else ""
    if error.errno == errno.EACCES and not _is_writing(path):
        return f"{where}cannot be read ({error.strerror}). Make it readable, or leave it out"
    if error.errno in _UNWRITABLE | _FULL:
        return f"{where or 'a file '}{why_unwritable(error)}"
    return f"{where}{error.strerror or type(error).__name__}"


def _is_writing(path: str) -> bool:
    """Whether a permission that is missing for a path must be that to write."""
    if os.path.lexists(path):
        return os.access(path, os.R_OK) and not os.access(path, os.W_OK)
    return os.access(os.path.dirname(path) or os.curdir, os.X_OK)


def json_ready(value: Any) -> Any:
    """Turn a value into what JSON can hold.

    Parameters
    ----------
    value : object
        Numbers, text, paths, arrays, dataclasses, named tuples, and collections of these.

    Returns
    -------
    object
        Dataclasses and named tuples become mappings, arrays, sets and tuples become lists, paths
        become text, and numbers that are not finite become None.

    Examples
    --------
    >>> json_ready({"rate": float("nan"), "files": (Path("a.wav"),)})
    {'rate': None, 'files': ['a.wav']}
    """
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return json_ready(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: json_ready(getattr(value, field.name)) for field in fields}
    if hasattr(value, "_asdict"):
        return json_ready(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def digest(*parts: object) -> str:
    """A short, stable hash (16 hex digits) of plain values.

    Options count with all their fields. Other objects have no hash, as their text might be
    incomplete.

    Parameters
    ----------
    *parts : object
        Text, numbers, paths, options, and lists and mappings of these.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        For any other object.

    Examples
    --------
    >>> digest("small", 3) == digest("small", 3)
    True
    """
    text = "\x1f".join(
        part if isinstance(part, str) else json.dumps(part, default=_plain) for part in parts
    )
    return hashlib.sha256(to_bytes(text)).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """The JSON form of a value that JSON does not know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {type(value).__name__: fields}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a plain value and cannot be hashed")


def to_bytes(text: str) -> bytes:
    """The UTF-8 bytes of a text; file names that are not Unicode keep their bytes."""
    return text.encode("utf-8", "surrogateescape")


def content_hash(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of the bytes of a file.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        64 hex digits.

    Raises
    ------
    OSError
        When it cannot be read, or is a pipe or a device, which may have no end.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def path_from(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """A path relative to a folder, with forward slashes; absolute on another drive.

    Parameters
    ----------
    path, folder : path

    Returns
    -------
    str
    """
    whole = os.path.abspath(path)
    try:
        return Path(os.path.relpath(whole, folder)).as_posix()
    except ValueError:  # Windows knows no way from one drive to another
        return Path(whole).as_posix()


_position = threading.Lock()
"""Held while threads share the single position of a file, on systems without ``pread``."""


def read_at(descriptor: int, n_bytes: int, offset: int) -> bytes:
    """The bytes at a place of an open file; fewer where the file ends. Threads may share it.

    Parameters
    ----------
    descriptor : int
    n_bytes, offset : int

    Returns
    -------
    bytes
    """
    data = bytearray()
    while len(data) < n_bytes:
        more = _pread(descriptor, n_bytes - len(data), offset + len(data))
        if not more:
            break
        data += more
    return bytes(data)


def write_at(descriptor: int, view: memoryview, offset: int) -> None:
    """Write bytes to a place of an open file. Threads may share it.

    Parameters
    ----------
    descriptor : int
    view : memoryview
    offset : int
    """
    while view:
        n = _pwrite(descriptor, view, offset)
        view, offset = view[n:], offset + n


def _pread(descriptor: int, n_bytes: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, n_bytes, offset)
    with _position:  # Windows
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, n_bytes)


def _pwrite(descriptor: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, offset)
    with _position:  # Windows
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, view)


# Locks between processes. The system releases a lock when its process ends, however it ends. The
# file of a lock stays where it is, empty: removing it while others wait for it would let two of
# them in at once.


LOCK = ".lock"
"""Name of the lock of a folder, in that folder."""
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def locked(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock within the block.

    Parameters
    ----------
    file : Path
        Created if it does not exist, with its folder.
    wait : bool
        Whether to wait until another process releases the lock.

    Yields
    ------
    bool
        Whether the lock is held: False when another process holds it and ``wait`` is false.

    Raises
    ------
    OSError
        When the file cannot be created.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    try:
        lock = _taken(FileLock(file, thread_local=False), -1 if wait else 0)
    except OSError as error:
        error.filename = os.fspath(file.parent)  # nobody knows the file of a lock
        raise
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _taken(lock: BaseFileLock, timeout: float) -> BaseFileLock | None:
    from filelock import SoftFileLock, Timeout

    try:
        lock.acquire(timeout)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _UNSUPPORTED or isinstance(lock, SoftFileLock):
            raise
        # on a network disk without locks, a second file is there while the lock is held
        return _taken(SoftFileLock(f"{lock.lock_file}.held", thread_local=False), timeout)
    return lock


@contextmanager
def exclusive(file: Path, *, message: str = "") -> Iterator[None]:
    """Wait until no other process is within a block for the same file.

    Parameters
    ----------
    file : Path
        The file of the lock.
    message : str
        A warning to log when this process has to wait; none if empty.

    Raises
    ------
    OSError
        When the file cannot be created.
    """
    with ExitStack() as stack:
        if not stack.enter_context(locked(file, wait=not message)):
            _log.warning(message)
            stack.enter_context(locked(file, wait=True))
        yield


class FolderLock:
    """A lock on a folder, held until :meth:`release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = ExitStack()

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OptionError
            When another process holds it.
        """
        if not self._held.enter_context(locked(self.folder / LOCK, wait=False)):
            raise OptionError(
                f"{self.folder}: another process is writing to this run folder; wait until it "
                "ends, or choose another folder"
            )

    def release(self) -> None:
        """Release the lock."""
        self._held.close()
