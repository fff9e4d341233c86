"""Unpack an archive that nobody vouches for: nothing is written outside the folder meant for it.

Python's ``zipfile`` refuses such archives, and joining the pieces would need their size once more
on the disk. A place in a split zip is the number of a piece and an offset in it; put one behind
the other, the pieces are one row of bytes, in which each piece begins where the one before ends.
The records are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5, zip64 included.
"""

from __future__ import annotations

import gzip
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from semisonic.core.errors import DataError
from semisonic.core.progress import bar

_CHUNK = 1 << 20
_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY, _LOCAL = b"PK\1\2", b"PK\3\4"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class ZipEntry:
    """A file in the archive; ``mode`` is its Unix mode, 0 where none was kept."""

    name: str
    size: int
    mode: int
    method: int
    crc: int
    packed_size: int
    place: int


class SplitZip:
    """The pieces of a split zip, in order, the one with the directory last.

    Raises
    ------
    DataError
        When pieces are missing, or the directory cannot be read.
    """

    def __init__(self, pieces: Sequence[Path]) -> None:
        self.pieces = tuple(pieces)
        self.sizes = [piece.stat().st_size for piece in pieces]
        self.begins = [sum(self.sizes[:i]) for i in range(len(pieces))]
        try:
            self.entries = tuple(self._directory())
        except (struct.error, IndexError, ValueError) as error:
            raise self.damaged(f"its directory cannot be read ({error})") from error

    def damaged(self, reason: str) -> DataError:
        """The error of a broken archive."""
        return DataError(f"{self.pieces[-1]}: {reason}; remove the pieces and fetch them again")

    def read(self, place: int, size: int) -> bytes:
        """Bytes from a place in the row of all pieces; fewer only at its end."""
        found = b""
        for piece, begin, length in zip(self.pieces, self.begins, self.sizes, strict=True):
            inside = place + len(found) - begin
            if len(found) < size and 0 <= inside < length:
                with piece.open("rb") as stream:
                    stream.seek(inside)
                    found += stream.read(size - len(found))
        return found

    def unpacked(self, entry: ZipEntry) -> Iterator[bytes]:
        """The content of a file, piece by piece.

        Raises
        ------
        DataError
            When it is encrypted, packed by another method, or damaged.
        """
        header = self.read(entry.place, 30)
        if header[:4] != _LOCAL or len(header) < 30:
            raise self.damaged(f"{entry.name} does not lie where the directory says")
        name_size, extra_size = struct.unpack("<2H", header[26:])
        place, left, crc = entry.place + 30 + name_size + extra_size, entry.packed_size, 0
        inflate = zlib.decompressobj(-15) if entry.method == _DEFLATED else None
        while left:
            packed = self.read(place, min(_CHUNK, left))
            if not packed:
                raise self.damaged(f"{entry.name} ends too early")
            place, left = place + len(packed), left - len(packed)
            while packed:
                try:
                    data = inflate.decompress(packed, _CHUNK) if inflate else packed
                except zlib.error as error:
                    raise self.damaged(f"{entry.name} cannot be unpacked ({error})") from error
                packed = inflate.unconsumed_tail if inflate else b""
                crc = zlib.crc32(data, crc)
                yield data
        if inflate:
            data = inflate.flush()
            crc = zlib.crc32(data, crc)
            yield data
        if crc != entry.crc:
            raise self.damaged(f"the checksum of {entry.name} is wrong")

    def _place(self, piece: int, offset: int) -> int:
        return self.begins[piece] + offset

    def _directory(self) -> Iterator[ZipEntry]:
        tail = self.read(max(0, sum(self.sizes) - 22 - _FULL16), 22 + _FULL16)
        found = tail.rfind(_END)
        if found < 0:
            raise self.damaged("no directory at its end")
        end = struct.unpack("<4s4H2LH", tail[found : found + 22])
        _, last, first, _, n_entries, size, offset, _ = end
        if found >= 20 and tail[found - 20 : found - 16] == _LOCATOR64:
            _, piece, where, n_pieces = struct.unpack("<4sLQL", tail[found - 20 : found])
            self._check_pieces(n_pieces)
            record = self.read(self._place(piece, where), 56)
            if record[:4] != _END64:
                raise self.damaged("no zip64 record where its locator points")
            _, _, _, _, last, first, _, n_entries, size, offset = struct.unpack(
                "<4sQ2H2L4Q", record
            )
        self._check_pieces(last + 1)
        return self._entries(self.read(self._place(first, offset), size), n_entries)

    def _check_pieces(self, n_pieces: int) -> None:
        if n_pieces != len(self.pieces):
            raise self.damaged(f"found {len(self.pieces)} pieces, expected {n_pieces}")

    def _entries(self, directory: bytes, n_entries: int) -> Iterator[ZipEntry]:
        at = 0
        for _ in range(n_entries):
            fields = struct.unpack("<4s6H3L5H2L", directory[at : at + 46])
            sign, _, _, flags, method, _, _, crc, packed, size = fields[:10]
            n_name, n_extra, n_comment, piece, _, attributes, offset = fields[10:]
            if sign != _ENTRY:
                raise self.damaged("its directory is broken")
            raw = directory[at + 46 : at + 46 + n_name]
            extra = directory[at + 46 + n_name : at + 46 + n_name + n_extra]
            at += 46 + n_name + n_extra + n_comment
            size, packed, offset, piece = _large(extra, size, packed, offset, piece)
            name = raw.decode("utf-8" if flags & 0x800 else "cp437")
            if flags & 1 or method not in (_STORED, _DEFLATED):
                raise self.damaged(f"{name} is encrypted or packed by the method {method}")
            place = self._place(piece, offset)
            yield ZipEntry(name, size, attributes >> 16, method, crc, packed, place)


