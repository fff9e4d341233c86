"""Scores of recordings of any length, clip by clip, in the order of the table."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.data.clips import Clips
from semisonic.engines import LOCAL_ENGINE, Engine, in_order, spread
from semisonic.inference.pipeline import Done, Item, Windows, stream_windows
from semisonic.inference.scoring import BATCH_SIZE, answer_rows, counting, embed_rows, settle
from semisonic.models import SoundModel
from semisonic.training import choose_device

Table = NDArray[np.float64]

WORTH_PROCESSES = 5000
"""Clips from which on processes score them sooner than threads."""

BLOCK_CLIPS, BLOCK_WINDOWS = 64, 1024
"""A block of a table ends with so many clips (also what a process takes at once), or with the clip
that makes so many windows."""


class Blocks:
    """Where the blocks of a table end.

    No batch goes beyond the end of a block, so scores that begin with one are the same to the last
    bit, whether what is before it was scored by the same call, by another process, or earlier.
    """

    def __init__(self) -> None:
        self._windows = 0

    def ends_with(self, row: int, n_windows: int) -> bool:
        """Whether a block ends with this row; to be asked for each row, in order."""
        self._windows += n_windows
        if (row + 1) % BLOCK_CLIPS and self._windows < BLOCK_WINDOWS:
            return False
        self._windows = 0
        return True


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
    n_windows : int
        Windows that were read, also of a clip that then broke off.
    silent : ndarray of bool, shape (n_windows,)
        Windows of digital silence; means leave them out, as long as there are others.
    """

    row: int
    times: Table
    windows: Table
    reason: str = ""
    known: Table = field(default_factory=lambda: np.zeros(0))
    n_windows: int = 0
    silent: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear in any window."""
        return bool(self.silent.all())

    @property
    def mean(self) -> Table:
        """Mean over the windows with something to hear, shape (n_classes,)."""
        mean: Table = self.windows[self._counting].mean(axis=0)
        return mean

    @property
    def mean_known(self) -> float:
        """The same mean of ``known``: the clip is unknown below 0.5."""
        return float(self.known[self._counting].mean())

    @property
    def _counting(self) -> NDArray[np.bool_]:
        return counting(self.silent)


def score_clips(
    model: SoundModel,
    clips: Clips,
    *,
    hop: float | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
    workers: int | None = None,
    first: int = 0,
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
    first : int
        The row to begin with: 0, or one behind the end of a block.

    Yields
    ------
    ClipScores
        One for each row, in order; a clip that cannot be read has a reason and no scores.
    """
    work = _Work(model, hop, batch_size, choose_device(device), False)
    return _scored(work, clips, workers, first)


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
    work = _Work(model, hop, batch_size, choose_device(device), True)
    return _scored(work, clips, workers, 0)


@dataclass(frozen=True)
class _Work:
    """How clips are scored, or embedded."""

    model: SoundModel
    hop: float | None
    batch_size: int
    place: torch.device
    embed: bool

    def __call__(self, part: tuple[Clips, int]) -> list[ClipScores]:
        """All scores of a part of a table that begins with this row, in one thread."""
        clips, first = part
        return list(_in_batches(self, clips, 1, first))


def _scored(work: _Work, clips: Clips, workers: int | None, first: int) -> Iterator[ClipScores]:
    engine: Engine = LOCAL_ENGINE
    if work.place.type == "cpu":
        engine = spread(engine, len(clips) - first, WORTH_PROCESSES, workers)
    if engine.in_threads:
        return _in_batches(work, clips[first:], workers, first)
    return _apart(engine, work, clips, workers, first)


def _apart(
    engine: Engine, work: _Work, clips: Clips, workers: int | None, first: int
) -> Iterator[ClipScores]:
    starts = [first, *range(first - first % BLOCK_CLIPS + BLOCK_CLIPS, len(clips), BLOCK_CLIPS)]
    ends = [*starts[1:], len(clips)]
    parts = ((clips[a:b], a) for a, b in zip(starts, ends, strict=True))
    with engine.calls(partial(partial, work), workers=workers) as calls:
        for found in in_order(calls, parts):
            yield from found


@dataclass
class _Open:
    """A clip whose windows are still coming or still to be scored."""

    row: int
    times: list[Table] = field(default_factory=list)
    results: list[Table] = field(default_factory=list)
    known: list[Table] = field(default_factory=list)
    silent: list[NDArray[np.bool_]] = field(default_factory=list)
    reason: str = ""
    is_complete: bool = False

    def closed(self, width: int) -> ClipScores:
        n = sum(map(len, self.times))
        if self.reason or not self.results:
            nothing = np.zeros((0, 2)), np.zeros((0, width))
            return ClipScores(self.row, *nothing, self.reason, n_windows=n)
        return ClipScores(
            self.row,
            np.concatenate(self.times),
            np.concatenate(self.results),
            known=np.concatenate(self.known),
            n_windows=n,
            silent=np.concatenate(self.silent),
        )


def _in_batches(work: _Work, clips: Clips, workers: int | None, first: int) -> Iterator[ClipScores]:
    """Scores of a part of a table, whose first row is ``first``."""
    model, place, batch_size = work.model, work.place, work.batch_size
    settle(model, place)
    items = stream_windows(clips, model.mel, hop=work.hop, workers=workers)
    opened: deque[_Open] = deque()
    for batch in _grouped(items, batch_size, first):
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
            if not opened or opened[-1].row != first + item.row:
                opened.append(_Open(first + item.row))
            if isinstance(item, Done):
                opened[-1].reason, opened[-1].is_complete = item.reason, True
            else:
                opened[-1].times.append(item.times)
                opened[-1].silent.append(item.is_silent)
                result, known = next(waiting)
                opened[-1].results.append(result)
                opened[-1].known.append(known)
        while opened and opened[0].is_complete:
            yield opened.popleft().closed(len(model.classes))


def _grouped(items: Iterable[Item], n_windows: int, first: int) -> Iterator[list[Item]]:
    """Items until there are so many windows or a block ends, again and again."""
    group: list[Item] = []
    count = of_clip = 0
    blocks = Blocks()
    for item in items:
        group.append(item)
        is_end = False
        if isinstance(item, Windows):
            count, of_clip = count + len(item.times), of_clip + len(item.times)
        else:
            is_end, of_clip = blocks.ends_with(first + item.row, of_clip), 0
        if is_end or count >= n_windows:
            yield group
            group, count = [], 0
    if group:
        yield group
