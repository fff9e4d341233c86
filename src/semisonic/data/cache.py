"""One cache of arrays: a key table, a memory-mapped file and a lock."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import stamp_of
from semisonic.core.errors import DataError
from semisonic.core.files import digest, read_at, read_json, write_at, write_json
from semisonic.core.locks import LOCK, exclusive, locked
from semisonic.core.parallel import count_workers
from semisonic.core.progress import bar, size_text
from semisonic.data.clips import Clips
from semisonic.data.outputs import check_folder
from semisonic.data.workers import in_threads

# A list of finished work that only grows, and that a killed process cannot spoil.
#
# Each record is one line of JSON. Records wait in memory for a second at most; then the data
# they speak of is brought to the disk first, and they are appended. So whatever stands in
# the journal is true, also after ``kill -9`` or a power cut, and at most the last second of
# work is repeated. A last line that was torn is cut off when the journal is opened again.


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
        self._file = open(path, "a+b")  # noqa: SIM115
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


# Whether a disk has room for what is going to be written.


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
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise DataError(
            f"'{folder}': {what} will take {size_text(n_bytes)} more, and the disk has "
            f"{size_text(free)} free. Make room, or name a folder on another disk with --cache"
        )


def taken(folders: Iterable[Path]) -> int:
    """Bytes that the files directly in some folders take on the disk; holes take none."""
    return sum(
        512 * file.stat().st_blocks
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.is_file()
    )


# The folder of a store: a header, a lock, one data file and its journal.
#
# ``store.json`` says what the store holds, with which options, and which *generation* of the
# two other files counts: ``data-3.bin`` and ``journal-3.jsonl``. To rewrite a store, the next
# generation is written beside the present one, then the header is replaced in one step, then
# the old files go. A process that has the old data mapped goes on reading it undisturbed.
#
# One process works on a folder at a time; others wait.


VERSION = 1
_HEADER, _GROWING = "store.json", ".growing.lock"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows changes the ends of lines without it
_OURS = re.compile(r"(data-(\d+)\.bin|journal-(\d+)\.jsonl)")


class StoreFolder:
    """A locked folder; made by :func:`opened`.

    Attributes
    ----------
    path : Path
    header : dict
        ``kind``, ``version``, ``options`` and ``generation``.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.header = header

    @property
    def data_path(self) -> Path:
        """The file of samples or features."""
        return self.path / f"data-{self.header['generation']}.bin"

    @contextmanager
    def writing(self) -> Iterator[tuple[DataFile, Journal]]:
        """The data file and the journal, open for more."""
        name = f"journal-{self.header['generation']}.jsonl"
        with (
            DataFile(self.data_path) as data,
            Journal(self.path / name, before=data.sync) as journal,
        ):
            yield data, journal

    @contextmanager
    def rewriting(self) -> Iterator[tuple[DataFile, Journal]]:
        """An empty data file and journal, which replace the present ones at the end."""
        number = self.header["generation"] + 1
        new = StoreFolder(self.path, {**self.header, "generation": number})
        with new.writing() as files:
            yield files
        write_json(self.path / _HEADER, new.header)
        self.header = new.header
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Delete files of other generations: old ones, and unfinished new ones."""
        for path in self.path.iterdir():
            found = _OURS.fullmatch(path.name)
            if found and int(found[2] or found[3]) != self.header["generation"]:
                with suppress(PermissionError):  # Windows keeps what a process has mapped
                    path.unlink()


class DataFile:
    """A file that several threads or processes write to, each at its own place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o644)

    def __enter__(self) -> DataFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def __reduce__(self) -> tuple[type[DataFile], tuple[Path]]:
        """Another process opens the file itself, and has it open until it ends."""
        return type(self), (self.path,)

    def write(self, values: NDArray[Any], offset: int) -> None:
        """Write an array at a place, in bytes; DataError if the disk refuses."""
        try:
            write_at(self._descriptor, np.ascontiguousarray(values).data.cast("B"), offset)
        except OSError as error:
            raise DataError(
                f"'{self.path}': writing failed ({error.strerror}). Make room on the disk and "
                "start again; what is finished is kept"
            ) from error

    def read(self, n_bytes: int, offset: int) -> bytes:
        """The bytes at a place; DataError if the file is shorter."""
        return read_whole(self._descriptor, self.path, n_bytes, offset)

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._descriptor).st_size

    def resize(self, n_bytes: int) -> None:
        """Cut the file, or let it grow by zeros that take no room."""
        os.ftruncate(self._descriptor, n_bytes)

    def grow(self, n_bytes: int) -> int:
        """Let the file grow; where it ended before. No other process does it at the same time."""
        with exclusive(self.path.with_name(_GROWING)):
            end = self.size()
            self.resize(end + n_bytes)
        return end

    def sync(self) -> None:
        """Bring the content to the disk."""
        sync(self._descriptor)


def read_whole(descriptor: int, path: Path, n_bytes: int, offset: int) -> bytes:
    """Bytes of an open file without mapping it, so that reading adds no resident memory."""
    data = read_at(descriptor, n_bytes, offset)
    if len(data) < n_bytes:
        raise DataError(f"'{path}': shorter than its journal says. Delete its folder")
    return data


