"""The sound of each event as a file."""

from __future__ import annotations

import logging
import re
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import write
from semisonic.base.errors import AudioError
from semisonic.inference.live.events import START, LiveEvent

LONGEST = 60.0
"""Seconds of an event that are saved: its first ones."""

PADDING = 1.0
"""Seconds of sound before and behind an event that are saved with it, as far as known."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Piece:
    start: float
    samples: NDArray[np.float32]


def write_clip(
    folder: Path,
    number: int,
    label: str,
    moment: datetime | None,
    sound: NDArray[np.float32],
    sample_rate: int,
) -> Path:
    """Write the sound of an event; its file is named by time, class and number.

    A file that is there is never written over.

    Raises
    ------
    OSError, AudioError
        When it cannot be written.
    """
    when = "" if moment is None else moment.strftime("%Y%m%dT%H%M%S_")
    name = re.sub(r"[^\w-]+", "_", label)[:60]
    stem = f"{when}{name}_{number:04d}"
    names = (f"{stem}{more}.wav" for more in chain([""], (f"_{i}" for i in count(2))))
    file = next(one for one in map(folder.joinpath, names) if not one.exists())
    write(file, sound, sample_rate, overload="scale")
    return file


class ClipSaver:
    """Keeps the last sound in memory and writes that of events, as 16-bit WAV at its own rate.

    Parameters
    ----------
    folder : Path
        Made when the first event is saved.
    sample_rate : int
        Hz.
    memory : float
        Seconds between a sound and the last word on the event it belongs to: the window, the
        mean, the delays.

    Attributes
    ----------
    n_failed : int
        Files that could not be written.
    """

    def __init__(self, folder: Path, sample_rate: int, memory: float) -> None:
        self._folder, self._rate = folder, sample_rate
        self._memory = LONGEST + 2 * PADDING + memory
        self._pieces: deque[_Piece] = deque()
        self._long: dict[int, tuple[LiveEvent, str]] = {}  # open events; their file if saved early
        self.n_failed = 0

    def hear(self, start: float, samples: NDArray[np.float32]) -> None:
        """Take samples whose first lies at this second of the stream."""
        self._pieces.append(_Piece(start, samples))
        end = start + len(samples) / self._rate
        while self._pieces[0].start < end - self._memory - 1:
            self._pieces.popleft()
        for number, (event, clip) in self._long.items():
            if not clip and end >= event.start_time + LONGEST + PADDING:
                self._long[number] = (event, self._save(event, event.start_time + LONGEST))

    def note(self, event: LiveEvent) -> LiveEvent:
        """Take an event; at its end, the event with the file its sound was saved in."""
        if event.kind == START:
            self._long[event.id] = (event, "")
            return event
        clip = self._long.pop(event.id, (event, ""))[1]
        end = event.start_time if event.end_time is None else event.end_time
        return replace(event, clip=clip or self._save(event, min(end, event.start_time + LONGEST)))

    def _save(self, event: LiveEvent, end: float) -> str:
        sound = self._cut(event.start_time - PADDING, end + PADDING)
        try:
            file = write_clip(
                self._folder, event.id, event.label, event.start_at, sound, self._rate
            )
        except (OSError, AudioError) as error:
            self.n_failed += 1
            _log.warning("the sound of an event was not saved: %s", error)
            return ""
        return str(file)

    def _cut(self, start: float, end: float) -> NDArray[np.float32]:
        parts = [np.zeros(0, np.float32)]
        for piece in self._pieces:
            first = max(0, round((start - piece.start) * self._rate))
            last = min(len(piece.samples), round((end - piece.start) * self._rate))
            if first < last:
                parts.append(piece.samples[first:last])
        return np.concatenate(parts)
