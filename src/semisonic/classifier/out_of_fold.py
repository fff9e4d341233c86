"""Scores of labelled clips by models that have not learnt from their recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.prepare import Prepared
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.simple import JUDGE, fit_scores
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import DataError
from semisonic.core.files import replacing
from semisonic.core.progress import track
from semisonic.core.seeds import derive
from semisonic.data.clips import POSITIVE, Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.features.statistics import mel_statistics

DEFAULT_FOLDS = 5
Rows = NDArray[np.int64]
Scores = NDArray[np.float64]

Judge = Callable[[Rows, Rows, Rows, int, str], Scores]
"""Learns from rows of features, chooses by others, scores a third kind: (train, validation,
test, seed, name of the fold) to probabilities, shape (len(test), n_classes)."""


@dataclass(frozen=True)
class OutOfFold:
    """Scores of clips by models that did not learn from their recordings.

    Attributes
    ----------
    rows : ndarray of int64
        The rows of the table that could be read, ascending.
    scores : ndarray, shape (len(rows), n_classes)
        Means over the repeats.
    n_folds : int
    """

    rows: Rows
    scores: Scores
    n_folds: int


def out_of_fold(
    clips: Clips,
    prepared: Prepared,
    judge: Judge,
    *,
    folds: int = 0,
    repeats: int = 1,
    validation: float = 0.0,
    seed: int = 0,
    keep: Path | None = None,
) -> OutOfFold:
    """Score every labelled clip once in each repeat.

    Parameters
    ----------
    clips : Clips
        All labelled; the table that ``prepared`` was made from.
    prepared : Prepared
    judge : callable
        See :data:`Judge`, :func:`statistics_judge`, :func:`network_judge`.
    folds : int
        Folds to make, by recording; 0 takes the data's own, or makes five.
    repeats : int
        Each with other seeds and, where folds are made, other folds.
    validation : float
        Share of the clips to learn from that the judge may choose by, by recording.
    seed : int
    keep : Path, optional
        Folder for the scores of each fold, so that an interrupted call goes on.

    Raises
    ------
    DataError
        When there are too few recordings for the folds, or a class has one only.
    """
    readable = np.unique(prepared.source)
    table = clips[readable]
    # Nothing is measured here: labels that nobody checked are judged as all others are.
    table = table.with_columns(label_type=np.full(len(table), POSITIVE))
    if folds or not table.folds or (table.fold == 0).any():
        table = table.with_columns(fold=np.zeros(len(table), np.int64))
    jobs: list[tuple[int, Split, int]] = []
    for repeat in range(repeats):
        own = derive(seed, "out of fold", repeat)
        found = fold_splits(table, validation=validation, seed=own, n_folds=folds or DEFAULT_FOLDS)
        jobs += [(repeat, split, derive(own, split.fold)) for split in found]
    total = np.zeros((len(table), len(clips.classes)))
    n_scored = np.zeros(len(table), np.int64)
    for repeat, split, own in track(jobs, "judge", "fold"):
        name = f"repeat-{repeat}-fold-{split.fold}"
        parts = (split.train, split.validation, split.test)
        train, held, test = (prepared.rows_of(readable[rows]) for rows in parts)
        scores = _kept(keep, name)
        if scores is None or scores.shape != (len(test), len(clips.classes)):
            scores = judge(train, held, test, own, name)
            _write(keep, name, scores)
        of_clips, owner = prepared.per_clip(scores, test)
        rows = np.searchsorted(readable, owner)
        total[rows] += of_clips
        n_scored[rows] += 1
    if (n_scored != repeats).any():
        row = int(np.flatnonzero(n_scored != repeats)[0])
        raise DataError(
            f"'{clips.name}': {table.ids[row]} was scored {n_scored[row]} times, expected {repeats}"
        )
    return OutOfFold(readable.astype(np.int64), total / repeats, len(jobs) // repeats)


def statistics_judge(
    prepared: Prepared, target: NDArray[Any], *, n_classes: int, workers: int | None = None
) -> Judge:
    """Judge by simple models on statistics of spectrograms.

    Parameters
    ----------
    target : ndarray
        For all rows of features: class numbers (n,), or 0 and 1, (n, n_classes).
    """
    features = prepared.features
    x = mel_statistics(features)

    def judge(train: Rows, _held: Rows, test: Rows, seed: int, _name: str) -> Scores:
        return fit_scores(
            JUDGE, x[train], target[train], x[test], n_classes=n_classes, seed=seed, workers=workers
        )

    return judge


def network_judge(
    config: TrainConfig,
    prepared: Prepared,
    target: NDArray[Any],
    classes: Sequence[str],
    *,
    device: str = "auto",
    folder: Path | None = None,
) -> Judge:
    """Judge by a network that is trained anew for each fold.

    Parameters
    ----------
    folder : Path, optional
        Keeps the checkpoints, so that an interrupted training goes on.
    """

    def judge(train: Rows, held: Rows, test: Rows, seed: int, name: str) -> Scores:
        outcome = train_model(
            config,
            TrainingData(prepared.features, target, tuple(classes), train, held),
            seed=seed,
            device=device,
            folder=folder / name if folder is not None else None,
        )
        return score_rows(outcome.model, prepared.features, test)

    return judge


def _kept(folder: Path | None, name: str) -> Scores | None:
    if folder is None or not (folder / f"{name}.npy").is_file():
        return None
    return np.asarray(np.load(folder / f"{name}.npy"), np.float64)


def _write(folder: Path | None, name: str, scores: Scores) -> None:
    if folder is not None:
        with replacing(folder / f"{name}.npy") as part, part.open("wb") as stream:
            np.save(stream, scores)
