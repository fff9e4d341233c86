"""From answers to a classifier, again and again: what happens after each round of listening.

Nothing is embedded anew, so a round takes about a second. All that is written is either whole or
not there, and depends on log and index alone: after a kill the same call does the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from semisonic.base.calibration import TEMPERATURE
from semisonic.base.files import digest
from semisonic.base.wording import counted
from semisonic.data.standing import Stretch, stretch
from semisonic.inference.deciding.calibrating import fit_calibration
from semisonic.inference.methods.options import PROBE
from semisonic.inference.modelfile import MODEL
from semisonic.inference.provenance import Part, chained, recording_hashes
from semisonic.inference.verbs.runs import stamp
from semisonic.labeling.answered import Known, known_rows, mixed_note, require_classes
from semisonic.labeling.embedder import Embedder
from semisonic.labeling.estimate import Estimate, accuracy_by_random
from semisonic.labeling.history import Step, read_history, write_history
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.kept_probe import (
    Answered,
    LeftOut,
    Tell,
    classifier_from,
    learn_probe,
    out_of_fold,
)
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.learn_options import LearnOptions
from semisonic.labeling.pool import INDEX_OF
from semisonic.labeling.proposals import with_proposals
from semisonic.models import SoundModel, read_about, save
from semisonic.models.decision import Decision
from semisonic.models.saving import PUBLISHED_WEIGHTS, published_in

T = TypeVar("T")

FEWEST_CALIBRATED = 20
"""Answers from which on scores are calibrated by those of classifiers that did not learn them."""


@dataclass(frozen=True)
class Round:
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
    known: Known
    step: Step
    history: tuple[Step, ...]

    def summary(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{name} {n}" for name, n in self.known.counts.items())
        lines = [
            f"learned from {counted(self.step.n_answers, 'answer')} of "
            f"{counted(self.step.n_classes, 'class', 'classes')} in "
            f"{self.step.seconds:.1f} s: {counts}",
            f"accuracy on stretches drawn by chance: {self.step.by_random}",
            f"accuracy on all answers, each left out in turn: {self.step.left_out}",
            *self.step.notes,
            f"model: {self.model}",
        ]
        return "\n".join(lines)


def train_again(
    log: LabelLog,
    index: EmbeddingIndex,
    folder: str | PathLike[str],
    *,
    options: LearnOptions | None = None,
    embedder: Embedder | None = None,
    seed: int = 0,
    several_labels: bool = False,
    tell: Tell | None = None,
) -> Round:
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
    known = known_rows(log, index, several_labels=several_labels)
    require_classes(known)
    state = _state(log, index, how, seed, several_labels)
    encoder = embedder or index.embedder()
    pool = np.setdiff1d(np.arange(len(index)), known.asked)

    def extend(part: Answered) -> Answered:
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
    step = Step(
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
    return Round(place / MODEL, known, step, (*history, step))


def _state(
    log: LabelLog, index: EmbeddingIndex, how: LearnOptions, seed: int, several_labels: bool
) -> str:
    answers = sorted(entry.id for entry in log.in_force())
    return digest(*answers, index.about["model"]["hash"], len(index), how, seed, several_labels)


def _decision(known: Known, held_out: LeftOut) -> Decision:
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


def _predicted(known: Known, held_out: NDArray[np.float64]) -> list[tuple[str, ...] | None]:
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


def _by_stretch(known: Known, values: Sequence[T | None]) -> dict[Stretch, T]:
    """Values of labelled rows by the stretches that the log speaks of, as it names them."""
    rows = dict(zip(known.answered.rows.tolist(), values, strict=True))
    answers = known.answers
    found: dict[Stretch, T] = {}
    for row, its in zip(known.asked.tolist(), known.spoken, strict=True):
        value = rows.get(row)
        if value is None:
            continue
        for number in its:
            key = stretch(
                str(answers.file[number]),
                float(answers.start_time[number]),
                float(answers.end_time[number]),
            )
            found[key] = value
    return found


def _estimate(known: Known, predicted: list[tuple[str, ...] | None]) -> Estimate:
    right: list[bool] = []
    groups: list[str] = []
    classes = known.answered.classes
    for row, guess in enumerate(predicted):
        if guess is None or not known.certain[row]:
            continue
        truth = {classes[k] for k in np.flatnonzero(known.answered.hot[row])}
        right.append(set(guess) == truth)
        groups.append(str(known.answered.group[row]))
    return Estimate.of(right, groups)


def _save(
    path: Path,
    model: SoundModel,
    known: Known,
    index: EmbeddingIndex,
    encoder: Embedder,
    how: LearnOptions,
    seed: int,
) -> None:
    """Write the classifier with what it was made from, its encoder's making included."""
    clips = index.clips[known.answered.rows]
    parts: dict[str, Any] = {"training": Part.of(clips, recording_hashes(clips)).to_dict()}
    if encoder.file is not None:
        said = read_about(encoder.file)["about"]
        parts = chained(parts, said)
        if published_in(said):
            parts[PUBLISHED_WEIGHTS] = dict(published_in(said))
    about = {
        **stamp("project learn", how), "seed": seed, "method": PROBE,
        INDEX_OF: index.about["model"]["hash"], **parts,
    }  # fmt: skip
    save(path, model, about=about)


def _notes(known: Known, n_proposed: int, model: SoundModel) -> tuple[str, ...]:
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
