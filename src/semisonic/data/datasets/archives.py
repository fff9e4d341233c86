"""Unpack an untrusted archive without writing outside its folder.

Names that lead out of the folder, links and devices, duplicate names, and archives that would fill
the disk are errors. Files of macOS (``__MACOSX``, ``._name``, ``.DS_Store``) are ignored.
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
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from semisonic.core.errors import DataError
from semisonic.core.progress import bar

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
)
_Member = tuple[str, bool, Callable[[], IO[bytes] | None]]
"""A file in an archive: its name, whether it is a plain file, and a function that opens it."""


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
        n_files = _write_all(files, temporary)
        inner = temporary / folder.name
        whole = [path.name for path in temporary.iterdir()] == [folder.name] and inner.is_dir()
        (inner if whole else temporary).rename(folder)
    except _BROKEN as error:
        raise DataError(
            f"{files[-1]}: damaged ({error}); delete it and download it again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return n_files


def _write_all(files: Sequence[Path], root: Path) -> int:
    archive = files[-1]
    seen: set[str] = set()
    with bar(None, f"unpack {archive.name}", "file") as shown:
        for name, is_plain, opened in _members(files, root):
            parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
            if not parts or ".." in parts or re.search(r"^[\\/]|[\x00-\x1f:]", name):
                raise DataError(
                    f"{archive}: not unpacked, as the name {name!r} leads out of its folder"
                )
            if not is_plain:
                raise DataError(f"{archive}: not unpacked, as {name} is a link or a device")
            if parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store":
                continue
            if (plain := "/".join(parts).casefold()) in seen:
                raise DataError(f"{archive}: not unpacked, as it contains {name} twice")
            seen.add(plain)
            target = root.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened() or io.BytesIO() as source, target.open("xb") as stream:
                shutil.copyfileobj(source, stream, _CHUNK)
            shown.update()
    if not seen:
        raise DataError(f"{archive}: empty")
    return len(seen)


def _members(files: Sequence[Path], root: Path) -> Iterator[_Member]:
    """The files of an archive in its order; a tar is read once, as a stream."""
    if len(files) == 1 and files[0].suffix != ".zip":
        with gzip.open(files[0]) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
            for member in tar:
                if not member.isdir():
                    _check_space(files[0], member.size, root)
                    yield member.name, member.isreg(), lambda m=member: tar.extractfile(m)  # type: ignore[misc]
            while plain.read(_CHUNK):  # to the end, where the checksum stands
                pass
        return
    joined = _JoinedPieces(files) if len(files) > 1 else None
    source = files[0] if joined is None else io.BufferedReader(joined, _CHUNK)
    with zipfile.ZipFile(source) as archive:
        infos = archive.infolist()
        if joined is not None:
            _place(infos, joined.begins, archive.start_dir)
        _check_space(files[-1], sum(info.file_size for info in infos), root)
        for info in infos:
            if not info.is_dir():
                is_plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                yield info.filename, is_plain, lambda i=info: archive.open(i)  # type: ignore[misc]


def _place(infos: list[zipfile.ZipInfo], begins: Sequence[int], directory: int) -> None:
    """Correct the positions of entries, which ``zipfile`` counts from the last piece."""
    begin = begins[bisect.bisect_right(begins, directory) - 1]
    for info in infos:
        if info.volume >= len(begins):
            raise zipfile.BadZipFile(f"{info.filename} is in a piece that is missing")
        info.header_offset += begins[info.volume] - begin
        if hasattr(info, "_end_offset"):  # newer Pythons look for entries that overlap
            info._end_offset = None


def _check_space(archive: Path, size: int, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if size > free:
        raise DataError(
            f"{archive}: needs {size / 1e9:.3g} GB unpacked, but {root.parent} has "
            f"{free / 1e9:.3g} GB free; free space, or choose another folder"
        )
