"""Write samples to files and to bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.checks import decibel
from semisonic.audio.resample import check_rate
from semisonic.core.errors import AudioError
from semisonic.core.files import replacing
from semisonic.core.options import nearest

_SUBTYPES = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
_BLOCK = 1 << 16

Overload = Literal["error", "scale"]


def encode(
    x: NDArray[np.float32],
    sample_rate: int,
    format: str = "ogg",  # noqa: A002
    *,
    overload: Overload = "error",
) -> bytes:
    """The bytes of an audio file with one channel.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        Samples within ±1.
    sample_rate : int
        Hz.
    format : {"ogg", "wav", "flac", "mp3"}
        wav and flac are 16 bit. Two ogg files of one sound differ in a random serial number.
    overload : {"error", "scale"}
        What to do with samples beyond ±1, which a file would clip: refuse, or make the
        whole sound quieter so that its peak is 1.

    Returns
    -------
    bytes

    Raises
    ------
    AudioError
        For an unknown format, NaN, or samples beyond ±1 with ``overload="error"``.

    Examples
    --------
    >>> encode(np.zeros(800, np.float32), 8000, "wav")[:4]
    b'RIFF'
    """
    stream = io.BytesIO()
    _encode("encoded sound", stream, x, sample_rate, format, overload)
    return stream.getvalue()


def write(
    file: str | os.PathLike[str],
    x: NDArray[np.float32],
    sample_rate: int,
    *,
    overload: Overload = "error",
) -> None:
    """Write one channel to a file atomically; the suffix gives the format.

    See :func:`encode` for the formats and ``overload``.

    Parameters
    ----------
    file : path
    x : ndarray of float32, shape (n,)
    sample_rate : int
        Hz.
    overload : {"error", "scale"}
        As for :func:`encode`.

    Raises
    ------
    AudioError
        As for :func:`encode`.
    """
    path = Path(file)
    with replacing(path) as part, open(part, "wb") as stream:
        _encode(path, stream, x, sample_rate, path.suffix[1:].lower(), overload)


def to_int16(x: NDArray[np.float32]) -> NDArray[np.int16]:
    """The nearest 16-bit integers; samples read from 16 bit do not change.

    Samples must be within ±1. Only 1 itself does not fit; it becomes 32767. (libsndfile would
    round down instead, which adds an offset.)
    """
    scaled = np.rint(x * np.float32(32768.0))
    result: NDArray[np.int16] = np.minimum(scaled, np.float32(32767.0)).astype(np.int16)
    return result


def _encode(
    name: object,
    stream: BinaryIO,
    x: NDArray[np.float32],
    sample_rate: int,
    kind: str,
    overload: Overload,
) -> None:
    if kind not in _SUBTYPES:
        raise AudioError(name, f"no writer for the format '{kind}'; {nearest(kind, _SUBTYPES)}")
    check_rate(sample_rate)
    x = _within_full_scale(name, np.asarray(x, np.float32), overload)
    samples = to_int16(x) if _SUBTYPES[kind] == "PCM_16" else x
    try:
        with sf.SoundFile(
            stream, "w", int(sample_rate), 1, _SUBTYPES[kind], format=kind.upper()
        ) as target:
            # In blocks: libsndfile's Vorbis writer overflows its stack on one long array.
            for start in range(0, len(x), _BLOCK):
                target.write(samples[start : start + _BLOCK])
    except sf.LibsndfileError as error:
        raise AudioError(
            name, f"cannot be written as {kind} at {sample_rate} Hz: {error}"
        ) from None


def _within_full_scale(name: object, x: NDArray[np.float32], how: Overload) -> NDArray[np.float32]:
    if x.ndim != 1:
        raise AudioError(name, f"found samples of shape {x.shape}, expected one channel (n,)")
    peak = float(np.abs(x).max()) if len(x) else 0.0
    if not np.isfinite(peak):
        raise AudioError(name, "contains NaN or infinite samples")
    if peak <= 1.0:
        return x
    if how == "scale":
        return x / np.float32(peak)
    raise AudioError(
        name,
        f"peak +{decibel(peak):.1f} dBFS would be clipped",
        "Make it quieter, or set overload='scale'",
    )
