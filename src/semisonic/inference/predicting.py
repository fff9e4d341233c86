"""Scores of recordings of any length, clip by clip, in the order of the table."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.data.clips import Clips
from semisonic.engines import LOCAL_ENGINE, Engine, in_order, spread
from semisonic.inference.pipeline import Done, Item, Windows, stream_windows
from semisonic.inference.scoring import BATCH_SIZE, answer_rows, embed_rows, settle
from semisonic.models import SoundModel
from semisonic.training import choose_device

Table = NDArray[np.float64]

WORTH_PROCESSES = 5000
"""Clips from which on processes score them sooner than threads."""

CALL_CLIPS = 64
"""Clips that a process takes at once."""


@dataclass(frozen=True)
class ClipScores:
    """One clip of a table and the scores of its windows.

    Attributes
    ----------
    row : int
        Of the clip table.
    times : ndarray, shape (n_windows, 2)
        Start and end of each window in the recording, seconds.
    windows : ndarray, shape (n_windows, n_classes)
        Probabilities (or, from :func:`embed_clips`, embeddings).
    reason : str
        Why the clip could not be read; empty if it could. There are no windows then.
    known : ndarray, shape (n_windows,)
        How known each window is, 0 to 1: unknown below 0.5; all 1 where the model has no rule.
        Empty from :func:`embed_clips`.
    """

    row: int
    times: Table
    windows: Table
    reason: str = ""
    known: Table = field(default_factory=lambda: np.zeros(0))

    @property
    def mean(self) -> Table:
        """Mean over the windows, shape (n_classes,)."""
        mean: Table = self.windows.mean(axis=0)
        return mean

    @property
    def mean_known(self) -> float:
        """Mean over the windows: the clip is unknown below 0.5."""
        return float(self.known.mean())


def score_clips(
    model: SoundModel,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[ClipScores]:
    """Score every clip of a table, reading recordings block by block.

    Parameters
    ----------
    model : SoundModel
        Moved to ``device``.
    clips : Clips
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    batch_size : int
        Windows scored at once, of several clips together.
    workers : int, optional
        Threads that decode, or processes where there is much to score; by default one for each
        processor.

    Yields
    ------
    ClipScores
        One for each row, in order; a clip that cannot be read has a reason and no scores.
    """
    return _scored(_Work(model, hop, batch_size, choose_device(device), False), clips, workers)


def embed_clips(
    model: SoundModel,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
    workers: int | None = None,
) -> Iterator[ClipScores]:
    """As :func:`score_clips`, with embeddings (what the last layer sees) for scores."""
    return _scored(_Work(model, hop, batch_size, choose_device(device), True), clips, workers)


@dataclass(frozen=True)
class _Work:
    """How clips are scored, or embedded."""

    model: SoundModel
    hop: float | None
    batch_size: int
    place: torch.device
    embed: bool

    def __call__(self, clips: Clips) -> list[ClipScores]:
        """All scores of some clips, in one thread."""
        return list(_in_batches(self, clips, 1))


def _scored(work: _Work, clips: Clips, workers: int | None) -> Iterator[ClipScores]:
    engine: Engine = LOCAL_ENGINE
    if work.place.type == "cpu":
        engine = spread(engine, len(clips), WORTH_PROCESSES, workers)
    if engine.in_threads:
        return _in_batches(work, clips, workers)
    return _apart(engine, work, clips, workers)


def _apart(engine: Engine, work: _Work, clips: Clips, workers: int | None) -> Iterator[ClipScores]:
    starts = range(0, len(clips), CALL_CLIPS)
    parts = (clips[np.arange(start, min(start + CALL_CLIPS, len(clips)))] for start in starts)
    with engine.calls(partial(partial, work), workers=workers) as calls:
        for start, found in zip(starts, in_order(calls, parts), strict=True):
            for one in found:
                yield replace(one, row=start + one.row)


@dataclass
class _Open:
    """A clip whose windows are still coming or still to be scored."""

    row: int
    times: list[Table] = field(default_factory=list)
    results: list[Table] = field(default_factory=list)
    known: list[Table] = field(default_factory=list)
    reason: str = ""
    is_complete: bool = False

    def closed(self, width: int) -> ClipScores:
        if self.reason or not self.results:
            return ClipScores(self.row, np.zeros((0, 2)), np.zeros((0, width)), self.reason)
        known = np.concatenate(self.known)
        return ClipScores(
            self.row, np.concatenate(self.times), np.concatenate(self.results), known=known
        )


def _in_batches(work: _Work, clips: Clips, workers: int | None) -> Iterator[ClipScores]:
    model, place, batch_size = work.model, work.place, work.batch_size
    settle(model, place)
    items = stream_windows(clips, model.mel, hop=work.hop, workers=workers)
    opened: deque[_Open] = deque()
    for batch in _grouped(items, batch_size):
        parts = [item for item in batch if isinstance(item, Windows)]
        results: list[tuple[Table, Table]] = []
        if parts:
            features = np.concatenate([part.features for part in parts])
            rows, ends = np.arange(len(features)), np.cumsum([len(part.times) for part in parts])
            if work.embed:
                found, known = embed_rows(model, features, rows, batch_size, place), np.zeros(0)
            else:
                found, known = answer_rows(model, features, rows, batch_size, place)
            results = list(zip(np.split(found, ends[:-1]), np.split(known, ends[:-1]), strict=True))
        waiting = iter(results)
        for item in batch:
            if not opened or opened[-1].row != item.row:
                opened.append(_Open(item.row))
            if isinstance(item, Done):
                opened[-1].reason, opened[-1].is_complete = item.reason, True
            else:
                opened[-1].times.append(item.times)
                result, known = next(waiting)
                opened[-1].results.append(result)
                opened[-1].known.append(known)
        while opened and opened[0].is_complete:
            yield opened.popleft().closed(len(model.classes))


def _grouped(items: Iterable[Item], n_windows: int) -> Iterator[list[Item]]:
    """Items until there are so many windows, again and again."""
    group: list[Item] = []
    count = 0
    for item in items:
        group.append(item)
        count += len(item.times) if isinstance(item, Windows) else 0
        if count >= n_windows or len(group) >= 4 * n_windows:
            yield group
            group, count = [], 0
    if group:
        yield group
