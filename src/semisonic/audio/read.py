"""A recording, or a part of it, as samples at the rate that is wanted.

The rules, for every format:

- Channels are averaged. Full scale is ±1; 16-bit samples are read as integers and divided
  by 32768, which for WAV files is several times faster than letting the library do it.
- A recording that holds less than its header promises is *truncated*. Parts of it that are
  wholly there can be read; the whole, or a part beyond its end, cannot, so that half a
  sound never passes for a whole one. Without a promise (a WAV file written to a pipe, an
  MPEG stream without a length) what decodes is what there is.
- A part may end up to 0.1 s behind the recording (times in tables are rounded, MPEG
  lengths are estimates) and is then that much shorter.
- NaN and infinite samples are errors; silence is not (see :func:`semisonic.audio.checks.problems`).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.checks import too_short
from semisonic.audio.decode import (
    decoder_messages,
    describe_truncation,
    missing_share,
    open_recording,
)
from semisonic.audio.remote import local_copy
from semisonic.audio.resample import resample, stream_resampler
from semisonic.core.errors import AudioError, OptionError

BLOCK = 1 << 16
"""Samples of a channel decoded at once: small, so that no fresh memory pages are needed."""

END_TOLERANCE = 0.1
"""Seconds that a part may be asked for beyond the end of its recording."""

# libsndfile lands a little off when it seeks into the last page of an Ogg stream; a page of
# its encoders never holds more than this.
_OGG_LAST_PAGE = 1 << 18

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """What the header of a recording says.

    Attributes
    ----------
    file : Path
    sample_rate : int
        Hz.
    n_channels : int
    n_samples : int
        Samples of one channel that are there to be read (in a truncated FLAC or MP3 file:
        that should be there).
    duration : float
        Seconds: ``n_samples / sample_rate``.
    format, subtype : str
        As libsndfile names them, such as ``WAV`` and ``PCM_16``.
    damage : str
        Why the recording cannot be read as a whole; empty if nothing is known.
    """

    file: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    duration: float
    format: str
    subtype: str
    damage: str = ""


def probe(file: str | os.PathLike[str]) -> AudioInfo:
    """What the header says; nothing is decoded.

    Parameters
    ----------
    file : path

    Returns
    -------
    AudioInfo

    Raises
    ------
    AudioError
        If there is no such file, or it is not a recording, or holds no sample.
    """
    with AudioReader(file) as reader:
        return reader.info


class AudioReader:
    """An open recording, to be used in a ``with`` block.

    Parameters
    ----------
    file : path

    Raises
    ------
    AudioError
        If there is no such file, or it is not a recording, or holds no sample.

    Attributes
    ----------
    info : AudioInfo
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.path = Path(file)
        self._copy = local_copy(self.path)
        self._is_warned = False
        self._handle, n_samples = open_recording(self.path, self._copy.path)
        try:
            self.info = self._inspect(n_samples)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def samples(
        self, start_time: float = 0.0, end_time: float | None = None
    ) -> NDArray[np.float32]:
        """A part of the recording as one array, mono, at its own rate.

        Parameters
        ----------
        start_time, end_time : float
            As for :func:`read`.

        Returns
        -------
        ndarray of float32, shape (n,)

        Raises
        ------
        AudioError
            As :func:`read`.
        """
        first, last = self._range(start_time, end_time)
        result = np.empty(last - first, np.float32)
        n = self._fill(result, first)
        self._check_end(first, last, first + n)
        return result[:n]

    def blocks(
        self, start_time: float, end_time: float | None, n_block: int
    ) -> Iterator[NDArray[np.float32]]:
        """A part of the recording in pieces of at most ``n_block`` samples.

        Parameters
        ----------
        start_time, end_time : float
            As for :func:`read`.
        n_block : int

        Yields
        ------
        ndarray of float32, shape (n,)

        Raises
        ------
        AudioError
            As :func:`read`, when the iteration comes to it.
        """
        first, last = self._range(start_time, end_time)
        at = first
        while at < last:
            block = np.empty(min(n_block, last - at), np.float32)
            n = self._fill(block, at)
            at += n
            if n:
                yield block[:n]
            if n < len(block):
                break
        self._check_end(first, last, at)

    def channel_blocks(self, n_block: int) -> Iterator[NDArray[np.float32]]:
        """All channels from the start, in pieces of at most ``n_block`` samples.

        For measuring: a truncated recording is given as far as it goes, and samples that are
        not finite are left as they are.

        Yields
        ------
        ndarray of float32, shape (channel, n)
            Full scale ±1; never empty.

        Raises
        ------
        AudioError
            When decoding fails or ends before what the header promises, after the last piece.
        """
        n_samples, at = self.info.n_samples, 0
        self._go_to(0)
        while at < n_samples:
            x = self._read(min(n_block, n_samples - at), at)
            if not len(x):
                break
            scale = np.float32(1.0 / 32768.0 if x.dtype == np.int16 else 1.0)
            yield np.multiply(x.T, scale, order="C", dtype=np.float32)
            at += len(x)
        self._check_end(0, n_samples, at)

    def _inspect(self, n_samples: int) -> AudioInfo:
        handle = self._handle
        kind, subtype, rate = handle.format, handle.subtype, int(handle.samplerate)
        share = missing_share(self._copy.path, handle)
        if n_samples < 1:
            raise AudioError(self.path, "empty: the header counts no samples")
        duration = n_samples / rate
        damage = describe_truncation(duration, share)
        return AudioInfo(
            self.path, rate, handle.channels, n_samples, duration, kind, subtype, damage
        )

    def _range(self, start_time: float, end_time: float | None) -> tuple[int, int]:
        """First and last (exclusive) sample of a part."""
        rate, n, duration = self.info.sample_rate, self.info.n_samples, self.info.duration
        asked = f"{start_time:g} s to " + ("the end" if end_time is None else f"{end_time:g} s")
        if not start_time >= 0.0 or not math.isfinite(start_time):
            raise AudioError(self.path, f"bad part: {asked}; expected a start of 0 s or more")
        if end_time is not None and not end_time > start_time:
            raise AudioError(self.path, f"bad part: {asked}; expected an end behind the start")
        too_long = end_time is not None and end_time > duration + END_TOLERANCE
        if self.info.damage and (end_time is None or too_long):
            raise AudioError(
                self.path,
                self.info.damage,
                "Export it again, or name the good part with a start and an end time",
            )
        first = round(start_time * rate)
        if too_long or first >= n:
            raise AudioError(
                self.path, f"bad part: {asked}; the recording is {duration:.3f} s long"
            )
        last = n if end_time is None else min(n, round(end_time * rate))
        if last <= first:
            raise AudioError(self.path, f"too short: no sample from {asked}")
        return first, last

    def _fill(self, result: NDArray[np.float32], first: int) -> int:
        """Decode from a sample on, into an array; the number of samples there were."""
        self._go_to(first)
        n = 0
        while n < len(result):
            n_new = self._decode(result[n : n + BLOCK], first + n)
            if not n_new:
                break
            n += n_new
        return n

    def _check_end(self, first: int, last: int, reached: int) -> None:
        """Raise AudioError if decoding ended too early to be the rounding of a length."""
        rate = self.info.sample_rate
        if reached == first or last - reached > END_TOLERANCE * rate:
            there, promised = reached / rate, self.info.duration
            raise AudioError(self.path, f"truncated: {there:.2f} s of {promised:.2f} s decode")

    def _go_to(self, first: int) -> None:
        """Stand before this sample, exactly."""
        if self._handle.tell() == first:
            return
        near = first
        if self.info.format == "OGG":
            near = min(first, max(0, self._handle.frames - _OGG_LAST_PAGE))
        self._call(first, self._handle.seek, near)
        while near < first:
            skipped = len(self._call(first, self._handle.read, min(BLOCK, first - near)))
            if not skipped:
                return  # the next read finds nothing either, and says so
            near += skipped

    def _decode(self, result: NDArray[np.float32], at: int) -> int:
        """Fill an array with the next samples, mono; ``at`` is the place for messages."""
        x = self._read(len(result), at)
        result = result[: len(x)]
        mix(x, result)
        if x.dtype != np.int16 and not math.isfinite(float(result.sum())):
            n_bad = len(x) - np.count_nonzero(np.isfinite(result))
            if n_bad:
                second = at / self.info.sample_rate
                raise AudioError(
                    self.path,
                    f"non-finite: {n_bad} of {len(x)} samples from {second:.2f} s on are "
                    "NaN or infinite",
                )
        return len(x)

    def _read(self, n: int, at: int) -> NDArray[Any]:
        """At most ``n`` samples of all channels, shape (n, channel), as integers if they are."""
        kind = "int16" if self.info.subtype == "PCM_16" else "float32"
        x: NDArray[Any] = self._call(at, self._handle.read, n, kind, always_2d=True)
        return x

    def _call(self, at: int, function: Any, *arguments: Any, **options: Any) -> Any:
        try:
            if not self.info.subtype.startswith("MPEG"):
                return function(*arguments, **options)
            with decoder_messages() as messages:
                result = function(*arguments, **options)
            self._warn(messages, at)
            return result
        except sf.SoundFileError as error:
            rate, text = self.info.sample_rate, str(error).strip().rstrip(".")
            raise AudioError(
                self.path,
                f"damaged or truncated: decoding fails after {at / rate:.2f} s of "
                f"{self.info.duration:.2f} s" + (f" ({text})" if text else ""),
            ) from None

    def _warn(self, messages: Sequence[str], at: int) -> None:
        """Say once of a file what its decoder finds wrong with it."""
        if messages and not self._is_warned:
            self._is_warned = True
            _log.warning(
                "%s: damaged: after %.2f s the decoder found '%s'; what it makes of it is used",
                self.path,
                at / self.info.sample_rate,
                messages[0],
            )


