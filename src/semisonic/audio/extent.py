"""What a file holds, whatever its header counts: wrong sizes, and streams one behind another.

A recorder that lost its power leaves a size of zero, or that of a minute ago. A WAV file beyond
4 GiB has a size that began again at zero. A pipe leaves a FLAC without a number of samples. ``cat``
joins files, and an internet radio joins streams of Ogg. A decoder believes the first header and
stops there. So the sizes are compared with the file, and :class:`Extent` says what a decoder must
be given instead.
"""

from __future__ import annotations

import itertools
import math
import mmap
import re
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CHUNKED = {
    # Marks of a file: its header's size, the layout of a chunk's header, what the size counts in
    # addition to the content, the alignment of chunks, the chunk of the samples.
    b"RIFF": (12, "<4sI", 0, 2, b"data"),
    b"RIFX": (12, ">4sI", 0, 2, b"data"),
    b"RF64": (12, "<4sI", 0, 2, b"data"),
    b"BW64": (12, "<4sI", 0, 2, b"data"),
    b"FORM": (12, ">4sI", 0, 2, b"SSND"),
    b"caff": (8, ">4sq", 0, 1, b"data"),
    b"riff": (40, "<16sq", 24, 8, b"data"),  # Wave64
}
_WAVE64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_BEGINNINGS = (*_CHUNKED, b".snd", b"fLaC", b"OggS")
_MOST_CHUNKS = 10_000
_NAME = re.compile(rb"[ -~]{4}|[ -~]{4}[^\0][^\0]{11}", re.S)
_TAGS = (b"TAG", b"ID3", b"APETAGEX")
_UNKNOWN = 0x7FFFF000
"""Bits of the sizes that stand for "not known yet", as programs write into a pipe."""
_WRAP = 1 << 32
_EMPTY = {b"FORM": 8, b"caff": 4}  # bytes in the chunk of the samples before the first of them
_FEW = 1 << 9  # bytes behind the samples that are no sound
_PADDING = 1 << 24  # zeros behind the samples, up to the end of a unit of the disk

_OGG_BEGIN = re.compile(rb"OggS\0[\x02\x06]", re.S)
_OGG_HEADER = 27
_FLAC_BEGIN = re.compile(rb"fLaC\0\0\0\x22", re.S)
_FLAC_FRAME = re.compile(rb"\xff[\xf8\xf9]", re.S)
_FLAC_TAIL = 1 << 20
_FLAC_HEAD, _FLAC_TOTAL = 42, 21  # bytes up to the first block that may follow, and to the samples
_ID3V1 = 128
_FLAC_SEARCHED = 1 << 25  # bytes of a file that is searched for other streams in any case
_FLAC_PLACES = (3, 5, 7)  # eighths of a larger file, where the frames must have the fitting numbers
_FLAC_SPREAD = 0.2
_MP3_REST = 1 << 8  # bytes of tags and padding that may follow an MP3 stream


class Extent(NamedTuple):
    """The sound in a file.

    Attributes
    ----------
    streams : tuple of (int, int)
        First and last (exclusive) byte of each stream; one if the file is a single recording.
    patches : tuple of (int, bytes)
        What must stand at a place of the file, so that a decoder reads on to its end.
    counted : float
        Share of the sound of the first stream that its header counts: 0.5 if it counts half of it,
        above 1 if the file was cut, NaN if it counts none on purpose.
    samples : (int, int) or None
        First and last byte of the samples, if they are more than the first header can count.
    """

    streams: tuple[tuple[int, int], ...]
    patches: tuple[tuple[int, bytes], ...] = ()
    counted: float = 1.0
    samples: tuple[int, int] | None = None


class _Stream(NamedTuple):
    """The end of a stream, and as in :class:`Extent`."""

    end: int
    patches: tuple[tuple[int, bytes], ...] = ()
    counted: float = 1.0
    samples: tuple[int, int] | None = None


def extent_of(file: Path) -> Extent:
    """Find where the sound of a file lies.

    Parameters
    ----------
    file : Path
        A file on this machine that is not empty.

    Returns
    -------
    Extent
        Of a format whose sizes are not known here, or that is damaged: the whole file.
    """
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found: list[tuple[int, _Stream]] = []
        begin = 0
        while begin < len(data):
            found.append((begin, _stream(data, begin)))
            begin = found[-1][1].end
    patches = tuple(patch for _, stream in found for patch in stream.patches)
    first = found[0][1]
    return Extent(tuple((at, one.end) for at, one in found), patches, first.counted, first.samples)


