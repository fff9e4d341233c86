"""Unpack an untrusted archive without writing outside its folder.

An archive is read twice: everything in it is checked before anything is written. Names that lead
out of the folder, links and devices, duplicate names, and archives that would fill the disk or
unpack to much more than sounds can are errors. Files of macOS (``__MACOSX``, ``._name``,
``.DS_Store``) are ignored.
"""

from __future__ import annotations

import bisect
import gzip
import io
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from semisonic.core.errors import DataError
from semisonic.core.progress import bar
from semisonic.core.text import bytes_text

MOST_TIMES = 20
"""How many times as large as the archive its files may be; sounds pack to a half at best, and
archives that are made to fill a disk to a thousandth."""
ALWAYS_ALLOWED = 100_000_000
"""Bytes that the files of any archive may have, however small it is."""
MOST_FILES = 1_000_000
_LONGEST_NAME = 255  # bytes of one part of a path, on all usual file systems
_MOST_BETWEEN = 2 << 20  # bytes between two files of a tar, and after the last
_CHUNK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
)


class _Member(NamedTuple):
    """A file in an archive: what is written of it there, and a function that opens it."""

    name: str
    size: int
    is_plain: bool
    open: Callable[[], IO[bytes] | None]

    def parts(self) -> list[str]:
        """The parts of its name."""
        return [part for part in self.name.replace("\\", "/").split("/") if part not in ("", ".")]


class _JoinedPieces(io.RawIOBase):
    """The pieces of a split zip as one file for ``zipfile``.

    ``zipfile`` refuses archives whose last records (PKWARE's APPNOTE.TXT 6.3.10, 4.3.15) name more
    than one disk, so the zip64 locator is changed to a single disk.
    """

    def __init__(self, pieces: Sequence[Path]) -> None:
        self.pieces = tuple(pieces)
        sizes = [piece.stat().st_size for piece in pieces]
        self.begins = [sum(sizes[:i]) for i in range(len(sizes))]
        self.size = sum(sizes)
        self._at = 0
        self._overlay: dict[int, int] = {}
        with pieces[-1].open("rb") as stream:
            stream.seek(max(0, sizes[-1] - (1 << 16)))
            tail = stream.read()
        end = tail.rfind(b"PK\5\6")
        if end < 0:
            raise zipfile.BadZipFile("no directory at its end")
        n_pieces = struct.unpack("<H", tail[end + 4 : end + 6])[0] + 1
        if tail[max(0, end - 20) : end].startswith(b"PK\6\7"):
            n_pieces = struct.unpack("<L", tail[end - 4 : end])[0]
            single = bytes(4) + tail[end - 12 : end - 4] + struct.pack("<L", 1)
            first = self.size - len(tail) + end - 16
            self._overlay = {first + i: value for i, value in enumerate(single)}
        if n_pieces != len(pieces):
            raise zipfile.BadZipFile(f"found {len(pieces)} pieces, expected {n_pieces}")

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = bisect.bisect_right(self.begins, self._at) - 1
        with self.pieces[piece].open("rb", buffering=0) as stream:
            stream.seek(self._at - self.begins[piece])
            n = stream.readinto(buffer) or 0
        for place, value in self._overlay.items():
            if self._at <= place < self._at + n:
                buffer[place - self._at] = value
        self._at += n
        return n


