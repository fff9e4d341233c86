"""One cache of arrays: a key table, a file of rows and a lock.

What takes long to compute (samples, features, embeddings, facts about files) is computed once and
kept under a key, together with the *version* of what it was made from, such as the size and the
time of change of a file. Three classes stand on each other:

* :class:`Journal` is a file of finished work that only grows. Records wait in memory for a second
  at most; then the data they speak of is brought to the disk first, and they are appended. So
  whatever stands in it is true, also after ``kill -9`` or a power cut, and at most the last second
  of work is repeated.
* :class:`KeyTable` is a journal of plain values under keys.
* :class:`ArrayCache` is rows of one array under keys: a folder with a header, a lock, a data file
  and a key table that says which rows belong to which key. :meth:`ArrayCache.fill` computes what
  is missing, in threads, processes or on a cluster.

The header ``store.json`` says what the folder holds, with which options, and which *generation* of
the two other files counts: ``data-3.bin`` and ``journal-3.jsonl``. To move rows, the next
generation is written beside the present one, then the header is replaced in one step, then the old
files go. A process that has the old data mapped goes on reading it undisturbed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from semisonic.audio.remote import stamp_of
from semisonic.core.errors import DataError
from semisonic.core.files import digest, read_at, read_json, write_at, write_json
from semisonic.core.locks import LOCK, exclusive, locked
from semisonic.core.parallel import Engine, engine_for, in_any_order, in_threads
from semisonic.core.progress import bar
from semisonic.core.text import bytes_text
from semisonic.data.clips import Clips
from semisonic.data.outputs import check_folder

FLUSH_INTERVAL = 1.0
"""Seconds that finished work may wait to be written down."""
CHUNK, CHUNK_ELSEWHERE = 8, 32
"""Keys that a thread takes at once, and a call in another process."""

VERSION = 2
_HEADER = "store.json"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows changes the ends of lines without it
_OWN_FILES = re.compile(r"(data-(\d+)\.bin|journal-(\d+)\.jsonl)")
_PIECE_BYTES = 1 << 22

Key = tuple[Any, ...]
"""What a value is found by: texts, numbers and None."""
Version = tuple[Any, ...]
"""What a value was made from; a value of another version does not count."""
Computed = tuple[NDArray[Any], Any]
"""The rows of a key, and what is known about them."""


class Journal:
    """A list of finished work that only grows, and that a killed process cannot spoil.

    Each record is one line of JSON. A last line that was torn is cut off when the journal is
    opened again.

    Parameters
    ----------
    path : Path
        The file; made if missing.
    before : callable
        Called before records are written, to bring what they speak of to the disk.
    """

    def __init__(self, path: Path, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._waiting: list[str] = []
        self._written_at = time.monotonic()
        self._file = open(path, "a+b")  # noqa: SIM115
        self._file.truncate(_whole_size(self._file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def records(self) -> Iterator[list[Any]]:
        """What was written down so far, oldest first; lines that are no record are left out."""
        self.flush()
        self._file.seek(0)
        for line in self._file:
            with suppress(ValueError):  # of a damaged disk: the work is done again
                record = json.loads(line)
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
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return int(start + newline + 1)
        end = start
    return 0


class KeyTable(Journal):
    """Plain values under keys, each with its version, in a journal.

    Parameters
    ----------
    path, before
        As for :class:`Journal`.

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
        super().__init__(path, before)
        self._values: dict[Key, tuple[Version, Any]] = {}
        for line in self.records():
            for record in line:
                if isinstance(record, list) and len(record) == 3 and isinstance(record[0], list):
                    key, version, value = record
                    self._values[tuple(key)] = tuple(version), value

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, version: Version) -> Any:
        """The value of a key in this version; None if there is none."""
        known = self._values.get(key)
        return known[1] if known is not None and known[0] == version else None

    def items(self) -> list[tuple[Key, Version, Any]]:
        """The newest record of each key."""
        return [(key, *known) for key, known in self._values.items()]

    def add(self, *records: tuple[Key, Version, Any]) -> None:
        """Add values; after a kill all of them are there, or none."""
        if records:
            self.append(list(records))
        self._values.update((key, (version, value)) for key, version, value in records)

    def forget(self, keys: Iterable[Key]) -> None:
        """Leave keys out until the file is opened again."""
        for key in keys:
            del self._values[key]


