"""A zip that was split into pieces (``.z01``, ``.z02``, ..., ``.zip``), read without joining it.

Python's ``zipfile`` refuses such archives, and joining the pieces would need their size once more
on the disk. A place in a split zip is the number of a piece and an offset in it; put one behind
the other, the pieces are one row of bytes, in which each piece begins where the one before ends.
The records are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5, zip64 included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError

_CHUNK = 1 << 20
_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_ENTRY, _LOCAL = b"PK\1\2", b"PK\3\4"
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True)
class Entry:
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

    def unpacked(self, entry: Entry) -> Iterator[bytes]:
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

    def _directory(self) -> Iterator[Entry]:
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

    def _entries(self, directory: bytes, n_entries: int) -> Iterator[Entry]:
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
            yield Entry(name, size, attributes >> 16, method, crc, packed, place)


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