def _large(
    extra: bytes, size: int, packed: int, offset: int, piece: int
) -> tuple[int, int, int, int]:
    """The four numbers, those that did not fit taken from the zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<2H", extra[at : at + 4])
        if kind == 1:
            field, values = extra[at + 4 : at + 4 + length], []
            for value, full, form in (
                (size, _FULL32, "<Q"),
                (packed, _FULL32, "<Q"),
                (offset, _FULL32, "<Q"),
                (piece, _FULL16, "<L"),
            ):
                if value == full:
                    width = struct.calcsize(form)
                    (value,), field = struct.unpack(form, field[:width]), field[width:]
                values.append(value)
            size, packed, offset, piece = values
        at += 4 + length
    return size, packed, offset, piece


# Unpack an archive that nobody vouches for: nothing is written outside the folder meant for it.
#
# Refused are names that lead out of the folder, links and devices, names that stand twice, files
# that are larger than they say, and archives that would fill the disk. What macOS leaves in
# archives
# (``__MACOSX``, ``._name``, ``.DS_Store``) is passed over.


_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
)


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its size as the archive says, and how its content is had."""

    name: str
    size: int
    is_plain: bool
    content: Callable[[], Iterator[bytes]]


def unpack(files: Sequence[Path], folder: Path) -> int:
    """Unpack an archive into a new folder; when anything goes wrong there is no folder.

    Parameters
    ----------
    files : sequence of Path
        A ``.zip``, a ``.tar.gz`` or the pieces of a split zip in order.
    folder : Path
        What the archive becomes. When everything in it lies in a folder of this name, that one.

    Returns
    -------
    int
        How many files were unpacked.

    Raises
    ------
    DataError
        When the folder is there already, or the archive is damaged, hostile or too large.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already; choose another folder, or move it away")
    temporary = folder.with_name(f".unpacking-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        n_files = _write_all(files, temporary)
        inner = temporary / folder.name
        whole = [path.name for path in temporary.iterdir()] == [folder.name] and inner.is_dir()
        (inner if whole else temporary).rename(folder)
    except _BROKEN as error:
        raise DataError(f"{files[-1]}: damaged ({error}); remove it and fetch it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return n_files


def _write_all(files: Sequence[Path], root: Path) -> int:
    archive = files[-1]
    seen: set[str] = set()
    with bar(None, f"unpack {archive.name}", "file") as shown:
        for member in _members(files, root):
            parts = _parts(archive, member)
            if not parts:
                continue
            name = "/".join(parts)
            if name.casefold() in seen:
                raise DataError(f"{archive}: {name} stands twice in it; it is not unpacked")
            seen.add(name.casefold())
            _write(archive, member, root.joinpath(*parts))
            shown.update()
    if not seen:
        raise DataError(f"{archive}: nothing in it")
    return len(seen)


def _parts(archive: Path, member: _Member) -> list[str]:
    """The path of a member in its parts; empty for what is passed over.

    Raises
    ------
    DataError
        When it leads out of the folder or is no plain file.
    """
    name = member.name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f:]", name) or not parts:
        raise DataError(f"{archive}: the name {member.name!r} leads out of it; it is not unpacked")
    if not member.is_plain:
        raise DataError(f"{archive}: {member.name} is a link or a device; it is not unpacked")
    junk = parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store"
    return [] if junk else parts


def _write(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as stream:
        for data in member.content():
            written += len(data)
            if written > member.size:
                break
            stream.write(data)
    if written != member.size:
        raise DataError(
            f"{archive}: {member.name} says that it has {member.size} bytes, and has "
            f"{'more' if written > member.size else written}; it is not unpacked"
        )


def _members(files: Sequence[Path], root: Path) -> Iterator[_Member]:
    if len(files) > 1:
        yield from _of_split_zip(files, root)
    elif files[0].suffix == ".zip":
        yield from _of_zip(files[0], root)
    else:
        yield from _of_tar(files[0], root)


def _of_split_zip(files: Sequence[Path], root: Path) -> Iterator[_Member]:
    archive = SplitZip(files)
    _check_space(files[-1], sum(entry.size for entry in archive.entries), root)
    for entry in archive.entries:
        if not entry.name.endswith("/"):
            content = lambda entry=entry: archive.unpacked(entry)  # noqa: E731
            yield _Member(entry.name, entry.size, _is_plain(entry.mode), content)


def _of_zip(file: Path, root: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_space(file, sum(info.file_size for info in infos), root)
        for info in infos:
            if not info.is_dir():
                content = lambda info=info: _chunks(archive.open(info))  # noqa: E731
                yield _Member(
                    info.filename, info.file_size, _is_plain(info.external_attr >> 16), content
                )


def _of_tar(file: Path, root: Path) -> Iterator[_Member]:
    # As a stream: a compressed tar has no directory, so it is read once, in order.
    with gzip.open(file) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        for info in archive:
            if not info.isdir():
                _check_space(file, info.size, root)
                content = lambda info=info: _chunks(archive.extractfile(info))  # noqa: E731
                yield _Member(info.name, info.size, info.isreg(), content)
        while plain.read(_CHUNK):  # to the end, where the checksum stands
            pass


def _chunks(stream: IO[bytes] | None) -> Iterator[bytes]:
    if stream is not None:
        with stream:
            while data := stream.read(_CHUNK):
                yield data


def _is_plain(mode: int) -> bool:
    """Whether a Unix mode, 0 for none, is that of a file."""
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _check_space(archive: Path, size: int, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if size > free:
        raise DataError(
            f"{archive}: needs {size / 1e9:.3g} GB unpacked, and {root.parent} has "
            f"{free / 1e9:.3g} GB free; make room, or choose another folder"
        )
