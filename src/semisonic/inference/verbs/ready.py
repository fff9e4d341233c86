"""From the options of ``train`` to all that a network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.base.files import write_csv
from semisonic.base.options import check
from semisonic.base.progress import say
from semisonic.data.checks import COPIES, CleanPool
from semisonic.data.clips import Clips
from semisonic.data.join import join
from semisonic.engines import Engine
from semisonic.features import MelOptions
from semisonic.inference.datasets import load_data
from semisonic.inference.front_end_place import in_batch_device
from semisonic.inference.learn import HELD_OUT_SHARE
from semisonic.inference.methods.advice import AUTO, NO_OBJECTIVE
from semisonic.inference.methods.options import SOLVED, NoisyOptions, check_noisy
from semisonic.inference.modelfile import ENCODER
from semisonic.inference.networks import check_network, network_of
from semisonic.inference.options import TrainOptions
from semisonic.inference.prepare import Prepared, without_silence
from semisonic.inference.pretraining import (
    PretrainOutcome,
    PretrainSettings,
    hold_out_recordings,
    pretrain_encoder,
)
from semisonic.inference.provenance import Part
from semisonic.inference.selection import Selection, check_classes, targets_of
from semisonic.inference.training import TrainSettings
from semisonic.inference.verbs.choosing import choose, select_for
from semisonic.inference.verbs.noisy import noisy_of, parts_of
from semisonic.inference.verbs.planning import plan_of
from semisonic.inference.verbs.pool import pool_of
from semisonic.inference.verbs.pretrain import check_objective, numbers_of, save_pretrained
from semisonic.inference.verbs.runs import about, cache_of, prepare_in, record_data, recordings_in
from semisonic.inference.verbs.starting import (
    standardize_of,
    start_of,
    starting_note,
    whole_of,
    with_start,
)
from semisonic.models import PretrainedEncoder
from semisonic.training import RunFolder

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Ready:
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


def make_ready(options: TrainOptions, clips: Clips, run: RunFolder, engine: Engine) -> Ready:
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
        name, options.standardize, options.dropout, options.label_smoothing, options.method,
        options.how, options.loss, options.fit, noisy_of(options) or NoisyOptions(),
        options.generated,
    )  # fmt: skip
    more = {
        "mel": mel, "classes": clips.classes, "seed": options.seed, "device": options.device,
        "start": start if whole is None else whole, "rows_noisy": rows_noisy,
        "rows_pool": heard if pool is not None else (), "groups": prepared.clips.group,
    }  # fmt: skip
    target = targets_of(prepared.clips, multi_label=clips.is_multi_label)
    return Ready(
        options, table, prepared, target, rows_train, rows_noisy, rows_held, settings, more, parts,
        pretrained, notes + silence, chosen,
    )  # fmt: skip


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
        "training": Part.of(clips[chosen.train], hashes).to_dict(),
        "validation": Part.of(clips[chosen.validation], hashes).to_dict(),
    }
    if pool is not None:
        pool_hashes = record_data(run, pool, options.workers, "pool", cache_of(options, run))
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
