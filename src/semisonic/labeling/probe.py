"""A class layer on kept embeddings, its scores out of fold, and labels proposed for whole clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from semisonic.classifier.config import MethodOptions
from semisonic.classifier.probe import ABSENT, ClassLine, FloatArray, solve_probe
from semisonic.core.errors import ModelError
from semisonic.core.seeds import generator
from semisonic.features.frontend import Frontend
from semisonic.labeling.embedder import Embedding
from semisonic.labeling.options import LearnOptions
from semisonic.models.necks import Backbone
from semisonic.models.sound_model import SoundModel

# A classifier from an index and a few answers, in about a second: nothing is embedded again.
#
# The recommended way for few labels (``docs/few-labels.md``): the encoder stays as it is, a linear
# class layer is solved for, and sure guesses about the pool are learned beside the answers.
# :mod:`semisonic.classifier.probe` says where it is from.


MOST_GUESSED = 2000
"""Rows of the pool that are guessed at most: a part drawn by chance says as much."""
THRESHOLD = 0.7
"""How sure a guess must be, as the recommended way has it."""

Rows = NDArray[np.int64]
Tell = Callable[[int, int], None]
"""Is told how many parts of so many are done."""


@dataclass(frozen=True)
class AnsweredVectors:
    """Rows of an index with what is known of them.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
    hot : ndarray of float32, shape (n, n_classes)
        One where a class is heard.
    weights : ndarray of float64, shape (n,)
        1 for an answer, less for what nobody is sure of.
    group : ndarray of str, shape (n,)
        The recording of each.
    classes : tuple of str
    several : bool
        Whether a clip may carry several labels.
    """

    rows: Rows
    hot: NDArray[np.float32]
    weights: NDArray[np.float64]
    group: NDArray[np.str_]
    classes: tuple[str, ...]
    several: bool

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, keep: NDArray[np.bool_]) -> AnsweredVectors:
        """Some of the rows, with the same classes."""
        return AnsweredVectors(
            self.rows[keep],
            self.hot[keep],
            self.weights[keep],
            self.group[keep],
            self.classes,
            self.several,
        )


@dataclass(frozen=True)
class EmbeddingProbe:
    """A class layer behind standardised embeddings."""

    line: ClassLine
    scale: StandardScaler
    classes: tuple[str, ...]

    def logits(self, vectors: NDArray[np.float32]) -> FloatArray:
        """Shape (n, n_classes)."""
        x = self.scale.transform(np.asarray(vectors, np.float64))
        return np.asarray(x @ self.line.weight.T + self.line.bias)

    def scores(self, vectors: NDArray[np.float32]) -> FloatArray:
        """Probabilities, shape (n, n_classes)."""
        return self.line.scores(self.scale.transform(np.asarray(vectors, np.float64)))


def learn_probe(
    vectors: NDArray[np.float32], known: AnsweredVectors, pool: Rows, *, seed: int = 0
) -> EmbeddingProbe:
    """Solve for the class layer.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Of an index; may be a memory map.
    known : Answered
    pool : ndarray of int64
        Rows without an answer that are guessed; those that are known are passed over.
    """
    pool = np.setdiff1d(pool, known.rows)
    if len(pool) > MOST_GUESSED:
        pool = np.sort(generator(seed, "guessed").choice(pool, MOST_GUESSED, replace=False))
    scale = StandardScaler()
    table = np.asarray(vectors[np.concatenate([known.rows, pool])], np.float64)
    x = scale.fit_transform(table)
    line, _, _ = solve_probe(
        x[: len(known)],
        known.hot,
        x[len(known) :],
        pool,
        MethodOptions(threshold=THRESHOLD),
        known.several,
        weights=known.weights,
    )
    return EmbeddingProbe(line, scale, known.classes)


@dataclass(frozen=True)
class OutOfFoldScores:
    """What classifiers say of answers that they had not learned.

    Attributes
    ----------
    logits : ndarray of float64, shape (n, n_classes)
        NaN where there are not two recordings.
    learned : ndarray of bool, shape (n,)
        Whether the classifier knew the row's classes at all.
    """

    logits: FloatArray
    learned: NDArray[np.bool_]


def out_of_fold(
    vectors: NDArray[np.float32],
    known: AnsweredVectors,
    pool: Rows,
    group: NDArray[np.str_],
    *,
    extend: Callable[[AnsweredVectors], AnsweredVectors] = lambda known: known,
    seed: int = 0,
    tell: Tell | None = None,
) -> OutOfFoldScores:
    """Logits of each answered row by probes that heard nothing of its recording.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_rows, dim)
    known : Answered
    pool : ndarray of int64
        Rows that may be guessed.
    group : ndarray of str, shape (n_rows,)
        The recording of each row of ``vectors``.
    extend : callable
        What follows from answers for other rows; called for the answers of each part.
    tell : callable, optional
        Is told after each part how many of how many are done.

    Notes
    -----
    Recordings are left out in ten parts, from 200 answers on in five.
    """
    from sklearn.model_selection import GroupKFold

    logits = np.full(known.hot.shape, np.nan)
    learned = np.zeros(len(known), np.bool_)
    n_groups = len(set(known.group.tolist()))
    if n_groups < 2:
        return OutOfFoldScores(logits, learned)
    parts = min(n_groups, 10 if len(known) < 200 else 5)
    splitter = GroupKFold(parts, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(splitter.split(known.rows, groups=known.group)):
        if tell is not None:
            tell(number, parts)
        keep = np.isin(np.arange(len(known)), train)
        unheard = np.isin(group, known.group[test])
        left = extend(known.part(keep))
        left = left.part(~unheard[left.rows])
        there = left.hot.sum(axis=0) > 0
        learned[test] = known.several | (known.hot[test] <= there).all(axis=1)
        if there.sum() < 2 and not known.several:
            logits[test] = np.where(there, 0.0, -ABSENT)
            continue
        probe = learn_probe(vectors, left, pool[~unheard[pool]], seed=seed)
        logits[test] = probe.logits(vectors[known.rows[test]])
    return OutOfFoldScores(logits, learned)


def classifier_from(
    probe: EmbeddingProbe, network: Embedding, *, several: bool = False
) -> SoundModel:
    """The whole classifier: the encoder that made the vectors, and the class layer.

    Raises
    ------
    ModelError
        When the encoder's vectors are not those that a classifier of its network computes, as
        where dense layers come first.
    """
    theirs = network.frontend
    frontend = Frontend(theirs.options, theirs.standardize.kind)
    frontend.load_state_dict(theirs.state_dict())
    body = Backbone(network.name, network.encoder, network.neck)
    model = SoundModel(frontend, body, probe.classes, multi_label=several)
    if int(model.neck.out_features) != probe.line.weight.shape[1]:
        raise ModelError(
            f"'{network.name}': vectors of {probe.line.weight.shape[1]} numbers, expected "
            f"{model.neck.out_features}"
        )
    probe.line.put_into(model, probe.scale)
    return model.cpu().eval()


def check_fits(name: str, dim: int, shape: Sequence[int]) -> None:
    """See that a classifier of a network sees the vectors that its encoder was kept by.

    Raises
    ------
    ModelError
        When it has dense layers between, which no pre-training trains.
    """
    from semisonic.models.registry import create

    body = create(name, (int(shape[0]), int(shape[1]), int(shape[2])))
    if int(body.neck.out_features) != dim or len(list(body.neck.parameters())):
        raise ModelError(
            f"the network '{name}' has layers of its own behind the encoder, which are not "
            "trained before there are labels; take one whose embedding is its map, such as "
            "'small', or a published encoder"
        )


# Labels for whole clusters: where all answers in one agree, the rest of it may learn their label.
#
# An answer labels its stretch and nothing else. What is proposed for others is no answer: it never
# stands in the log, weighs less, and all proposals together weigh at most as much as the answers.


def proposed(
    cluster: NDArray[np.int64], answered: AnsweredVectors, asked: NDArray[np.int64], least: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows of clusters whose answers agree, and the labels of these answers.

    Parameters
    ----------
    cluster : ndarray of int64, shape (n_rows,)
        -1 for a row without one, to which nothing is proposed.
    answered : Answered
    asked : ndarray of int64
        Rows that somebody answered about: they keep what they have.
    least : int
        Answers that must agree.

    Returns
    -------
    rows : ndarray of int64, shape (m,)
    hot : ndarray of float32, shape (m, n_classes)
    """
    rows: list[int] = []
    hot: list[NDArray[np.float32]] = []
    own = cluster[answered.rows]
    for number in np.unique(own[own >= 0]).tolist():
        said = answered.hot[own == number]
        if len(said) < least or (said != said[0]).any():
            continue
        others = np.setdiff1d(np.flatnonzero(cluster == number), asked)
        rows += others.tolist()
        hot += [said[0]] * len(others)
    table = np.stack(hot) if hot else np.zeros((0, answered.hot.shape[1]), np.float32)
    return np.array(rows, np.int64), table


def with_proposals(
    answered: AnsweredVectors,
    cluster: NDArray[np.int64],
    group: NDArray[np.str_],
    asked: NDArray[np.int64],
    how: LearnOptions,
) -> AnsweredVectors:
    """The answers and, after them, what follows for the rest of their clusters."""
    if not how.cluster_weight:
        return answered
    rows, hot = proposed(cluster, answered, asked, how.cluster_answers)
    if not len(rows):
        return answered
    weight = min(how.cluster_weight, float(answered.weights.sum()) / len(rows))
    return AnsweredVectors(
        np.concatenate([answered.rows, rows]),
        np.concatenate([answered.hot, hot]),
        np.concatenate([answered.weights, np.full(len(rows), weight)]),
        np.concatenate([answered.group, group[rows]]),
        answered.classes,
        answered.several,
    )