def unpack(files: Sequence[Path], folder: Path) -> int:
    """Unpack an archive into a new folder, which exists only after success.

    Parameters
    ----------
    files : sequence of Path
        A ``.zip``, a ``.tar.gz`` or the pieces of a split zip in order.
    folder : Path
        The new folder. A top folder of the same name in the archive is not repeated.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    DataError
        When the folder already exists, or the archive is damaged, hostile or too large.
    """
    if folder.exists():
        raise DataError(f"{folder}: already exists; choose another folder, or move it away")
    temporary = folder.with_name(f".unpacking-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _check(files, temporary)
        n_files = _write_all(files, temporary)
        inner = temporary / folder.name
        whole = [path.name for path in temporary.iterdir()] == [folder.name] and inner.is_dir()
        (inner if whole else temporary).rename(folder)
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(
            f"{files[-1]}: damaged ({error}); delete it and download it again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return n_files


def _is_of_macos(parts: Sequence[str]) -> bool:
    return parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def _refused(archive: Path, reason: str) -> DataError:
    return DataError(f"{archive}: not unpacked, and nothing is written, as {reason}")


def _check_number(number: int, archive: Path) -> None:
    if number > MOST_FILES:
        raise _refused(archive, f"it has more than {MOST_FILES:,} files and folders")


def _check(files: Sequence[Path], root: Path) -> None:
    """Raise DataError if a file of an archive must not, or cannot, be written."""
    archive = files[-1]
    most = max(ALWAYS_ALLOWED, MOST_TIMES * sum(file.stat().st_size for file in files))
    free = shutil.disk_usage(root).free
    plain: dict[str, str] = {}
    folders: dict[str, str] = {}
    total = 0
    with bar(None, f"check {archive.name}", "file") as shown:
        for member in _members(files):
            name, parts = member.name, member.parts()
            if not parts or ".." in parts or re.search(r"^[\\/]|[\x00-\x1f:]", name):
                raise _refused(archive, f"the name {name!r} leads out of its folder")
            if not member.is_plain:
                raise _refused(archive, f"{name} is a link or a device")
            if max(len(part.encode("utf-8", "surrogateescape")) for part in parts) > _LONGEST_NAME:
                raise _refused(
                    archive, f"a name is longer than {_LONGEST_NAME} bytes: {name[:60]}..."
                )
            if member.size < 0:
                raise tarfile.ReadError(f"{name} has {member.size} bytes")
            total += member.size
            if total > free:
                raise DataError(
                    f"{archive}: needs {bytes_text(total)} unpacked or more, but {root.parent} has "
                    f"{bytes_text(free)} free; free space, or choose another folder"
                )
            if total > most:
                raise _refused(
                    archive,
                    f"its files have {bytes_text(total)} or more, expected at most "
                    f"{bytes_text(most)} ({MOST_TIMES} times the archive)",
                )
            if _is_of_macos(parts):
                continue
            # Windows and macOS see no difference in letter case, macOS none in how accents are made
            keys = [unicodedata.normalize("NFC", part).casefold() for part in parts]
            key = "/".join(keys)
            if key in plain or key in folders:
                other = plain.get(key) or folders[key]
                raise _refused(archive, f"it contains {name} twice (or as a folder): {other}")
            plain[key] = name
            for i in range(1, len(keys)):
                if (above := "/".join(keys[:i])) in plain:
                    raise _refused(archive, f"{plain[above]} is a file, and the folder of {name}")
                folders[above] = name
            shown.update()
    if not plain:
        raise DataError(f"{archive}: empty")


def _write_all(files: Sequence[Path], root: Path) -> int:
    """Write the files of an archive that was checked; their number."""
    n_files = 0
    with bar(None, f"unpack {files[-1].name}", "file") as shown:
        for member in _members(files):
            parts = member.parts()
            if _is_of_macos(parts):
                continue
            target = root.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() or io.BytesIO() as source, target.open("xb") as stream:
                shutil.copyfileobj(source, stream, _CHUNK)
            n_files += 1
            shown.update()
    return n_files


class _Limited(io.RawIOBase):
    """A stream that ends with an error where a tar should have come to an end."""

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source, self._at = source, 0
        self.end = _MOST_BETWEEN
        """Bytes that may be read from the start on."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        self._at += len(data)
        if self._at > self.end:
            raise tarfile.ReadError(
                f"more than {bytes_text(_MOST_BETWEEN)} follow a file and belong to none"
            )
        buffer[: len(data)] = data
        return len(data)


def _members(files: Sequence[Path]) -> Iterator[_Member]:
    """The files of an archive in its order; a tar is read once, as a stream."""
    if len(files) == 1 and files[0].suffix != ".zip":
        with gzip.open(files[0]) as unzipped:
            plain = _Limited(unzipped)
            with tarfile.open(fileobj=plain, mode="r|") as tar:
                for number, member in enumerate(tar):
                    _check_number(number, files[0])
                    plain.end = member.offset_data + member.size + _MOST_BETWEEN
                    if not member.isdir():
                        yield _Member(
                            member.name,
                            member.size,
                            member.isreg(),
                            partial(tar.extractfile, member),
                        )
                while plain.read(_CHUNK):  # to the end, where the checksum stands
                    pass
        return
    joined = _JoinedPieces(files) if len(files) > 1 else None
    source = files[0] if joined is None else io.BufferedReader(joined, _CHUNK)
    with zipfile.ZipFile(source) as archive:
        infos = archive.infolist()
        _check_number(len(infos), files[-1])
        if joined is not None:
            _place(infos, joined.begins, archive.start_dir)
        for info in infos:
            if not info.is_dir():
                is_plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield _Member(info.filename, info.file_size, is_plain, partial(archive.open, info))


def _place(infos: list[zipfile.ZipInfo], begins: Sequence[int], directory: int) -> None:
    """Correct the positions of entries, which ``zipfile`` counts from the last piece."""
    begin = begins[bisect.bisect_right(begins, directory) - 1]
    for info in infos:
        if info.volume >= len(begins):
            raise zipfile.BadZipFile(f"{info.filename} is in a piece that is missing")
        info.header_offset += begins[info.volume] - begin
        if hasattr(info, "_end_offset"):  # newer Pythons look for entries that overlap
            info._end_offset = None
