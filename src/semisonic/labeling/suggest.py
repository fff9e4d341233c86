"""``suggest``: the clips to label next."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import DEFAULT_MODEL
from semisonic.classifier.model_file import encoder_file
from semisonic.classifier.scoring import evaluating
from semisonic.classifier.starting_encoder import SYNTH, synthetic_file
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import check, nearest
from semisonic.core.seeds import generator
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.label_log import is_log
from semisonic.features.options import MelOptions
from semisonic.labeling.answers import match
from semisonic.labeling.embed_run import make_index
from semisonic.labeling.embedder import Embedder, embedder_of, open_embedder
from semisonic.labeling.index import ABOUT, EmbeddingIndex, Failures
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import (
    MARGIN,
    MIX,
    RANDOM_SHARE,
    SPREAD,
    STRATEGIES,
    WITH_SCORES,
    EmbedOptions,
    SuggestOptions,
)
from semisonic.labeling.queue import (
    DIVERSE,
    GUESSES,
    RANDOM,
    TYPICAL,
    UNCERTAIN_REASON,
    Queue,
    Suggestion,
    check_table,
)
from semisonic.labeling.queue_page import check_page, page_of, write_queue_page
from semisonic.labeling.sampling import (
    alternating,
    by_chance,
    doubtful_centres,
    filled,
    interleaved,
    k_centre,
    thinned,
    typical,
    uncertain,
    uncertainty,
)
from semisonic.models.model_file import read_about
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import SoundModel

# The pool that is asked from: rows of an index with vectors and, with a classifier, scores.


INDEX_OF = "embedding"
"""In what a model's file tells of its making: the hash of the model that made its vectors."""
_BLOCK = 8192


@dataclass(frozen=True)
class CandidatePool:
    """What there is to ask about.

    Attributes
    ----------
    clips : Clips
        A row each; ends are known.
    vectors : ndarray of float32, shape (n, dim)
    scores : ndarray of float64, shape (n, n_classes), or None
        Calibrated if the model is.
    classes : tuple of str
        Empty without scores.
    multi_label : bool
    cluster : ndarray of int64, shape (n,)
        From 0; -1 where there is none.
    failures : tuple of (str, str)
        Recordings that could not be read.
    """

    clips: Clips
    vectors: NDArray[np.float32]
    scores: NDArray[np.float64] | None
    classes: tuple[str, ...]
    multi_label: bool
    cluster: NDArray[np.int64]
    failures: Failures = ()

    def __len__(self) -> int:
        return len(self.clips)


def candidate_pool(
    model: Any,
    where: EmbeddingIndex | Clips | str | PathLike[str],
    folder: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
) -> CandidatePool:
    """Rows, vectors and scores of recordings.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel, PretrainedEncoder or None
        None takes the index as it is.
    where : EmbeddingIndex, Clips or path
        An index, its folder, a folder of recordings, a table of clips.
    folder : Path
        For vectors that have to be made: a folder in it for each model.
    """
    index = _index_at(where)
    if model is None:
        if index is None:
            raise DataError(
                f"{where}: no index, and no model to make one with; name a model or an encoder"
            )
        return _as_pool(index, None, None)
    embedder, base = _opened(model)
    classifier = embedder.classifier
    made_by = "" if index is None else index.about["model"]["hash"]
    if (
        index is not None
        and classifier is not None
        and made_by == base != embedder.hash
        and not classifier.decision.unknown.reads_statistics  # which are no part of an index
    ):
        return _as_pool(index, classifier, scores_of(classifier, index.vectors))
    failures: Failures = ()
    if index is None or made_by != embedder.hash:
        named = index.clips if index is not None else where
        made = make_index(
            embedder,
            named if isinstance(named, Clips) else [Path(named)],  # type: ignore[arg-type]
            EmbedOptions(
                Path(),
                (),
                folder / embedder.hash,
                labels="none",
                device=device,
                workers=workers,
                per="window" if index is None else "clip",
            ),
        )
        index, failures = made.index, made.failures
    scores = None if classifier is None else index.scores
    return _as_pool(index, classifier, scores, failures)


