"""A cache of arrays: a key table, a file of rows and a lock.

Results that take long to compute (samples, features, embeddings, facts about files) are computed
once and kept under a key, with the *version* of their source, such as the size and the times of a
file. Rows are never moved or overwritten, so a process that has mapped them can read
on; rows of changed files stay until the folder is deleted.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike, NDArray

from semisonic.audio.remote import stamp_of
from semisonic.core.errors import DataError
from semisonic.core.files import (
    LOCK,
    digest,
    exclusive,
    locked,
    parse_json,
    read_at,
    read_json,
    why_unwritable,
    write_at,
    write_json,
)
from semisonic.core.parallel import Engine, engine_for, in_any_order, in_threads
from semisonic.core.progress import bar
from semisonic.core.text import bytes_text
from semisonic.data.clips import Clips
from semisonic.data.outputs import check_folder

FLUSH_INTERVAL = 1.0
"""Seconds that finished work may wait to be written."""
CHUNK, CHUNK_ELSEWHERE = 8, 32
"""Keys per call of a thread, and per call of another process."""
_FILES_PER_CALL = 32

VERSION = 3
_HEADER, _DATA, _TABLE = "store.json", "data.bin", "journal.jsonl"

Key = tuple[Any, ...]
"""The key of a value: texts, numbers and None."""
Version = tuple[Any, ...]
"""The source of a value; values of other versions do not count."""
Computed = tuple[NDArray[Any], Any]
"""The rows of a key, and what is known about them."""
Stamp = tuple[int, int, int]
"""A version of a file: see :func:`semisonic.audio.remote.stamp_of`."""
Fact = float | str


def clip_keys(clips: Clips) -> list[Key]:
    """File, start and end of each row, with None for "to the end"."""
    columns = zip(
        clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist(), strict=True
    )
    return [(file, start, None if end != end else end) for file, start, end in columns]


def file_stamps(clips: Clips) -> list[Stamp]:
    """The version of each row's file; -1 if it does not exist."""
    stamps = dict.fromkeys(clips.file.tolist(), (-1, -1, -1))
    for file in stamps:
        with suppress(OSError):
            stamps[file] = stamp_of(clips.root / file)
    return [stamps[file] for file in clips.file.tolist()]


class KeyTable:
    """Plain values under keys, each with its version, in a file that only grows.

    A line has a checksum and, as JSON, values that were added together. Lines wait in memory for a
    second at most; then their data is synced to the disk, and then they are appended. So the
    content of the file is valid, also after ``kill -9`` or a power cut. An incomplete last line is
    cut off when the file is opened again, and the values of a damaged one are not known.

    Parameters
    ----------
    path : Path
        The file, created if missing.
    before : callable
        Called before lines are written, to sync their data to the disk.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with KeyTable(Path(folder.name) / "lengths.jsonl") as lengths:
    ...     lengths.add((("a.wav",), (1000, 7), 2.5))
    >>> with KeyTable(Path(folder.name) / "lengths.jsonl") as lengths:
    ...     print(lengths.get(("a.wav",), (1000, 7)), lengths.get(("a.wav",), (1200, 9)))
    2.5 None
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._waiting: list[str] = []
        self._written_at = time.monotonic()
        self._values: dict[Key, tuple[Version, Any]] = {}
        self._file = open(path, "a+b")  # noqa: SIM115
        self._file.seek(0)
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            end += len(line)
            with suppress(ValueError, TypeError):  # of a damaged disk: the work is done again
                for key, version, value in parse_json(_checked(line)):
                    self._values[tuple(key)] = tuple(version), value
        self._file.truncate(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, version: Version) -> Any:
        """The value of a key in this version, or None."""
        known = self._values.get(key)
        return known[1] if known is not None and known[0] == version else None

    def items(self) -> list[tuple[Key, Version, Any]]:
        """The newest value of each key."""
        return [(key, *known) for key, known in self._values.items()]

    def add(self, *records: tuple[Key, Version, Any]) -> None:
        """Add values: all of them or, after a kill, none."""
        self._values.update((key, (version, value)) for key, version, value in records)
        line = json.dumps(records, separators=(",", ":"))
        self._waiting.append(f"{crc32(line.encode()):08x} {line}\n")
        if time.monotonic() - self._written_at >= FLUSH_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Sync everything to the disk now."""
        if self._waiting:
            self._before()
            self._file.write("".join(self._waiting).encode())
            self._waiting.clear()  # at once: Ctrl-C while the disk is at work must not double them
            self._file.flush()
            sync(self._file.fileno())
        self._written_at = time.monotonic()

    def close(self) -> None:
        """Write waiting lines, and close."""
        try:
            self.flush()
        finally:
            self._file.close()


