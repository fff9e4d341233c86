"""Noisy student: a teacher names the pool, a new student learns the names, and so on.

Paper: Xie et al. 2020, "Self-training with noisy student improves ImageNet classification".

What it changes: a classifier trained on the labels names the clips of the pool. A new network,
from fresh weights and with strong augmentation, learns labels and sure names together, and
becomes the next teacher.

Where we differ: students are as large as the teacher. Names are aligned to the classes'
frequencies among the labels instead of being balanced by copies. Labelled clips keep their own
labels, also when they are in the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.seeds import derive
from semisonic.inference.methods.options import MethodOptions
from semisonic.inference.methods.pseudo_labels import PseudoLabels, pseudo_labels
from semisonic.inference.scoring import score_rows
from semisonic.models import SoundModel

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Round:
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
    train_round: Callable[[Round], SoundModel],
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
    model = train_round(Round(0, target, train, seed, _below(folder, 0)))
    for number in range(1, how.rounds + 1):
        model = model.to(device)
        scores = score_rows(model, features, named, device=device)
        guessed = pseudo_labels(
            named, scores, expected, threshold=how.threshold, alignment=how.alignment,
            temperature=how.temperature, multi_label=several,
        )  # fmt: skip
        learned.append(guessed)
        shares[guessed.rows] = guessed.shares
        rows = np.sort(np.concatenate([train, guessed.rows]))
        its_seed = derive(seed, "student", number) % (1 << 31)
        model = train_round(Round(number, shares, rows, its_seed, _below(folder, number)))
    return learned


def one_hot(target: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Class numbers as shares, (n, n_classes); rows without a class (-1) are zero."""
    shares = np.zeros((len(target), n_classes), np.float32)
    known = np.flatnonzero(target >= 0)
    shares[known, target[known]] = 1.0
    return shares


def _below(folder: Path | None, number: int) -> Path | None:
    return None if folder is None else folder / f"round-{number}"