def scores_of(model: SoundModel, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a classifier says of vectors that its encoder made, shape (n, n_classes).

    Raises
    ------
    ModelError
        When the model has a rule against noise, which needs the features.
    """
    parts = [np.zeros((0, len(model.classes)))]
    with evaluating(model):
        for start in range(0, len(vectors), _BLOCK):
            block = torch.from_numpy(np.array(vectors[start : start + _BLOCK], np.float32))
            parts.append(model.decide(model.head(block), block)[0].numpy())
    return np.concatenate(parts)


def _as_pool(
    index: EmbeddingIndex,
    classifier: SoundModel | None,
    scores: NDArray[Any] | None,
    failures: Failures = (),
) -> CandidatePool:
    classes = () if classifier is None else classifier.classes
    several = classifier is not None and classifier.multi_label
    table = None if scores is None else np.asarray(scores, np.float64)
    return CandidatePool(
        index.clips, index.vectors, table, classes, several, index.cluster, failures
    )


def _opened(model: Any) -> tuple[Embedder, str]:
    """What embeds and classifies, and the hash of the model that made its vectors before."""
    if isinstance(model, (str, PathLike)):
        file = encoder_file(model)
        return open_embedder(file), str(read_about(file)["about"].get(INDEX_OF, ""))
    found = getattr(model, "model_", model)
    if not isinstance(found, (SoundModel, PretrainedEncoder)):
        raise DataError(f"model: found {type(model).__name__}, expected a classifier or an encoder")
    return embedder_of(found), ""


def _index_at(where: Any) -> EmbeddingIndex | None:
    if isinstance(where, EmbeddingIndex):
        return where
    if isinstance(where, (str, PathLike)) and (Path(where) / ABOUT).is_file():
        return EmbeddingIndex.open(where)
    return None


# Which stretches to listen to next: the queue.


MOST_LOOKED_AT = 50_000
"""Rows that a strategy looks at; of more, as many drawn by chance."""

Rows = NDArray[np.int64]


class AllAnswered(DataError):
    """Nothing is left to ask about."""

    def __init__(self, n: int) -> None:
        super().__init__(f"all {n} stretches are answered: nothing is left to ask about")


def suggest(
    model: Any,
    where: EmbeddingIndex | Clips | CandidatePool | str | PathLike[str],
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
        See :mod:`semisonic.labeling.sampling`. "mix" asks about doubts that differ from each
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
        See :func:`semisonic.labeling.sampling.uncertainty`.
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
    if isinstance(where, CandidatePool):
        pool = where
    elif folder is None:
        with tempfile.TemporaryDirectory(prefix="semisonic-") as place:
            pool = candidate_pool(model, where, Path(place), device=device, workers=workers)
            return choose(pool, n, strategy, seed, exclude, random_share, apart, doubt)
    else:
        pool = candidate_pool(model, where, Path(folder), device=device, workers=workers)
    return choose(pool, n, strategy, seed, exclude, random_share, apart, doubt)


def choose(
    pool: CandidatePool,
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
    kinds = {MIX: UNCERTAIN_REASON if pool.scores is not None else TYPICAL}
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

    pool: CandidatePool
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


def _queue(
    pool: CandidatePool, order: list[int], why: dict[int, str], doubts: NDArray[np.float64]
) -> Queue:
    clips = pool.clips
    return Queue(
        clips.root,
        tuple(
            Suggestion(
                str(clips.file[row]),
                float(clips.start_time[row]),
                float(clips.end_time[row]),
                why[row],
                _guesses(pool, row),
                float(doubts[row]),
                int(pool.cluster[row]),
                str(clips.group[row]),
            )
            for row in order
        ),
        tuple(f"{file}: {reason}" for file, reason in pool.failures),
    )


def _doubts(pool: CandidatePool, by: str) -> NDArray[np.float64]:
    """How unsure the classifier is of each row; NaN without one."""
    if pool.scores is None:
        return np.full(len(pool), np.nan)
    return uncertainty(pool.scores, multi_label=pool.multi_label, by=by)


def _guesses(pool: CandidatePool, row: int) -> tuple[tuple[str, float], ...]:
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


# ``suggest``: a table of what to listen to next.


CACHE = ".vectors"


@dataclass(frozen=True)
class SuggestResult:
    """What ``suggest`` chose.

    Attributes
    ----------
    queue : Queue
    table : Path
    n_pool : int
        Stretches that there were to choose from.
    failures : tuple of (str, str)
        Recordings that could not be read.
    n_taken : int
        Answers in the queue before, of a project, that went into its log.
    """

    queue: Queue
    table: Path
    n_pool: int
    failures: Failures = ()
    n_taken: int = 0

    def summary(self) -> str:
        """For a terminal."""
        said = said_of(self.queue, self.table, self.n_pool)
        if self.n_taken:
            answers = "1 new answer" if self.n_taken == 1 else f"{self.n_taken} new answers"
            said = f"{answers} of the queue before went into the log\n{said}"
        return said


def run_suggest(options: SuggestOptions) -> SuggestResult:
    """Choose stretches to listen to, and write their table.

    Raises
    ------
    OptionError
        For a strategy that needs a classifier without one.
    DataError
        When nothing can be read or nothing is left to ask about.
    ModelError
        When the model's file is missing or damaged.
    """
    check(options)
    named = (options.log, options.model, options.data)
    check_table(options.output, inputs=[one for one in named if one is not None])
    check_page(options.output)
    answered = _answered(options.log)
    table = options.output
    cache = options.cache or table.with_name(table.name + CACHE)
    model = options.model
    if str(model) == SYNTH:
        model = synthetic_file(
            DEFAULT_MODEL,
            MelOptions(),
            seed=options.seed,
            device=options.device,
            workers=options.workers,
        )
    pool = candidate_pool(
        model, options.data, cache, device=options.device, workers=options.workers
    )
    queue = choose(
        pool,
        options.n,
        options.strategy,
        options.seed,
        answered,
        options.random_share,
        options.apart,
        options.doubt,
    )
    queue.write(table)
    write_queue_page(table, queue)
    return SuggestResult(queue, table, len(pool), pool.failures)


def _answered(log: Path | None) -> LabelLog | Clips | None:
    """What is not asked again: a log, or the labelled rows of a table."""
    if log is None:
        return None
    if not log.exists():
        raise DataError(f"{log}: no such label log; leave --log out for the first queue")
    if is_log(log):
        return LabelLog(log)
    clips = load_clips(log, allow_missing=True)
    return clips[clips.is_labelled]


def said_of(queue: Queue, table: Path, n_pool: int) -> str:
    """A queue in words, for a terminal."""
    why = Counter(row.why for row in queue)
    kinds = ", ".join(f"{n} {name}" for name, n in why.most_common())
    pool = count_text(n_pool, "stretch", "stretches")
    files = count_text(len({row.file for row in queue}), "recording")
    where = f"queue: {table}\nto listen: {page_of(table)}"
    return f"{len(queue)} of {pool}, of {files}: {kinds}\n{where}"