def _checked(line: bytes) -> bytes:
    """The JSON of a line of a key table; ValueError when it is not as it was written.

    Lines of versions before 0.3 have no checksum.
    """
    total, _, text = line.rstrip(b"\n").partition(b" ")
    if line.startswith(b"["):
        return line
    if int(total, 16) != crc32(text):
        raise ValueError("damaged")
    return text


def sync(descriptor: int) -> None:
    """Sync a file's content to the disk."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


class CachedRows(NamedTuple):
    """The rows of a key: the first, their number, a plain value about them, and a checksum.

    The checksum is the CRC-32 of their bytes; None for rows of versions before 0.3.
    """

    first: int
    n: int
    about: Any = None
    checksum: int | None = None

    def check(self, data: Any, path: Path) -> None:
        """Raise DataError when these bytes of a cache are not those that were written.

        Parameters
        ----------
        data : bytes-like
        path : Path
            The file of the rows, for the message.
        """
        if self.checksum is not None and crc32(data) != self.checksum:
            raise DataError(
                f"'{path}': damaged: {bytes_text(memoryview(data).nbytes)} at row "
                f"{self.first} are not as they were written. Check the disk, and delete the folder "
                f"'{path.parent}': everything in it is made again"
            )


class ArrayCache:
    """Rows of an array under keys, in a folder that one process uses at a time.

    Made by :meth:`open`, as a context manager.

    Attributes
    ----------
    path, data_path : Path
        The folder, and the file of rows in it.
    end : int
        The row after the last one in use.
    """

    def __init__(self, path: Path, dtype: DTypeLike, stack: ExitStack) -> None:
        self.path, self.data_path, self.dtype = path, path / _DATA, np.dtype(dtype)
        self.data_path.touch()
        data = open(self.data_path, "r+b", buffering=0)  # noqa: SIM115
        self._data = stack.enter_context(data).fileno()
        self._table = stack.enter_context(KeyTable(path / _TABLE, lambda: sync(self._data)))
        n_rows = os.fstat(self._data).st_size // self.dtype.itemsize
        self.note(  # of a file that was cut off
            *((key, version, None) for key, version, rows in self.items() if sum(rows[:2]) > n_rows)
        )
        self.end = max((rows.first + rows.n for _, _, rows in self.items()), default=0)

    @classmethod
    @contextmanager
    def open(
        cls,
        folder: str | os.PathLike[str],
        kind: str,
        options: Mapping[str, Any],
        dtype: DTypeLike,
        *,
        anew: bool = False,
    ) -> Iterator[ArrayCache]:
        """Lock a folder, waiting for other processes, and check its content.

        Parameters
        ----------
        folder : path
            Created if missing.
        kind : str
            Kind of the rows.
        options : mapping
            Options that all rows depend on.
        dtype : dtype
            Type of one row; may have a shape or fields.
        anew : bool
            Delete rows of other options instead of raising an error. By default, a mistyped option
            does not destroy hours of work.

        Raises
        ------
        DataError
            If the folder contains something else, or rows of other options.
        """
        path = Path(folder)
        check_folder(path, "a store", {_HEADER})
        with ExitStack() as stack:
            message = f"waiting for another process that uses '{path}'"
            try:
                stack.enter_context(exclusive(path / LOCK, message=message))
            except OSError as error:
                raise DataError(f"'{path}': {why_unwritable(error)}") from error
            wanted = {"kind": kind, "version": VERSION, "options": dict(options)}
            if not (path / _HEADER).exists():
                write_json(path / _HEADER, wanted)
            try:
                header = dict(read_json(path / _HEADER))
            except (ValueError, TypeError):
                header = {}
            if anew and header != wanted:
                for name in (_TABLE, _DATA):
                    (path / name).unlink(missing_ok=True)
                write_json(path / _HEADER, wanted)
                header = wanted
            for name, value in wanted.items():
                if header.get(name) != value:
                    raise DataError(
                        f"'{path}' contains a store with {name} {header.get(name)!r}, expected "
                        f"{value!r}. Choose another folder, or delete this one"
                    )
            yield cls(path, dtype, stack)

    def find(self, key: Key, version: Version) -> CachedRows | None:
        """The rows of a key in this version, or None."""
        found = self._table.get(key, version)
        return None if found is None else CachedRows(*found)

    def items(self) -> list[tuple[Key, Version, CachedRows]]:
        """Every key with its version and its rows."""
        known = self._table.items()
        return [(key, version, CachedRows(*rows)) for key, version, rows in known if rows]

    def read(self, rows: CachedRows) -> NDArray[Any]:
        """The rows of a key.

        Raises
        ------
        DataError
            When the file is too short or damaged.
        """
        n_bytes, offset = rows.n * self.dtype.itemsize, rows.first * self.dtype.itemsize
        found = read_whole(self._data, self.data_path, n_bytes, offset)
        rows.check(found, self.data_path)
        return np.frombuffer(found, self.dtype.base).reshape(-1, *self.dtype.shape)

    def add(self, *entries: tuple[Key, Version, NDArray[Any], Any]) -> list[CachedRows]:
        """Write the rows of some keys: all of them or, after a kill, none.

        Parameters
        ----------
        *entries
            Key, version, rows, and a plain value about them.

        Raises
        ------
        DataError
            When writing fails.
        """
        found = []
        for _, _, values, about in entries:
            data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
            try:
                write_at(self._data, data, self.end * self.dtype.itemsize)
            except OSError as error:
                raise DataError(
                    f"'{self.data_path}': {why_unwritable(error)}; finished work is kept"
                ) from error
            n_rows = len(data) // self.dtype.itemsize
            found.append(CachedRows(self.end, n_rows, about, crc32(data)))
            self.end += found[-1].n
        self.note(*((*entry[:2], rows) for entry, rows in zip(entries, found, strict=True)))
        return found

    def note(self, *records: tuple[Key, Version, CachedRows | None]) -> None:
        """Replace the value about existing rows; None: they are lost."""
        if records:
            self._table.add(*records)

    def fill(
        self,
        keys: Sequence[Key],
        versions: Sequence[Version],
        make: Callable[[], Callable[[int, Key], Computed | str]],
        what: str,
        *,
        engine: Engine,
        worth_processes: int,
        workers: int | None = None,
    ) -> tuple[list[CachedRows | str], int]:
        """The rows of some keys; missing ones are computed.

        Parameters
        ----------
        keys, versions : sequences of the same length
        make : callable
            Called once in each thread or process; returns a function that takes the number of a
            key in ``keys`` and the key, and returns its rows and a value about them, or the reason
            why there are none.
        what : str
            Name of the progress bar.
        engine : Engine
        worth_processes : int
            Number of keys from which processes are faster than threads.
        workers : int, optional

        Returns
        -------
        found : list of CachedRows or str
            In the order of the keys.
        n_computed : int
            Number of missing keys.
        """
        pairs = zip(keys, versions, strict=True)
        found: list[CachedRows | str | None] = [self.find(*pair) for pair in pairs]
        rest = [i for i, rows in enumerate(found) if rows is None]
        engine = engine_for(engine, len(rest), worth_processes, workers)
        with (
            bar(len(keys), what, "clip", initial=len(keys) - len(rest)) as shown,
            engine.calls(partial(_work, make), workers=workers) as calls,
        ):
            size = CHUNK if engine.in_threads else CHUNK_ELSEWHERE
            size = max(1, min(size, len(rest) // (2 * calls.capacity)))
            parts = (
                [(i, keys[i]) for i in rest[start : start + size]]
                for start in range(0, len(rest), size)
            )
            for computed in in_any_order(calls, parts):
                for i, result in computed:
                    if isinstance(result, str):
                        found[i] = result
                    else:
                        (found[i],) = self.add((keys[i], versions[i], *result))
                shown.update(len(computed))
        return [rows for rows in found if rows is not None], len(rest)


def _work(
    make: Callable[[], Callable[[int, Key], Computed | str]],
) -> Callable[[list[tuple[int, Key]]], list[tuple[int, Computed | str]]]:
    """The function with which a thread or process computes several keys."""
    compute = make()
    return lambda part: [(number, compute(number, key)) for number, key in part]


def read_whole(descriptor: int, path: Path, n_bytes: int, offset: int) -> bytes:
    """Bytes of an open file, read without mapping it, which would add resident memory."""
    data = read_at(descriptor, n_bytes, offset)
    if len(data) < n_bytes:
        raise DataError(f"'{path}': shorter than its journal says. Delete the folder")
    return data


def need_disk_space(folder: Path, n_bytes: int, what: str) -> None:
    """Raise DataError when a disk has too little space.

    Parameters
    ----------
    folder : Path
        Target folder, which may not exist yet.
    n_bytes : int
        Number of bytes to be written.
    what : str
        Name of the data, for the message.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if n_bytes > free:
        raise DataError(
            f"'{folder}': {what} needs {bytes_text(n_bytes)} more, but the disk has "
            f"{bytes_text(free)} free. Free space, or choose a folder on another disk with --cache"
        )


