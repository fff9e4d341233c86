"""``train``: a classifier from labelled clips, with or without pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic import evaluation
from semisonic.base.files import write_csv, write_json
from semisonic.base.result import Result
from semisonic.base.wording import counted, percent
from semisonic.data.clips import Clips
from semisonic.engines import open_engine
from semisonic.evaluation.share_by_group import wilson_by_group
from semisonic.inference.deciding.after_training import calibrate_by_validation
from semisonic.inference.methods.advice import AUTO
from semisonic.inference.methods.options import FITTED, PROTOTYPE, SOLVED
from semisonic.inference.modelfile import MODEL
from semisonic.inference.options import TrainOptions
from semisonic.inference.prepare import Failures, Prepared
from semisonic.inference.pretraining import PretrainOutcome
from semisonic.inference.scoring import score_rows
from semisonic.inference.selection import Selection
from semisonic.inference.training import TrainOutcome, train_model
from semisonic.inference.verbs.figures import write_curves
from semisonic.inference.verbs.ready import data_of, make_ready
from semisonic.inference.verbs.runs import about, open_run, plain, unreadable
from semisonic.inference.verbs.together import trained
from semisonic.models import save
from semisonic.training import RunFolder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TrainResult(Result):
    """What ``train`` made.

    Attributes
    ----------
    outcome : TrainOutcome
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained in this run.
    model : Path
        The model file.
    selection : Selection
        Rows of the data set that were learnt from and validated on.
    metrics : dict
        Of the validation clips, with the weights of the best epoch; empty without any.
        Where they chose the epoch they flatter: use ``evaluate`` on other clips.
    failures : tuple of (str, str)
    n_train, n_held_out : int
        Clips of these that could be read.
    remarks : tuple of (str, str)
        Clips that were used although they are silent, clipped or the like.
    notes : tuple of str
        What ``auto`` chose, and what was left out of the pool.
    method : str
        How labels and the pool were learned from.
    """

    outcome: TrainOutcome
    pretrained: PretrainOutcome | None
    model: Path
    selection: Selection
    metrics: Mapping[str, Any]
    failures: Failures
    n_train: int
    n_held_out: int
    remarks: Failures = ()
    notes: tuple[str, ...] = ()
    method: str = "supervised"

    def to_frame(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, validation."""
        import pandas as pd

        return pd.DataFrame(self.outcome.history)

    def summary(self) -> str:
        """For a terminal."""
        o = self.outcome
        probed = self.method in SOLVED
        how = f"best of {counted(len(o.history), 'epoch')} is {o.best_epoch}"
        if probed:
            how = (
                f"a linear layer in {counted(len(o.history), 'round')}, the encoder stays as it is"
            )
        if self.method == PROTOTYPE:
            how = "the mean of each class, the encoder stays as it is"
        if self.method == FITTED:
            how = "a simple classifier, fitted to statistics of each clip"
        lines = [
            f"trained '{o.model.name}' on {counted(self.n_train, 'clip')} of "
            f"{len(o.model.classes)} classes, {self.n_held_out} for validation: {how}, "
            f"{o.seconds:.0f} s, {o.fit.precision}"
        ]
        if self.metrics:
            flatters = "" if probed else " (it chose the epoch, so it flatters)"
            lines.append(f"validation{flatters}: {headline(self.metrics)}")
        elif probed:
            lines.append("no validation clips: all labels were learned from, nothing was measured")
        else:
            lines.append("no validation clips: all epochs were run and the last weights kept")
        if len(self.selection.test):
            lines.append(
                f"{counted(len(self.selection.test), 'clip')} of the test fold took no part: "
                "score with evaluate --fold"
            )
        if o.generated is not None:
            n_patches, before = len(o.generated.target), o.generated.fit.seconds
            lines.append(
                f"learned beside {n_patches} patches of a generator, which took {before:.0f} s"
            )
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines.append(f"model: {self.model}")
        return "\n".join(lines)


