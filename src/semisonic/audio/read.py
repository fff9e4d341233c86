"""Read a recording, or a part of it, as samples at a given rate.

The rules, for every format:

- Channels are averaged. Full scale is ±1; 16-bit samples are read as integers and divided
  by 32768, which for WAV files is several times faster than letting the library do it.
- A recording that contains less than its header promises is *truncated*, for example by an empty
  battery. It is used up to its end, with a warning; a part beyond that is an error. One that
  contains more, as its recorder lost power or its size began again at zero, is read to the end of
  the file, with a warning, and so are joined streams. If the header promises nothing (a WAV or FLAC
  file written to a pipe, an MPEG stream without a length), the recording is what can be decoded. If
  the end of an MP3 file is found only by decoding, parts before it can be read, and the whole is
  an error.
- Channels of opposite phase are not averaged, as nothing would be left: one of the two is read.
- Whatever a file makes a decoder do, it is an :class:`~semisonic.core.errors.AudioError` that names
  the file; what a library raised is in the log.
- A part may end up to 0.1 s after the end of the recording (times in tables are rounded, MPEG
  lengths are estimates) and is then shorter.
- Recordings of phones and browsers (M4A, WebM and others) are first decoded to a temporary file
  (:mod:`semisonic.audio.media`), so that parts of it begin at exact samples.
- NaN and infinite samples are errors; silence is not (see :func:`semisonic.audio.checks.problems`).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from semisonic.audio.checks import too_short
from semisonic.audio.decoders import decoder_messages, open_decoder
from semisonic.audio.remote import local_copy
from semisonic.audio.resample import LiveResampler, resample
from semisonic.core.errors import AudioError, OptionError, SemisonicError, is_of_memory

BLOCK = 1 << 16
"""Samples per channel decoded at once: few, so that no new memory pages are needed."""

END_TOLERANCE = 0.1
"""Seconds by which a part may extend beyond the end of its recording."""

# libsndfile lands a little off when it seeks into the last page of an Ogg stream; a page of
# its encoders never holds more than this.
_OGG_LAST_PAGE = 1 << 18
# A frame of MP3 leans on up to 255 bytes of those before it (511 in frames of 1152 samples, which
# are larger). The smallest, of 576 samples and in stereo, hold three such bytes each; libmpg123
# goes back by four frames only.
_MP3_RUN_UP = 87 * 576
_SMALLEST_BLOCK = 4096
_CANCELLED = 0.01
"""Power of the sum of two channels, in that of one, below which they cancel each other."""
_PLACES, _OPPOSED = 8, 0.9
"""Places of a recording at which its channels are compared, and their correlation, negated."""

_log = logging.getLogger(__name__)


class AudioInfo(NamedTuple):
    """The content of the header of a recording.

    Attributes
    ----------
    file : Path
    sample_rate : int
        Hz.
    n_channels : int
    n_samples : int
        Samples per channel that can be read (in a truncated FLAC or MP3 file: that should exist).
    duration : float
        Seconds: ``n_samples / sample_rate``.
    format, subtype : str
        Names of libsndfile, such as ``WAV`` and ``PCM_16``.
    damage : str
        What is known to be missing; empty if nothing is.
    """

    file: Path
    sample_rate: int
    n_channels: int
    n_samples: int
    duration: float
    format: str
    subtype: str
    damage: str = ""

    def damage_of(self, end_time: float | None = None) -> str:
        """The damage of a part that ends at this second; empty if it ends before the damage."""
        last = math.inf if end_time is None or math.isnan(end_time) else end_time
        reaches_end = round(min(last, self.duration) * self.sample_rate) == self.n_samples
        return self.damage if reaches_end else ""


def probe(file: str | os.PathLike[str]) -> AudioInfo:
    """Read the header; nothing is decoded, except by PyAV (:mod:`semisonic.audio.media`).

    Parameters
    ----------
    file : path

    Returns
    -------
    AudioInfo

    Raises
    ------
    AudioError
        If the file does not exist, is not a recording, or contains no samples.
    """
    with AudioReader(file) as reader:
        return reader.info


class AudioReader:
    """An open recording, for use in a ``with`` block.

    Parameters
    ----------
    file : path

    Raises
    ------
    AudioError
        If the file does not exist, is not a recording, or contains no samples.

    Attributes
    ----------
    info : AudioInfo
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.path = path = Path(file)
        self._is_warned = False
        self._is_opposed: bool | None = None
        with _one_file(path):
            opened = open_decoder(path, local_copy(path))
            self._copy, self._handle, n_samples = opened[:3]
            if n_samples < 1:
                self.close()
                raise AudioError(path, "empty: the header counts no samples")
            rate, n_channels = int(self._handle.samplerate), int(self._handle.channels)
        self.info = AudioInfo(path, rate, n_channels, n_samples, n_samples / rate, *opened[3:])

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
        """A part of the recording as one array (n,), mono, at its own rate; see :func:`read`."""
        first, last = self._range(start_time, end_time)
        with _one_file(self.path):
            result, n = np.empty(last - first, np.float32), 0
        for x in self._decode(first, last, BLOCK):
            self._mix_finite(x, result[n : n + len(x)], first + n)
            n += len(x)
        return result[:n]

    def blocks(
        self, start_time: float, end_time: float | None, n_block: int
    ) -> Iterator[NDArray[np.float32]]:
        """A part of the recording in pieces of at most ``n_block`` samples, mono; see :func:`read`.

        Errors are raised during the iteration.
        """
        first, last = self._range(start_time, end_time)
        for x in self._decode(first, last, n_block):
            block = np.empty(len(x), np.float32)
            self._mix_finite(x, block, first)
            first += len(x)
            yield block

    def channel_blocks(self, n_block: int) -> Iterator[NDArray[np.float32]]:
        """All channels from the start, in pieces of at most ``n_block`` samples.

        For measuring: a truncated recording is read up to its end, and samples that are not finite
        are kept.

        Yields
        ------
        ndarray of float32, shape (channel, n)
            Full scale ±1; never empty.

        Raises
        ------
        AudioError
            When decoding fails or ends before the promised length, after the last piece.
        """
        for x in self._decode(0, self.info.n_samples, n_block):
            scale = np.float32(1.0 / 32768.0 if x.dtype == np.int16 else 1.0)
            yield np.multiply(x.T, scale, order="C", dtype=np.float32)

    def has_opposite_phase(self) -> bool:
        """Whether two channels cancel each other at several places of the recording."""
        if self.info.n_channels != 2:
            return False
        if self._is_opposed is None:
            self._is_opposed = False
            at, products = self._handle.tell(), np.zeros((2, 2))
            for place in range(_PLACES):
                self._go_to(place * (self.info.n_samples - 1) // _PLACES)
                n, read = _SMALLEST_BLOCK, self._handle.read
                x = self._call(0, read, n, "float32", always_2d=True, is_wanted=False)
                products += x.T @ x
            self._go_to(at)
            both = math.sqrt(products[0, 0] * products[1, 1])
            self._is_opposed = bool(products[0, 1] < -_OPPOSED * both)
            if self._is_opposed:
                _log.warning("%s: its channels are of opposite phase; the first is used", self.path)
        return self._is_opposed

    def mono(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of channels (channel, n), or one of two that cancel each other, shape (n,)."""
        result = np.empty(x.shape[1], np.float32)
        if mix(x.T, result) and self.has_opposite_phase():
            mix(x[:1].T, result)
        return result

    def _range(self, start_time: float, end_time: float | None) -> tuple[int, int]:
        """First and last (exclusive) sample of a part."""
        end_time = None if end_time is None or math.isnan(end_time) else end_time
        rate, n, duration = self.info.sample_rate, self.info.n_samples, self.info.duration
        end = duration if end_time is None else end_time
        asked = f"{start_time:g} s to " + ("the end" if end_time is None else f"{end:g} s")
        too_long = end > duration + END_TOLERANCE
        if not 0.0 <= start_time < math.inf or (end_time is not None and not end > start_time):
            reason = f"bad part: {asked}; expected a start of 0 s or more and a later end"
            raise AudioError(self.path, reason)
        if self.info.damage and too_long:
            advice = "Export the recording again, or give a part before its end"
            raise AudioError(self.path, f"{self.info.damage}; asked for {asked}", advice)
        first = round(start_time * rate)
        if too_long or first >= n:
            reason = f"bad part: {asked}; the recording is {duration:.3f} s long"
            raise AudioError(self.path, reason)
        last = n if end_time is None else min(n, round(end * rate))
        if last <= first:
            raise AudioError(self.path, f"too short: no sample from {asked}")
        damage = self.info.damage_of(end_time)
        if damage and not self._is_warned:
            self._is_warned = True
            _log.warning("%s: %s, and used", self.path, damage)
        return first, last

    def _decode(self, first: int, last: int, n_block: int) -> Iterator[NDArray[Any]]:
        """Yield blocks (n, channel), never empty; 16-bit integers if the file contains these.

        Raises
        ------
        AudioError
            When decoding fails, or ends earlier than rounding explains.
        """
        kind, at = "int16" if self._handle.subtype == "PCM_16" else "float32", first
        while at < last:
            with _one_file(self.path):
                self._go_to(at)
                x = self._call(at, self._handle.read, min(n_block, last - at), kind, always_2d=True)
            if not len(x):
                break
            at += len(x)
            yield x
        rate = self.info.sample_rate
        if at == first or last - at > END_TOLERANCE * rate:
            there, promised = at / rate, self.info.duration
            raise AudioError(
                self.path, f"truncated: {there:.2f} s of {promised:.2f} s can be decoded"
            )

    def _mix_finite(self, x: NDArray[Any], result: NDArray[np.float32], at: int) -> None:
        """Write the mean of the channels; AudioError for NaN, with the position ``at``."""
        if mix(x, result) and self.has_opposite_phase():
            mix(x[:, :1], result)
        if x.dtype == np.int16 or math.isfinite(float(result.sum())):
            return
        n_bad = len(x) - np.count_nonzero(np.isfinite(result))
        if n_bad:
            second = at / self.info.sample_rate
            what = f"{n_bad} of {len(x)} samples from {second:.2f} s on are NaN or infinite"
            raise AudioError(self.path, f"non-finite: {what}")

    def _go_to(self, first: int) -> None:
        """Go exactly to this sample."""
        near, at = first, self._handle.tell()
        if self._handle.format == "OGG":
            near = min(first, max(0, self._handle.frames - _OGG_LAST_PAGE))
        elif self._handle.subtype == "MPEG_LAYER_III":
            near = max(0, first - _MP3_RUN_UP)
        if not near <= at <= first:
            at = self._call(first, self._handle.seek, near, is_wanted=False)
        while at < first:
            n_block = min(BLOCK, first - at)
            n_skipped = len(self._call(first, self._handle.read, n_block, is_wanted=False))
            if not n_skipped:
                return  # the next read finds nothing either, and says so
            at += n_skipped

    def _call(
        self, at: int, function: Any, *arguments: Any, is_wanted: bool = True, **options: Any
    ) -> Any:
        """Call the decoder and log its first warning; ``at`` is the position for messages.

        Warnings about skipped sound are not logged, as MP3 lacks data where decoding starts.
        """
        info, messages = self.info, list[str]()
        try:
            is_mpeg = self._handle.subtype.startswith("MPEG")
            with decoder_messages() if is_mpeg else nullcontext(messages) as messages:
                result = function(*arguments, **options)
        except sf.SoundFileError as error:
            text = str(error).strip().rstrip(".")
            where = f"{at / info.sample_rate:.2f} s of {info.duration:.2f} s"
            reason = f"damaged or truncated: decoding fails after {where}"
            raise AudioError(self.path, reason + (f" ({text})" if text else "")) from None
        if messages and is_wanted and not self._is_warned:
            self._is_warned = True
            _log.warning(
                "%s: damaged: after %.2f s the decoder reported '%s'; the samples that it "
                "returned are used",
                self.path,
                at / info.sample_rate,
                messages[0],
            )
        return result


@contextmanager
def _one_file(path: Path) -> Iterator[None]:
    """Raise AudioError for whatever a file makes a decoder raise, and log it."""
    try:
        yield
    except SemisonicError:
        raise
    except Exception as error:
        _log.info("%s: while reading", path, exc_info=True)
        if is_of_memory(error):
            reason = "it needs more memory than there is"
        else:
            reason = f"not audio, or damaged: {type(error).__name__}: {error}".rstrip(": ")
        raise AudioError(path, reason, "Convert it to WAV or FLAC if it is a recording") from error


def mix(x: NDArray[Any], result: NDArray[np.float32]) -> bool:
    """Write the mean of the channels of ``x`` (frames, channels), full scale ±1.

    Parameters
    ----------
    x : ndarray, shape (n, channel)
        Floats, or 16-bit integers.
    result : ndarray of float32, shape (n,)

    Returns
    -------
    bool
        Whether two channels cancel each other.
    """
    scale = np.float32(1.0 / x.shape[1] / (32768.0 if x.dtype == np.int16 else 1.0))
    if x.shape[1] == 1:
        np.multiply(x[:, 0], scale, out=result)
        return False
    result[:] = x[:, 0]
    one = float(np.dot(result, result)) if x.shape[1] == 2 else 0.0
    for channel in range(1, x.shape[1]):
        result += x[:, channel]
    cancels = float(np.dot(result, result)) < _CANCELLED * one
    result *= scale
    return cancels


def read(
    file: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Decode a recording, or a part of it, to one channel.

    Channels are averaged; soxr (quality HQ) resamples. Nothing is clipped: lossy formats
    overshoot, and samples above 1 are returned unchanged.

    Parameters
    ----------
    file : path
        Any format that libsndfile or PyAV reads; the content decides, not the suffix.
    sample_rate : int, optional
        Hz; by default that of the recording.
    start_time, end_time : float
        The part, in seconds; by default, and for NaN, to the end. The end may be up to 0.1 s after
        that of the recording, and the part is then shorter.

    Returns
    -------
    x : ndarray of float32, shape (n,)
        At least one sample, all finite, full scale ±1.
    sample_rate : int
        Hz.

    Raises
    ------
    AudioError
        When the file does not exist, is empty, not audio or damaged, has NaN or infinite samples,
        does not contain the part, or is too short for a sample at ``sample_rate``.
    """
    with AudioReader(file) as reader:
        x = reader.samples(start_time, end_time)
        rate = reader.info.sample_rate
    if sample_rate is None or sample_rate == rate:
        return x, rate
    y = resample(x, rate, sample_rate)
    if not len(y):
        raise AudioError(file, too_short(len(x), rate))
    return y, sample_rate


def read_start(
    file: str | os.PathLike[str],
    *,
    duration: float,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> NDArray[np.float32]:
    """Read the first seconds of a recording, or of a part of it; all if it is shorter.

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
        As for :func:`read`, for the samples that are read.
    """
    blocks = read_blocks(
        file, block_time=duration, sample_rate=sample_rate, start_time=start_time, end_time=end_time
    )
    with closing(blocks):
        return next(blocks)


def read_blocks(
    file: str | os.PathLike[str],
    *,
    block_time: float,
    sample_rate: int | None = None,
    start_time: float = 0.0,
    end_time: float | None = None,
) -> Generator[NDArray[np.float32], None, None]:
    """Decode a recording of any length in constant memory.

    The blocks do not overlap; joined, they equal the result of :func:`read`.

    Parameters
    ----------
    file, sample_rate, start_time, end_time
        As for :func:`read`.
    block_time : float
        Seconds per block; the last one may be shorter.

    Yields
    ------
    ndarray of float32, shape (n,)
        Never empty.

    Raises
    ------
    AudioError
        As for :func:`read`, during the iteration.
    """
    if not 0.0 < block_time < float("inf"):
        raise OptionError(f"block_time: found {block_time!r} s, expected more than 0 s")
    with AudioReader(file) as reader:
        rate = reader.info.sample_rate
        rate_out = sample_rate or rate
        n_read = min(BLOCK, max(_SMALLEST_BLOCK, round(block_time * rate)))
        n = max(1, round(block_time * rate_out))
        n_in, n_out, n_held, held = 0, 0, 0, list[NDArray[np.float32]]()
        resampler = LiveResampler(rate, rate_out)
        for block in chain(reader.blocks(start_time, end_time, n_read), [None]):
            held.append(resampler.finish() if block is None else resampler.push(block))
            n_in += 0 if block is None else len(block)
            n_held += len(held[-1])
            if n_held >= n:
                x = np.concatenate(held)
                n_whole = n_held - n_held % n
                yield from np.split(x[:n_whole], n_whole // n)
                held, n_held, n_out = [x[n_whole:]], n_held - n_whole, n_out + n_whole
        if n_held:
            yield np.concatenate(held)
        elif not n_out:
            raise AudioError(file, too_short(n_in, rate))
