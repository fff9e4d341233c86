"""MPEG layer III streams that do not say how long they are.

libsndfile guesses the length of such a stream from its first frame and its size, and stops
reading there: with a variable bit rate the end of the sound is lost (a fifth of it in one
of our test files). Inside a WAV file it also reads on into the chunks behind the sound.
So we count the frames ourselves and put a small header before the stream, one that every
decoder understands, which says how many there are.

The header is the "Xing" one: a first frame without sound. A silent frame follows it,
because a decoder that trusts the header drops its own delay (529 samples) from the start.
"""

from __future__ import annotations

import io
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from semisonic.base.members import open_binary

_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_ANY_FRAME = 0xFFFE0C00  # sync, version, layer, rate: what all frames of a stream share


class MpegStream(io.RawIOBase):
    """A readable file: our header, then the bytes ``start … stop`` of another file.

    Attributes
    ----------
    n_samples : int
        Samples of one channel that the frames hold.
    """

    def __init__(self, file: BinaryIO, header: bytes, start: int, stop: int, n_samples: int):
        super().__init__()
        self._file, self._header, self._start = file, header, start
        self._size = len(header) + stop - start
        self._at = 0
        self.n_samples = n_samples

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(0, base + offset), self._size)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as the stream goes; the number of bytes."""
        n = min(len(buffer), self._size - self._at)
        if n <= 0:
            return 0
        if self._at < len(self._header):
            n = min(n, len(self._header) - self._at)
            buffer[:n] = self._header[self._at : self._at + n]
        else:
            self._file.seek(self._start + self._at - len(self._header))
            data = self._file.read(n)
            n = len(data)
            buffer[:n] = data
        self._at += n
        return n

    def close(self) -> None:
        """Close the other file as well."""
        self._file.close()
        super().close()


def open_mpeg(path: Path) -> MpegStream | None:
    """A stream of known length for an MP3 file, or a WAV file with MP3 inside.

    None where libsndfile needs no help: the stream has its own header, or is not plain
    layer III.
    """
    file = open_binary(path)  # the stream closes it
    try:
        with _content(file) as data:
            start, stop = _bounds(data)
            in_wav = start > 0 and data[:4] == b"RIFF"
            first, _ = _next_frame(data, start, stop, None)
            n_frames = 0
            if first < stop and (in_wav or not _has_header(data, first)):
                first, n_frames = count_frames(data, first, stop)
            if not n_frames:
                file.close()
                return None
            word = _word(data, first)
            header = b"" if _has_header(data, first) else _header(word, n_frames, stop - first)
            return MpegStream(file, header, first, stop, n_frames * _frame_samples(word))
    except BaseException:
        file.close()
        raise


@contextmanager
def _content(file: BinaryIO) -> Iterator[mmap.mmap | bytes]:
    """The bytes of a file without reading them, or those that are in memory already."""
    if isinstance(file, io.BytesIO):
        yield file.getvalue()
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def count_frames(data: mmap.mmap | bytes, start: int, stop: int) -> tuple[int, int]:
    """Where the first frame stands, and how many whole frames there are."""
    at, kind = _next_frame(data, start, stop, None)
    first, n_frames = at, 0
    while at < stop:
        length = frame_length(_word(data, at)) if at + 4 <= stop else 0
        if length and (_word(data, at) & _ANY_FRAME) == kind:
            n_frames += at + length <= stop
            at += length
        else:
            at, _ = _next_frame(data, at + 1, stop, kind)
    return first, n_frames


def frame_length(word: int) -> int:
    """Bytes of the layer III frame with this header, 0 if it is not one."""
    if word >> 21 != 0x7FF or (word >> 17) & 3 != 1:
        return 0
    version, bit_rate, rate = (word >> 19) & 3, (word >> 12) & 15, (word >> 10) & 3
    if version == 1 or rate == 3 or bit_rate in (0, 15):
        return 0
    kilobits = (_V1 if version == 3 else _V2)[bit_rate]
    return _frame_samples(word) // 8 * kilobits * 1000 // _RATES[version][rate] + ((word >> 9) & 1)


def _next_frame(
    data: mmap.mmap | bytes, at: int, stop: int, kind: int | None
) -> tuple[int, int | None]:
    """The next place with a frame header and, behind that frame, another or the end."""
    while (at := data.find(b"\xff", at, stop)) >= 0 and at + 4 <= stop:
        word = _word(data, at)
        length = frame_length(word)
        if length and kind in (None, word & _ANY_FRAME):
            behind = at + length
            if behind + 4 > stop or (
                frame_length(_word(data, behind))
                and _word(data, behind) & _ANY_FRAME == word & _ANY_FRAME
            ):
                return at, word & _ANY_FRAME
        at += 1
    return stop, kind


def _bounds(data: mmap.mmap | bytes) -> tuple[int, int]:
    """Where the stream lies in the file: a WAV file's data chunk, or between the tags."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at : at + 4] == b"data":
                return at + 8, min(len(data), at + 8 + size)
            at += 8 + size + size % 2
        return len(data), len(data)
    start, stop = 0, len(data)
    if data[:3] == b"ID3" and len(data) > 10:
        a, b, c, d = data[6:10]  # four times seven bits
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    if data[-128:-125] == b"TAG":
        stop -= 128
    return min(start, stop), stop


def _has_header(data: mmap.mmap | bytes, first: int) -> bool:
    """Whether the first frame already tells the length (Xing, Info or VBRI)."""
    at = first + 4 + _side_length(_word(data, first))
    return data[at : at + 4] in (b"Xing", b"Info") or data[first + 36 : first + 40] == b"VBRI"


def _header(word: int, n_frames: int, n_bytes: int) -> bytes:
    """A Xing frame and a silent one, in the format of the stream."""
    side = _side_length(word)
    for bit_rate in range(1, 15):
        # The lowest bit rate whose frame has room; without checksum and padding.
        small = (word & ~(0xF << 12) & ~(1 << 9)) | bit_rate << 12 | 1 << 16
        length = frame_length(small)
        if length >= 4 + side + 16:
            break
    start = struct.pack(">I", small) + bytes(side)
    fields = struct.pack(">4sIII", b"Xing", 3, n_frames + 1, n_bytes + 2 * length)
    return (start + fields).ljust(length, b"\0") + start.ljust(length, b"\0")


def _frame_samples(word: int) -> int:
    return 1152 if (word >> 19) & 3 == 3 else 576


def _side_length(word: int) -> int:
    first, mono = (word >> 19) & 3 == 3, (word >> 6) & 3 == 3
    return (17 if mono else 32) if first else (9 if mono else 17)


def _word(data: mmap.mmap | bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
