"""The picture of a recording in tiles, at any zoom, never more than what is looked at.

A tile of level ``k`` shows ``2 ** k`` seconds in 256 columns. Tiles up to ``DIRECT`` are drawn
when they are asked for; an overview of those is made in the background, and wider tiles are put
together from it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Generator

import numpy as np

from semisonic.apps.web.sound import Sound
from semisonic.audio.picture import N_BANDS, Picture, draw

COLUMNS = 256
FINEST, DIRECT, WIDEST = -4, 5, 17
_CACHED = 64


class Tiles:
    """The tiles of one recording.

    Attributes
    ----------
    n_known : int
        Columns of the overview that are there.
    loudest : int
        Level of the loudest place that was seen, 0 to 255.
    """

    def __init__(self, sound: Sound, duration: float, sample_rate: int) -> None:
        self._sound, self._rate = sound, sample_rate
        self._width = 2.0**DIRECT / COLUMNS
        n = max(1, int(np.ceil(duration / self._width)))
        self._overview = Picture(
            np.zeros((n, N_BANDS), np.uint8), np.zeros(n, np.int8), np.zeros(n, np.int8)
        )
        self.n_known, self.loudest = 0, 0
        self._lock = threading.Lock()
        self._direct = functools.lru_cache(_CACHED)(self._draw)

    @property
    def progress(self) -> float:
        """Share of the overview that is there."""
        return self.n_known / len(self._overview)

    def make_overview(self) -> Generator[None, None, None]:
        """Go through the recording, a wide tile a step."""
        n = len(self._overview)
        for first in range(0, n, COLUMNS):
            piece = self._draw(DIRECT, first // COLUMNS)[: min(COLUMNS, n - first)]
            there = slice(first, first + len(piece))
            with self._lock:
                self._overview.levels[there] = piece.levels
                self._overview.low[there], self._overview.high[there] = piece.low, piece.high
                self.n_known = first + len(piece)
                self.loudest = max(self.loudest, int(piece.levels.max()))
            yield

    def tile(self, level: int, number: int) -> bytes:
        """Levels of 256 columns, column by column, then their smallest and largest samples."""
        if level <= DIRECT:
            return self._direct(level, number).content()
        times = 2 ** (level - DIRECT)
        first = number * COLUMNS * times
        with self._lock:
            piece = self._overview[first : first + COLUMNS * times]
            shown = piece.wider(times) if len(piece) else piece
        missing = COLUMNS - len(shown)
        return Picture(
            np.pad(shown.levels, ((0, missing), (0, 0))),
            np.pad(shown.low, (0, missing)),
            np.pad(shown.high, (0, missing)),
        ).content()

    def _draw(self, level: int, number: int) -> Picture:
        seconds = 2.0**level
        return draw(self._sound.part, self._rate, number * seconds, seconds / COLUMNS, COLUMNS)
