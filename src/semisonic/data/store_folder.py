"""The folder of a store: a header, a lock, one data file and its journal.

``store.json`` says what the store holds, with which options, and which *generation* of the
two other files counts: ``data-3.bin`` and ``journal-3.jsonl``. To rewrite a store, the next
generation is written beside the present one, then the header is replaced in one step, then
the old files go. A process that has the old data mapped goes on reading it undisturbed.

One process works on a folder at a time; others wait.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import read_json, write_json
from semisonic.base.lock import LOCK, alone
from semisonic.base.positions import read_at, write_at
from semisonic.data.journal import Journal, sync
from semisonic.data.outputs import check_folder

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
        with alone(self.path.with_name(_GROWING)):
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
            stack.enter_context(alone(path / LOCK, told=told))
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
