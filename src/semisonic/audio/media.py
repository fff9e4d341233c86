"""Recordings whose decoders cannot start at an exact sample, decoded once to a temporary file.

Recordings of phones, browsers and cameras (M4A, WebM and others) are read by PyAV, an optional
dependency: ``pip install 'semisonic[formats]'``. Only their audio is decoded, when they are opened,
to a WAV file of floats, from which parts are read. A process keeps the last few of these files,
like copies of URLs (:mod:`semisonic.audio.remote`). An hour of one channel takes 0.6 GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.find import PYAV_ADVICE
from semisonic.audio.remote import COPIES, LocalCopy, stamp_of, temporary_copy
from semisonic.core.errors import AudioError

_SIGNATURES = (
    (4, (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), "mp4"),
    (0, (b"\x1a\x45\xdf\xa3",), "matroska"),
    (0, (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"), "aac"),
    (0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",), "asf"),
    (0, (b"#!AMR",), "amr"),
    (0, (b"\x0b\x77",), "ac3"),
    (0, (b"wvpk",), "wv"),
    (0, (b"TTA1", b"TTA2"), "tta"),
    (0, (b"MAC ",), "ape"),
    (0, (b"DSD ",), "dsf"),
    (0, (b"FRM8",), "iff"),
    (0, (b"MPCK",), "mpc8"),
    (0, (b"MP+",), "mpc"),
    (0, (b"tBaK",), "tak"),
)
"""Place in the file, bytes found there, and the demuxer of FFmpeg: it is never left to guess, as
some of its formats are lists of other files, which it would open."""

_OTHER_SIGNATURES = (
    (0, (b"RIFF", b"RIFX", b"RF64", b"BW64"), "wav"),
    (0, (b"OggS",), "ogg"),
    (0, (b"caff",), "caf"),
    (0, (b"FORM",), "aiff"),
    (0, (b".snd",), "au"),
    (0, (b"fLaC",), "flac"),
    (0, (b"riff",), "w64"),
    (0, (b"Creative Voice",), "voc"),
)
"""The same of containers that libsndfile reads, for codecs in them that it does not read."""

_MISSING = 0.1
"""Seconds by which a header may be too long, as encoders count their padding."""


Block = tuple[int, NDArray[np.float32]]
"""A rate, and samples (n, channel)."""


class Source(NamedTuple):
    """A recording that is decoded from its beginning.

    Attributes
    ----------
    format, subtype : str
        Container and codec, as in ``MP4`` and ``AAC``.
    promised : float
        Seconds that the header promises; 0 if it does not say.
    blocks : iterator of Block
    damage : list of str
        Filled while the blocks are read.
    is_exact : bool
        Whether what lies beyond the promised end is padding of the encoder.
    """

    format: str
    subtype: str
    promised: float
    blocks: Iterator[Block]
    damage: list[str]
    is_exact: bool = False


class Opener(Protocol):
    """How a recording is decoded; equal for equal ways, as decoded files are kept."""

    def open(self, path: Path, file: Path) -> AbstractContextManager[Source]:
        """Its samples; ``path`` is its name in messages."""

    def __hash__(self) -> int: ...


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
    return _format(file, _SIGNATURES)


def other_format(file: Path) -> str:
    """As :func:`media_format`, for containers of which libsndfile reads at least a part."""
    return _format(file, _OTHER_SIGNATURES)


def _format(file: Path, signatures: tuple[tuple[int, tuple[bytes, ...], str], ...]) -> str:
    with open(file, "rb") as stream:
        head = stream.read(16)
    return next((name for at, marks, name in signatures if head[at:].startswith(marks)), "")


def decode_media(path: Path, copy: Path, opener: Opener) -> Decoded:
    """Decode a recording to a temporary WAV file, or use an existing one.

    Parameters
    ----------
    path : Path
        Its name in messages.
    copy : Path
        The file on this machine with its bytes.
    opener : Opener

    Raises
    ------
    AudioError
        When nothing of the recording can be decoded, or PyAV is needed and not installed.
    """
    return _decoded(path, copy, opener, *stamp_of(copy))


def forget_decoded() -> None:
    """Delete temporary files that nobody reads."""
    _decoded.cache_clear()


@lru_cache(maxsize=COPIES)
def _decoded(path: Path, copy: Path, opener: Opener, *_stamp: int) -> Decoded:
    with opener.open(path, copy) as source:
        result = temporary_copy(".wav")
        try:
            damage = _write(source, result.path)
        except (sf.SoundFileError, AssertionError, OSError) as error:  # soundfile asserts a length
            reason = f"no space in {result.path.parents[1]} for the decoded samples ({error})"
            advice = "Free disk space, or set TMPDIR to another folder"
            raise AudioError(path, reason, advice) from None
    return Decoded(result, source.format, source.subtype, damage)


class Media(NamedTuple):
    """A recording that PyAV decodes; ``container`` is FFmpeg's name of it."""

    container: str

    @contextmanager
    def open(self, path: Path, file: Path) -> Iterator[Source]:
        """All samples of its first audio stream."""
        try:
            import av
        except ImportError:
            reason = f"reading {self.container.upper()} needs PyAV, which is not installed"
            raise AudioError(path, reason, PYAV_ADVICE) from None
        try:
            # A stream, since FFmpeg cannot take names that are no Unicode. Nor need titles be it.
            with (
                open(file, "rb") as stream,
                av.open(stream, format=self.container, metadata_errors="ignore") as source,
            ):
                if not source.streams.audio:
                    raise AudioError(path, "it contains no sound")
                codec = source.streams.audio[0].codec_context.name.upper()
                is_exact = "mp4" in source.format.name
                blocks = _blocks(path, source)
                promised = _promised(source)
                yield Source(self.container.upper(), codec, promised, blocks, [], is_exact)
        except av.error.FFmpegError as error:
            advice = "Convert it to WAV or FLAC if it is a recording"
            reason = f"not audio, or damaged: {error.strerror}"
            raise AudioError(path, reason, advice) from None


def _write(source: Source, target: Path) -> str:
    """Decode to a file; return in words what is missing."""
    rate, x = next(source.blocks)
    promised = source.promised
    most = round(promised * rate) if source.is_exact and promised else None
    with sf.SoundFile(target, "w", rate, x.shape[1], "FLOAT", format="RF64") as out:
        try:
            while True:
                out.write(x if most is None else x[: max(0, most - out.frames)])
                _, x = next(source.blocks)
        except StopIteration:
            pass
        except AudioError as error:
            source.damage.append(error.reason)
        duration = out.frames / rate
    if promised - duration > _MISSING:
        return f"truncated: the header promises {promised:.2f} s, found {duration:.2f} s"
    return f"{source.damage[0]}; found {duration:.2f} s" if source.damage else ""


def _promised(source: Any) -> float:
    """Seconds of sound according to the header; 0 if it does not say."""
    stream = source.streams.audio[0]
    if source.format.name in ("aac", "ac3", "amr"):
        return 0.0  # no header: FFmpeg guesses from the first frames
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (source.duration or 0) / 1e6 if len(source.streams) == 1 else 0.0


def _blocks(path: Path, source: Any) -> Iterator[Block]:
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
