"""From answers to a classifier, again and again, with an estimate of its accuracy after each round."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

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
from semisonic.data.events import SegmentKey, segment_key
from semisonic.data.label_log import LabelEntry
from semisonic.evaluation.intervals import wilson_by_group
from semisonic.labeling.answers import LabelledRows, labelled_rows, mixed_note, require_classes
from semisonic.labeling.embedder import Embedder
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.options import LearnOptions
from semisonic.labeling.probe import (
    AnsweredVectors,
    OutOfFoldScores,
    Tell,
    classifier_from,
    learn_probe,
    out_of_fold,
    with_proposals,
)
from semisonic.labeling.queue import RANDOM, SOURCE
from semisonic.labeling.sampling import chance_key
from semisonic.labeling.suggest import INDEX_OF
from semisonic.models.calibration import TEMPERATURE
from semisonic.models.decision import Decision
from semisonic.models.model_file import PUBLISHED_WEIGHTS, published_in, read_about, save
from semisonic.models.sound_model import SoundModel

# How good the classifier is, from answers alone: an honest number needs clips drawn by chance.
#
# Answers that a strategy chose are the hard ones, so accuracy on them says little. The random parts
# of all queues together are one sample of the pool, taken in one order of chance
# (:func:`semisonic.labeling.sampling.chance_key`). A clip of that sample that a strategy had asked
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
    entries: Iterable[LabelEntry], root: Path, seed: int = 0
) -> frozenset[SegmentKey]:
    """The stretches that answers in force make a sample of the pool by chance.

    All stretches of queues that come before the last random one in the order of chance: some
    were asked by chance, some for another reason.

    Parameters
    ----------
    entries : iterable of Entry
        In force: see :func:`semisonic.data.label_log.current_answers`.
    root : Path
        The folder of the recordings.
    seed : int
        That of the queues.
    """
    asked = [entry for entry in entries if entry.source.startswith(SOURCE)]
    base = os.path.abspath(root)
    keys = {
        entry.id: chance_key(
            os.path.normpath(os.path.join(base, entry.file)), entry.start_time, entry.end_time, seed
        )
        for entry in asked
    }
    last = max((keys[entry.id] for entry in asked if entry.source == SOURCE + RANDOM), default=-1)
    return frozenset(
        segment_key(entry.file, entry.start_time, entry.end_time)
        for entry in asked
        if keys[entry.id] <= last
    )


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
    predicted : mapping of stretch to labels
        What a classifier that has not learned the answer says; a stretch without a prediction,
        or without one certain answer, does not count. With several labels per clip all of them must
        be right.
    groups : mapping of stretch to str, optional
        The recording of each, where an index knows it; else each file is one.
    seed : int
        That of the queues.
    """
    known = groups or {}
    sample = random_sample(log.in_force(), log.root, seed)
    clips = log.current().clips()
    right: list[bool] = []
    recordings: list[str] = []
    certain = clips.is_verified
    for row, labels in enumerate(clips.labels):
        key = segment_key(
            str(clips.file[row]), float(clips.start_time[row]), float(clips.end_time[row])
        )
        if certain[row] and key in sample and key in predicted:
            right.append(set(predicted[key]) == set(labels))
            recordings.append(known.get(key, str(clips.group[row])))
    return AccuracyEstimate.of(right, recordings)


# The learning curve of a project: a row each time that it learned.


HISTORY = "history.csv"
_ESTIMATE = tuple(field.name for field in fields(AccuracyEstimate))
_BY_RANDOM, _LEFT_OUT = "by_chance_", "left_out_"
_BETWEEN = " | "


