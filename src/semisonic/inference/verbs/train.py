"""``train``: a classifier from labelled clips, with or without pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semisonic import evaluation
from semisonic.base.files import write_json
from semisonic.base.options import check
from semisonic.data.clips import Clips
from semisonic.data.join import join
from semisonic.evaluation.wording import percent
from semisonic.features import MelOptions
from semisonic.inference.datasets import load_data
from semisonic.inference.learn import HELD_OUT_SHARE
from semisonic.inference.methods.advice import AUTO, NO_OBJECTIVE
from semisonic.inference.methods.options import PROBE, NoisyOptions, check_noisy
from semisonic.inference.modelfile import ENCODER, MODEL
from semisonic.inference.networks import check_network, network_of
from semisonic.inference.options import TrainOptions
from semisonic.inference.prepare import Failures, Prepared, without_silence
from semisonic.inference.pretraining import (
    PretrainOutcome,
    PretrainSettings,
    hold_out_recordings,
    pretrain_encoder,
)
from semisonic.inference.provenance import Part
from semisonic.inference.scoring import score_rows
from semisonic.inference.selection import Selection, check_classes, targets_of
from semisonic.inference.tables import write_csv
from semisonic.inference.training import TrainOutcome, TrainSettings, train_model
from semisonic.inference.verbs.choosing import choose, select_for
from semisonic.inference.verbs.figures import write_curves
from semisonic.inference.verbs.noisy import noisy_of, parts_of
from semisonic.inference.verbs.pool import pool_of
from semisonic.inference.verbs.pretrain import check_objective, numbers_of, save_pretrained
from semisonic.inference.verbs.runs import (
    about,
    open_run,
    plain,
    prepare_in,
    record_data,
    unreadable,
)
from semisonic.inference.verbs.starting import (
    standardize_of,
    start_of,
    starting_note,
    with_start,
)
from semisonic.models import PretrainedEncoder, save
from semisonic.training import RunFolder


@dataclass(frozen=True)
class TrainResult:
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

    def summary(self) -> str:
        """For a terminal."""
        o = self.outcome
        probed = self.method == PROBE
        how = (
            f"a linear layer in {len(o.history)} rounds, the encoder stays as it is"
            if probed
            else f"best of {len(o.history)} epochs is {o.best_epoch}"
        )
        lines = [
            f"trained '{o.model.name}' on {self.n_train} clips of "
            f"{len(o.model.classes)} classes, {self.n_held_out} for validation: {how}, "
            f"{o.seconds:.0f} s, {o.fit.precision}"
        ]
        if self.metrics:
            flatters = "" if probed else " (it chose the epoch, so it flatters)"
            lines.append(f"validation{flatters}: {headline(self.metrics)}")
        elif not probed:
            lines.append("no validation clips: all epochs were run and the last weights kept")
        if len(self.selection.test):
            lines.append(
                f"{len(self.selection.test)} clips of the test fold took no part: score them "
                "with evaluate --fold"
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
    check(options)
    if options.objective != AUTO:
        check_objective(options)
    if options.encoder is None:
        check_network(options.model, options.mel)
    clips = load_data(options.data, options.labels, options.group, "train")
    chosen = select_for(options, clips)
    parts_of(options, clips, chosen)
    with open_run("train", options) as run:
        write_budget(run.path("budget.csv"), clips, chosen)
        table = clips[chosen.used]
        clean = pool_of(options, clips, chosen)
        pool = clean.clips if clean is not None else None
        options, because = choose(options, clips, chosen, len(pool) if pool is not None else 0)
        notes = (*([because] if because else []), *(clean.notes() if clean is not None else ()))
        check_objective(options)
        notes += starting_note(options.encoder)
        if noisy_of(options) is not None:
            check_noisy(options.method)
        start = start_of(options, run)
        name, mel = network_of(options.model, options.mel, start)
        parts = _parts(run, options, clips, chosen, pool)
        joined = table if pool is None else join(table, pool, clips.name)
        prepared = prepare_in(run, joined, mel, options)
        heard = prepared.rows_of(
            np.setdiff1d(np.arange(len(joined)), np.searchsorted(chosen.used, chosen.validation))
        )
        heard, silence = without_silence(prepared, heard, len(table))
        notes += silence
        pretrained = None
        if options.objective != NO_OBJECTIVE:
            pretrained = _pretrain(options, run, prepared, heard, mel, start, parts)
            start = pretrained.network
        rows_train = prepared.rows_of(np.searchsorted(chosen.used, chosen.train))
        rows_held = prepared.rows_of(np.searchsorted(chosen.used, chosen.validation))
        check_classes(prepared.clips, rows_train)
        target = targets_of(prepared.clips, multi_label=clips.is_multi_label)
        rows_train, rows_noisy = (
            prepared.rows_of(np.searchsorted(chosen.used, rows))
            for rows in parts_of(options, clips, chosen)
        )
        outcome = train_model(
            prepared.features,
            target,
            rows_train,
            rows_held,
            TrainSettings(
                name, options.standardize, options.dropout, options.label_smoothing,
                options.method, options.how, options.loss, options.fit,
                noisy_of(options) or NoisyOptions(),
            ),
            mel=mel,
            classes=clips.classes,
            seed=options.seed,
            device=options.device,
            folder=run.path("training"),
            start=start,
            rows_pool=heard if pool is not None else (),
            rows_noisy=rows_noisy,
        )  # fmt: skip
        metrics = validate(run, outcome, prepared, table, rows_held)
        save(
            run.path(MODEL),
            outcome.model,
            about=about("train", options, **parts, measured=_prefixed(metrics)),
        )
        run.note(best_epoch=outcome.best_epoch, epochs=len(outcome.history), **_prefixed(metrics))
        run.note(method=options.method, encoder=str(options.encoder or ""))
        if notes:
            run.note(notes=list(notes))
        write_curves(run.folder, outcome.history, "Training")
    return TrainResult(
        outcome, pretrained, run.folder / MODEL, chosen, metrics, prepared.failures,
        prepared.n_clips(np.concatenate([rows_train, rows_noisy])), prepared.n_clips(rows_held),
        prepared.remarks, notes,
        options.method,
    )  # fmt: skip


def write_budget(path: Path, clips: Clips, chosen: Selection) -> None:
    """Publish which labels were used, and for what."""
    part = dict.fromkeys(chosen.train.tolist(), "train")
    part.update(dict.fromkeys(chosen.validation.tolist(), "validation"))
    ids = clips.ids
    rows = [
        [ids[row], ";".join(clips.labels[row]), clips.group[row], clips.fold[row], part[row]]
        for row in chosen.used.tolist()
    ]
    write_csv(path, ["clip", "label", "group", "fold", "part"], rows)


def validate(
    run: RunFolder, outcome: TrainOutcome, prepared: Prepared, table: Clips, rows: Any
) -> dict[str, Any]:
    """Score the validation clips once more, each by the mean of its windows; write both files.

    ``metrics.json`` holds the numbers, ``validation.csv`` a row a clip.
    """
    if not len(rows):
        return {}
    scores, owner = prepared.per_clip(score_rows(outcome.model, prepared.features, rows), rows)
    clips = table[owner]
    target = clips.targets() if outcome.model.multi_label else clips.target()
    metrics = evaluation.summary(target, scores, outcome.model.classes)
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
    """The main numbers of a summary in one line."""
    main = ("accuracy", "balanced_accuracy", "macro_f1", "lwlrap", "mean_average_precision")
    found = short(metrics)
    return ", ".join(f"{n.replace('_', ' ')} {percent(found[n])}" for n in main if n in found)


def _prefixed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers as they stand in records, where they must not pass for test results."""
    return {f"validation_{name}": value for name, value in short(metrics).items()}


