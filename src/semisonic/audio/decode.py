"""Opening a recording: from a file to a decoder, or a reason why not.

Also what libsndfile does not say of itself: whether a file holds less than its header promises,
and what its MPEG decoder complains about.
"""

from __future__ import annotations

import importlib
import io
import math
import mmap
import os
import re
import stat
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.core.errors import AudioError
from semisonic.core.shards import (
    SHARD_SUFFIXES,
    ShardEntry,
    member_of,
    open_binary,
    open_shard,
    read_member,
)

# MPEG layer III streams that do not say how long they are.
#
# libsndfile guesses the length of such a stream from its first frame and its size, and stops
# reading there: with a variable bit rate the end of the sound is lost (a fifth of it in one
# of our test files). Inside a WAV file it also reads on into the chunks behind the sound.
# So we count the frames ourselves and put a small header before the stream, one that every
# decoder understands, which says how many there are.
#
# The header is the "Xing" one: a first frame without sound. A silent frame follows it,
# because a decoder that trusts the header drops its own delay (529 samples) from the start.


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


# A faster decoder for short Ogg Vorbis recordings, where miniaudio (extra ``fast``) is installed.
#
# Its samples are those of libsndfile to within 6e-7 of full scale, in two thirds of the time. It
# is less careful with damaged files, though, so it is given only what is known to be whole: every
# page must be there in order with its right check sum, the last must bear the end mark, and the
# samples that come out must be as many as that page counts. Anything else, and any recording that
# is long, is left to libsndfile.


MOST_CHANNELS = 2  # of more, the decoders give another order
MOST_BYTES = 4 << 20
MOST_SAMPLES = 1 << 23  # of all channels together
MOST_WASTE = 2.0  # times the part that is wanted

_PAGE = struct.Struct("<4sBBqIIIB")  # mark, version, flags, position, serial, number, sum, segments
_FIRST, _LAST = 2, 4  # flags
_SHORTEST = 64  # bytes of an Ogg file
_BYTES_PER_SECOND = 64_000  # more than nearly all recordings need
_HEADER = struct.Struct("<7sIBI")  # of the first packet: mark, version, channels, Hz
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class VorbisStream:
    """A decoded recording with the part of ``soundfile.SoundFile`` that we use."""

    format, subtype = "OGG", "VORBIS"

    def __init__(self, samples: NDArray[np.float32], sample_rate: int) -> None:
        self._samples, self.samplerate, self._at = samples, sample_rate, 0
        self.frames, self.channels = samples.shape

    def tell(self) -> int:
        """The next sample."""
        return self._at

    def seek(self, at: int) -> int:
        """Go to a sample."""
        self._at = min(max(0, at), self.frames)
        return self._at

    def read(
        self, n: int, dtype: str = "float32", *, always_2d: bool = True
    ) -> NDArray[np.float32]:
        """At most ``n`` samples of all channels, shape (n, channel); always float32."""
        found = self._samples[self._at : self._at + n]
        self._at += len(found)
        return found

    def close(self) -> None:
        """Give the memory back."""
        self._samples = self._samples[:0]


def open_vorbis(file: Path | BinaryIO, span: float | None = None) -> VorbisStream | None:
    """The recording decoded, or None where libsndfile is to read it.

    ``span`` is as for :class:`semisonic.audio.read.AudioReader`: libsndfile goes to the middle of a
    recording, while this decoder begins at its start, so it is not for a small part of one.
    """
    decoder = _decoder()
    if decoder is None or (span is not None and not 0.0 < span < math.inf):
        return None
    data = _head_of(file, span)
    if len(data) < _SHORTEST or data[:4] != b"OggS" or data[28:35] != b"\x01vorbis":
        return None
    _, version, n_channels, rate = _HEADER.unpack_from(data, 28)
    n_samples = count_samples(data)
    if version or not 1 <= n_channels <= MOST_CHANNELS or not rate:
        return None
    if not 0 < n_samples * n_channels <= MOST_SAMPLES:
        return None
    if span is not None and n_samples > MOST_WASTE * span * rate:
        return None
    try:
        found = decoder.decode(
            data,
            output_format=decoder.SampleFormat.FLOAT32,
            nchannels=n_channels,
            sample_rate=rate,
        )
    except decoder.MiniaudioError:
        return None
    samples = np.frombuffer(found.samples, np.float32)
    if len(samples) != n_samples * n_channels:
        return None
    return VorbisStream(samples.reshape(n_samples, n_channels), rate)


