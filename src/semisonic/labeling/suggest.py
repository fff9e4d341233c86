"""``suggest``: the clips to label next."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import DEFAULT_MODEL
from semisonic.classifier.scoring import evaluating
from semisonic.classifier.start import SYNTH, synthetic_file
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import check
from semisonic.core.seeds import generator
from semisonic.core.temporary import temporary_folder
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures, load_clips
from semisonic.data.label_log import is_log
from semisonic.features.options import MelOptions
from semisonic.labeling import sampling
from semisonic.labeling.answers import match
from semisonic.labeling.embed import make_index
from semisonic.labeling.embedder import INDEX_OF, open_embedder
from semisonic.labeling.index import ABOUT, EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import CLIP, MIX, RANDOM_SHARE, WINDOW, QueueOptions
from semisonic.labeling.queue import (
    N_PREDICTIONS,
    RANDOM,
    TYPICAL,
    UNCERTAIN_REASON,
    Queue,
    Suggestion,
    check_table,
    written_text,
)
from semisonic.models.sound_model import SoundModel

APART = 30.0
"""Least seconds between rows of one recording, if there are others; not in the random part."""
MOST_LOOKED_AT = 50_000
"""Largest number of rows for a strategy; of more, this many are drawn at random."""
_BLOCK = 8192


@dataclass(frozen=True)
class CandidatePool:
    """The pool to ask about: rows of an index with vectors and, with a classifier, scores.

    Attributes
    ----------
    clips : Clips
        One per row, with known ends.
    vectors : ndarray of float32, shape (n, dim)
    cluster : ndarray of int64, shape (n,)
        From 0; -1 for none.
    scores : ndarray of float64, shape (n, n_classes), or None
        Calibrated if the model is.
    classes : tuple of str
        Empty without scores.
    multi_label : bool
    failures : tuple of (str, str)
        Recordings that could not be read.
    """

    clips: Clips
    vectors: NDArray[np.float32]
    cluster: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
    multi_label: bool = False
    failures: Failures = ()

    def __len__(self) -> int:
        return len(self.clips)

    def predictions(self, row: int) -> tuple[tuple[str, float], ...]:
        """The classifier's best classes of a row with their scores; none without one."""
        if self.scores is None:
            return ()
        best = np.argsort(-self.scores[row], kind="stable")[:N_PREDICTIONS]
        return tuple((self.classes[k], float(self.scores[row, k])) for k in best)


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
        None to use only the index.
    where : EmbeddingIndex, Clips or path
        An index, its folder, a folder of recordings, a table of clips.
    folder : Path
        Folder for new vectors, with a subfolder for each model.
    device : str
    workers : int, optional

    Raises
    ------
    DataError
        Without a model and without an index.
    """
    if isinstance(where, (str, PathLike)) and (Path(where) / ABOUT).is_file():
        where = EmbeddingIndex.open(where)
    index = where if isinstance(where, EmbeddingIndex) else None
    if model is None:
        if index is None:
            raise DataError(
                f"{where}: not an index, and no model to make one with; give a model or an encoder"
            )
        return CandidatePool(index.clips, index.vectors, index.cluster)
    embedder = open_embedder(model)
    classifier = embedder.classifier
    made_by = None if index is None else index.about["model"]["hash"]
    failures: Failures = ()
    if index is not None and classifier is not None and made_by == embedder.about.get(INDEX_OF):
        scores: NDArray[Any] | None = score_vectors(classifier, index.vectors)
    else:
        if index is None or made_by != embedder.hash:
            named: Any = where if index is None else index.clips
            made = make_index(
                embedder,
                named if isinstance(named, Clips) else [named],
                folder / embedder.hash,
                per=WINDOW if index is None else CLIP,
                device=device,
                workers=workers,
            )
            index, failures = made.index, made.failures
        scores = index.scores
    return CandidatePool(
        index.clips,
        index.vectors,
        index.cluster,
        None if scores is None else np.asarray(scores, np.float64),
        embedder.classes,
        classifier is not None and classifier.multi_label,
        failures,
    )


def score_vectors(model: SoundModel, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scores of a classifier for vectors of its encoder, shape (n, n_classes).

    The rules for unknown sounds need features and are not applied.

    Parameters
    ----------
    model : SoundModel
    vectors : ndarray of float32, shape (n, dim)
    """
    parts = [np.zeros((0, len(model.classes)))]
    with evaluating(model):
        for start in range(0, len(vectors), _BLOCK):
            block = torch.from_numpy(np.array(vectors[start : start + _BLOCK], np.float32))
            parts.append(model.calibrated(model.head(block)).numpy())
    return np.concatenate(parts)


