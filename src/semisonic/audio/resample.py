"""Another sampling rate, another length."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from semisonic.base.errors import OptionError

QUALITY = "HQ"


def resample(x: NDArray[np.float32], rate_in: int, rate_out: int) -> NDArray[np.float32]:
    """Samples of one channel at another rate (soxr, quality HQ).

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        One channel.
    rate_in, rate_out : int
        Hz. With equal rates ``x`` comes back as it is.

    Returns
    -------
    ndarray of float32, shape (about n · rate_out / rate_in,)
    """
    check_rate(rate_in)
    check_rate(rate_out)
    x = np.ascontiguousarray(x, np.float32)
    if rate_in == rate_out or not len(x):
        return x
    result: NDArray[np.float32] = soxr.resample(x, rate_in, rate_out, QUALITY)
    return result


def stream(rate_in: int, rate_out: int) -> Any:
    """A soxr resampler for one channel that is fed block by block."""
    check_rate(rate_in)
    check_rate(rate_out)
    return soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=QUALITY)


def check_rate(rate: int) -> None:
    """Raise OptionError unless ``rate`` is a sampling rate in Hz."""
    if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or rate < 1:
        raise OptionError(f"sampling rate: found {rate!r}, expected a whole number of Hz above 0")


def fit_length(
    x: NDArray[Any], n_samples: int, mode: Literal["zero", "repeat"] = "zero"
) -> NDArray[Any]:
    """The same sound with exactly ``n_samples`` samples.

    A longer sound is cut at the end. A shorter one is followed by zeros, or with mode
    ``repeat`` by itself, over and over. A sound without any sample becomes zeros.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Any numeric type, which is kept.
    n_samples : int
        The length wanted.
    mode : {"zero", "repeat"}
        What stands behind the end of a shorter sound.
    """
    if mode not in ("zero", "repeat"):
        raise OptionError(f"mode of fit_length: found {mode!r}, expected 'zero' or 'repeat'")
    if n_samples < 0:
        raise OptionError(f"n_samples: found {n_samples}, expected 0 or more")
    if len(x) >= n_samples:
        return x[:n_samples]
    if mode == "repeat" and len(x):
        return np.resize(x, n_samples)
    result = np.zeros(n_samples, x.dtype)
    result[: len(x)] = x
    return result