@dataclass(frozen=True)
class HistoryRow:
    """One training.

    Attributes
    ----------
    time : str
        ISO 8601, UTC.
    n_answers, n_classes : int
        Labelled stretches and their classes.
    several_labels : bool
        Whether a clip could carry several; the accuracies of steps where it could and of steps
        where it could not do not compare.
    by_random : Estimate
        Accuracy over the random sample: the number to believe; of no clips without one.
    left_out : Estimate
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


def read_history(folder: Path) -> tuple[HistoryRow, ...]:
    """The steps so far, oldest first; none without a history.

    Raises
    ------
    DataError
        When the file is none.
    """
    path = folder / HISTORY
    if not path.exists():
        return ()
    steps = []
    for number, cells in enumerate(read_csv(path), start=2):
        try:
            steps.append(
                HistoryRow(
                    cells["time"],
                    int(cells["n_answers"]),
                    int(cells["n_classes"]),
                    cells["several_labels"] == "yes",
                    _read_estimate(cells, _BY_RANDOM),
                    _read_estimate(cells, _LEFT_OUT),
                    float(cells["seconds"]),
                    cells["state"],
                    tuple(filter(None, cells["notes"].split(_BETWEEN))),
                )
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}, row {number}: not a step of a history ({error})") from error
    return tuple(steps)


def write_history(folder: Path, steps: Sequence[HistoryRow]) -> Path:
    """Write the whole history, or nothing."""
    rows = [_row(step) for step in steps]
    write_csv(folder / HISTORY, list(rows[0]) if rows else [], [row.values() for row in rows])
    return folder / HISTORY


def _row(step: HistoryRow) -> dict[str, str]:
    return {
        "time": step.time,
        "n_answers": str(step.n_answers),
        "n_classes": str(step.n_classes),
        "several_labels": "yes" if step.several_labels else "no",
        **_cells(step.by_random, _BY_RANDOM),
        **_cells(step.left_out, _LEFT_OUT),
        "seconds": f"{step.seconds:.2f}",
        "state": step.state,
        "notes": _BETWEEN.join(step.notes),
    }


def _cells(found: AccuracyEstimate, prefix: str) -> dict[str, str]:
    values = {name: getattr(found, name) for name in _ESTIMATE}
    return {
        prefix + name: str(value) if isinstance(value, int) else f"{value:.4f}"
        for name, value in values.items()
    }


def _read_estimate(cells: Mapping[str, str], prefix: str) -> AccuracyEstimate:
    n_right, n, n_recordings = (
        int(cells[prefix + name]) for name in ("n_right", "n", "n_recordings")
    )
    accuracy, low, high = (float(cells[prefix + name]) for name in ("accuracy", "low", "high"))
    return AccuracyEstimate(n_right, n, accuracy, low, high, n_recordings)


# From answers to a classifier, again and again: what happens after each round of listening.
#
# Nothing is embedded anew, so a round takes about a second. All that is written is either whole or
# not there, and depends on log and index alone: after a kill the same call does the same.


T = TypeVar("T")

FEWEST_CALIBRATED = 20
"""Answers from which on scores are calibrated by those of classifiers that did not learn them."""


@dataclass(frozen=True)
class LearningRound:
    """What one training gave.

    Attributes
    ----------
    model : Path
        The classifier's file.
    known : Known
        What was learned from.
    step : Step
        The row of the history: what was measured, and what has to be said beside it.
    history : tuple of Step
        All rows, this one the last.
    """

    model: Path
    known: LabelledRows
    step: HistoryRow
    history: tuple[HistoryRow, ...]

    def summary(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{name} {n}" for name, n in self.known.counts.items())
        lines = [
            f"learned from {count_text(self.step.n_answers, 'answer')} of "
            f"{count_text(self.step.n_classes, 'class', 'classes')} in "
            f"{self.step.seconds:.1f} s: {counts}",
            f"accuracy on stretches drawn by chance: {self.step.by_random}",
            f"accuracy on all answers, each left out in turn: {self.step.left_out}",
            *self.step.notes,
            f"model: {self.model}",
        ]
        return "\n".join(lines)


def learn_round(
    log: LabelLog,
    index: EmbeddingIndex,
    folder: str | PathLike[str],
    *,
    options: LearnOptions | None = None,
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
    options : LearnOptions, optional
    embedder : Embedder, optional
        The encoder, if it is at hand; else the index knows its file.
    seed : int
        That of the queues, so that their random parts are known.
    several_labels : bool
        Whether a clip may carry several labels at once. With one, stretches of which answers name
        several are left out, and a note says how many.
    tell : callable, optional
        Is told how many parts of so many are done.

    Raises
    ------
    DataError
        With answers of fewer than two classes.
    ModelError
        When the encoder's file is gone.
    """
    began = time.perf_counter()
    how = options or LearnOptions()
    place = Path(folder)
    known = labelled_rows(log, index, several_labels=several_labels)
    require_classes(known)
    state = _state(log, index, how, seed, several_labels)
    encoder = embedder or index.embedder()
    pool = np.setdiff1d(np.arange(len(index)), known.asked)

    def extend(part: AnsweredVectors) -> AnsweredVectors:
        return with_proposals(part, index.cluster, index.clips.group, known.asked, how)

    held_out = out_of_fold(
        index.vectors,
        known.answered,
        pool,
        index.clips.group,
        extend=extend,
        seed=seed,
        tell=tell,
    )
    extended = extend(known.answered)
    probe = learn_probe(index.vectors, extended, pool, seed=seed)
    model = classifier_from(probe, encoder.network, several=known.answered.several)
    model.decision = _decision(known, held_out)
    predicted = _predicted(known, held_out.logits)
    by_random = accuracy_by_random(
        log,
        _by_stretch(known, predicted),
        groups=_by_stretch(known, known.answered.group.tolist()),
        seed=seed,
    )
    left_out = _estimate(known, predicted)
    place.mkdir(parents=True, exist_ok=True)
    _save(place / MODEL, model, known, index, encoder, how, seed)
    notes = _notes(known, len(extended) - len(known.answered), model)
    step = HistoryRow(
        datetime.now(UTC).isoformat(timespec="seconds"),
        len(known.answered),
        len(known.answered.classes),
        several_labels,
        by_random,
        left_out,
        time.perf_counter() - began,
        state,
        notes,
    )
    history = read_history(place)
    if history and history[-1].state == state:
        history = history[:-1]
    write_history(place, [*history, step])
    return LearningRound(place / MODEL, known, step, (*history, step))