def file_facts(
    clips: Clips,
    files: Sequence[str],
    compute: Callable[[Path], Fact | None],
    what: str,
    *,
    workers: int | None = None,
    cache: Path | None = None,
) -> list[Fact | None]:
    """A number or a text for each of the given files.

    A quarter of a million headers take minutes to read, and hashes of all bytes longer. With a
    cache folder, only new and changed files are opened the next time.

    Parameters
    ----------
    clips : Clips
        Its root is the folder of the files.
    files : sequence of str
        Relative names, each once.
    compute : callable
        Takes a path and returns its fact; after None it is called again the next time.
    what : str
        Name of the key table and of the progress bar.
    workers : int, optional
        Number of threads; by default the number of processors.
    cache : Path, optional
        Folder of the key tables.

    Returns
    -------
    list
        In the order of the files.

    Raises
    ------
    DataError
        When the folder cannot be written to.
    """
    facts: list[Fact | None] = [None] * len(files)
    versions: dict[int, Version] = {}
    with fact_table(cache, clips.root, what) as table:
        for i, file in enumerate(files if table is not None else ()):
            with suppress(OSError):  # whoever opens it says why
                versions[i] = stamp_of(clips.root / file)
                facts[i] = table.get((file,), versions[i]) if table is not None else None
        rest = [i for i, fact in enumerate(facts) if fact is None]

        def work(part: list[int]) -> list[tuple[int, Fact | None]]:
            return [(i, compute(clips.root / files[i])) for i in part]

        parts = (rest[i : i + _FILES_PER_CALL] for i in range(0, len(rest), _FILES_PER_CALL))
        with bar(len(files), what, "file", initial=len(files) - len(rest)) as shown:
            for results in in_threads(work, parts, workers):
                for i, fact in results:
                    facts[i] = fact
                    if table is not None and fact is not None and i in versions:
                        table.add(((files[i],), versions[i], fact))
                shown.update(len(results))
    return facts


@contextmanager
def fact_table(cache: Path | None, root: Path, what: str) -> Iterator[KeyTable | None]:
    """The table of facts; None without a folder, or while another process writes to it."""
    if cache is None:
        yield None
        return
    path = cache / "files" / f"{digest(root.resolve())}-{what.replace(' ', '-')}.jsonl"
    with ExitStack() as stack:
        try:
            free = stack.enter_context(locked(path.with_suffix(".lock"), wait=False))
        except OSError as error:
            raise DataError(f"'{path.parent}': {why_unwritable(error)}") from error
        yield stack.enter_context(KeyTable(path)) if free else None
