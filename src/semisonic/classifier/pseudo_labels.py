"""Pseudo-labels of unlabelled clips, and the noisy student, which learns from them in rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import MethodOptions
from semisonic.classifier.scoring import score_rows
from semisonic.core.errors import DataError
from semisonic.core.seeds import derive
from semisonic.models.sound_model import SoundModel

# Guesses about unlabelled clips, made once a round, and which of them to learn from.
#
# Papers: Lee 2013, "Pseudo-label"; Xie et al. 2020, "Self-training with noisy student improves
# ImageNet classification" (guesses balanced over the classes).


@dataclass(frozen=True)
class PseudoLabels:
    """Guessed labels of some clips of a pool.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the features, ascending.
    shares : ndarray of float32, shape (n, n_classes)
        A class, or a sharpened distribution; for several labels per clip, each class's score.
    sureness : ndarray of float64, shape (n,)
        Score of the best class before sharpening.
    """

    rows: NDArray[np.int64]
    shares: NDArray[np.float32]
    sureness: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def align(
    scores: NDArray[np.float64], expected: NDArray[np.float64], strength: float = 1.0
) -> NDArray[np.float64]:
    """Scores, (n, class), whose mean over clips is nearer to the expected shares, (class,).

    Each clip's scores still sum to one. With strength 1 the mean is met (to within 0.001, or as
    near as 100 rounds of scaling bring it); 0 changes nothing.
    """
    if not strength or not len(scores):
        return scores
    wanted = expected**strength * scores.mean(axis=0) ** (1.0 - strength)
    wanted /= wanted.sum()
    aligned = scores
    for _ in range(100):
        found = aligned.mean(axis=0)
        if np.abs(found - wanted).max() < 1e-3:
            break
        aligned = aligned * (wanted / np.maximum(found, 1e-9))
        aligned /= aligned.sum(axis=1, keepdims=True)
    return aligned


def pseudo_labels(
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    expected: NDArray[np.float64],
    *,
    threshold: float,
    alignment: float = 1.0,
    temperature: float = 0.0,
    multi_label: bool = False,
) -> PseudoLabels:
    """Choose what to learn from a teacher's scores of a pool.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
    scores : ndarray, shape (n, n_classes)
    expected : ndarray, shape (n_classes,)
        Shares of the classes among the labels.
    threshold : float
        How sure a guess must be, 0 to 1. With several labels per clip: each class must be
        above it or below one minus it.
    alignment : float
        0 to 1; see :func:`align`. One label per clip only.
    temperature : float
        0 gives a class; above 0 a distribution, sharpened below 1.
    """
    if multi_label:
        sure = np.maximum(scores, 1.0 - scores).min(axis=1)
        kept = sure >= threshold
        return PseudoLabels(rows[kept], (scores[kept] >= 0.5).astype(np.float32), sure[kept])
    aligned = align(scores, expected, alignment)
    sureness = aligned.max(axis=1)
    kept = sureness >= threshold
    if temperature:
        power = np.log(np.maximum(aligned[kept], 1e-12)) / temperature
        shares = np.exp(power - power.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    else:
        shares = np.eye(scores.shape[1])[aligned[kept].argmax(axis=1)]
    return PseudoLabels(rows[kept], shares.astype(np.float32), sureness[kept])


# Noisy student: a teacher names the pool, a new student learns the names, and so on.
#
# Paper: Xie et al. 2020, "Self-training with noisy student improves ImageNet classification".
#
# What it changes: a classifier trained on the labels names the clips of the pool. A new network,
# from fresh weights and with strong augmentation, learns labels and sure names together, and
# becomes the next teacher.
#
# Where we differ: students are as large as the teacher. Names are aligned to the classes'
# frequencies among the labels instead of being balanced by copies. Labelled clips keep their own
# labels, also when they are in the pool.


Rows = NDArray[np.int64]


@dataclass(frozen=True)
class StudentRound:
    """What one round trains on: ``target`` holds shares for all rows of the features."""

    number: int
    target: NDArray[Any]
    rows: Rows
    seed: int
    folder: Path | None


def train_in_rounds(
    features: Any,
    target: NDArray[Any],
    train: Rows,
    pool: Rows,
    n_classes: int,
    how: MethodOptions,
    train_round: Callable[[StudentRound], SoundModel],
    *,
    seed: int,
    folder: Path | None,
    device: torch.device,
) -> list[PseudoLabels]:
    """Train a teacher and ``how.rounds`` students; the last call's model is the result.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
    target : ndarray
        Class numbers (n,), or shares (n, n_classes) for several labels per clip.
    train, pool : ndarray of int64
        Labelled rows, and rows to be named.
    train_round : callable
        Trains a fresh model as a :class:`Round` says, and gives it back.
    seed : int
        Of the first teacher; students have seeds derived from it.
    folder : Path, optional
        Each round keeps its checkpoint in a folder of its own below.

    Returns
    -------
    list of PseudoLabels
        Those that each student learned from.

    Raises
    ------
    DataError
        When the pool holds nothing but the labelled clips.
    """
    named = np.setdiff1d(pool, train)
    if not len(named):
        raise DataError(
            "method 'noisy-student': every clip of the pool is labelled; give other recordings "
            "as a pool, or use the method 'supervised'"
        )
    several = target.ndim == 2
    shares = target.astype(np.float32) if several else one_hot(target, n_classes)
    expected = shares[train].mean(axis=0).astype(np.float64)
    learned: list[PseudoLabels] = []
    model = train_round(StudentRound(0, target, train, seed, _below(folder, 0)))
    for number in range(1, how.rounds + 1):
        model = model.to(device)
        scores = score_rows(model, features, named, device=device)
        guessed = pseudo_labels(
            named,
            scores,
            expected,
            threshold=how.threshold,
            alignment=how.alignment,
            temperature=how.temperature,
            multi_label=several,
        )
        learned.append(guessed)
        shares[guessed.rows] = guessed.shares
        rows = np.sort(np.concatenate([train, guessed.rows]))
        its_seed = derive(seed, "student", number) % (1 << 31)
        model = train_round(StudentRound(number, shares, rows, its_seed, _below(folder, number)))
    return learned


def one_hot(target: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Class numbers as shares, (n, n_classes); rows without a class (-1) are zero."""
    shares = np.zeros((len(target), n_classes), np.float32)
    known = np.flatnonzero(target >= 0)
    shares[known, target[known]] = 1.0
    return shares


def _below(folder: Path | None, number: int) -> Path | None:
    return None if folder is None else folder / f"round-{number}"
