"""Rounds of a project: from answers to a classifier, with an estimate of its accuracy each time.

Nothing is embedded anew, so a round takes about a second. All that is written is either whole or
not there, and depends on log and index alone: after a kill the same call does the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.calibration import fit_calibration
from semisonic.classifier.config import PROBE
from semisonic.classifier.model_file import MODEL
from semisonic.classifier.provenance import DataPart, chained, recording_hashes
from semisonic.classifier.run_files import stamp
from semisonic.core.errors import DataError
from semisonic.core.files import digest, read_csv, write_csv
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.events import SegmentKey, segment_key
from semisonic.data.label_log import LabelEntry
from semisonic.evaluation.intervals import wilson_by_group
from semisonic.labeling.answers import LabelledRows, label_index
from semisonic.labeling.embedder import Embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.probe import Tell, classifier_from, learn_probe, score_out_of_fold
from semisonic.labeling.queue import RANDOM, SOURCE
from semisonic.labeling.sampling import random_key
from semisonic.labeling.suggest import INDEX_OF
from semisonic.models.decision import TEMPERATURE, Decision
from semisonic.models.model_file import PUBLISHED_WEIGHTS, published_in, read_about, save
from semisonic.models.sound_model import SoundModel

FEWEST_CALIBRATED = 20
"""Answers from which on scores are calibrated by those of classifiers that did not learn them."""

# How good the classifier is, from answers alone: an honest number needs clips drawn at random.
#
# Answers that a strategy chose are the hard ones, so accuracy on them says little. The random parts
# of all queues together are one sample of the pool, taken in one random order
# (:func:`semisonic.labeling.sampling.random_key`). A clip of that sample that a strategy had asked
# about before belongs to it all the same: else the sample would be short of hard clips.


@dataclass(frozen=True)
class AccuracyEstimate:
    """An accuracy, and how sure it is.

    Attributes
    ----------
    n_right, n : int
        Right predictions of so many clips.
    accuracy : float
        0 to 1; NaN without clips.
    low, high : float
        Wilson's 95 % interval; clips of one recording are right or wrong together
        (:func:`semisonic.evaluation.intervals.wilson_by_group`).
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
        """From answers, and the recording of each; nothing is claimed of no clips."""
        n, n_right = len(right), sum(right)
        if not n:
            return cls(0, 0, float("nan"), 0.0, 1.0, 0)
        ends = wilson_by_group(right, groups)
        return cls(n_right, n, n_right / n, *ends, len(set(groups)))

    def __str__(self) -> str:
        if not self.n:
            return "unknown"
        of = f", of {self.n_recordings} recordings" if self.n_recordings < self.n else ""
        return (
            f"{100 * self.accuracy:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f} %, "
            f"{self.n_right} of {self.n}{of})"
        )


def random_sample(
    answers: Iterable[LabelEntry], root: Path, seed: int = 0
) -> frozenset[SegmentKey]:
    """The segments that answers make a sample of the pool at random.

    All segments of queues that come before the last random one in the random order: some
    were asked at random, some for another reason.

    Parameters
    ----------
    answers : iterable of LabelEntry
        See :meth:`semisonic.LabelLog.answers`.
    root : Path
        The folder of the recordings.
    seed : int
        That of the queues.
    """
    base = os.path.abspath(root)
    asked = []
    for one in answers:
        if one.source.startswith(SOURCE):
            path = os.path.normpath(os.path.join(base, one.file))
            asked.append((random_key(path, one.start_time, one.end_time, seed), one))
    last = max((key for key, one in asked if one.source == SOURCE + RANDOM), default=-1)
    return frozenset(one.key for key, one in asked if key <= last)


def accuracy_by_random(
    log: LabelLog,
    predicted: Mapping[SegmentKey, tuple[str, ...]],
    *,
    groups: Mapping[SegmentKey, str] | None = None,
    seed: int = 0,
) -> AccuracyEstimate:
    """Accuracy over the random sample of a log, with an interval over recordings.

    Parameters
    ----------
    log : LabelLog
    predicted : mapping of segment key to labels
        What a classifier that has not learned the answer says; a segment without a prediction,
        or without one verified answer, does not count. With several labels per clip all of them
        must be right.
    groups : mapping of segment key to str, optional
        The recording of each, where an index knows it; else each file is one.
    seed : int
        That of the queues.
    """
    sample = random_sample(log.answers(), log.root, seed)
    clips = log.current().clips()
    right: list[bool] = []
    recordings: list[str] = []
    for row, key in enumerate(_keys(clips)):
        if clips.is_verified[row] and key in sample and key in predicted:
            right.append(set(predicted[key]) == set(clips.labels[row]))
            recordings.append((groups or {}).get(key, str(clips.group[row])))
    return AccuracyEstimate.of(right, recordings)