@dataclass(frozen=True, slots=True)
class CachedRows:
    """The rows of a key: where they lie in the array, and what is known about them.

    Attributes
    ----------
    first, n : int
        Row numbers ``first`` to ``first + n - 1``.
    about : object
        Any plain value.
    """

    first: int
    n: int
    about: Any = None


class ArrayCache:
    """Rows of an array under keys, in a folder that one process works on at a time.

    Made by :meth:`open`, as a context manager.

    Attributes
    ----------
    path, data_path : Path
        The folder, and the file of rows in it.
    end : int
        The row behind the last one in use.
    """

    def __init__(self, path: Path, header: dict[str, Any], dtype: DTypeLike) -> None:
        self.path, self.dtype, self._header = path, np.dtype(dtype), header
        self.end = 0
        self._open_files()

    @classmethod
    @contextmanager
    def open(
        cls, folder: str | os.PathLike[str], kind: str, options: Mapping[str, Any], dtype: DTypeLike
    ) -> Iterator[ArrayCache]:
        """Lock a folder, waiting for other processes, and check what it holds.

        Parameters
        ----------
        folder : path
            Made if missing.
        kind : str
            What the rows are.
        options : mapping
            What all rows depend on.
        dtype : dtype
            Of one row; may have a shape or fields.

        Raises
        ------
        DataError
            If the folder holds something else, or rows of other options: somebody's hours of work
            are not thrown away because of a mistyped option.
        """
        path = Path(folder)
        check_folder(path, "a store", {_HEADER})
        with ExitStack() as stack:
            told = f"waiting for another process that works on '{path}'"
            try:
                stack.enter_context(exclusive(path / LOCK, message=told))
            except OSError as error:
                raise DataError(f"'{path}' cannot be written to ({error.strerror})") from error
            wanted = {"kind": kind, "version": VERSION, "options": dict(options)}
            if not (path / _HEADER).exists():
                write_json(path / _HEADER, {**wanted, "generation": 1})
            header = _read_header(path / _HEADER)
            for name, value in wanted.items():
                if header.get(name) != value:
                    raise DataError(
                        f"'{path}' holds a store with {name} {header.get(name)!r}, expected "
                        f"{value!r}. Name another folder, or delete this one"
                    )
            _remove_leftovers(path, header["generation"])
            cache = cls(path, header, dtype)
            stack.callback(cache._close_files)
            yield cache

    def find(self, key: Key, version: Version) -> CachedRows | None:
        """The rows of a key in this version; None if there are none."""
        found = self._table.get(key, version)
        return None if found is None else CachedRows(*found)

    def items(self) -> list[tuple[Key, Version, CachedRows]]:
        """Every key with its version and its rows."""
        return [(key, version, CachedRows(*rows)) for key, version, rows in self._table.items()]

    def read(self, rows: CachedRows) -> NDArray[Any]:
        """The rows of a key.

        Raises
        ------
        DataError
            When the file is shorter.
        """
        n_bytes, offset = rows.n * self.dtype.itemsize, rows.first * self.dtype.itemsize
        found = read_whole(self._data, self.data_path, n_bytes, offset)
        return np.frombuffer(found, self.dtype.base).reshape(-1, *self.dtype.shape)

    def add(
        self, *entries: tuple[Key, Version, NDArray[Any], Any], at: int | None = None
    ) -> list[CachedRows]:
        """Write the rows of some keys; after a kill all of them are there, or none.

        Parameters
        ----------
        *entries
            Key, version, rows, and what is to be known about them (any plain value).
        at : int, optional
            Where the first is written; behind the last row by default.

        Raises
        ------
        DataError
            When the disk refuses.
        """
        first, found = self.end if at is None else at, []
        for _, _, values, about in entries:
            n_bytes = self._write(values, first * self.dtype.itemsize)
            found.append(CachedRows(first, n_bytes // self.dtype.itemsize, about))
            first += found[-1].n
        self.end = max(self.end, first)
        self.note(*((*e[:2], rows) for e, rows in zip(entries, found, strict=True)))
        return found

    def note(self, *records: tuple[Key, Version, CachedRows]) -> None:
        """Say anew what is known about rows that are there."""
        self._table.add(
            *((key, version, (rows.first, rows.n, rows.about)) for key, version, rows in records)
        )

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
        in_place: bool = False,
    ) -> tuple[list[CachedRows | str], int]:
        """The rows of some keys; what is missing is computed.

        Parameters
        ----------
        keys, versions : sequences of the same length
        make : callable
            Called once in each thread or process; gives a function from the number of a key in
            ``keys`` and the key to its rows and what is known about them, or to the reason why
            there are none.
        what : str
            Name of the progress bar.
        engine : Engine
        worth_processes : int
            Keys from which on processes are faster than threads.
        workers : int, optional
        in_place : bool
            Key *i* has one row, which is row *i*.

        Returns
        -------
        found : list of CachedRows or str
            In the order of the keys.
        n_computed : int
            How many were missing.
        """
        pairs = enumerate(zip(keys, versions, strict=True))
        found: dict[int, CachedRows | str] = {
            i: rows for i, pair in pairs if (rows := self.find(*pair)) is not None
        }
        n = len(keys)
        rest = [i for i in range(n) if i not in found]
        engine = engine_for(engine, len(rest), worth_processes, workers)
        with (
            bar(n, what, "clip", initial=n - len(rest)) as shown,
            engine.calls(_Work(make), workers=workers) as calls,
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
                        continue
                    entry = keys[i], versions[i], *result
                    (found[i],) = self.add(entry, at=i if in_place else None)
                shown.update(len(computed))
        return [found[i] for i in range(n)], len(rest)

    def close_gaps(self) -> None:
        """Move all rows together if more than half of the file is in use by none."""
        items = self.items()
        if 2 * sum(rows.n for _, _, rows in items) < self.end:
            self.move(sorted(items, key=lambda item: item[2].first))

    def move(
        self, items: Sequence[tuple[Key, Version, CachedRows]], to: Sequence[int] | None = None
    ) -> None:
        """Keep only the rows of some keys, at new places in a new file.

        Parameters
        ----------
        items : sequence
            Of those of :meth:`items`.
        to : sequence of int, optional
            The new first row of each; one behind the other by default.
        """
        old_data, old_table, size = self._data, self._table, self.dtype.itemsize
        old_path, self._header = self.data_path, {**self._header}
        self._header["generation"] += 1
        with old_table:
            self._open_files()
            for i, (key, version, rows) in enumerate(items):
                first = self.end if to is None else to[i]
                for at in range(0, rows.n * size, _PIECE_BYTES):
                    n_bytes = min(_PIECE_BYTES, rows.n * size - at)
                    piece = read_whole(old_data, old_path, n_bytes, rows.first * size + at)
                    self._write(np.frombuffer(piece, np.uint8), first * size + at)
                self.note((key, version, CachedRows(first, rows.n, rows.about)))
                self.end = max(self.end, first + rows.n)
            self._table.flush()
        os.close(old_data)
        write_json(self.path / _HEADER, self._header)
        _remove_leftovers(self.path, self._header["generation"])

    def resize(self, n_rows: int) -> None:
        """Cut the file, or let it grow by rows of zeros that take no room."""
        n_bytes = n_rows * self.dtype.itemsize
        if os.fstat(self._data).st_size != n_bytes:  # else its time would change
            os.ftruncate(self._data, n_bytes)

    def _write(self, values: NDArray[Any], offset: int) -> int:
        if not values.size:
            return 0
        data = np.ascontiguousarray(values).view(np.uint8).reshape(-1).data
        try:
            write_at(self._data, data, offset)
        except OSError as error:
            raise DataError(
                f"'{self.data_path}': writing failed ({error.strerror}). Make room on the disk "
                "and start again; what is finished is kept"
            ) from error
        return len(data)

    def _open_files(self) -> None:
        number = self._header["generation"]
        self.data_path = self.path / f"data-{number}.bin"
        self._data = os.open(self.data_path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
        self._table = KeyTable(self.path / f"journal-{number}.jsonl", self._sync)
        n_rows = os.fstat(self._data).st_size // self.dtype.itemsize
        lost = [key for key, _, rows in self.items() if rows.first + rows.n > n_rows]
        self._table.forget(lost)
        self.end = max((rows.first + rows.n for _, _, rows in self.items()), default=0)

    def _sync(self) -> None:
        sync(self._data)

    def _close_files(self) -> None:
        try:
            self._table.close()
        finally:
            os.close(self._data)


@dataclass(frozen=True)
class _Work:
    """Makes the function that a thread or process computes several keys with."""

    make: Callable[[], Callable[[int, Key], Computed | str]]

    def __call__(self) -> Callable[[list[tuple[int, Key]]], list[tuple[int, Computed | str]]]:
        compute = self.make()
        return lambda part: [(number, compute(number, key)) for number, key in part]


def read_whole(descriptor: int, path: Path, n_bytes: int, offset: int) -> bytes:
    """Bytes of an open file without mapping it, so that reading adds no resident memory."""
    data = read_at(descriptor, n_bytes, offset)
    if len(data) < n_bytes:
        raise DataError(f"'{path}': shorter than its journal says. Delete its folder")
    return data


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = read_json(path)
        if isinstance(header, dict) and isinstance(header.get("generation"), int):
            return header
    except ValueError:
        pass
    raise DataError(f"'{path}' is not the header of a store. Delete its folder")


def _remove_leftovers(folder: Path, generation: int) -> None:
    """Delete files of other generations: old ones, and unfinished new ones."""
    for path in folder.iterdir():
        found = _OWN_FILES.fullmatch(path.name)
        if found and int(found[2] or found[3]) != generation:
            with suppress(PermissionError):  # Windows keeps what a process has mapped
                path.unlink()


def need_disk_space(folder: Path, n_bytes: int, what: str) -> None:
    """See that a disk has room for more.

    Parameters
    ----------
    folder : Path
        Where it will be written; need not exist yet.
    n_bytes : int
        How much will be written.
    what : str
        What it is, for the message.

    Raises
    ------
    DataError
        When there is less.
    """
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if n_bytes > free:
        raise DataError(
            f"'{folder}': {what} will take {bytes_text(n_bytes)} more, and the disk has "
            f"{bytes_text(free)} free. Make room, or name a folder on another disk with --cache"
        )


def disk_usage(folders: Iterable[Path]) -> int:
    """Bytes that the files directly in some folders take on the disk; holes take none."""
    return sum(
        512 * file.stat().st_blocks
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.is_file()
    )


_FILES_PER_CALL = 32
"""Files that a thread takes at once."""

Fact = float | str


def file_facts(
    clips: Clips,
    files: Sequence[str],
    compute: Callable[[Path], Fact | None],
    what: str,
    *,
    workers: int | None = None,
    cache: Path | None = None,
) -> list[Fact | None]:
    """A number or a text for each of some files of a table.

    A quarter of a million headers take minutes to read, and hashes of all bytes take longer. With
    a folder to keep them in, only new and changed files are opened the next time.

    Parameters
    ----------
    clips : Clips
        Its root is where the files lie.
    files : sequence of str
        Relative names, each once.
    compute : callable
        From a path to its fact; None when there is none, which is tried again next time.
    what : str
        Name of the key table and of the progress bar.
    workers : int, optional
        Threads; by default as many as there are processors.
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
    with _fact_table(cache, clips.root, what) as table:
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
                new = [(i, fact) for i, fact in results if fact is not None]
                for i, fact in new:
                    facts[i] = fact
                    if table is not None and i in versions:
                        table.add(((files[i],), versions[i], fact))
                shown.update(len(results))
    return facts


@contextmanager
def _fact_table(cache: Path | None, root: Path, what: str) -> Iterator[KeyTable | None]:
    """The table of facts, or None without a folder, or while another process writes to it."""
    if cache is None:
        yield None
        return
    folder = cache / "files"
    name = f"{digest(root.resolve())}-{what.replace(' ', '-')}.jsonl"
    with ExitStack() as stack:
        try:
            free = stack.enter_context(locked(folder / f"{name}.lock", wait=False))
        except OSError as error:
            raise DataError(f"'{folder}' cannot be written to ({error.strerror})") from error
        yield stack.enter_context(KeyTable(folder / name)) if free else None
