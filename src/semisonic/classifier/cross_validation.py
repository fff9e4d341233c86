"""Cross-validation of a classifier in Python: every sound is scored once, by a model that was not
trained on its recording.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.copies import clean_sounds, with_recordings, without_recordings
from semisonic.classifier.measuring import Measurement, measure
from semisonic.classifier.sounds import Sounds, as_sounds
from semisonic.core.errors import DataError
from semisonic.core.html import Result
from semisonic.core.progress import track
from semisonic.core.text import count_text, percent_text, text_table
from semisonic.data.splits import fold_splits
from semisonic.evaluation.comparison import Comparison, compare
from semisonic.evaluation.metrics import accuracy, lwlrap
from semisonic.evaluation.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CrossValidation(Result):
    """The result of a cross-validation.

    Attributes
    ----------
    measurement : Measurement
        Scores of all sounds, metrics with intervals over recordings, confusion.
    fold : ndarray of int64, shape (n,)
        The fold in which each sound was tested.
    by_fold : mapping of int to float
        Accuracy, or lwlrap with several labels for a sound, in each fold.
    """

    measurement: Measurement
    fold: NDArray[np.int64]
    by_fold: dict[int, float]

    @property
    def measure(self) -> str:
        """What ``by_fold`` holds."""
        return "lwlrap" if self.measurement.multi_label else "accuracy"

    def __repr__(self) -> str:
        m = self.measurement
        value, of = percent_text(m.metrics[self.measure]), count_text(len(m.clips), "sound")
        folds = count_text(len(self.by_fold), "fold")
        return f"<CrossValidation: {self.measure} {value} of {of}, {folds}>"

    def to_frame(self) -> pd.DataFrame:
        """A row per sound: labels, recording, best class, score of each class, and fold."""
        return self.measurement.to_frame().assign(fold=self.fold)

    def compare(
        self, other: CrossValidation, names: tuple[str, str] = ("this", "the other")
    ) -> Comparison:
        """Test whether another cross-validation of the same sounds and folds is better.

        Parameters
        ----------
        other : CrossValidation
            With the same sounds, in the same order, and the same folds.
        names : (str, str)
            Of the two.

        Returns
        -------
        Comparison
            Paired tests over clips, by recording, and over folds: see
            :func:`semisonic.evaluation.comparison.compare`.

        Raises
        ------
        DataError
            If sounds, labels or folds are not the same.
        """
        (a, b), ids = (self.measurement, other.measurement), self.measurement.clips.ids
        is_same = (
            list(ids) == list(b.clips.ids)
            and a.clips.classes == b.clips.classes
            and np.array_equal(a.target, b.target)
        )
        if not is_same or not np.array_equal(self.fold, other.fold):
            what = "folds" if is_same else "sounds or labels"
            raise DataError(
                f"compare: the {what} of the two are not the same; expected cross-validations of "
                "the same sounds, in the same order, with the same seed and number of folds"
            )
        rows = (
            Predictions.of(
                # Sounds without a file may share a name.
                [f"{number} {name}" for number, name in enumerate(ids)],
                one.target,
                one.scores,
                one.clips.classes,
                group=one.clips.group,
                fold=self.fold,
                arm=name,
            )
            for one, name in zip((a, b), names, strict=True)
        )
        return compare(Predictions.concat(rows), *names, measure=self.measure)

    def _html_parts(self) -> Iterable[Markup]:
        return self.measurement.html_parts()

    def summary(self) -> str:
        """For a terminal."""
        m = self.measurement
        rows = [
            [
                name.replace("_", " "),
                percent_text(m.metrics[name]),
                f"{percent_text(low)} to {percent_text(high)}",
            ]
            for name, (low, high) in m.intervals.items()
        ]
        folds = ", ".join(f"{fold}: {percent_text(value)}" for fold, value in self.by_fold.items())
        head = ["measure", "value", f"{100 * m.level:g} % interval"]
        return f"{text_table(head, rows, ruled=True)}\n{self.measure} by fold: {folds}"


def cross_validate(
    classifier: SoundClassifier,
    clips: Any,
    y: Iterable[Any] | None = None,
    *,
    unlabelled: Any = None,
    n_folds: int = 5,
    seed: int = 0,
    sample_rate: int | None = None,
    groups: ArrayLike | None = None,
) -> CrossValidation:
    """Fit and test a classifier fold by fold.

    Parameters
    ----------
    classifier : SoundClassifier
        Cloned for each fold; this one is not fitted. If it has a ``folder``, each fold has a
        subfolder in it, ``fold-1`` and so on.
    clips, y, sample_rate, groups
        As for :meth:`SoundClassifier.fit`. The folds of the set are used if it has some; else
        folds are made by recording, and copies of a sound stay in one fold.
    unlabelled : as ``clips``, optional
        Sounds to learn from in each fold. Copies of tested or labelled sounds are left out, and in
        each fold other clips of the tested recordings.
    n_folds : int
        Number of folds to make if the set has none.
    seed : int
        Of the folds.

    Raises
    ------
    DataError
        For too few recordings, or a sound that cannot be read.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = [rng.normal(0, 0.1, 4000) for _ in range(6)]
    >>> tones = [np.sin(0.3 * np.arange(4000) + i) for i in range(6)]
    >>> mel = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    >>> clf = SoundClassifier("(4)3c-2p", mel=mel, training=FitOptions(epochs=2),
    ...                       method="supervised")
    >>> found = cross_validate(clf, noise + tones, ["noise"] * 6 + ["tone"] * 6,
    ...                        sample_rate=8000, n_folds=2)
    >>> sorted(found.by_fold)
    [1, 2]
    """
    near, workers = classifier.near_copies, classifier.workers
    sample_rate = classifier.sample_rate if sample_rate is None else sample_rate
    sounds = as_sounds(clips, y, sample_rate=sample_rate, groups=groups)
    if not sounds.clips.folds:
        sounds, _ = with_recordings(sounds, near=near, workers=workers)
    pool = unlabelled
    if unlabelled is not None:
        given = as_sounds(unlabelled, sample_rate=sample_rate, labels="none", name="pool")
        pool, left_out = clean_sounds(given, sounds, near=near, workers=workers)
        for note in left_out:
            warnings.warn(note, stacklevel=2)
    table = sounds.clips
    multi_label = table.is_multi_label
    splits = fold_splits(table, validation=0.0, seed=seed, n_folds=n_folds)
    scores = np.zeros((len(table), len(table.classes)))
    fold = np.zeros(len(table), np.int64)
    column = {name: i for i, name in enumerate(table.classes)}
    once = clone(classifier).set_params(near_copies=False)  # copies have been dealt with
    pools: dict[int, Sounds | None] = {split.fold: pool for split in splits}
    if pool is not None:
        rest = {split.fold: without_recordings(pool, table[split.test]) for split in splits}
        sizes = {number: len(sounds_left) for number, sounds_left in rest.items()}
        if min(sizes.values(), default=len(pool)) < len(pool):
            warnings.warn(
                "in each fold, clips of the pool that are of tested recordings are left out: "
                f"up to {len(pool) - min(sizes.values())} of {len(pool)}.",
                stacklevel=2,
            )
        if empty := [number for number, n in sizes.items() if not n]:
            raise DataError(
                f"cross_validate: of 'unlabelled', no sound is left for fold {empty[0]}: all are "
                "copies of labelled sounds, or of tested recordings. Give other recordings"
            )
        pools |= rest
    for split in track(splits, "cross-validation", "fold", len(splits)):
        if classifier.folder is not None:  # a checkpoint belongs to one training
            once.set_params(folder=Path(classifier.folder) / f"fold-{split.fold}")
        fitted = clone(once).fit(
            sounds[split.train], unlabelled=pools[split.fold], sample_rate=sample_rate
        )
        found = fitted.predict_proba(sounds[split.test])
        where = np.array([column[str(name)] for name in fitted.model_.classes])
        scores[np.ix_(split.test, where)] = found
        fold[split.test] = split.fold
    tested = np.flatnonzero(fold)
    measured = measure(table[tested], scores[tested], multi_label=multi_label, seed=seed)
    fold, by_fold = fold[tested], {}
    for number in np.unique(fold).tolist():
        rows = fold == number
        if multi_label:
            by_fold[number] = lwlrap(measured.target[rows], measured.scores[rows])
        else:
            by_fold[number] = accuracy(measured.target[rows], measured.predicted[rows])
    return CrossValidation(measured, fold, by_fold)
