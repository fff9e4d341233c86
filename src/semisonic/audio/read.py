"""A recording, or a part of it, as samples at the rate that is wanted."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import too_short
from semisonic.audio.resample import resample, stream
from semisonic.audio.source import BLOCK, Source
from semisonic.base.errors import AudioError, OptionError

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
    with Source(file, span=None if end_time is None else end_time - start_time) as source:
        x = source.samples(start_time, end_time)
        rate = source.info.sample_rate
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
    blocks = _read_blocks(file, duration, sample_rate, start_time, end_time, span=duration)
    first = next(blocks)
    blocks.close()
    return first


def resample_part(
    file: object, x: NDArray[np.float32], rate_in: int, rate_out: int
) -> NDArray[np.float32]:
    """The samples at another rate; AudioError if none is left."""
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
    span = None if end_time is None else end_time - start_time
    return _read_blocks(file, block_time, sample_rate, start_time, end_time, span)


def _check_block_time(block_time: float) -> None:
    if not 0.0 < block_time < float("inf"):
        raise OptionError(f"block_time: found {block_time!r} s, expected more than 0 s")


def _read_blocks(
    file: str | os.PathLike[str],
    block_time: float,
    sample_rate: int | None,
    start_time: float,
    end_time: float | None,
    span: float | None,
) -> Generator[NDArray[np.float32], None, None]:
    with Source(file, span=span) as source:
        rate_in = source.info.sample_rate
        rate_out = sample_rate or rate_in
        n_read = min(BLOCK, max(_SMALLEST_BLOCK, round(block_time * rate_in)))
        n_in = n_out = 0

        def blocks() -> Iterator[NDArray[np.float32]]:
            nonlocal n_in
            for block in source.blocks(start_time, end_time, n_read):
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
    resampler = stream(rate_in, rate_out)
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
