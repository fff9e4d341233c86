"""``train``: a classifier from labelled clips, with or without pre-training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.calibration import calibrate_by_validation
from semisonic.classifier.config import (
    AUTO,
    FITTED,
    NO_OBJECTIVE,
    PROTOTYPE,
    SOLVED,
    NoisyOptions,
    check_noisy,
)
from semisonic.classifier.learn import HELD_OUT_SHARE
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.options import TrainOptions
from semisonic.classifier.planning import choose, plan_of, select_for
from semisonic.classifier.prepare import Failures, Prepared, in_batch_device, without_silence
from semisonic.classifier.pretrain import check_objective, numbers_of, save_pretrained
from semisonic.classifier.pretraining import (
    PretrainOutcome,
    PretrainSettings,
    hold_out_recordings,
    pretrain_encoder,
)
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.run_files import (
    about,
    cache_of,
    open_run,
    plain,
    prepare_in,
    record_data,
    recordings_in,
    trained,
    unreadable,
    write_curves,
)
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.selection import (
    Selection,
    check_classes,
    load_data,
    noisy_of,
    parts_of,
    pool_of,
    targets_of,
)
from semisonic.classifier.starting_encoder import (
    standardize_of,
    start_of,
    starting_note,
    whole_of,
    with_start,
)
from semisonic.classifier.strategy import check_network, network_of
from semisonic.classifier.training import TrainOutcome, TrainSettings, train_model
from semisonic.core.errors import OptionError
from semisonic.core.files import write_csv, write_json
from semisonic.core.options import check
from semisonic.core.parallel import Engine, open_engine
from semisonic.core.progress import say
from semisonic.core.text import Result, count_text, percent_text
from semisonic.data.checks import CleanPool
from semisonic.data.clips import Clips, join
from semisonic.data.recordings import COPIES
from semisonic.evaluation.intervals import wilson_by_group
from semisonic.evaluation.metrics import summary
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# From the options of ``train`` to all that a network is trained on.


Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingInputs:
    """All that a network is trained on.

    Attributes
    ----------
    options : TrainOptions
        With what ``auto`` chose.
    table : Clips
        The labelled clips that take part.
    prepared : Prepared
        Of these and of the pool behind them.
    target : ndarray
        Class numbers, or a column per class, of all rows of features.
    rows_train, rows_noisy, rows_held : ndarray of int64
        Rows of features to learn from, those of labels that nobody checked apart where an
        option asks for it, and to choose the epoch by.
    settings : TrainSettings
    more : dict
        The rest that :func:`train_model` takes: front end, classes, seed, device, first
        weights, rows of the pool.
    parts : dict
        Who took which part, for the model file.
    pretrained : PretrainOutcome or None
        When the encoder was pre-trained in this run.
    notes : tuple of str
    chosen : Selection
        Rows of the data set: what is learned from, and what is not.
    """

    options: TrainOptions
    table: Clips
    prepared: Prepared
    target: NDArray[Any]
    rows_train: Rows
    rows_noisy: Rows
    rows_held: Rows
    settings: TrainSettings
    more: dict[str, Any]
    parts: dict[str, Any]
    pretrained: PretrainOutcome | None
    notes: tuple[str, ...]
    chosen: Selection


def data_of(options: TrainOptions, command: str) -> Clips:
    """The data set that the options name, when something can be learned from it."""
    check(options)
    if options.objective != AUTO:
        check_objective(options)
    if options.encoder is None:
        check_network(options.model, options.mel)
    clips = load_data(options.data, options.labels, options.group, command, options.table)
    chosen = select_for(options, clips)
    parts_of(options, clips, chosen)  # refused before anything is written
    return clips


def build_inputs(
    options: TrainOptions, clips: Clips, run: RunFolder, engine: Engine
) -> TrainingInputs:
    """Split, decode, choose what is left to ``auto``, pre-train where that is asked for."""
    chosen, said = select_for(options, clips), tuple[str, ...]()
    if len(chosen.validation) or options.labels_per_class or options.group == COPIES:
        together = recordings_in(run, clips, options, near=options.near_copies)
        clips, said = together.clips, together.notes
        chosen = select_for(options, clips)
    write_budget(run.path("budget.csv"), clips, chosen)
    table = clips[chosen.used]
    clean = pool_of(options, clips, chosen)
    pool = clean.clips if clean is not None else None
    options, because = choose(options, clips, chosen, len(pool) if pool is not None else 0)
    for line in plan_of(options, because, clips, chosen, pool).lines():
        say(line)
    of_pool = _of_pool(clean) if clean is not None else []
    notes = (*clips.notes, *said, *([because] if because else []), *of_pool)
    check_objective(options)
    notes += starting_note(options.encoder)
    if noisy_of(options) is not None:
        check_noisy(options.method)
    options.generated.check_for(options.method)
    _check_processes(options)
    start, whole = start_of(options, run), whole_of(options, clips.classes)
    name, mel = network_of(options.model, options.mel, start)
    parts = _parts(run, options, clips, chosen, pool)
    joined = table if pool is None else join(table, pool, clips.name)
    place = in_batch_device(options.in_batch, options.device)
    prepared = prepare_in(run, joined, mel, options, engine, place)
    heard = prepared.rows_of(
        np.setdiff1d(np.arange(len(joined)), np.searchsorted(chosen.used, chosen.validation))
    )
    heard, silence = without_silence(prepared, heard, len(table))
    pretrained = None
    if options.objective != NO_OBJECTIVE:
        pretrained = _pretrain(options, run, prepared, heard, mel, start, parts)
        start = pretrained.network
    rows_train = prepared.rows_of(np.searchsorted(chosen.used, chosen.train))
    rows_held = prepared.rows_of(np.searchsorted(chosen.used, chosen.validation))
    check_classes(prepared.clips, rows_train)
    rows_train, rows_noisy = (
        prepared.rows_of(np.searchsorted(chosen.used, rows))
        for rows in parts_of(options, clips, chosen)
    )
    settings = TrainSettings(
        name,
        options.standardize,
        options.dropout,
        options.label_smoothing,
        options.method,
        options.how,
        options.loss,
        options.fit,
        noisy_of(options) or NoisyOptions(),
        options.generated,
    )
    more = {
        "mel": mel,
        "classes": clips.classes,
        "seed": options.seed,
        "device": options.device,
        "start": start if whole is None else whole,
        "rows_noisy": rows_noisy,
        "rows_pool": heard if pool is not None else (),
        "groups": prepared.clips.group,
    }
    target = targets_of(prepared.clips, multi_label=clips.is_multi_label)
    return TrainingInputs(
        options,
        table,
        prepared,
        target,
        rows_train,
        rows_noisy,
        rows_held,
        settings,
        more,
        parts,
        pretrained,
        notes + silence,
        chosen,
    )


def _of_pool(clean: CleanPool) -> list[str]:
    """What to say of a pool: how it was read, and what was left out of it."""
    return [*(f"{clean.clips.name}: {note}" for note in clean.clips.notes), *clean.notes()]


def _check_processes(options: TrainOptions) -> None:
    """Refuse several processes where more than one fit, or none, makes the classifier."""
    n, several = options.where.processes, (*SOLVED, "noisy-student")
    if n > 1 and (options.method in several or options.generated.is_used):
        what = f"the method '{options.method}'" if options.method in several else "a generator"
        raise OptionError(
            f"option 'processes': found {n} with {what}, which is not trained by several "
            "processes; take 1, or another method"
        )


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


def _parts(
    run: RunFolder, options: TrainOptions, clips: Clips, chosen: Selection, pool: Clips | None
) -> dict[str, Any]:
    """Who took which part in the making of the model, for its file; data go into the record."""
    hashes = record_data(run, clips[chosen.used], options.workers, cache=cache_of(options, run))
    parts = {
        "training": DataPart.of(clips[chosen.train], hashes).to_dict(),
        "validation": DataPart.of(clips[chosen.validation], hashes).to_dict(),
    }
    if pool is not None:
        pool_hashes = record_data(run, pool, options.workers, "pool", cache_of(options, run))
        parts["pretraining"] = DataPart.of(pool, pool_hashes).to_dict()
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


# ``train``: a classifier from labelled clips, with or without pre-training.


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
        how = f"best of {count_text(len(o.history), 'epoch')} is {o.best_epoch}"
        if probed:
            how = f"a linear layer in {count_text(len(o.history), 'round')}, the encoder stays as it is"
        if self.method == PROTOTYPE:
            how = "the mean of each class, the encoder stays as it is"
        if self.method == FITTED:
            how = "a simple classifier, fitted to statistics of each clip"
        lines = [
            f"trained '{o.model.name}' on {count_text(self.n_train, 'clip')} of "
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
                f"{count_text(len(self.selection.test), 'clip')} of the test fold took no part: "
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
        ready = build_inputs(options, clips, run, engine)
        options, prepared = ready.options, ready.prepared
        training = partial(
            train_model,
            prepared.features,
            ready.target,
            ready.rows_train,
            ready.rows_held,
            ready.settings,
            folder=run.path("training"),
            **ready.more,
        )
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
        outcome,
        ready.pretrained,
        run.folder / MODEL,
        ready.chosen,
        metrics,
        prepared.failures,
        prepared.n_clips(np.concatenate([ready.rows_train, ready.rows_noisy])),
        prepared.n_clips(ready.rows_held),
        prepared.remarks,
        notes,
        options.method,
    )


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
    metrics = summary(target, scores, outcome.model.classes)
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
    said = {n: f"{n.replace('_', ' ')} {percent_text(found[n])}" for n in main if n in found}
    n_clips, n_recordings = int(found["n_clips"]), int(found["n_recordings"])
    of = f"{n_clips} clip{'s' * (n_clips != 1)}"
    if n_recordings < n_clips:
        of += f" of {n_recordings} recording{'s' * (n_recordings != 1)}"
    if "accuracy" in said:
        low, high = metrics["accuracy_interval"]
        n_right = round(found["accuracy"] * n_clips)
        said["accuracy"] += (
            f" ({n_right} of {of}; 95 % interval {percent_text(low)} to {percent_text(high)})"
        )
        return ", ".join(said.values())
    return f"{', '.join(said.values())} ({of})"


def _prefixed(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers as they stand in records, where they must not pass for test results."""
    return {f"validation_{name}": value for name, value in short(metrics).items()}