def _stream(data: mmap.mmap, begin: int) -> _Stream:
    """The stream that begins here."""
    mark = data[begin : begin + 4]
    if mark in _CHUNKED:
        found = _chunked(data, begin, mark)
        if mark == b"BW64":  # of the same layout as RF64, which libsndfile knows
            return found._replace(patches=(*found.patches, (begin, b"RF64")))
        return found
    if mark in (b".snd", b"dns."):
        return _sun(data, begin, ">" if mark == b".snd" else "<")
    if mark == b"fLaC":
        return _flac(data, begin)
    if mark == b"OggS":
        return _Stream(_ogg_end(data, begin))
    if mark[:3] == b"ID3" or _is_mp3(data, begin):
        return _Stream(_mp3_end(data, begin))
    return _Stream(len(data))


# Chunks: WAV, RF64, AIFF, CAF, Wave64; and Sun's AU, which has one.


def _chunked(data: mmap.mmap, begin: int, mark: bytes) -> _Stream:
    head, _, extra, align, wanted = _CHUNKED[mark]
    size = len(data)
    if mark == b"riff" and data[begin : begin + 16] != _WAVE64:
        return _Stream(size)
    at_size = start = counted = 0  # the place of the size, that of the samples, and their bytes
    long_size = None  # the place of the size in 64 bits
    for name, at, n in _chunks(data, begin, begin + head, mark):
        if name == b"ds64" and at + 24 <= size:
            long_size = at + 8
        if name[:4] == wanted:
            at_size, start, counted = at - (8 if align == 8 or mark == b"caff" else 4), at, n
            break
    if not start:
        return _Stream(size)
    layout = {b"caff": ">q", b"riff": "<q", b"FORM": ">I", b"RIFX": ">I"}.get(mark, "<I")
    if long_size is not None and counted == _WRAP - 1:
        at_size, layout = long_size, "<Q"
        counted = int(struct.unpack_from(layout, data, at_size)[0])
    is_short = layout[1] == "I"
    if is_short and counted & _UNKNOWN == _UNKNOWN:
        return _Stream(size)  # libsndfile reads to the end of the file
    is_open = mark == b"caff" and counted == -1
    end = _end_of_samples(data, begin, mark, start, 0 if is_open else counted, is_short)
    if counted == end - start and not is_open:
        return _Stream(_next_stream(data, begin, mark, end))
    if counted > size - start:
        return _Stream(size)  # truncated, as libsndfile finds
    real = end - start
    share = math.nan if is_open else max(0, counted - _EMPTY.get(mark, 0)) / max(1, real)
    if is_short and real >= _WRAP - 1:
        return _Stream(size, (), share, (start + _EMPTY.get(mark, 0), end))
    patches = [(at_size, struct.pack(layout, real + extra))]
    if is_short:
        whole = min(size - begin - 8, _WRAP - 1)
        patches.append((begin + 4, struct.pack(layout, whole)))
    return _Stream(_next_stream(data, begin, mark, end), tuple(patches), share)