def _state(
    log: LabelLog, index: EmbeddingIndex, how: LearnOptions, seed: int, several_labels: bool
) -> str:
    answers = sorted(entry.id for entry in log.in_force())
    return digest(*answers, index.about["model"]["hash"], len(index), how, seed, several_labels)


def _decision(known: LabelledRows, held_out: OutOfFoldScores) -> Decision:
    """A temperature from scores of answers that were left out, when they are enough."""
    usable = known.certain & held_out.learned
    if usable.sum() < FEWEST_CALIBRATED:
        return Decision()
    hot, several = known.answered.hot[usable], known.answered.several
    target = hot.astype(np.int64) if several else hot.argmax(axis=1)
    found = fit_calibration(TEMPERATURE, held_out.logits[usable], target, multi_label=several)
    return Decision(
        found, note={"fitted on": "answers, each left out in turn", "clips": int(usable.sum())}
    )


def _predicted(known: LabelledRows, held_out: NDArray[np.float64]) -> list[tuple[str, ...] | None]:
    """What classifiers that had not learned a row say of it; None where there was none."""
    classes = known.answered.classes
    found: list[tuple[str, ...] | None] = []
    for row in held_out:
        if not np.isfinite(row).all():
            found.append(None)
        elif known.answered.several:
            found.append(tuple(classes[k] for k in np.flatnonzero(row > 0)))
        else:
            found.append((classes[int(row.argmax())],))
    return found


def _by_stretch(known: LabelledRows, values: Sequence[T | None]) -> dict[SegmentKey, T]:
    """Values of labelled rows by the stretches that the log speaks of, as it names them."""
    rows = dict(zip(known.answered.rows.tolist(), values, strict=True))
    answers = known.answers
    found: dict[SegmentKey, T] = {}
    for row, its in zip(known.asked.tolist(), known.spoken, strict=True):
        value = rows.get(row)
        if value is None:
            continue
        for number in its:
            key = segment_key(
                str(answers.file[number]),
                float(answers.start_time[number]),
                float(answers.end_time[number]),
            )
            found[key] = value
    return found


def _estimate(known: LabelledRows, predicted: list[tuple[str, ...] | None]) -> AccuracyEstimate:
    right: list[bool] = []
    groups: list[str] = []
    classes = known.answered.classes
    for row, guess in enumerate(predicted):
        if guess is None or not known.certain[row]:
            continue
        truth = {classes[k] for k in np.flatnonzero(known.answered.hot[row])}
        right.append(set(guess) == truth)
        groups.append(str(known.answered.group[row]))
    return AccuracyEstimate.of(right, groups)


def _save(
    path: Path,
    model: SoundModel,
    known: LabelledRows,
    index: EmbeddingIndex,
    encoder: Embedder,
    how: LearnOptions,
    seed: int,
) -> None:
    """Write the classifier with what it was made from, its encoder's making included."""
    clips = index.clips[known.answered.rows]
    parts: dict[str, Any] = {"training": DataPart.of(clips, recording_hashes(clips)).to_dict()}
    if encoder.file is not None:
        said = read_about(encoder.file)["about"]
        parts = chained(parts, said)
        if published_in(said):
            parts[PUBLISHED_WEIGHTS] = dict(published_in(said))
    about = {
        **stamp("project learn", how),
        "seed": seed,
        "method": PROBE,
        INDEX_OF: index.about["model"]["hash"],
        **parts,
    }
    save(path, model, about=about)


def _notes(known: LabelledRows, n_proposed: int, model: SoundModel) -> tuple[str, ...]:
    notes: list[str] = []
    if known.n_unmatched:
        notes.append(f"{known.n_unmatched} answers speak of no stretch of the pool")
    notes += filter(None, [mixed_note(known)])
    if n_proposed:
        notes.append(f"{n_proposed} stretches learned as their cluster's answers say")
    once = [name for name, n in known.counts.items() if n < 2]
    if once:
        notes.append(
            f"classes with one answer, which counts as wrong when it is left out: {', '.join(once)}"
        )
    if model.decision.is_empty:
        notes.append(
            f"scores are not calibrated: that takes {FEWEST_CALIBRATED} answers, of classes that "
            "other recordings have, too"
        )
    return tuple(notes)
