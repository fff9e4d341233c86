"""A decoder for a recording, or the reason why there is none; and whether it is complete.

libsndfile comes first. It is given sizes that are right, where a header's are not
(:mod:`semisonic.audio.extent`). Streams that are joined in one file, and kinds in which it cannot
go to a sample, are decoded from their beginning to a temporary file, as recordings of phones are
(:mod:`semisonic.audio.media`). PyAV gets what libsndfile does not read.

If an MPEG layer III stream does not state its length, libsndfile guesses it from the first frame
and the size, and stops reading there: with a variable bit rate a fifth of a recording was lost. So
miniaudio counts the samples of such streams, also within WAV files, and libsndfile gets the file
with zeros appended, so that it reads on.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.extent import Extent, extent_of
from semisonic.audio.find import MEDIA_SUFFIXES, PYAV_ADVICE
from semisonic.audio.media import (
    Block,
    Decoded,
    Media,
    Source,
    decode_media,
    media_format,
    other_format,
)
from semisonic.audio.remote import LocalCopy
from semisonic.audio.wave_texts import wave_chunks
from semisonic.core.errors import AudioError

_MPEG_SUFFIXES = frozenset({".mp3", ".mp2"})

_NO_LENGTH = "bitrate mode   : constant"
"""Part of libsndfile's log for a stream without a Xing or VBRI header, whatever its bit rate."""

