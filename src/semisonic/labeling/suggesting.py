"""Which stretches to listen to next: the queue."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.base.options import nearest
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.matching import match
from semisonic.labeling.pool import Pool, pool_of
from semisonic.labeling.queue import (
    DIVERSE,
    GUESSES,
    RANDOM,
    TYPICAL,
    UNCERTAIN,
    Queue,
    Suggestion,
)
from semisonic.labeling.spreading import (
    alternating,
    by_chance,
    filled,
    interleaved,
    thinned,
)
from semisonic.labeling.strategies import doubtful_centres, k_centre, typical, uncertain
from semisonic.labeling.suggest_options import (
    MARGIN,
    MIX,
    RANDOM_SHARE,
    SPREAD,
    STRATEGIES,
    WITH_SCORES,
)
from semisonic.labeling.uncertainty import uncertainty

MOST_LOOKED_AT = 50_000
"""Rows that a strategy looks at; of more, as many drawn by chance."""

Rows = NDArray[np.int64]


class AllAnswered(DataError):
    """Nothing is left to ask about."""

    def __init__(self, n: int) -> None:
        super().__init__(f"all {n} stretches are answered: nothing is left to ask about")


def suggest(
    model: Any,
    where: EmbeddingIndex | Clips | Pool | str | PathLike[str],
    n: int = 50,
    *,
    strategy: str = MIX,
    seed: int = 0,
    exclude: LabelLog | Clips | None = None,
    random_share: float = RANDOM_SHARE,
    apart: float = SPREAD,
    doubt: str = MARGIN,
    folder: str | PathLike[str] | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> Queue:
    """Choose what to listen to next.

    Parameters
    ----------
    model : path, SoundClassifier, encoder or None
        A classifier has doubts and guesses; an encoder, or None with an index, has neither.
    where : EmbeddingIndex, path or Clips
        An index, its folder, or recordings, which are then embedded window by window.
    n : int
        Rows of the queue; fewer where the pool has no more.
    strategy : {"mix", "random", "uncertain", "diverse", "typical"}
        See :mod:`semisonic.labeling.strategies`. "mix" asks about doubts that differ from each
        other and has a random part; without a classifier it asks about what is typical.
    seed : int
        Of the random part and of groups. The same in all rounds, so that the random parts
        of all queues are one sample.
    exclude : LabelLog or Clips, optional
        What has been answered, passed over included: it is not asked again, and counts as labelled.
    random_share : float
        Part of the queue of "mix" that is drawn by chance, 0 to 1: its answers measure.
    apart : float
        Seconds between rows of one recording, as far as there are others; not in the random part.
    doubt : {"margin", "entropy"}
        See :func:`semisonic.labeling.uncertainty.uncertainty`.
    folder : path, optional
        Keeps vectors that have to be made; a temporary one by default.

    Raises
    ------
    OptionError
        For another strategy, or one that needs a classifier without one.
    DataError
        When nothing is left to ask about.
    """
    _check(strategy, n, random_share)
    if isinstance(where, Pool):
        pool = where
    elif folder is None:
        with tempfile.TemporaryDirectory(prefix="semisonic-") as place:
            pool = pool_of(model, where, Path(place), device=device, workers=workers)
            return choose(pool, n, strategy, seed, exclude, random_share, apart, doubt)
    else:
        pool = pool_of(model, where, Path(folder), device=device, workers=workers)
    return choose(pool, n, strategy, seed, exclude, random_share, apart, doubt)


def choose(
    pool: Pool,
    n: int,
    strategy: str = MIX,
    seed: int = 0,
    exclude: LabelLog | Clips | None = None,
    random_share: float = RANDOM_SHARE,
    apart: float = SPREAD,
    doubt: str = MARGIN,
) -> Queue:
    """As :func:`suggest`, from a pool at hand."""
    if strategy in WITH_SCORES and pool.scores is None:
        raise OptionError(
            f"option 'strategy': '{strategy}' needs the scores of a classifier, and there is "
            "none; take 'mix', 'typical', 'diverse' or 'random'"
        )
    answered = exclude.current().clips() if isinstance(exclude, LabelLog) else exclude
    labelled = match(answered, pool.clips).rows if answered is not None else np.zeros(0, np.int64)
    free = np.setdiff1d(np.arange(len(pool)), labelled)
    if not len(pool):
        raise DataError("no recording could be read: nothing to ask about")
    if not len(free):
        raise AllAnswered(len(pool))
    n = min(n, len(free))
    doubts = _doubts(pool, doubt)
    work = _Choice(pool, labelled, free, doubts, seed, apart)
    kinds = {MIX: UNCERTAIN if pool.scores is not None else TYPICAL}
    main = kinds.get(strategy, strategy)
    # Before there is a classifier there is nothing to measure.
    measures = strategy == MIX and pool.scores is not None
    n_random = n if main == RANDOM else round(random_share * n) if measures else 0
    drawn = by_chance(pool.clips, free, seed)[:n_random]
    rows = work.chosen(main, n - n_random, drawn, varied=strategy == MIX)
    order = interleaved(rows.tolist(), drawn.tolist())
    by_luck = set(drawn.tolist())
    why = {row: RANDOM if row in by_luck else main for row in order}
    return _queue(pool, alternating(order, pool.clips), why, doubts)


@dataclass(frozen=True)
class _Choice:
    """One choice of rows."""

    pool: Pool
    labelled: Rows
    free: Rows
    doubts: NDArray[np.float64]
    seed: int
    apart: float

    def chosen(self, how: str, n: int, beside: Rows, *, varied: bool) -> Rows:
        """``n`` free rows that are not among ``beside``, not close together if there are others."""
        free = np.setdiff1d(self.free, beside)
        if len(free) > MOST_LOOKED_AT:
            drawn = generator(self.seed, "looked at").choice(free, MOST_LOOKED_AT, replace=False)
            free = np.sort(drawn)
        n = min(n, len(free))
        asked = n
        while n:
            order = self._order(how, free, min(asked, len(free)), varied)
            kept = thinned(order, self.pool.clips, n, apart=self.apart, beside=beside.tolist())
            if len(kept) == n or asked >= len(free):
                return filled(kept, order, n)
            asked *= 2
        return np.zeros(0, np.int64)

    def _order(self, how: str, free: Rows, n: int, varied: bool) -> Rows:
        """Free rows as a strategy wants them, the most wanted first."""
        vectors = self.pool.vectors
        if how == TYPICAL:
            both = np.concatenate([self.labelled, free])
            own = np.arange(len(self.labelled))
            return both[typical(np.asarray(vectors[both]), own, n, seed=self.seed)]
        if how == DIVERSE:
            return free[k_centre(np.asarray(vectors[free]), vectors[self.labelled], n)]
        doubt = self.doubts[free]
        if not varied:
            return free[uncertain(doubt, n)]
        return free[doubtful_centres(np.asarray(vectors[free]), doubt, n, seed=self.seed)]


def _queue(pool: Pool, order: list[int], why: dict[int, str], doubts: NDArray[np.float64]) -> Queue:
    clips = pool.clips
    return Queue(
        clips.root,
        tuple(
            Suggestion(
                str(clips.file[row]), float(clips.start_time[row]), float(clips.end_time[row]),
                why[row], _guesses(pool, row), float(doubts[row]), int(pool.cluster[row]),
                str(clips.group[row]),
            )
            for row in order
        ),
        tuple(f"{file}: {reason}" for file, reason in pool.failures),
    )  # fmt: skip


def _doubts(pool: Pool, by: str) -> NDArray[np.float64]:
    """How unsure the classifier is of each row; NaN without one."""
    if pool.scores is None:
        return np.full(len(pool), np.nan)
    return uncertainty(pool.scores, multi_label=pool.multi_label, by=by)


def _guesses(pool: Pool, row: int) -> tuple[tuple[str, float], ...]:
    if pool.scores is None:
        return ()
    best = np.argsort(-pool.scores[row], kind="stable")[:GUESSES]
    return tuple((pool.classes[k], float(pool.scores[row, k])) for k in best)


def _check(strategy: str, n: int, random_share: float) -> None:
    if strategy not in STRATEGIES:
        raise OptionError(f"option 'strategy': found '{strategy}'; {nearest(strategy, STRATEGIES)}")
    if n < 1:
        raise OptionError(f"option 'n': found {n}, expected at least 1")
    if not 0 <= random_share <= 1:
        raise OptionError(f"option 'random_share': found {random_share}, expected 0 to 1")