@contextmanager
def opened(
    folder: str | os.PathLike[str], kind: str, options: Mapping[str, Any]
) -> Iterator[StoreFolder]:
    """Lock a store's folder, waiting for other processes, and check what it holds.

    Raises
    ------
    DataError
        If the folder holds something else, or a store with other options: somebody's hours
        of work are not thrown away because of a mistyped option.
    """
    path = Path(folder)
    check_folder(path, "a store", {_HEADER})
    with ExitStack() as stack:
        told = f"waiting for another process that works on '{path}'"
        try:
            stack.enter_context(exclusive(path / LOCK, told=told))
        except OSError as error:
            raise DataError(f"'{path}' cannot be written to ({error.strerror})") from error
        header_path = path / _HEADER
        wanted = {"kind": kind, "version": VERSION, "options": dict(options)}
        if not header_path.exists():
            write_json(header_path, {**wanted, "generation": 1})
        header = _read_header(header_path)
        for name, value in wanted.items():
            if header.get(name) != value:
                raise DataError(
                    f"'{path}' holds a store with {name} {header.get(name)!r}, expected "
                    f"{value!r}. Name another folder, or delete this one"
                )
        store = StoreFolder(path, header)
        store.remove_leftovers()
        yield store


def facts_of(folder: Path) -> dict[str, Any] | None:
    """What a store holds, for people; None for a folder that is no store. Nothing is locked.

    ``kind``, the options it was made with, ``entries`` (clips, once each) and ``bytes``.
    """
    if not (folder / _HEADER).is_file():
        return None
    header = _read_header(folder / _HEADER)
    store = StoreFolder(folder, header)
    entries = set()
    with suppress(OSError):
        journal = folder / f"journal-{header['generation']}.jsonl"
        for line in journal.read_bytes().splitlines():
            with suppress(ValueError, TypeError):
                entries.add(tuple(json.loads(line)[:3]))
    size = store.data_path.stat().st_size if store.data_path.exists() else 0
    return {
        "kind": header.get("kind"),
        **header.get("options", {}),
        "entries": len(entries),
        "bytes": size,
    }


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = read_json(path)
        if isinstance(header, dict) and isinstance(header.get("generation"), int):
            return header
    except ValueError:
        pass
    raise DataError(f"'{path}' is not the header of a store. Delete its folder")


# What is worked out of each file of a table, and need not be worked out again.
#
# A quarter of a million headers take minutes to read, and hashes of all bytes take longer. With a
# folder to keep them in, facts are written into a journal as they are found, with size and time of
# change of their file, so that only new and changed files are opened the next time.


_CHUNK = 32
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

    Parameters
    ----------
    clips : Clips
        Its root is where the files lie.
    files : sequence of str
        Relative names, each once.
    compute : callable
        From a path to its fact; None when there is none, which is tried again next time.
    what : str
        Name of the journal and of the progress bar.
    workers : int, optional
        Threads; by default as many as there are processors.
    cache : Path, optional
        Folder of the journals.

    Returns
    -------
    list
        In the order of the files.
    """
    found: list[Fact | None] = [None] * len(files)
    with _journal(cache, clips.root, what) as journal:
        stamps: dict[int, tuple[int, int]] = {}
        if journal is not None:
            stamps = _read(journal, clips.root, files, found)
        rest = [i for i, fact in enumerate(found) if fact is None]

        def work(part: list[int]) -> list[tuple[int, Fact | None]]:
            return [(i, compute(clips.root / files[i])) for i in part]

        parts = (rest[i : i + _CHUNK] for i in range(0, len(rest), _CHUNK))
        with bar(len(files), what, "file", initial=len(files) - len(rest)) as shown:
            for results in in_threads(work, parts, count_workers(workers)):
                for i, fact in results:
                    found[i] = fact
                    if journal is not None and fact is not None and i in stamps:
                        journal.append([files[i], *stamps.pop(i), fact])
                shown.update(len(results))
    return found


@contextmanager
def _journal(cache: Path | None, root: Path, what: str) -> Iterator[Journal | None]:
    """The journal, or None without a folder, or while another process writes to it."""
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
        yield stack.enter_context(Journal(folder / name, _nothing)) if free else None


def _nothing() -> None:
    """There is no other file to bring to the disk first."""


def _read(
    journal: Journal, root: Path, files: Sequence[str], found: list[Fact | None]
) -> dict[int, tuple[int, int]]:
    """Take what the journal knows; the stamps of the files it does not know as they are now."""
    number = {file: i for i, file in enumerate(files)}
    stamps: dict[int, tuple[int, int]] = {}
    for i, file in enumerate(files):
        try:
            stamps[i] = stamp_of(root / file)
        except OSError:
            continue  # whoever opens it says why
    known: list[int] = []
    for record in journal.records():
        if len(record) != 4 or record[0] not in number:
            continue
        i = number[record[0]]
        if stamps.get(i) == (record[1], record[2]):
            found[i] = record[3]
            known.append(i)
        else:
            found[i] = None
    for i in known:
        if found[i] is not None:
            stamps.pop(i, None)
    return stamps
