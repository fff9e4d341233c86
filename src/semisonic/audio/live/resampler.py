"""Another sampling rate for sound that comes in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.resample import check_rate, stream


class LiveResampler:
    """Blocks at one rate to blocks at another, without a seam between them.

    The blocks put together are what :func:`semisonic.audio.resample` makes of the whole. The
    filter looks ahead, so what comes out is some milliseconds behind what went in.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        check_rate(rate_in)
        check_rate(rate_out)
        self._rates = (int(rate_in), int(rate_out))
        self._stream: Any = None

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples, shape (n,), that these make possible; perhaps none yet."""
        if self._rates[0] == self._rates[1]:
            return samples
        if self._stream is None:
            self._stream = stream(*self._rates)
        result: NDArray[np.float32] = self._stream.resample_chunk(
            np.ascontiguousarray(samples, np.float32)
        )
        return result

    def finish(self) -> NDArray[np.float32]:
        """The samples that were still held back; what comes next is a new sound."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        result: NDArray[np.float32] = self._stream.resample_chunk(
            np.zeros(0, np.float32), last=True
        )
        self._stream = None
        return result