_EXACT = frozenset(
    (
        *("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
        *("VORBIS", "OPUS"),
    )
)
"""Codecs in which libsndfile can begin anywhere."""
_LOWEST_RATE, _HIGHEST_RATE = 1000, 100_000_000
_MOST_PER_BYTE = 8192
"""Samples per channel that a byte may stand for: a frame of FLAC without a sound has some 6000."""
_BLOCK = 1 << 16
_CONVERT = "Convert it to WAV or FLAC if it is a recording"


class Decoder(NamedTuple):
    """An open recording.

    Attributes
    ----------
    copy : LocalCopy
        The file that is read, deleted when nobody refers to it any more if it is temporary.
    handle : soundfile.SoundFile
    n_samples : int
        Samples per channel that it gives.
    format, subtype : str
        Container and codec of the recording.
    damage : str
        Why the recording is incomplete, or its header wrong; empty if all is well.
    """

    copy: LocalCopy
    handle: sf.SoundFile
    n_samples: int
    format: str
    subtype: str
    damage: str


def open_decoder(path: Path, copy: LocalCopy) -> Decoder:
    """A decoder of a recording.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : LocalCopy
        The file with its bytes.

    Raises
    ------
    AudioError
        If there is no such file, or it is not a recording.
    """
    _check_file(copy.path)
    if copy.path.suffix.lower() in MEDIA_SUFFIXES and (container := media_format(copy.path)):
        return _opened_copy(path, decode_media(path, copy.path, Media(container)))
    try:
        return _open_recording(path, copy)
    except AudioError as error:
        container = media_format(copy.path) or other_format(copy.path)
        if not container:
            raise
        try:
            return _opened_copy(path, decode_media(path, copy.path, Media(container)))
        except AudioError as other:
            if media_format(copy.path):
                raise
            more = other.advice if other.advice == PYAV_ADVICE else error.advice
            raise AudioError(path, error.reason, more) from None


def _opened_copy(path: Path, decoded: Decoded) -> Decoder:
    """The temporary file of a recording."""
    handle = _open(path, os.fsencode(decoded.copy.path))
    return Decoder(decoded.copy, handle, int(handle.frames), *decoded[1:])


def _open_recording(path: Path, copy: LocalCopy) -> Decoder:
    """What libsndfile can read."""
    extent = extent_of(copy.path)
    handle, n_samples = _open_stream(path, copy.path, extent.streams[0], extent.patches)
    name = handle.format, handle.subtype
    joined = len(extent.streams) > 1
    if joined or not _goes_to_samples(handle):
        handle.close()
        return _opened_copy(path, decode_media(path, copy.path, _Streams(extent, *name)))
    if extent.samples is not None and handle.subtype in _EXACT:
        handle = _open_samples(path, copy.path, extent.samples, handle)
        n_samples = int(handle.frames)
    duration = n_samples / handle.samplerate
    if extent.patches or extent.samples:
        damage = _wrong_size(extent.counted, duration)
    else:
        damage = truncation_of(copy.path, handle, duration)
    return Decoder(copy, handle, n_samples, *name, damage)


def _open_samples(
    path: Path, file: Path, samples: tuple[int, int], header: sf.SoundFile
) -> sf.SoundFile:
    """More samples than a header can count, of the kind that it names."""
    with header:
        order = "LITTLE" if header.format in ("WAV", "WAVEX") else "BIG"
        return _open(
            path,
            _MendedFile(file, samples),
            samplerate=header.samplerate,
            channels=header.channels,
            format="RAW",
            subtype=header.subtype,
            endian=header.endian if header.endian != "FILE" else order,
        )


def _wrong_size(counted: float, duration: float) -> str:
    """The damage of a recording whose header counts this share of it."""
    by_header = f"{counted * duration:.2f} s"
    if counted > 1.0:
        return f"truncated: the header promises {by_header}, found {duration:.2f} s"
    if counted < 1.0:
        return f"wrong header: it counts {by_header}, found {duration:.2f} s"
    return ""


def _open_stream(
    path: Path, file: Path, stream: tuple[int, int], patches: tuple[tuple[int, bytes], ...]
) -> tuple[sf.SoundFile, int]:
    """A stream of a file, and its number of samples."""
    size = os.stat(file).st_size
    mended = bool(patches) or stream != (0, size)
    # As bytes: soundfile cannot encode names that are no Unicode.
    source = _MendedFile(file, stream, patches) if mended else os.fsencode(file)
    with decoder_messages() if _is_mpeg(file) else nullcontext():
        handle = _open(path, source)
    n_samples = int(handle.frames)
    if handle.subtype == "MPEG_LAYER_III" and _NO_LENGTH in handle.extra_info and not mended:
        counted = _count_samples(file, handle.format) or n_samples
        if counted > n_samples:
            handle.close()
            padded = _MendedFile(file, (0, size), times=1 + counted // max(1, n_samples))
            with decoder_messages():
                handle = _open(path, padded)
        n_samples = counted
    if n_samples > _MOST_PER_BYTE * (stream[1] - stream[0]):
        handle.close()
        raise AudioError(
            path, f"damaged: the header counts {n_samples} samples, more than the file can hold"
        )
    return handle, n_samples


def _is_mpeg(file: Path) -> bool:
    """Whether libmpg123 may get the file: by its name, or its first bytes."""
    if file.suffix.lower() in _MPEG_SUFFIXES:
        return True
    with open(file, "rb") as stream:
        head = stream.read(3)
    return head == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")


def _goes_to_samples(handle: sf.SoundFile) -> bool:
    """Whether libsndfile can begin at any sample; of some kinds it believes so in error."""
    if handle.subtype in _EXACT or handle.subtype.startswith("MPEG"):
        return True
    try:
        handle.seek(min(1, handle.frames))
        handle.seek(0)
    except sf.SoundFileError:
        return False
    return True


class _Streams(NamedTuple):
    """Streams of a file, decoded by libsndfile one after another, for :func:`decode_media`."""

    extent: Extent
    format: str
    subtype: str

    @contextmanager
    def open(self, path: Path, file: Path) -> Iterator[Source]:
        """All samples of the file."""
        damage: list[str] = []
        yield Source(self.format, self.subtype, 0.0, self._blocks(path, file, damage), damage)

    def _blocks(self, path: Path, file: Path, damage: list[str]) -> Iterator[Block]:
        first: tuple[int, int] | None = None
        n_promised = n_read = 0
        for stream in self.extent.streams:
            own = tuple(p for p in self.extent.patches if stream[0] <= p[0] < stream[1])
            n_left = self.extent.streams[-1][1] - stream[0]
            try:
                handle, n_samples = _open_stream(path, file, stream, own)
            except AudioError as error:
                if first is None:
                    raise
                damage.append(f"joined: the last {n_left} bytes are not read ({error.reason})")
                break
            with handle:
                kind = (int(handle.samplerate), int(handle.channels))
                first = first or kind
                if kind != first:
                    damage.append(
                        f"joined: the last {n_left} bytes have another rate or number of channels, "
                        "and are not read"
                    )
                    break
                n_promised += n_samples
                for x in _all_of(path, handle, n_read / kind[0]):
                    n_read += len(x)
                    yield kind[0], x
        rate = first[0] if first else 1
        if n_promised - n_read > 0.1 * rate:
            damage.append(f"truncated: the header promises {n_promised / rate:.2f} s")
        if self.extent.patches:
            wrong = _wrong_size(self.extent.counted, n_read / rate)
            damage.extend([wrong] if wrong else [])


def _all_of(path: Path, handle: sf.SoundFile, start_time: float) -> Iterator[NDArray[np.float32]]:
    """Blocks of all samples, shape (n, channel)."""
    n = 0
    while True:
        is_mpeg = handle.subtype.startswith("MPEG")
        try:
            with decoder_messages() if is_mpeg else nullcontext():
                x = handle.read(_BLOCK, "float32", always_2d=True)
        except sf.SoundFileError as error:
            at = start_time + n / handle.samplerate
            text = f"damaged: decoding fails after {at:.2f} s ({str(error).strip().rstrip('.')})"
            raise AudioError(path, text) from None
        if not len(x):
            return
        n += len(x)
        yield x


def _open(path: Path, file: bytes | _MendedFile, **kind: Any) -> sf.SoundFile:
    try:
        handle = _Handle(file, **kind)
    except sf.SoundFileError as error:
        text = str(getattr(error, "error_string", error)).strip().rstrip(".")
        if not text or "not recognised" in text or "does not exist" in text:
            text = "libsndfile does not recognise it"
        raise AudioError(path, f"not audio, or damaged: {text}", _CONVERT) from None
    except TypeError:
        reason = "no header: raw samples give neither rate nor type"
        raise AudioError(path, reason) from None
    if handle.format == "RAW" and not kind:  # guessed from the name
        handle.close()
        raise AudioError(path, "not audio, or damaged: it has no header of a known kind", _CONVERT)
    if not _LOWEST_RATE <= handle.samplerate <= _HIGHEST_RATE:
        reason = f"damaged: the header gives a rate of {handle.samplerate} Hz"
        handle.close()
        raise AudioError(path, reason, f"Expected {_LOWEST_RATE} Hz or more")
    return handle


class _Handle(sf.SoundFile):  # type: ignore[misc]
    """A recording that is read block by block, without seeking.

    After each block soundfile would seek to its own position; an MP3 frame then lacks data of the
    frames before it.
    """

    def seekable(self) -> bool:
        """soundfile uses this to decide whether to seek."""
        return False


class _MendedFile(io.FileIO):
    """A part of a file with other bytes in places, followed by zeros, as libsndfile needs it."""

    def __init__(
        self,
        file: Path,
        part: tuple[int, int],
        patches: tuple[tuple[int, bytes], ...] = (),
        times: int = 1,
    ) -> None:
        super().__init__(file)
        self._first, self._end = part
        self._patches = [(at - self._first, content) for at, content in patches]
        self._size = times * (self._end - self._first)
        super().seek(self._first)

    def __del__(self) -> None:  # soundfile closes only what it opened
        self.close()

    def tell(self) -> int:
        """The position in the part."""
        return super().tell() - self._first

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; the end is that of the zeros."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}[whence]
        return super().seek(self._first + max(0, start + offset)) - self._first

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer."""
        at, view = self.tell(), memoryview(buffer).cast("B")
        n = max(0, min(len(view), self._end - self._first - at))
        n = super().readinto(view[:n]) or 0 if n else 0
        for place, content in self._patches:
            for i, byte in enumerate(content, place - at):
                if 0 <= i < n:
                    view[i] = byte
        n_zeros = max(0, min(len(view), self._size - at) - n)
        view[n : n + n_zeros] = bytes(n_zeros)
        super().seek(self._first + at + n + n_zeros)
        return n + n_zeros


def _count_samples(file: Path, format: str) -> int:  # noqa: A002
    """Number of samples per channel in an MPEG stream; 0 if they cannot be counted."""
    import miniaudio

    try:
        if format != "WAV":
            return int(miniaudio.mp3_get_file_info(os.fspath(file)).num_frames)
        with open(file, "rb") as stream:
            size = next((n for name, n in wave_chunks(stream) if name == b"data"), 0)
            return int(miniaudio.mp3_get_info(stream.read(size)).num_frames)
    except (miniaudio.MiniaudioError, UnicodeEncodeError):
        return 0


def _check_file(path: Path) -> None:
    """Raise AudioError unless this is a regular file that is not empty."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise AudioError(path, "no such file") from None
    except OSError as error:
        raise AudioError(path, f"cannot be opened ({error.strerror})") from None
    for is_wrong, reason in (
        (stat.S_ISDIR(status.st_mode), "a folder, not a file"),
        (not stat.S_ISREG(status.st_mode), "not a regular file"),
        (not status.st_size, "empty: the file has 0 bytes"),
        (not os.access(path, os.R_OK), "cannot be opened (Permission denied)"),
    ):
        if is_wrong:
            raise AudioError(path, reason)


# What a C library prints while it decodes, kept from the terminal.
#
# libsndfile gives MP3 to libmpg123, which prints what is wrong with a frame, and goes on: a line
# without the name of the file in the middle of a progress bar. It can only be read from the
# process's standard error. So MP3 is decoded by one thread at a time; where there is much of it,
# processes decode.


_LOCK = threading.RLock()
_MARK, _NOTE = b"libmpg123", b"Note: "
_STDERR = 2


@contextmanager
def decoder_messages() -> Iterator[list[str]]:
    """Keep lines of libmpg123 from the terminal within the block; the list gets them afterwards.

    Other output appears at the end of the block.
    """
    messages: list[str] = []
    with _LOCK:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # a program without standard error
            yield messages
            return
        file = _message_file(os.getpid())
        os.dup2(file.fileno(), _STDERR)
        try:
            yield messages
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
            if os.fstat(file.fileno()).st_size:
                file.seek(0)
                for line in file.read().splitlines(keepends=True):
                    if _MARK in line or line.startswith(_NOTE):
                        messages.append(_message_text(line.decode("utf-8", "replace")))
                    else:
                        os.write(_STDERR, line)
                file.seek(0)
                file.truncate()


@cache
def _message_file(_process: int) -> IO[bytes]:
    """The file in which a process keeps the output."""
    return tempfile.TemporaryFile(buffering=0)


def _message_text(line: str) -> str:
    """The words of ``[src/libmpg123/layer3.c:do_layer3():1774] error: big_values too large``."""
    return line.strip().rpartition("] ")[2].removeprefix("error: ").removeprefix("Note: ")


# Whether a recording holds less than its header promises.
#
# libsndfile shortens such a recording without a word to the caller; only its log says so. An
# Ogg stream promises nothing, but its last page must carry an end mark.


_TOLERANCE = 0.01
"""Seconds that may be missing, as some writers count their header as sound."""

_LOG_SIZE = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", re.M)
_LOG_RF64 = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_LARGEST_PAGE = 65307
_END_MARK = 4


def truncation_of(path: Path, handle: sf.SoundFile, duration: float) -> str:
    """The reason why a recording is incomplete; empty if it is complete or states no length.

    Parameters
    ----------
    path : Path
    handle : soundfile.SoundFile
        The open recording.
    duration : float
        Seconds found.
    """
    if handle.format == "OGG":
        closed = _is_closed_ogg(path)
        return "" if closed else f"truncated: no end mark, {duration:.2f} s found"
    log = handle.extra_info
    if match := _LOG_RF64.search(log):
        there, promised = map(int, match.groups())
    elif (match := _LOG_SIZE.search(log)) and int(match[1]) & 0x7FFFF000 != 0x7FFFF000:
        # Sizes near the largest stand for "not known yet", as programs write into a pipe.
        promised, there = map(int, match.groups())
    else:
        return ""
    expected = duration * promised / there if there else math.inf
    if expected - duration <= _TOLERANCE:
        return ""
    return f"truncated: the header promises {expected:.2f} s, found {duration:.2f} s"


def _is_closed_ogg(path: Path) -> bool:
    """Whether the last page of an Ogg file is complete and marked as the end."""
    with open(path, "rb") as file:
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