def _head_of(file: Path | BinaryIO, span: float | None) -> bytes:
    """The whole file, or as much as tells that it is too long; a stream begins anew."""
    most = MOST_BYTES
    if span is not None:
        most = min(most, _SHORTEST + math.ceil(MOST_WASTE * span * _BYTES_PER_SECOND))
    if isinstance(file, Path):
        try:
            with open(file, "rb") as stream:
                start = stream.read(_SHORTEST)
                return start if start[:4] != b"OggS" else start + stream.read(most)
        except OSError:
            return b""
    data = file.read(most)
    file.seek(0)
    return data


def count_samples(data: bytes) -> int:
    """Samples of a channel that an Ogg file promises; 0 unless all of it is there and intact.

    "All" is one stream and nothing behind it.
    """
    at, number, serial, position, flags = 0, 0, None, 0, 0
    while at < len(data):
        if flags & _LAST or at + _PAGE.size > len(data):
            return 0
        mark, version, flags, reached, owner, count, check, n_segments = _PAGE.unpack_from(data, at)
        body = at + _PAGE.size + n_segments
        end = body + sum(data[at + _PAGE.size : body])
        serial = owner if serial is None else serial
        if (mark, version, owner, count) != (b"OggS", 0, serial, number) or end > len(data):
            return 0
        if bool(flags & _FIRST) != (number == 0) or (reached < position and reached != -1):
            return 0
        if check != _check_sum(data[at : at + 22] + bytes(4) + data[at + 26 : end]):
            return 0
        position = max(position, reached)
        at, number = end, number + 1
    return position if flags & _LAST else 0