class AllAnswered(DataError):
    """Nothing is left to ask about."""


def suggest(
    model: Any,
    where: EmbeddingIndex | Clips | str | PathLike[str],
    n: int = 50,
    *,
    strategy: str = MIX,
    seed: int = 0,
    exclude: LabelLog | Clips | None = None,
    random_share: float = RANDOM_SHARE,
    folder: str | PathLike[str] | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> Queue:
    """Choose segments to label next.

    Parameters
    ----------
    model : path, SoundClassifier, encoder or None
        A classifier gives predictions and uncertainties; an encoder, or None with an index, gives
        neither.
    where : EmbeddingIndex, path or Clips
        An index, its folder, or recordings, which are then embedded by window.
    n : int
        Number of rows of the queue; fewer if the pool has no more.
    strategy : {"mix", "random", "uncertain", "typical"}
        See :mod:`semisonic.labeling.sampling`. "mix" asks about uncertain clips that differ from
        each other, and has a random part; without a classifier it asks about typical clips.
    seed : int
        Seed of the random part and of groups. Use the same in all rounds, so that the random parts
        of all queues are one sample.
    exclude : LabelLog or Clips, optional
        Earlier answers, including uncertain ones: these segments are not asked about again and
        count as labelled.
    random_share : float
        Share of the queue of "mix" that is drawn at random, 0 to 1; its answers measure the
        accuracy.
    folder : path, optional
        Folder for new vectors; by default a temporary one.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    workers : int, optional
        Number of threads or processes; by default the number of processors.

    Returns
    -------
    Queue
        ``to_frame()`` has a row per segment; ``write(path)`` writes a table to fill in.

    Raises
    ------
    OptionError
        For an unknown strategy, or one that needs a missing classifier.
    DataError
        When nothing is left to ask about.

    Examples
    --------
    >>> queue = suggest("runs/tones", "recordings", 3)
    >>> len(queue.to_frame())
    3
    """
    check(QueueOptions(n=n, strategy=strategy, random_share=random_share))
    with temporary_folder() as temporary:
        vectors = Path(folder or temporary)
        pool = candidate_pool(model, where, vectors, device=device, workers=workers)
        return choose(pool, n, strategy, seed, exclude, random_share)


def choose(
    pool: CandidatePool,
    n: int,
    strategy: str = MIX,
    seed: int = 0,
    exclude: LabelLog | Clips | None = None,
    random_share: float = RANDOM_SHARE,
) -> Queue:
    """As :func:`suggest`, with the same parameters, from an open pool."""
    has_scores = pool.scores is not None
    if strategy == UNCERTAIN_REASON and not has_scores:
        raise OptionError(
            f"option 'strategy': '{strategy}' needs the scores of a classifier, but there is "
            "none; use 'mix', 'typical' or 'random'"
        )
    answered = exclude.current().clips() if isinstance(exclude, LabelLog) else exclude
    labelled = match(answered, pool.clips).rows if answered is not None else np.zeros(0, np.int64)
    free = np.setdiff1d(np.arange(len(pool)), labelled)
    if not len(pool):
        raise DataError("found no readable recording, so there is nothing to ask about")
    if not len(free):
        raise AllAnswered(f"all {len(pool)} segments are answered: nothing is left to ask about")
    n = min(n, len(free))
    degree = np.full(len(pool), np.nan)
    if pool.scores is not None:
        degree = sampling.uncertainty(pool.scores, multi_label=pool.multi_label)
    main = strategy if strategy != MIX else UNCERTAIN_REASON if has_scores else TYPICAL
    # Before there is a classifier there is nothing to measure.
    measures = strategy == MIX and has_scores
    n_random = n if main == RANDOM else round(random_share * n) if measures else 0
    drawn = sampling.random_order(pool.clips, free, seed)[:n_random]
    rest = np.setdiff1d(free, drawn)
    if len(rest) > MOST_LOOKED_AT:
        looked_at = generator(seed, "looked at").choice(rest, MOST_LOOKED_AT, replace=False)
        rest = np.sort(looked_at)

    def ranked(asked: int) -> NDArray[np.int64]:
        if main == TYPICAL:
            both = np.r_[labelled, rest]
            vectors, own = np.asarray(pool.vectors[both]), np.arange(len(labelled))
            return np.asarray(both[sampling.typical(vectors, own, asked, seed=seed)], np.int64)
        if strategy == MIX:
            vectors = np.asarray(pool.vectors[rest])
            return rest[sampling.uncertain_centres(vectors, degree[rest], asked, seed=seed)]
        return rest[sampling.uncertain(degree[rest], asked)]

    n_main = asked = min(n - n_random, len(rest))
    chosen = np.zeros(0, np.int64)
    while len(chosen) < n_main:  # until enough are apart, or there are no others
        order = ranked(asked)
        chosen = sampling.spread_out(order, pool.clips, n_main, apart=APART, beside=drawn.tolist())
        if asked == len(rest):
            chosen = np.concatenate([chosen, order[~np.isin(order, chosen)]])[:n_main]
        asked = min(2 * asked, len(rest))
    rows = sampling.alternating(sampling.interleaved(chosen.tolist(), drawn.tolist()), pool.clips)
    suggestions = (
        Suggestion.of_row(
            pool.clips,
            row,
            RANDOM if row in drawn else main,
            predictions=pool.predictions(row),
            uncertainty=float(degree[row]),
            cluster=int(pool.cluster[row]),
        )
        for row in rows
    )
    return Queue(pool.clips.root, tuple(suggestions), pool.failures)


def write_queue(
    model: Path,
    data: Path,
    table: Path,
    wanted: QueueOptions,
    *,
    log: Path | None = None,
    cache: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: int | None = None,
) -> tuple[str, Failures]:
    """Choose segments to label and write their table, with the options of the verb.

    Returns
    -------
    str, failures
        Text for a terminal, and recordings that could not be read.

    Raises
    ------
    OptionError
        For a strategy that needs a missing classifier.
    DataError
        When nothing can be read, or nothing is left to ask about.
    ModelError
        When the model's file is missing or damaged.
    """
    check_table(table, inputs=[one for one in (log, model, data) if one is not None])
    answered: LabelLog | Clips | None = None
    if log is not None and is_log(log):
        answered = LabelLog(log)
    elif log is not None:
        if not log.exists():
            raise DataError(f"{log}: no such label log; leave --log out for the first queue")
        filled = load_clips(log, allow_missing=True)
        answered = filled[filled.is_labelled]
    if str(model) == SYNTH:
        mel = MelOptions()
        model = synthetic_file(DEFAULT_MODEL, mel, device=device, workers=workers)
    folder = cache or table.with_name(table.name + ".vectors")
    pool = candidate_pool(model, data, folder, device=device, workers=workers)
    queue = choose(pool, wanted.n, wanted.strategy, seed, answered, wanted.random_share)
    queue.write(table, page=True)
    return written_text(queue, table, len(pool)), pool.failures
