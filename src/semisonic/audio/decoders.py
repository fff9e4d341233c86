"""A decoder for a recording, or the reason why there is none; and whether it is complete.

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
from typing import IO, Any

import soundfile as sf

from semisonic.audio.find import MEDIA_SUFFIXES
from semisonic.audio.media import Decoded, decode_media, media_format
from semisonic.audio.wave_texts import wave_chunks
from semisonic.core.errors import AudioError

_MPEG_SUFFIXES = frozenset({".mp3", ".mp2"})

_NO_LENGTH = "bitrate mode   : constant"
"""Part of libsndfile's log for a stream without a Xing or VBRI header, whatever its bit rate."""


def open_decoder(path: Path, copy: Path) -> tuple[Decoded | None, sf.SoundFile, int]:
    """A decoder of a recording, and the number of samples per channel that it gives.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : Path
        The file with its bytes.

    Returns
    -------
    decoded : Decoded or None
        None for what libsndfile reads by itself.
    handle : soundfile.SoundFile
    n_samples : int

    Raises
    ------
    AudioError
        If there is no such file, or it is not a recording.
    """
    _check_file(copy)
    container = media_format(copy) if copy.suffix.lower() in MEDIA_SUFFIXES else ""
    if not container:
        try:
            return None, *_open_recording(path, copy)
        except AudioError:
            container = media_format(copy)
            if not container:
                raise
    decoded = decode_media(path, copy, container)
    return decoded, *_open_recording(path, decoded.copy.path)


def _open_recording(path: Path, copy: Path) -> tuple[sf.SoundFile, int]:
    """What libsndfile can read."""
    with decoder_messages() if copy.suffix.lower() in _MPEG_SUFFIXES else nullcontext():
        # As bytes: soundfile cannot encode names that are no Unicode.
        handle = _open(path, os.fsencode(copy))
    n_samples = int(handle.frames)
    if handle.subtype != "MPEG_LAYER_III" or _NO_LENGTH not in handle.extra_info:
        return handle, n_samples
    counted = _count_samples(copy, handle.format) or n_samples
    if counted > n_samples:
        handle.close()
        with decoder_messages():
            handle = _open(path, _PaddedFile(copy, 1 + counted // max(1, n_samples)))
    return handle, counted


def _open(path: Path, file: bytes | _PaddedFile) -> sf.SoundFile:
    try:
        return _Handle(file)
    except sf.SoundFileError as error:
        text = str(getattr(error, "error_string", error)).strip().rstrip(".")
        if not text or "not recognised" in text or "does not exist" in text:
            text = "libsndfile does not recognise it"
        advice = "Convert it to WAV or FLAC if it is a recording"
        raise AudioError(path, f"not audio, or damaged: {text}", advice) from None
    except TypeError:
        reason = "no header: raw samples give neither rate nor type"
        raise AudioError(path, reason) from None


class _Handle(sf.SoundFile):  # type: ignore[misc]
    """A recording that is read block by block, without seeking.

    After each block soundfile would seek to its own position; an MP3 frame then lacks data of the
    frames before it.
    """

    def seekable(self) -> bool:
        """soundfile uses this to decide whether to seek."""
        return False


class _PaddedFile(io.FileIO):
    """A file followed by zeros, so that libsndfile expects more data than its size suggests."""

    def __init__(self, file: Path, times: int) -> None:
        super().__init__(file)
        self._size = times * os.fstat(self.fileno()).st_size

    def __del__(self) -> None:  # soundfile closes only what it opened
        self.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; the end is that of the zeros."""
        if whence == os.SEEK_END:
            return super().seek(self._size + offset)
        return super().seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer."""
        n = super().readinto(buffer) or 0
        memoryview(buffer)[n:] = bytes(len(buffer) - n)
        return len(buffer)


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
