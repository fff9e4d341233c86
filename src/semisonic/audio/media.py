"""Recordings of phones, browsers and cameras (M4A, WebM and others), decoded by PyAV.

libsndfile cannot read them, and their decoders cannot start at an exact sample. So such a
recording is decoded once, when it is opened, to a temporary WAV file of floats, from which parts
are read. A process keeps the last few of these files, like copies of URLs
(:mod:`semisonic.audio.remote`). An hour of one channel takes 0.6 GB.

Only the audio is decoded. PyAV is an optional dependency: ``pip install 'semisonic[formats]'``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.find import PYAV_ADVICE
from semisonic.audio.remote import COPIES, LocalCopy, temporary_copy
from semisonic.core.errors import AudioError

_SIGNATURES = (
    (4, (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), "mp4"),
    (0, (b"\x1a\x45\xdf\xa3",), "matroska"),
    (0, (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"), "aac"),
    (0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",), "asf"),
    (0, (b"#!AMR",), "amr"),
    (0, (b"\x0b\x77",), "ac3"),
    (0, (b"wvpk",), "wv"),
)
"""Place in the file, bytes found there, and the demuxer of FFmpeg: it is never left to guess, as
some of its formats are lists of other files, which it would open."""

_MISSING = 0.1
"""Seconds by which a header may be too long, as encoders count their padding."""


class Decoded(NamedTuple):
    """A recording decoded to a temporary file.

    Attributes
    ----------
    copy : LocalCopy
        The WAV file, deleted when nobody refers to it any more.
    format, subtype : str
        Container and codec, as in ``MP4`` and ``AAC``.
    damage : str
        Why the recording is incomplete; empty if it is complete.
    """

    copy: LocalCopy
    format: str
    subtype: str
    damage: str


def media_format(file: Path) -> str:
    """FFmpeg's name of the container, from the first bytes; empty for other files.

    Parameters
    ----------
    file : Path
        A file on this machine.
    """
    with open(file, "rb") as stream:
        head = stream.read(16)
    for at, marks, name in _SIGNATURES:
        if head[at:].startswith(marks):
            return name
    return ""


def decode_media(path: Path, copy: Path, container: str) -> Decoded:
    """Decode a recording to a temporary WAV file, or use an existing one.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : Path
        The file on this machine with its bytes.
    container : str
        As returned by :func:`media_format`.

    Raises
    ------
    AudioError
        When PyAV is not installed, or nothing of the recording can be decoded.
    """
    status = os.stat(copy)
    return _decoded(path, copy, container, status.st_size, status.st_mtime_ns)


def forget_decoded() -> None:
    """Delete temporary files that nobody reads."""
    _decoded.cache_clear()


@lru_cache(maxsize=COPIES)
def _decoded(path: Path, copy: Path, container: str, *_stamp: int) -> Decoded:
    try:
        import av
    except ImportError:
        reason = f"reading {container.upper()} needs PyAV, which is not installed"
        raise AudioError(path, reason, PYAV_ADVICE) from None
    result = temporary_copy(".wav")
    try:
        # A stream, since FFmpeg cannot take names that are no Unicode.
        with open(copy, "rb") as file, av.open(file, format=container) as source:
            if not source.streams.audio:
                raise AudioError(path, "it contains no sound")
            codec = source.streams.audio[0].codec_context.name.upper()
            damage = _write(path, source, result.path)
    except av.error.FFmpegError as error:
        advice = "Convert it to WAV or FLAC if it is a recording"
        raise AudioError(path, f"not audio, or damaged: {error.strerror}", advice) from None
    except (sf.SoundFileError, AssertionError, OSError) as error:  # soundfile asserts what it wrote
        reason = f"no space in {result.path.parents[1]} for the decoded samples ({error})"
        raise AudioError(path, reason, "Free disk space, or set TMPDIR to another folder") from None
    return Decoded(result, container.upper(), codec, damage)


def _write(path: Path, source: Any, target: Path) -> str:
    """Decode the first audio stream to a file; return in words what is missing."""
    promised = _promised(source)
    blocks = _blocks(path, source)
    rate, x = next(blocks)
    trouble = ""
    most = round(promised * rate) if "mp4" in source.format.name and promised else None
    with sf.SoundFile(target, "w", rate, x.shape[1], "FLOAT", format="RF64") as out:
        try:
            while True:
                out.write(x if most is None else x[: max(0, most - out.frames)])
                _, x = next(blocks)
        except StopIteration:
            pass
        except AudioError as error:
            trouble = error.reason
        duration = out.frames / rate
    if promised - duration > _MISSING:
        return f"truncated: the header promises {promised:.2f} s, found {duration:.2f} s"
    return f"{trouble}; found {duration:.2f} s" if trouble else ""


def _promised(source: Any) -> float:
    """Seconds of sound according to the header; 0 if it does not say."""
    stream = source.streams.audio[0]
    if source.format.name in ("aac", "ac3", "amr"):
        return 0.0  # no header: FFmpeg guesses from the first frames
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (source.duration or 0) / 1e6 if len(source.streams) == 1 else 0.0


def _blocks(path: Path, source: Any) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield rate and samples, shape (n, channel), frame by frame; at least one frame."""
    import av

    rate, n_channels, at = 0, 0, 0
    try:
        for frame in source.decode(source.streams.audio[0]):
            x = _samples(frame)
            if rate and (frame.sample_rate, x.shape[1]) != (rate, n_channels):
                reason = f"rate or channels change after {at / rate:.2f} s"
                raise AudioError(path, f"damaged: {reason}")
            rate, n_channels, at = frame.sample_rate, x.shape[1], at + len(x)
            yield rate, x
    except av.error.FFmpegError as error:
        if not at:
            raise
        reason = f"damaged: decoding fails after {at / rate:.2f} s ({error.strerror})"
        raise AudioError(path, reason) from None
    if not at:
        raise AudioError(path, "empty: no samples")


def _samples(frame: Any) -> NDArray[np.float32]:
    """The samples of a frame, shape (n, channel), full scale ±1."""
    x: NDArray[Any] = frame.to_ndarray()
    x = x.T if frame.format.is_planar else x.reshape(-1, frame.layout.nb_channels)
    zero = np.float32(128.0 if x.dtype == np.uint8 else 0.0)
    scale = np.float32(2.0 ** (1 - 8 * x.dtype.itemsize) if x.dtype.kind in "iu" else 1.0)
    return (x.astype(np.float32) - zero) * scale
