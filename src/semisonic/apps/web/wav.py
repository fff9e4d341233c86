"""A recording as a WAV file that a browser can play, made piece by piece as it is asked for."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import numpy as np

from semisonic.apps.web.sound import Sound
from semisonic.base.errors import AudioError

HEADER = 44
_PIECE = 1 << 17
_LARGEST = (1 << 32) - 1 - HEADER
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


class PlayedFile:
    """A mono 16-bit WAV file of a recording, of which no more is decoded than is read.

    Raises
    ------
    AudioError
        When it is too long for a WAV file.
    """

    def __init__(self, sound: Sound) -> None:
        info = sound.open()
        self._sound, self._rate = sound, info.sample_rate
        self._n = info.n_samples
        if 2 * self._n > _LARGEST:
            raise AudioError(sound.name, "too long to be played: more than 4 GB as WAV")
        self.size = HEADER + 2 * self._n

    def read(self, first: int, last: int) -> bytes:
        """Bytes from ``first`` up to and without ``last``."""
        head = self._header()[first:last] if first < HEADER else b""
        start, end = max(0, first - HEADER), max(0, last - HEADER)
        if end <= start:
            return head
        sample, after = start // 2, -(-end // 2)
        wave = self._sound.part(sample / self._rate, after / self._rate)
        samples = np.zeros(after - sample, "<i2")
        scaled = np.clip(np.rint(wave[: len(samples)] * np.float32(32768)), -32768, 32767)
        samples[: len(scaled)] = scaled
        return head + samples.tobytes()[start - 2 * sample : end - 2 * sample]

    def pieces(self, first: int, last: int) -> Iterator[bytes]:
        """The same, in pieces that are decoded when they are wanted."""
        for start in range(first, last, _PIECE):
            yield self.read(start, min(last, start + _PIECE))

    def asked(self, header: str | None) -> tuple[int, int] | None:
        """First byte and the one behind the last of a Range header; None when it is not met."""
        if header is None:
            return 0, self.size
        found = _RANGE.match(header.strip())
        if found is None:
            return None
        first = int(found[1])
        last = min(int(found[2]) + 1 if found[2] else self.size, self.size)
        return (first, last) if first < last else None

    def _header(self) -> bytes:
        n = 2 * self._n
        rate = self._rate
        return struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", n + 36, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2,
            16, b"data", n,
        )  # fmt: skip