def _check_sum(page: bytes) -> int:
    """The one of Ogg: that of zlib with the bits of each byte in the other order."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


@cache
def _decoder() -> Any:
    try:
        return importlib.import_module("miniaudio")
    except (ImportError, OSError):
        return None


# What a C library prints while it decodes, heard and not shown.
#
# libsndfile gives MP3 to libmpg123, which prints what is wrong with a frame, goes on, and tells
# nobody: a line without the name of the file in the middle of a progress bar. There is no other way
# to learn of it than to read the process's standard error. So MP3 is decoded by one thread at a
# time; where there is much of it, processes decode.


_LOCK = threading.RLock()
_MARK, _NOTE = b"libmpg123", b"Note: "
_STDERR = 2


@contextmanager
def decoder_messages() -> Iterator[list[str]]:
    """Within the block, lines of libmpg123 are kept from the terminal; the list gets them after.

    What else is printed meanwhile comes out at the end of the block.
    """
    heard: list[str] = []
    with _LOCK:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # a program without standard error
            yield heard
            return
        told = _message_file(os.getpid())
        os.dup2(told.fileno(), _STDERR)
        try:
            yield heard
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
            if os.fstat(told.fileno()).st_size:
                told.seek(0)
                for line in told.read().splitlines(keepends=True):
                    if _MARK in line or line.startswith(_NOTE):
                        heard.append(_message_text(line.decode("utf-8", "replace")))
                    else:
                        os.write(_STDERR, line)
                told.seek(0)
                told.truncate()


@cache
def _message_file(_process: int) -> IO[bytes]:
    """Where a process keeps what is printed."""
    return tempfile.TemporaryFile(buffering=0)


def _message_text(line: str) -> str:
    """The words of ``[src/libmpg123/layer3.c:do_layer3():1774] error: big_values too large``."""
    return line.strip().rpartition("] ")[2].removeprefix("error: ").removeprefix("Note: ")


# Whether a recording holds less than its header promises.
#
# libsndfile shortens such a recording without a word to the caller; only its log tells. An
# Ogg stream promises nothing, but its last page must carry an end mark.


TOLERANCE = 0.01
"""Seconds that may be missing: some writers count their header as sound."""

_LOG_SIZE = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", re.M)
_LOG_RF64 = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_LARGEST_PAGE = 65307
_END_MARK = 4


def missing_share(path: Path, handle: sf.SoundFile) -> float:
    """Which part of what the header promises is not in the file.

    Parameters
    ----------
    path : Path
        The file.
    handle : SoundFile
        The open file.

    Returns
    -------
    float
        From 0 (all is there, or nothing was promised) to 1; NaN if something is missing,
        and nobody knows how much.
    """
    if handle.format == "OGG":
        return 0.0 if is_closed_ogg(path) else math.nan
    found = _LOG_RF64.search(handle.extra_info)
    if found:
        there, promised = map(int, found.groups())
    else:
        found = _LOG_SIZE.search(handle.extra_info)
        if not found or _is_unknown(int(found[1])):
            return 0.0
        promised, there = map(int, found.groups())
    return max(0.0, 1.0 - there / max(promised, 1))


def describe_truncation(duration: float, missing: float) -> str:
    """The reason why a recording is not whole; empty if it is.

    Parameters
    ----------
    duration : float
        Seconds that are there.
    missing : float
        What :func:`missing_share` found.
    """
    if math.isnan(missing):
        return f"truncated: no end mark, {duration:.2f} s are there"
    promised = duration / (1.0 - missing) if missing < 1.0 else math.inf
    if promised - duration <= TOLERANCE:
        return ""
    return f"truncated: the header promises {promised:.2f} s, {duration:.2f} s are there"


def is_closed_ogg(path: Path) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the end."""
    with open_binary(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * _LARGEST_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return False
    n_segments = tail[page + 26]
    segments = tail[page + 27 : page + 27 + n_segments]
    whole = len(segments) == n_segments and page + 27 + n_segments + sum(segments) <= len(tail)
    return whole and bool(tail[page + 5] & _END_MARK)


def _is_unknown(size: int) -> bool:
    """Whether a size stands for "not known yet", as programs write into a pipe."""
    return 0x7FFFF000 <= size <= 0x7FFFFFFF or 0xFFFFF000 <= size <= 0xFFFFFFFF


# Opening a recording: from a file or a member of a shard to a decoder, or a reason why not.


def open_recording(path: Path, copy: Path, span: float | None) -> sf.SoundFile | VorbisStream:
    """A decoder of a recording.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : Path
        Where its bytes are.
    span : float or None
        As for :class:`semisonic.audio.read.AudioReader`.

    Raises
    ------
    AudioError
        When it cannot be opened, or is not audio.
    """
    member = member_of(copy)
    held: Path | BinaryIO = copy
    if member is None:
        _check_file(copy)
        if copy.suffix.lower() in SHARD_SUFFIXES:
            _refuse_shard(path, copy)
    else:
        held = _bytes_of(path, member)
    return open_vorbis(held, span) or open_handle(path, held)


def open_handle(path: Path, file: Path | BinaryIO | MpegStream) -> sf.SoundFile:
    """libsndfile's decoder; AudioError when it does not know what this is."""
    try:
        # As bytes: soundfile cannot encode names that are no Unicode.
        return sf.SoundFile(os.fsencode(file) if isinstance(file, Path) else file)
    except sf.SoundFileError as error:
        text = str(getattr(error, "error_string", error)).strip().rstrip(".")
        if not text or "not recognised" in text or "does not exist" in text:
            text = "libsndfile does not recognise it"
        raise AudioError(
            path, f"not audio, or damaged: {text}", "Convert it to WAV or FLAC if it is a recording"
        ) from None
    except TypeError:
        raise AudioError(path, "no header: raw samples say neither rate nor type") from None


def _bytes_of(path: Path, member: ShardEntry) -> BinaryIO:
    """The bytes of a member of a shard, in memory; AudioError if there are none."""
    try:
        data = read_member(member)
    except FileNotFoundError:
        there = member.shard.exists()
        raise AudioError(path, "no such member of the shard" if there else "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be opened ({error.strerror})") from None
    if not data:
        raise AudioError(path, "empty: the member has 0 bytes")
    return io.BytesIO(data)


def _refuse_shard(path: Path, copy: Path) -> None:
    """Raise AudioError: a shard is no recording, and perhaps not even a shard."""
    try:
        open_shard(copy)
    except (OSError, ValueError) as error:
        raise AudioError(path, f"a shard that cannot be read: {error}") from None
    raise AudioError(path, "a shard, not a recording", "Name one of its members, as SHARD::NAME")


def _check_file(path: Path) -> None:
    """Raise AudioError unless this is a regular file with something in it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AudioError(path, "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be opened ({error.strerror})") from None
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(path, "a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError(path, "not a regular file")
    if not status.st_size:
        raise AudioError(path, "empty: the file has 0 bytes")
    if not os.access(path, os.R_OK):
        raise AudioError(path, "cannot be opened (Permission denied)")
