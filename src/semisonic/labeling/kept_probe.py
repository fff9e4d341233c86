"""A classifier from an index and a few answers, in about a second: nothing is embedded again.

The recommended way for few labels (``docs/few-labels.md``): the encoder stays as it is, a linear
class layer is solved for, and sure guesses about the pool are learned beside the answers.
:mod:`semisonic.inference.methods.linear_probe` says where it is from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from semisonic.base.errors import ModelError
from semisonic.base.seeds import generator
from semisonic.features import Frontend
from semisonic.inference.methods.class_line import ABSENT, Array, ClassLine
from semisonic.inference.methods.linear_probe import solve_probe
from semisonic.inference.methods.options import MethodOptions
from semisonic.labeling.embedder import Embedding
from semisonic.models import SoundModel
from semisonic.models.registry import Body

MOST_GUESSED = 2000
"""Rows of the pool that are guessed at most: a part drawn by chance says as much."""
THRESHOLD = 0.7
"""How sure a guess must be, as the recommended way has it."""

Rows = NDArray[np.int64]
Tell = Callable[[int, int], None]
"""Is told how many parts of so many are done."""


@dataclass(frozen=True)
class Answered:
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

    def part(self, keep: NDArray[np.bool_]) -> Answered:
        """Some of the rows, with the same classes."""
        return Answered(
            self.rows[keep], self.hot[keep], self.weights[keep], self.group[keep], self.classes,
            self.several,
        )  # fmt: skip


@dataclass(frozen=True)
class KeptProbe:
    """A class layer behind standardised embeddings."""

    line: ClassLine
    scale: StandardScaler
    classes: tuple[str, ...]

    def logits(self, vectors: NDArray[np.float32]) -> Array:
        """Shape (n, n_classes)."""
        x = self.scale.transform(np.asarray(vectors, np.float64))
        return np.asarray(x @ self.line.weight.T + self.line.bias)

    def scores(self, vectors: NDArray[np.float32]) -> Array:
        """Probabilities, shape (n, n_classes)."""
        return self.line.scores(self.scale.transform(np.asarray(vectors, np.float64)))


def learn_probe(
    vectors: NDArray[np.float32], known: Answered, pool: Rows, *, seed: int = 0
) -> KeptProbe:
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
        x[: len(known)], known.hot, x[len(known) :], pool, MethodOptions(threshold=THRESHOLD),
        known.several, weights=known.weights,
    )  # fmt: skip
    return KeptProbe(line, scale, known.classes)


@dataclass(frozen=True)
class LeftOut:
    """What classifiers say of answers that they had not learned.

    Attributes
    ----------
    logits : ndarray of float64, shape (n, n_classes)
        NaN where there are not two recordings.
    learned : ndarray of bool, shape (n,)
        Whether the classifier knew the row's classes at all.
    """

    logits: Array
    learned: NDArray[np.bool_]


def out_of_fold(
    vectors: NDArray[np.float32],
    known: Answered,
    pool: Rows,
    group: NDArray[np.str_],
    *,
    extend: Callable[[Answered], Answered] = lambda known: known,
    seed: int = 0,
    tell: Tell | None = None,
) -> LeftOut:
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
        return LeftOut(logits, learned)
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
    return LeftOut(logits, learned)


def classifier_from(probe: KeptProbe, network: Embedding, *, several: bool = False) -> SoundModel:
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
    body = Body(network.name, network.encoder, network.neck)
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
    from semisonic.models import create

    body = create(name, (int(shape[0]), int(shape[1]), int(shape[2])))
    if int(body.neck.out_features) != dim or len(list(body.neck.parameters())):
        raise ModelError(
            f"the network '{name}' has layers of its own behind the encoder, which are not "
            "trained before there are labels; take one whose embedding is its map, such as "
            "'small', or a published encoder"
        )