def _parts(
    run: RunFolder, options: TrainOptions, clips: Clips, chosen: Selection, pool: Clips | None
) -> dict[str, Any]:
    """Who took which part in the making of the model, for its file; data go into the record."""
    hashes = record_data(run, clips[chosen.used], options.workers)
    parts = {
        "training": Part.of(clips[chosen.train], hashes).to_dict(),
        "validation": Part.of(clips[chosen.validation], hashes).to_dict(),
    }
    if pool is not None:
        pool_hashes = record_data(run, pool, options.workers, "pool")
        parts["pretraining"] = Part.of(pool, pool_hashes).to_dict()
    return with_start(parts, options.encoder, run)


def _pretrain(
    options: TrainOptions,
    run: RunFolder,
    prepared: Prepared,
    rows: Any,
    mel: MelOptions,
    start: PretrainedEncoder | None,
    parts: Mapping[str, Any],
) -> PretrainOutcome:
    """Pre-train the encoder inside this run and keep its file."""
    share = HELD_OUT_SHARE if options.pretrain.heeds_validation else 0.0
    kept, held = hold_out_recordings(prepared.clips, rows, share, options.seed)
    outcome = pretrain_encoder(
        prepared.features,
        kept,
        held,
        PretrainSettings(
            options.model if start is None else start.name,
            options.decoder,
            standardize_of(options, start),
            options.pretrain,
            options.objective,
            options.pretext,
        ),
        mel=mel,
        seed=options.seed,
        device=options.device,
        folder=run.path("pretraining"),
        start=start,
    )
    save_pretrained(run.path(ENCODER), outcome, about("train", options, **parts))
    run.note(pretraining=numbers_of(outcome))
    return outcome