def _keys(clips: Clips) -> list[SegmentKey]:
    columns = clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist()
    return [segment_key(*cells) for cells in zip(*columns, strict=True)]


# The learning curve of a project: a row each time that it learned.


HISTORY = "history.csv"
_BETWEEN = " | "
_ESTIMATES = {"by_random": "random_", "left_out": "left_out_"}


@dataclass(frozen=True)
class HistoryRow:
    """One training.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    n_answers, n_classes : int
        Labelled segments and their classes.
    several_labels : bool
        Whether a clip could carry several; the accuracies of rows where it could and of rows
        where it could not do not compare.
    by_random : AccuracyEstimate
        Accuracy over the random sample: the number to believe; of no clips without one.
    left_out : AccuracyEstimate
        Accuracy over all answers, each by a classifier that learned from other recordings. The
        answers are mostly the hard ones, so this is below what the pool would show.
    seconds : float
        Of the training and its measuring.
    state : str
        What was learned from: a hash of answers, index and options.
    notes : tuple of str
        What has to be said beside the numbers.
    """

    time: str
    n_answers: int
    n_classes: int
    several_labels: bool
    by_random: AccuracyEstimate
    left_out: AccuracyEstimate
    seconds: float
    state: str
    notes: tuple[str, ...] = ()

    def cells(self) -> dict[str, object]:
        """The row of the table, by column."""
        found: dict[str, Any] = asdict(self) | {
            "several_labels": "yes" if self.several_labels else "no",
            "seconds": f"{self.seconds:.2f}",
            "notes": _BETWEEN.join(self.notes),
        }
        for name, prefix in _ESTIMATES.items():
            for key, value in found.pop(name).items():
                found[prefix + key] = value if isinstance(value, int) else f"{value:.4f}"
        return found

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> HistoryRow:
        """Read what :meth:`cells` gave; KeyError or ValueError when it is something else."""
        return cls(
            time=cells["time"],
            n_answers=int(cells["n_answers"]),
            n_classes=int(cells["n_classes"]),
            several_labels=cells["several_labels"] == "yes",
            seconds=float(cells["seconds"]),
            state=cells["state"],
            notes=tuple(filter(None, cells["notes"].split(_BETWEEN))),
            **{name: _estimate(cells, prefix) for name, prefix in _ESTIMATES.items()},
        )


def _estimate(cells: Mapping[str, str], prefix: str) -> AccuracyEstimate:
    kinds: dict[str, Any] = {"n_right": int, "n": int, "n_recordings": int}
    names = AccuracyEstimate.__dataclass_fields__
    return AccuracyEstimate(
        **{name: kinds.get(name, float)(cells[prefix + name]) for name in names}
    )


def read_history(folder: Path) -> tuple[HistoryRow, ...]:
    """The rows so far, oldest first; none without a history.

    Raises
    ------
    DataError
        When the file is none.
    """
    path = folder / HISTORY
    rows = []
    for number, cells in enumerate(read_csv(path) if path.exists() else [], start=2):
        try:
            rows.append(HistoryRow.from_cells(cells))
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}, row {number}: not a step of a history ({error})") from error
    return tuple(rows)


# A round.


@dataclass(frozen=True)
class LearningRound:
    """What one training gave.

    Attributes
    ----------
    model : Path
        The classifier's file.
    known : LabelledRows
        What was learned from.
    row : HistoryRow
        What was measured, and what has to be said beside it: the last row of the history.
    """

    model: Path
    known: LabelledRows
    row: HistoryRow

    def summary(self) -> str:
        """For a terminal."""
        row = self.row
        counts = ", ".join(f"{name} {n}" for name, n in self.known.counts.items())
        lines = [
            f"learned from {count_text(row.n_answers, 'answer')} of "
            f"{count_text(row.n_classes, 'class', 'classes')} in {row.seconds:.1f} s: {counts}",
            f"accuracy on segments drawn at random: {row.by_random}",
            f"accuracy on all answers, each left out in turn: {row.left_out}",
            *row.notes,
            f"model: {self.model}",
        ]
        return "\n".join(lines)


