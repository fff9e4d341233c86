"""Raw samples from standard input, or anything else with a file descriptor."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator

import numpy as np

from semisonic.audio.live.block import BLOCK_TIME, Block, Gap, Ticks
from semisonic.audio.resample import check_rate
from semisonic.audio.source import mix
from semisonic.base.errors import AudioError, OptionError
from semisonic.base.options import nearest

PIPE_FORMATS = {"s16le": "<i2", "f32le": "<f4"}
"""Samples as ffmpeg and arecord name them: 16-bit integers and floats, low byte first."""

_FAST_BLOCK_TIME = 1.0
_log = logging.getLogger(__name__)


class Pipe:
    """Raw samples, channel by channel in turn, from a file descriptor.

    Parameters
    ----------
    descriptor : int
        Open for reading; 0 is standard input. It is not closed.
    sample_rate : int
        Hz.
    format : {"s16le", "f32le"}
    n_channels : int
        They are averaged.
    speed : float
        1 for sound that is made now, as by a recorder; 0 for sound that was stored, as from
        ``cat``, which may wait for who listens.

    Raises
    ------
    OptionError
        For an unknown format, rate or number of channels.
    """

    def __init__(
        self,
        descriptor: int,
        sample_rate: int,
        *,
        format: str = "s16le",  # noqa: A002
        n_channels: int = 1,
        speed: float = 1.0,
        name: str = "standard input",
        ticks: Ticks = time.monotonic,
    ) -> None:
        check_rate(sample_rate)
        if format not in PIPE_FORMATS:
            raise OptionError(f"format: found '{format}'; {nearest(format, PIPE_FORMATS)}")
        if n_channels < 1:
            raise OptionError(f"channels: found {n_channels}, expected 1 or more")
        if speed not in (0, 1):
            raise OptionError(
                f"speed: found {speed:g}; expected 1 (sound is made now) or 0 (it was stored)"
            )
        self.name, self.sample_rate, self.speed = name, int(sample_rate), float(speed)
        self._descriptor, self._ticks = descriptor, ticks
        self._kind, self._n_channels = np.dtype(PIPE_FORMATS[format]), n_channels

    def blocks(self) -> Iterator[Block | Gap]:
        """The samples until the other side closes; half a sample at the end is left out."""
        n_frame = self._kind.itemsize * self._n_channels
        seconds = BLOCK_TIME if self.speed else _FAST_BLOCK_TIME
        n_block = n_frame * max(1, round(seconds * self.sample_rate))
        held = b""
        while True:
            try:
                new = os.read(self._descriptor, n_block)
            except OSError as error:
                raise AudioError(self.name, f"cannot be read ({error.strerror})") from None
            if not new:
                break
            held += new
            n_whole = len(held) - len(held) % n_frame
            if n_whole:
                frames = np.frombuffer(held[:n_whole], self._kind).reshape(-1, self._n_channels)
                samples = np.empty(len(frames), np.float32)
                with np.errstate(invalid="ignore", over="ignore"):  # who listens looks for NaN
                    mix(frames.astype(self._kind.newbyteorder("=")), samples)
                held = held[n_whole:]
                yield Block(samples, self._ticks())
        if held:
            _log.warning("%s ended within a sample: %d bytes left out", self.name, len(held))