def _chunks(data: mmap.mmap, begin: int, at: int, mark: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of the content of each chunk from ``at`` on, as the header counts."""
    _, layout, extra, align, _ = _CHUNKED[mark]
    n_header = struct.calcsize(layout)
    for _ in range(_MOST_CHUNKS):
        if at + n_header > len(data):
            return
        name, n = struct.unpack_from(layout, data, at)
        n -= extra
        yield name, at + n_header, n
        if n < 0:
            return
        at += n_header + n
        at += -(at - begin) % align


def _end_of_samples(
    data: mmap.mmap, begin: int, mark: bytes, start: int, counted: int, is_short: bool
) -> int:
    """Where the samples end; few bytes behind them are no sound."""
    size = len(data)
    end = start + counted
    if end >= size:
        return size
    if counted > _EMPTY.get(mark, 0) and (
        size - end < _FEW or _is_followed(data, begin, mark, end)
    ):
        return end
    if is_short and size - start >= _WRAP:
        n_rounds = (size - start - counted) // _WRAP
        wrapped = start + counted + n_rounds * _WRAP
        return wrapped if n_rounds and _is_followed(data, begin, mark, wrapped) else size
    return size


def _is_followed(data: mmap.mmap, begin: int, mark: bytes, end: int) -> bool:
    """Whether nothing lies behind these samples but chunks, a tag, or another recording."""
    _, layout, _, align, _ = _CHUNKED[mark]
    at = end + -(end - begin) % align
    if len(data) - at < struct.calcsize(layout) or _is_tag(data, at):
        return True
    for name, start, n in _chunks(data, begin, at, mark):
        if _begins(data, start - struct.calcsize(layout)):
            return True
        if not _NAME.fullmatch(name) or n < 0 or start + n > len(data) + align:
            return _is_tag(data, start - struct.calcsize(layout)) and start > at + 16
    return True


def _is_tag(data: mmap.mmap, at: int) -> bool:
    """Whether a tag of MP3, or nothing but padding, begins here."""
    if data[at : at + 8].startswith(_TAGS):
        return True
    return len(data) - at <= _PADDING and not data[at:].strip(b"\0")


def _begins(data: mmap.mmap, at: int) -> bool:
    """Whether another recording begins here."""
    return data[at : at + 4] in _BEGINNINGS and at + 64 < len(data)


def _next_stream(data: mmap.mmap, begin: int, mark: bytes, end: int) -> int:
    """Where a stream ends, with the chunks that follow its samples."""
    _, layout, _, align, _ = _CHUNKED[mark]
    n_header = struct.calcsize(layout)
    for at in {end, end + -(end - begin) % align}:
        if _begins(data, at):
            return at
        for _, start, _ in _chunks(data, begin, at, mark):
            if _begins(data, start - n_header):
                return start - n_header
    return len(data)


def _sun(data: mmap.mmap, begin: int, order: str) -> _Stream:
    """Sun's AU: one size, and samples up to the end of the file."""
    if begin + 24 > len(data):
        return _Stream(len(data))
    start, counted = struct.unpack_from(order + "II", data, begin + 4)
    end, size = begin + start + counted, len(data)
    if counted & _UNKNOWN == _UNKNOWN or end >= size or start < 24:
        return _Stream(size)
    if _begins(data, end) and counted:
        return _Stream(end)
    if counted and (size - end < _FEW or _is_tag(data, end)):
        return _Stream(size)
    real = size - begin - start
    if real >= _WRAP - 1:
        return _Stream(size, (), counted / real, (begin + start, size))
    return _Stream(size, ((begin + 8, struct.pack(order + "I", real)),), counted / real)


# FLAC: the number of the last frame tells how long the stream is.


def _flac(data: mmap.mmap, begin: int) -> _Stream:
    size = len(data)
    if size - begin < _FLAC_HEAD:
        return _Stream(size)
    place = begin + _FLAC_TOTAL
    counted = int.from_bytes(data[place : place + 5], "big") & 0xFFFFFFFFF
    ends = _flac_ends(data, begin, size)
    is_small = size - begin <= _FLAC_SEARCHED
    if is_small or counted not in ends or not counted or not _flac_fits(data, begin, counted):
        other = _FLAC_BEGIN.search(data, begin + _FLAC_HEAD)
        if other is not None:
            size = other.start()
            ends = _flac_ends(data, begin, size)
    if counted in ends or not ends:
        return _Stream(size)
    found = ends[-1]
    high = data[place] & 0xF0 | found >> 32
    patch = (place, bytes([high]) + struct.pack(">I", found & 0xFFFFFFFF))
    return _Stream(size, (patch,), counted / found if counted else math.nan)


def _flac_ends(data: mmap.mmap, begin: int, end: int) -> list[int]:
    """Where the last frames of a stream end, in samples; a frame that was cut is none."""
    frames = list(_flac_frames(data, begin, max(begin + _FLAC_HEAD, end - _FLAC_TAIL), end))
    whole = [a for a, b in itertools.pairwise(frames) if a.last == b.first]
    if not frames:
        return []
    at, last = frames[-1].at, frames[-1]
    if (not whole or whole[-1].last == last.first) and not _crc16(data[at : _untagged(data, end)]):
        whole.append(last)
    return [frame.last for frame in whole]


def _untagged(data: mmap.mmap, end: int) -> int:
    return end - _ID3V1 if data[end - _ID3V1 : end - _ID3V1 + 3] == b"TAG" else end


def _flac_fits(data: mmap.mmap, begin: int, counted: int) -> bool:
    """Whether the frames in the middle of a file have the numbers of one long stream."""
    n_bytes = len(data) - begin
    for eighth in _FLAC_PLACES:
        first = begin + n_bytes * eighth // 8
        frame = next(_flac_frames(data, begin, first, min(len(data), first + _FLAC_TAIL)), None)
        if frame is not None and abs(frame.first / counted - eighth / 8) > _FLAC_SPREAD:
            return False
    return True


class _Frame(NamedTuple):
    """Where the header of a frame lies; its first and last (exclusive) sample."""

    at: int
    first: int
    last: int


def _flac_frames(data: mmap.mmap, begin: int, first: int, end: int) -> Iterator[_Frame]:
    """The frames whose header lies here."""
    block = struct.unpack_from(">H", data, begin + 8)[0]
    for match in _FLAC_FRAME.finditer(data, first, end):
        frame = _flac_frame(data[match.start() : match.start() + 16], block)
        if frame is not None:
            yield _Frame(match.start(), *frame)


def _flac_frame(header: bytes, block: int) -> tuple[int, int] | None:
    """First and last sample of a frame, if its header is one (RFC 9639, section 9.1)."""
    if len(header) < 6 or header[3] & 1 or header[3] >> 4 > 10 or header[2] & 15 == 15:
        return None
    lead = header[4]
    n_ones = 8 - (lead ^ 0xFF).bit_length()
    if n_ones in (1, 8) or header[2] >> 4 == 0:
        return None
    at, value = 5 + max(0, n_ones - 1), lead & (0xFF >> min(7, n_ones + 1))
    for byte in header[5:at]:
        if byte & 0xC0 != 0x80:
            return None
        value = value << 6 | byte & 0x3F
    code = header[2] >> 4
    if code in (6, 7):  # the size follows, in one or two bytes
        n = int.from_bytes(header[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        n = 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8
    at += {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)  # as does the rate
    if at >= len(header) or _crc8(header[:at]) != header[at]:
        return None
    start = value if header[1] & 1 else value * block
    return start, start + n


def _crc8(data: bytes) -> int:
    """The check sum of a frame's header: x^8 + x^2 + x + 1."""
    return _remainder(data, 8, 0x07)


def _crc16(data: bytes) -> int:
    """The check sum of a frame: x^16 + x^15 + x^2 + 1; 0 if the frame ends with its own."""
    return _remainder(data, 16, 0x8005)


def _remainder(data: bytes, width: int, divisor: int) -> int:
    table, value = _table(width, divisor), 0
    for byte in data:
        value = value << 8 & (1 << width) - 1 ^ table[value >> width - 8 ^ byte]
    return value


@cache
def _table(width: int, divisor: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (divisor if value >> width - 1 else 0)
            value &= (1 << width) - 1
        table.append(value)
    return table


# Ogg and MP3.


def _ogg_end(data: mmap.mmap, begin: int) -> int:
    """Where the next chained stream begins: a first page that follows one that is none."""
    first_pages = {begin}
    for match in _OGG_BEGIN.finditer(data, begin + 1):
        page = data[match.start() : match.start() + _OGG_HEADER]
        if len(page) < _OGG_HEADER or any(page[18:22]):
            continue
        previous = max(first_pages)
        n_segments = data[previous + 26]
        table = data[previous + _OGG_HEADER : previous + _OGG_HEADER + n_segments]
        if match.start() != previous + _OGG_HEADER + n_segments + sum(table):
            return match.start()
        first_pages.add(match.start())  # of another stream beside this one
    return len(data)


def _mp3_end(data: mmap.mmap, begin: int) -> int:
    """Where the stream ends whose Xing header counts its bytes."""
    head = data[begin : begin + 10]
    start = begin
    if head[:3] == b"ID3" and len(head) == 10:
        a, b, c, d = head[6:10]
        start += 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = data[start : start + 200]
    at = next((p for p in (frame.find(b"Xing"), frame.find(b"Info")) if p >= 0), -1)
    if at < 0 or len(frame) < at + 16 or frame[at + 7] & 2 == 0:
        return len(data)
    place = at + 8 + 4 * (frame[at + 7] & 1)
    n_bytes = int.from_bytes(frame[place : place + 4], "big")
    end = start + n_bytes
    is_next = data[end : end + 3] == b"ID3" or _is_mp3(data, end)
    return end if n_bytes and len(data) - end > _MP3_REST and is_next else len(data)


def _is_mp3(data: mmap.mmap, at: int) -> bool:
    """Whether an MPEG frame begins here."""
    return data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] >= b"\xe0"