def learn_round(
    log: LabelLog,
    index: EmbeddingIndex,
    folder: str | PathLike[str],
    *,
    embedder: Embedder | None = None,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> LearningRound:
    """Learn from all answers that hold now; write the classifier and a row of the history.

    Parameters
    ----------
    log : LabelLog
    index : EmbeddingIndex
        Vectors of the pool, by an encoder that stays as it is.
    folder : path
        Gets ``model.zip`` and ``history.csv``.
    embedder : Embedder, optional
        The encoder, if it is at hand; else the index knows its file.
    seed : int
        That of the queues, so that their random parts are known.
    several_labels : bool
        Whether a clip may carry several labels at once. With one, segments of which answers name
        several are left out, and a note says how many.
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
        When the encoder's file is gone.
    """
    began = time.perf_counter()
    place = Path(folder)
    labelled, matched, notes = label_index(log, index, several_labels=several_labels)
    encoder = embedder or index.embedder()
    logits, is_known = score_out_of_fold(index, labelled, matched.rows, seed=seed, tell=tell)
    pool = np.setdiff1d(np.arange(len(index)), matched.rows)
    probe = learn_probe(index.vectors, labelled, pool, seed=seed)
    model = classifier_from(probe, encoder.network, multi_label=several_labels)
    usable = labelled.is_verified & is_known
    if usable.sum() >= FEWEST_CALIBRATED:
        model.decision = _calibrated(labelled[usable], logits[usable])
    predicted = _predicted(labelled, logits)
    # By the segments that the log speaks of, as it names them.
    keys, row_of = _keys(matched.answers), {row: i for i, row in enumerate(labelled.rows.tolist())}
    of_key = {
        keys[number]: row_of[row]
        for row, its in zip(matched.rows.tolist(), matched.of_row, strict=True)
        for number in its
        if row in row_of
    }
    by_random = accuracy_by_random(
        log,
        {key: said for key, i in of_key.items() if (said := predicted[i]) is not None},
        groups={key: str(labelled.group[i]) for key, i in of_key.items()},
        seed=seed,
    )
    judged = [i for i in np.flatnonzero(labelled.is_verified) if predicted[i] is not None]
    truth = [{labelled.classes[k] for k in np.flatnonzero(labelled.targets[i])} for i in judged]
    right = [set(predicted[i] or ()) == names for i, names in zip(judged, truth, strict=True)]
    place.mkdir(parents=True, exist_ok=True)
    _save(place / MODEL, model, index.clips[labelled.rows], index, encoder, seed)
    ids = sorted(entry.id for entry in log.answers())
    row = HistoryRow(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        n_answers=len(labelled),
        n_classes=len(labelled.classes),
        several_labels=several_labels,
        by_random=by_random,
        left_out=AccuracyEstimate.of(right, labelled.group[judged].tolist()),
        seconds=time.perf_counter() - began,
        state=digest(*ids, index.about["model"]["hash"], len(index), seed, several_labels),
        notes=(*notes, *_notes(labelled, model)),
    )
    before = read_history(place)
    if before and before[-1].state == row.state:
        before = before[:-1]
    cells = [one.cells() for one in (*before, row)]
    write_csv(place / HISTORY, list(cells[0]), (one.values() for one in cells))
    return LearningRound(place / MODEL, labelled, row)


def _calibrated(labelled: LabelledRows, logits: NDArray[np.float64]) -> Decision:
    """A temperature from scores of answers that were left out."""
    several = labelled.multi_label
    target = labelled.targets.astype(np.int64) if several else labelled.targets.argmax(axis=1)
    found = fit_calibration(TEMPERATURE, logits, target)
    return Decision(
        found, note={"fitted on": "answers, each left out in turn", "clips": len(labelled)}
    )


def _predicted(labelled: LabelledRows, logits: NDArray[np.float64]) -> list[tuple[str, ...] | None]:
    """What classifiers that had not learned a row say of it; None where there was none."""
    found: list[tuple[str, ...] | None] = []
    for row in logits:
        best = np.flatnonzero(row > 0) if labelled.multi_label else [int(row.argmax())]
        names = tuple(labelled.classes[k] for k in best)
        found.append(names if np.isfinite(row).all() else None)
    return found


def _save(
    path: Path, model: SoundModel, clips: Clips, index: EmbeddingIndex, encoder: Embedder, seed: int
) -> None:
    """Write the classifier with what it was made from, its encoder's making included."""
    parts: dict[str, Any] = {"training": DataPart.of(clips, recording_hashes(clips)).to_dict()}
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


def _notes(labelled: LabelledRows, model: SoundModel) -> Iterator[str]:
    once = [name for name, n in labelled.counts.items() if n < 2]
    if once:
        names = ", ".join(once)
        yield f"classes with one answer, which counts as wrong when it is left out: {names}"
    if model.decision.is_empty:
        yield (
            f"scores are not calibrated: that takes {FEWEST_CALIBRATED} answers, of classes that "
            "other recordings have, too"
        )
