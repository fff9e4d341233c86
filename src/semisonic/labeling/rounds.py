"""Rounds of a project: train a classifier on answers and estimate its accuracy.

Nothing is embedded again, so a round takes about a second. Files are written atomically and depend
only on log and index: after a kill, the same call gives the same result.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.calibration import LEAST_KNOWN, fit_calibration
from semisonic.classifier.config import PROBE
from semisonic.classifier.model_file import MODEL
from semisonic.classifier.provenance import (
    DataPart,
    chained,
    recording_hashes,
    recording_prints,
)
from semisonic.classifier.run_files import stamp
from semisonic.core.errors import DataError
from semisonic.core.files import digest, write_frame
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.events import BACKGROUND, SegmentKey, segment_key
from semisonic.data.label_log import LabelEntry, now
from semisonic.evaluation.statistics import wilson_by_group
from semisonic.labeling.answers import LabelledRows, label_index
from semisonic.labeling.embedder import INDEX_OF, Embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.probe import (
    Tell,
    classifier_from,
    fit_rules,
    learn_probe,
    score_out_of_fold,
)
from semisonic.labeling.queue import RANDOM, SOURCE
from semisonic.labeling.sampling import random_key
from semisonic.labeling.suggest import score_vectors
from semisonic.models.decision import TEMPERATURE, Decision
from semisonic.models.model_file import PUBLISHED_WEIGHTS, published_in, read_about, save
from semisonic.models.sound_model import SoundModel

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CALIBRATED = 20
"""Number of answers from which scores are calibrated, by classifiers not trained on them."""
HISTORY, PREDICTIONS = "history.csv", "predictions.csv"
NOTE_SEPARATOR = " | "

# How good the classifier is, from answers alone: an honest number needs clips drawn at random.
#
# Answers that a strategy chose are the hard ones, so accuracy on them says little. The random parts
# of all queues together are one sample of the pool, taken in one random order
# (:func:`semisonic.labeling.sampling.random_key`). A clip of that sample that a strategy had asked
# about before belongs to it all the same: else the sample would be short of hard clips.


class AccuracyEstimate(NamedTuple):
    """An accuracy with its interval.

    Attributes
    ----------
    n_right, n : int
        Number of correct predictions, and of clips.
    accuracy : float
        0 to 1; NaN without clips.
    low, high : float
        Wilson's 95 % interval; clips of one recording are right or wrong together
        (:func:`semisonic.evaluation.statistics.wilson_by_group`).
    n_recordings : int
    """

    n_right: int
    n: int
    accuracy: float
    low: float
    high: float
    n_recordings: int

    @classmethod
    def of(cls, right: Sequence[bool], groups: Sequence[str]) -> AccuracyEstimate:
        """Estimate from answers and their recordings; unknown without clips."""
        n, n_right = len(right), sum(right)
        if not n:
            return cls(0, 0, float("nan"), 0.0, 1.0, 0)
        return cls(n_right, n, n_right / n, *wilson_by_group(right, groups), len(set(groups)))

    def __str__(self) -> str:
        if not self.n:
            return "unknown"
        of = (
            f", from {count_text(self.n_recordings, 'recording')}"
            if self.n_recordings < self.n
            else ""
        )
        return (
            f"{100 * self.accuracy:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f} %, "
            f"{self.n_right} of {self.n}{of})"
        )


def random_sample(
    answers: Iterable[LabelEntry], root: Path, seed: int = 0
) -> frozenset[SegmentKey]:
    """The segments whose answers are a random sample of the pool.

    These are all answered segments up to the last random one in the random order: some were drawn
    at random, some were asked about for another reason.

    Parameters
    ----------
    answers : iterable of LabelEntry
        See :meth:`semisonic.LabelLog.answers`.
    root : Path
        The folder of the recordings.
    seed : int
        Seed of the queues.
    """
    asked = [
        (random_key(os.path.abspath(root / one.file), one.start_time, one.end_time, seed), one)
        for one in answers
        if one.source.startswith(SOURCE)
    ]
    last = max((key for key, one in asked if one.source == SOURCE + RANDOM), default=-1)
    return frozenset(one.key for key, one in asked if key <= last)


def accuracy_by_random(
    log: LabelLog, judged: Mapping[SegmentKey, tuple[bool, str]], *, seed: int = 0
) -> AccuracyEstimate:
    """Accuracy over the random sample of a log, with an interval over recordings.

    Parameters
    ----------
    log : LabelLog
    judged : mapping of segment key to (bool, str)
        Whether a classifier not trained on the answer is right, and the recording. Segments that
        are missing here, or without one verified answer, do not count.
    seed : int
        Seed of the queues.
    """
    clips = log.current().clips()
    known = random_sample(log.answers(), log.root, seed) & judged.keys()
    counted = [judged[key] for key in _keys(clips[clips.is_verified]) if key in known]
    return AccuracyEstimate.of([right for right, _ in counted], [group for _, group in counted])


def _keys(clips: Clips) -> list[SegmentKey]:
    columns = clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist()
    return [segment_key(*cells) for cells in zip(*columns, strict=True)]


@dataclass(frozen=True)
class LearningRound:
    """The result of one training.

    Attributes
    ----------
    time : str
        Its start: ISO 8601, UTC.
    n_answers, n_classes : int
        Numbers of labelled segments and of classes, without "background".
    several_labels : bool
        Whether a clip could have several labels; accuracies with and without this are not
        comparable.
    by_random : AccuracyEstimate
        Accuracy over the random sample, the unbiased one; unknown without a sample.
    left_out : AccuracyEstimate
        Accuracy over all answers, each by a classifier trained on other recordings. Answers are
        mostly about hard segments, so this is lower than on the pool.
    seconds : float
        Duration of training and measuring.
    state : str
        A hash of answers, index and options.
    notes : tuple of str
        Remarks on the numbers.
    counts : dict of str to int
        Number of segments of each class.
    model : Path
        The file of the classifier.
    """

    time: str
    n_answers: int
    n_classes: int
    several_labels: bool
    by_random: AccuracyEstimate
    left_out: AccuracyEstimate
    seconds: float
    state: str
    notes: tuple[str, ...]
    counts: dict[str, int]
    model: Path

    def summary(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{name} {n}" for name, n in self.counts.items())
        lines = [
            f"learned from {count_text(self.n_answers, 'answer')} of "
            f"{count_text(len(self.counts), 'class', 'classes')} in {self.seconds:.1f} s: {counts}",
            f"accuracy on segments drawn at random: {self.by_random}",
            f"accuracy on all answers, each left out in turn: {self.left_out}",
            *self.notes,
            f"model: {self.model}",
        ]
        return "\n".join(lines)

    def row(self) -> dict[str, Any]:
        """The row of the history."""
        row = {name: getattr(self, name) for name in _PLAIN}
        for name, prefix in _PREFIXES.items():
            estimate: AccuracyEstimate = getattr(self, name)
            row |= {prefix + field: value for field, value in estimate._asdict().items()}
        return {**row, "notes": NOTE_SEPARATOR.join(self.notes)}


_PLAIN = ("time", "n_answers", "n_classes", "several_labels", "seconds", "state")
_PREFIXES = {"by_random": "random_", "left_out": "left_out_"}


def estimates_of(row: Mapping[str, Any]) -> dict[str, AccuracyEstimate]:
    """Both accuracies of a row of the history, by their names in :class:`LearningRound`."""
    fields = AccuracyEstimate._fields
    return {
        name: AccuracyEstimate(**{field: row[prefix + field] for field in fields})
        for name, prefix in _PREFIXES.items()
    }


def read_history(folder: Path) -> pd.DataFrame:
    """The rounds so far, one row each, oldest first; empty without a history.

    The columns ``random_n_right`` and so on are those of the accuracy over the random sample,
    ``left_out_n_right`` and so on those over all answers: see :class:`AccuracyEstimate`.

    Raises
    ------
    DataError
        When the file is not a history.
    """
    import pandas as pd

    path = folder / HISTORY
    estimates = (p + name for p in _PREFIXES.values() for name in AccuracyEstimate._fields)
    columns = [*_PLAIN, *estimates, "notes"]
    if not path.exists():
        return pd.DataFrame(columns=columns)
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(("time", "state", "notes"), str))
        return frame[columns].fillna({"notes": ""})
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as the history of a project ({error})") from error


def learn_round(
    log: LabelLog,
    index: EmbeddingIndex,
    folder: str | PathLike[str],
    *,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> LearningRound:
    """Train on all valid answers; write the classifier and a row of the history.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
        Vectors of the pool, from a frozen encoder.
    folder : path
        Folder for ``model.zip`` and ``history.csv``, and for ``predictions.csv`` if the vectors
        were made elsewhere.
    seed : int
        Seed of the queues, which identifies their random parts.
    several_labels : bool
        Whether a clip may carry several labels at once. If not, segments with several answered
        labels are left out, and a note gives their number.
    tell : callable, optional
        Is told how many parts of so many are done.

    Returns
    -------
    LearningRound

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    ModelError
        When the file of the encoder is missing.
    """
    import pandas as pd

    began, time_utc = time.perf_counter(), now()
    place = Path(folder)
    labelled, matched, notes = label_index(log, index, several_labels=several_labels)
    encoder = index.embedder()
    logits, is_known = score_out_of_fold(index, labelled, matched.rows, seed=seed, tell=tell)
    pool = np.setdiff1d(np.arange(len(index)), matched.rows)
    probe = learn_probe(index.vectors, labelled, pool, seed=seed)
    model = classifier_from(probe, encoder.network, multi_label=several_labels)
    usable = labelled.is_verified & is_known
    if usable.sum() >= FEWEST_CALIBRATED:
        target = labelled.targets.astype(np.int64)
        calibration = fit_calibration(
            TEMPERATURE,
            logits[usable],
            (target if several_labels else target.argmax(axis=1))[usable],
        )
        note = {"fitted on": "answers, each left out in turn", "clips": int(usable.sum())}
        model.decision = Decision(calibration, note=note)
    else:
        notes.append(
            f"scores are not calibrated: this needs {FEWEST_CALIBRATED} answers whose classes "
            "occur in other recordings, too"
        )
    rules = None
    if not index.is_elsewhere:
        rules = fit_rules(model, index, labelled, logits, probe, seed=seed)
    if index.is_elsewhere:
        notes.append(
            "the vectors were made elsewhere, so the classifier cannot name other sounds; "
            f"{PREDICTIONS} has its predictions for all segments"
        )
    elif rules is None:
        notes.append(
            "silence and noise get the name of a class, too: a rule against this needs "
            f"{LEAST_KNOWN} answers that name a sound, from two recordings"
        )
    model.decision = replace(model.decision, unknown=rules)
    once = [name for name, n in labelled.counts.items() if n < 2]
    if once:
        names = ", ".join(once)
        notes.append(f"classes with one answer, which counts as wrong when left out: {names}")
    right, is_judged = judged_right(logits, labelled, several_labels)
    # By the segments that the log speaks of, as it names them.
    keys = _keys(matched.answers)
    place_of = {row: i for i, row in enumerate(labelled.rows.tolist())}
    judged = {
        keys[number]: (bool(right[i]), str(labelled.group[i]))
        for row, its in zip(matched.rows.tolist(), matched.of_row, strict=True)
        for number in its
        if (i := place_of.get(row)) is not None and is_judged[i]
    }
    by_random = accuracy_by_random(log, judged, seed=seed)
    if not by_random.n:
        notes.append(
            "no segment drawn at random is answered yet, so the accuracy on other sounds is "
            "unknown: the segments answered so far may be easier or harder"
        )
    measured = is_judged & labelled.is_verified
    place.mkdir(parents=True, exist_ok=True)
    _save(place / MODEL, model, index.clips[labelled.rows], index, encoder, seed)
    if index.is_elsewhere:
        write_frame(place / PREDICTIONS, segment_predictions(model, index))
    ids = sorted(entry.id for entry in log.answers())
    made = LearningRound(
        time=time_utc,
        n_answers=len(labelled),
        n_classes=len({*labelled.classes} - {BACKGROUND}),
        several_labels=several_labels,
        by_random=by_random,
        left_out=AccuracyEstimate.of(right[measured].tolist(), labelled.group[measured].tolist()),
        seconds=time.perf_counter() - began,
        state=digest(*ids, index.about["model"]["hash"], len(index), seed, several_labels),
        notes=tuple(notes),
        counts=labelled.counts,
        model=place / MODEL,
    )
    history = read_history(place).to_dict("records")
    if history and history[-1]["state"] == made.state:
        del history[-1]
    write_frame(place / HISTORY, pd.DataFrame([*history, made.row()]))
    return made


def segment_predictions(model: SoundModel, index: EmbeddingIndex) -> pd.DataFrame:
    """The best class of each segment of an index, from the vectors of the classifier.

    Returns
    -------
    DataFrame
        ``file`` (absolute), ``start_time``, ``end_time``, ``label`` and ``score``, 0 to 1.
    """
    import pandas as pd

    scores, clips = score_vectors(model, index.vectors), index.clips
    best = scores.argmax(axis=1)
    columns = {
        "file": [os.path.abspath(path) for path in clips.paths],
        "start_time": clips.start_time,
        "end_time": clips.end_time,
        "label": [model.classes[k] for k in best.tolist()],
        "score": scores[np.arange(len(best)), best].round(4),
    }
    return pd.DataFrame(columns)


def judged_right(
    logits: NDArray[np.float64], labelled: LabelledRows, several_labels: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers are predicted correctly, and which are judged at all, both of shape (n,).

    Parameters
    ----------
    logits : ndarray, shape (n, n_classes)
        See :func:`semisonic.labeling.probe.score_out_of_fold`.
    labelled : LabelledRows
    several_labels : bool
        Whether every label of a row must be right, or only the most likely one.
    """
    said = logits > 0 if several_labels else np.eye(len(labelled.classes))[logits.argmax(axis=1)]
    return (said == labelled.targets).all(axis=1), np.isfinite(logits.sum(axis=1))


def _save(
    path: Path, model: SoundModel, clips: Clips, index: EmbeddingIndex, encoder: Embedder, seed: int
) -> None:
    """Write the classifier with its provenance and that of its encoder."""
    known = recording_hashes(clips), recording_prints(clips)
    parts: dict[str, Any] = {"training": DataPart.of(clips, *known).to_dict()}
    if encoder.file is not None:
        encoder_about = read_about(encoder.file)["about"]
        parts = chained(parts, encoder_about)
        if published_in(encoder_about):
            parts[PUBLISHED_WEIGHTS] = dict(published_in(encoder_about))
    about = {
        **stamp("project learn"),
        "seed": seed,
        "method": PROBE,
        INDEX_OF: index.about["model"]["hash"],
        **parts,
    }
    save(path, model, about=about)
