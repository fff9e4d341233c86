"""Change the sample rate or length of a sound, or the sample rate of blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from semisonic.core.errors import OptionError

QUALITY = "HQ"


def resample(x: NDArray[np.float32], rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """Samples of one channel at another rate (soxr, quality HQ).

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        One channel.
    rate_in, rate_out : int
        Hz. With equal rates ``x`` is returned unchanged.

    Returns
    -------
    ndarray of float32, shape (about n · rate_out / rate_in,)

    Raises
    ------
    OptionError
        For an invalid rate.

    Examples
    --------
    >>> resample(np.zeros(44100, np.float32), 44100, 22050).shape
    (22050,)
    """
    check_rate(rate_in)
    check_rate(rate_out)
    x = np.ascontiguousarray(x, np.float32)
    if rate_in == rate_out or not len(x):
        return x
    result: NDArray[np.float32] = soxr.resample(x, rate_in, rate_out, QUALITY)
    return result


def check_rate(rate: int) -> None:
    """Raise OptionError unless ``rate`` is a valid sample rate in Hz."""
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or rate < 1:
        raise OptionError(f"sampling rate: found {rate!r}, expected a whole number of Hz above 0")


def fit_length(x: NDArray[Any], n_samples: int) -> NDArray[Any]:
    """The sound with exactly ``n_samples`` samples: cut at the end, or padded with zeros.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Any numeric type, which is kept.
    n_samples : int
        The length.

    Returns
    -------
    ndarray, shape (n_samples,)

    Examples
    --------
    >>> fit_length(np.array([1, 2, 3]), 5)
    array([1, 2, 3, 0, 0])
    """
    return x[:n_samples] if len(x) >= n_samples else np.pad(x, (0, n_samples - len(x)))


class LiveResampler:
    """Resample blocks without seams between them.

    Joined, the blocks equal the resampled whole. The filter looks ahead, so the output is some
    milliseconds behind the input.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        check_rate(rate_in)
        check_rate(rate_out)
        self._rates = (int(rate_in), int(rate_out))
        self._stream: Any = None

    def push(self, samples: NDArray[np.float32], last: bool = False) -> NDArray[np.float32]:
        """The samples, shape (n,), that are ready after these; perhaps none.

        After the ``last`` ones, a new sound begins.
        """
        if self._rates[0] == self._rates[1]:
            return samples
        if self._stream is None:
            self._stream = soxr.ResampleStream(*self._rates, 1, dtype="float32", quality=QUALITY)
        samples = np.ascontiguousarray(samples, np.float32)
        result: NDArray[np.float32] = self._stream.resample_chunk(samples, last=last)
        if last:
            self._stream = None
        return result

    def finish(self) -> NDArray[np.float32]:
        """The samples still held back; afterwards a new sound begins."""
        return self.push(np.zeros(0, np.float32), last=True)
