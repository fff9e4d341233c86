"""One recording that the page has open: where it lies, and its samples piece by piece."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.source import AudioInfo, Source
from semisonic.base.errors import AudioError

CHECKING, READY, FAILED = "checking", "ready", "failed"


class Sound:
    """A recording.

    Attributes
    ----------
    id : str
        What the page calls it.
    name : str
        What people call it.
    path : Path
    is_own : bool
        Whether the file is a copy of ours, to be removed with it.
    is_listed : bool
        Whether the page lists it and the model listens to it.
    state : {"checking", "ready", "failed"}
    reason : str
        Why it failed.
    info : AudioInfo or None
        None until it is ready.
    """

    def __init__(
        self, name: str, path: Path, identity: str, *, is_own: bool, is_listed: bool = True
    ) -> None:
        self.id, self.name, self.path = identity, name, path
        self.is_own, self.is_listed = is_own, is_listed
        self.state, self.reason = CHECKING, ""
        self.info: AudioInfo | None = None
        self._source: Source | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def open(self) -> AudioInfo:
        """Open the file; call it once the file has been checked.

        Raises
        ------
        AudioError
            When it cannot be opened.
        """
        with self._lock:
            if self._source is None:
                if self._is_closed:
                    raise AudioError(self.name, "it was closed")
                self._source = Source(self.path)
                self.info = self._source.info
            return self._source.info

    def fail(self, reason: str) -> None:
        """Say why it cannot be used."""
        self.state, self.reason = FAILED, reason

    def part(self, start: float, end: float) -> NDArray[np.float32]:
        """Samples between two seconds, mono; fewer where the recording ends or breaks off."""
        info = self.open()
        end = min(end, info.duration)
        if not 0 <= start < end or round(end * info.sample_rate) <= round(start * info.sample_rate):
            return np.zeros(0, np.float32)
        with self._lock:
            if self._source is None:
                return np.zeros(0, np.float32)
            try:
                return self._source.samples(start, end)
            except AudioError:
                return np.zeros(0, np.float32)

    def close(self) -> None:
        """Close the file; a copy of ours is removed."""
        with self._lock:
            self._is_closed = True
            if self._source is not None:
                self._source.close()
                self._source = None
        if self.is_own:
            self.path.unlink(missing_ok=True)

    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        facts: dict[str, Any] = {
            "id": self.id, "name": self.name, "state": self.state, "reason": self.reason,
        }  # fmt: skip
        if self.info is not None:
            facts["duration"] = self.info.duration
            facts["sample_rate"] = self.info.sample_rate
            facts["channels"] = self.info.n_channels
            facts["damage"] = self.info.damage
        return facts