def mix(x: NDArray[Any], result: NDArray[np.float32]) -> None:
    """Write the mean of the channels of ``x`` (frames, channels), full scale ±1.

    Parameters
    ----------
    x : ndarray, shape (n, channel)
        Floats, or 16-bit integers.
    result : ndarray of float32, shape (n,)
    """
    scale = np.float32(1.0 / x.shape[1] / (32768.0 if x.dtype == np.int16 else 1.0))
    if x.shape[1] == 1:
        np.multiply(x[:, 0], scale, out=result)
        return
    result[:] = x[:, 0]
    for channel in range(1, x.shape[1]):
        result += x[:, channel]
    result *= scale


_SMALLEST_BLOCK = 4096


def read(
    file: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Decode a recording, or a part of it, to one channel.

    Channels are averaged, other rates come from soxr (quality HQ). Nothing is clipped:
    lossy formats overshoot, and samples above 1 are returned as they are.

    Parameters
    ----------
    file : path
        Anything libsndfile reads; the format is found from the content.
    sample_rate : int, optional
        Hz; the recording's own by default.
    start_time, end_time : float
        The part, in seconds; to the end by default. An end may lie up to 0.1 s behind the
        recording's, and the part is then shorter.

    Returns
    -------
    x : ndarray of float32, shape (n,)
        At least one sample, all finite, full scale ±1.
    sample_rate : int
        Hz.

    Raises
    ------
    AudioError
        No such file, empty, not audio, damaged, truncated, NaN or infinite samples, a part
        that is not there, or too short to leave a sample at ``sample_rate``.
    """
    with AudioReader(file) as reader:
        x = reader.samples(start_time, end_time)
        rate = reader.info.sample_rate
    if sample_rate is None or sample_rate == rate:
        return x, rate
    return resample_part(file, x, rate, sample_rate), sample_rate


def read_start(
    file: str | os.PathLike[str],
    *,
    duration: float,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> NDArray[np.float32]:
    """The first seconds of a recording, or of a part of it; all of it if that is shorter.

    Parameters
    ----------
    file, sample_rate, start_time, end_time
        As for :func:`read`.
    duration : float
        Seconds.

    Returns
    -------
    ndarray of float32, shape (n,)
        At least one sample.

    Raises
    ------
    AudioError
        As :func:`read`, as far as the recording is read.
    """
    _check_block_time(duration)
    blocks = _read_blocks(file, duration, sample_rate, start_time, end_time)
    first = next(blocks)
    blocks.close()
    return first


def resample_part(
    file: object, x: NDArray[np.float32], rate_in: int, rate_out: int
) -> NDArray[np.float32]:
    """The samples at another rate; AudioError if none is left.

    Parameters
    ----------
    file : path
        Named in the error.
    x : ndarray of float32, shape (n,)
    rate_in, rate_out : int
        Hz.

    Returns
    -------
    ndarray of float32
    """
    y = resample(x, rate_in, rate_out)
    if not len(y):
        raise AudioError(file, too_short(len(x), rate_in))
    return y


def read_blocks(
    file: str | os.PathLike[str],
    *,
    block_time: float,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> Generator[NDArray[np.float32], None, None]:
    """Decode a recording of any length in constant memory.

    The blocks do not overlap; put together they are what :func:`read` returns.

    Parameters
    ----------
    file, sample_rate, start_time, end_time
        As for :func:`read`.
    block_time : float
        Seconds of every block but the last, which may be shorter.

    Yields
    ------
    ndarray of float32, shape (n,)
        Never empty.

    Raises
    ------
    AudioError
        As :func:`read`, when the iteration comes to it.
    """
    _check_block_time(block_time)
    return _read_blocks(file, block_time, sample_rate, start_time, end_time)


def _check_block_time(block_time: float) -> None:
    if not 0.0 < block_time < float("inf"):
        raise OptionError(f"block_time: found {block_time!r} s, expected more than 0 s")


def _read_blocks(
    file: str | os.PathLike[str],
    block_time: float,
    sample_rate: int | None,
    start_time: float,
    end_time: float | None,
) -> Generator[NDArray[np.float32], None, None]:
    with AudioReader(file) as reader:
        rate_in = reader.info.sample_rate
        rate_out = sample_rate or rate_in
        n_read = min(BLOCK, max(_SMALLEST_BLOCK, round(block_time * rate_in)))
        n_in = n_out = 0

        def blocks() -> Iterator[NDArray[np.float32]]:
            nonlocal n_in
            for block in reader.blocks(start_time, end_time, n_read):
                n_in += len(block)
                yield block

        for block in _regular(_resampled(blocks(), rate_in, rate_out), block_time, rate_out):
            n_out += len(block)
            yield block
        if not n_out:
            raise AudioError(file, too_short(n_in, rate_in))


def _resampled(
    blocks: Iterable[NDArray[np.float32]], rate_in: int, rate_out: int
) -> Iterator[NDArray[np.float32]]:
    if rate_in == rate_out:
        yield from blocks
        return
    resampler = stream_resampler(rate_in, rate_out)
    for block in blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _regular(
    blocks: Iterable[NDArray[np.float32]], block_time: float, rate: int
) -> Iterator[NDArray[np.float32]]:
    """The same samples in blocks of one length; the last one may be shorter."""
    n = max(1, round(block_time * rate))
    held, n_held = list[NDArray[np.float32]](), 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held >= n:
            x = np.concatenate(held)
            end = n_held - n_held % n
            for start in range(0, end, n):
                yield x[start : start + n]
            held, n_held = [x[end:]], n_held - end
    if n_held:
        yield np.concatenate(held)