def train(options: TrainOptions) -> TrainResult:
    """Train a classifier; the same command goes on with an interrupted run.

    The recordings of ``unlabelled`` are learned from without labels, and so are the training
    clips: while training, before it, or not at all, as ``method`` and ``objective`` say.
    Copies of clips of the test fold are left out.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When there are too few labels, or nothing can be read.
    ModelError
        When the encoder's file is damaged or fits neither ``model`` nor ``mel``.
    """
    clips = data_of(options, "train")
    with open_run("train", options) as run, open_engine(options.where) as engine:
        ready = make_ready(options, clips, run, engine)
        options, prepared = ready.options, ready.prepared
        training = partial(
            train_model, prepared.features, ready.target, ready.rows_train, ready.rows_held,
            ready.settings, folder=run.path("training"), **ready.more,
        )  # fmt: skip
        outcome = trained(training, options.where, engine, options.device)
        options = replace(options, method=outcome.method)
        notes = ready.notes + ((outcome.because,) if outcome.because else ())
        if options.calibration == AUTO:
            notes += (
                calibrate_by_validation(
                    outcome.model, prepared, ready.rows_held, ready.table, seed=options.seed
                ),
            )
        metrics = validate(run, outcome, prepared, ready.table, ready.rows_held)
        save(
            run.path(MODEL),
            outcome.model,
            about=about(
                "train",
                options,
                **ready.parts,
                measured=_prefixed(metrics),
                **({"licence": options.licence} if options.licence else {}),
            ),
        )
        run.note(best_epoch=outcome.best_epoch, epochs=len(outcome.history), **_prefixed(metrics))
        run.note(
            method=options.method,
            encoder=str(options.encoder or ""),
            precision=outcome.fit.precision,
        )
        if outcome.generated is not None:
            n_patches = len(outcome.generated.target)
            run.note(generated={"generator": options.generated.generator, "n_patches": n_patches})
        if notes:
            run.note(notes=list(notes))
        write_curves(run.folder, outcome.history, "Training")
    return TrainResult(
        outcome, ready.pretrained, run.folder / MODEL, ready.chosen, metrics, prepared.failures,
        prepared.n_clips(np.concatenate([ready.rows_train, ready.rows_noisy])),
        prepared.n_clips(ready.rows_held), prepared.remarks, notes, options.method,
    )  # fmt: skip


def validate(
    run: RunFolder, outcome: TrainOutcome, prepared: Prepared, table: Clips, rows: Any
) -> dict[str, Any]:
    """Score the validation clips once more, each by the mean of its windows; write both files.

    ``metrics.json`` holds the numbers, ``validation.csv`` a row per clip.
    """
    if not len(rows):
        return {}
    scores, owner = prepared.per_clip(score_rows(outcome.model, prepared.features, rows), rows)
    clips = table[owner]
    target = clips.targets() if outcome.model.multi_label else clips.target()
    metrics = evaluation.summary(target, scores, outcome.model.classes)
    metrics["n_recordings"] = len(set(clips.group.tolist()))
    if not outcome.model.multi_label:
        right = scores.argmax(axis=1) == target
        metrics["accuracy_interval"] = list(wilson_by_group(right, clips.group))
    write_json(run.path("metrics.json"), {"validation": plain(metrics)})
    best = scores.argmax(axis=1)
    write_csv(
        run.path("validation.csv"),
        ["clip", "label", "predicted", "score"],
        [
            [clip, ";".join(labels), outcome.model.classes[k], f"{row[k]:.4f}"]
            for clip, labels, k, row in zip(clips.ids, clips.labels, best, scores, strict=True)
        ],
    )
    return metrics


def short(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary, without its tables."""
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float))}


def headline(metrics: Mapping[str, Any]) -> str:
    """The main numbers of a validation in one line, and of how many clips they are."""
    main = ("accuracy", "balanced_accuracy", "macro_f1", "lwlrap", "mean_average_precision")
    found = short(metrics)
    said = {n: f"{n.replace('_', ' ')} {percent(found[n])}" for n in main if n in found}
    n_clips, n_recordings = int(found["n_clips"]), int(found["n_recordings"])
    of = f"{n_clips} clip{'s' * (n_clips != 1)}"
    if n_recordings < n_clips:
        of += f" of {n_recordings} recording{'s' * (n_recordings != 1)}"
    if "accuracy" in said:
        low, high = metrics["accuracy_interval"]
        n_right = round(found["accuracy"] * n_clips)
        said["accuracy"] += f" ({n_right} of {of}; 95 % interval {percent(low)} to {percent(high)})"
        return ", ".join(said.values())
    return f"{', '.join(said.values())} ({of})"


def _prefixed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers as they stand in records, where they must not pass for test results."""
    return {f"validation_{name}": value for name, value in short(metrics).items()}
