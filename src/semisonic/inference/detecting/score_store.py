"""Scores along time, kept on the disk part by part, so that they are computed once.

A journal says which parts of which recordings are there; the scores lie one after the other in
one file, as 16-bit numbers (0 to 65 535 for 0 to 1). A part counts when the journal names it,
so nothing is lost or half believed after ``kill -9``. The scores stay when a run is finished:
the same recordings with other thresholds take seconds.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from semisonic.data.journal import Journal, sync

FULL = 65_535
_VERSION = 1
_JOURNAL, _SCORES = "journal", "scores.bin"
Scores = NDArray[np.uint16]


class ScoreStore:
    """Scores of parts, as a context manager.

    Parameters
    ----------
    folder : Path
        Made if missing.
    key : str
        What all scores depend on: the model and how it is applied. Scores of another key are
        removed.
    n_classes : int
    """

    def __init__(self, folder: Path, key: str, n_classes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.n_classes = n_classes
        self._places: dict[tuple[str, int], tuple[int, int]] = {}
        head = ["scores", _VERSION, key, n_classes]
        self._file = open(folder / _SCORES, "a+b")  # noqa: SIM115  (closed by close)
        self._journal = Journal(folder / _JOURNAL, self._sync)
        records = self._journal.records()
        if next(records, None) != head:
            self._journal.close()
            self._file.truncate(0)
            (folder / _JOURNAL).unlink()
            self._journal = Journal(folder / _JOURNAL, self._sync)
            self._journal.append(head)
            self._journal.flush()
            return
        size = self._file.seek(0, 2)
        for recording, part, offset, n_frames in records:
            if offset + 2 * n_frames * n_classes <= size:
                self._places[recording, part] = offset, n_frames

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, and close."""
        self._journal.close()
        self._file.close()

    def __contains__(self, place: tuple[str, int]) -> bool:
        return place in self._places

    def put(self, recording: str, part: int, scores: Scores) -> None:
        """Add a part, shape (n_frames, n_classes)."""
        offset = self._file.seek(0, 2)
        self._file.write(scores.astype("<u2").tobytes())
        self._places[recording, part] = offset, len(scores)
        self._journal.append([recording, part, offset, len(scores)])

    def get(self, recording: str, part: int) -> Scores:
        """A part that is there, shape (n_frames, n_classes)."""
        offset, n_frames = self._places[recording, part]
        self._file.flush()
        self._file.seek(offset)
        content = self._file.read(2 * n_frames * self.n_classes)
        return np.frombuffer(content, "<u2").reshape(n_frames, self.n_classes)

    def _sync(self) -> None:
        self._file.flush()
        sync(self._file.fileno())


def packed(scores: NDArray[np.float64]) -> Scores:
    """Scores from 0 to 1 as they are stored."""
    return np.rint(np.clip(scores, 0.0, 1.0) * FULL).astype(np.uint16)


def unpacked(scores: Scores) -> NDArray[np.float64]:
    """Stored scores, from 0 to 1."""
    return scores.astype(np.float64) / FULL
