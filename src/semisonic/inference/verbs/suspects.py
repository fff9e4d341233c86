"""``suspects``: labels that look wrong, judged by models that have not learnt them."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import digest, write_csv
from semisonic.base.options import check
from semisonic.data.clips import Clips
from semisonic.data.readers.load import require_labels
from semisonic.evaluation.suspects import Suspects, find_suspects, find_suspects_multi
from semisonic.inference.datasets import load_data
from semisonic.inference.out_of_fold import Judge, network_judge, out_of_fold, statistics_judge
from semisonic.inference.prepare import Prepared
from semisonic.inference.selection import targets_of
from semisonic.inference.suspects_options import STATISTICS, SuspectsOptions
from semisonic.inference.training import TrainSettings
from semisonic.inference.verbs.runs import open_run, prepare_in, record_data, recordings_in
from semisonic.inference.verbs.suspects_page import write_suspects_page
from semisonic.inference.verbs.suspects_result import SuspectsResult
from semisonic.models import create
from semisonic.training import RunFolder

TABLE, SCORES = "suspects.csv", "scores.csv"


def suspects(options: SuspectsOptions) -> SuspectsResult:
    """Judge every label by models that have not learnt it; list those that look wrong.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    ModelError
        When there is no such network.
    DataError
        When there are too few labels or recordings, nothing can be read, or the labels have
        changed since the run was begun.
    """
    check(options)
    if options.model != STATISTICS:
        create(options.model, options.mel.shape)  # a wrong name is named before anything is read
    clips = _labelled(
        load_data(options.data, options.labels, options.group, "suspects", options.table)
    )
    with open_run("suspects", options) as run:
        started = time.perf_counter()
        record_data(run, clips, options.workers)
        run.add_data("labels", labels_hash(clips))
        together = recordings_in(run, clips, options)
        clips = together.clips
        prepared = prepare_in(run, clips, options.mel, options)
        scored = out_of_fold(
            clips, prepared, _judge(options, run, clips, prepared),
            folds=options.folds, repeats=options.repeats, seed=options.seed,
            validation=0.0 if options.model == STATISTICS else options.validation,
            keep=run.path("folds"),
        )  # fmt: skip
        shutil.rmtree(run.path("training"), ignore_errors=True)
        table = clips[scored.rows]
        found = _find(table, scored.scores, options)
        listed = found.order[: options.most] if options.most else found.suspects
        result = SuspectsResult(
            table, scored.scores, found, listed, scored.n_folds, options.model,
            run.folder / TABLE, run.folder / "report.html", prepared.failures, prepared.remarks,
            (*clips.notes, *together.notes),
        )  # fmt: skip
        write_list(run.path(TABLE), result)
        write_all_scores(run.path(SCORES), result)
        write_suspects_page(run.folder, result, options, time.perf_counter() - started)
        run.note(
            n_clips=len(table), n_suspects=len(found.suspects), agreement=result.agreement,
            wrong_share=result.wrong_share,
        )  # fmt: skip
    return result


def labels_hash(clips: Clips) -> str:
    """One hash for which clip carries which label, whatever the order of rows."""
    rows = zip(clips.ids, clips.labels, clips.group.tolist(), clips.fold.tolist(), strict=True)
    return digest(sorted(rows))


def write_list(path: Path, result: SuspectsResult) -> None:
    """A row a suspect, the most suspicious first."""
    clips, quality = result.clips, result.found.quality
    ids = clips.ids
    write_csv(
        path,
        ["rank", "clip", "label", "suggested", "score", "suggested_score", "group"],
        [
            [
                rank, ids[row], result.label(row), result.suggestion(row),
                f"{quality[row]:.4f}", f"{result.support(row):.4f}", clips.group[row],
            ]
            for rank, row in enumerate(result.listed.tolist(), start=1)
        ],
    )  # fmt: skip


def write_all_scores(path: Path, result: SuspectsResult) -> None:
    """A row per clip: label, quality, whether it is a suspect, and the score of each class."""
    clips, found = result.clips, result.found
    rows = zip(clips.ids, found.quality, found.is_suspect, result.scores, strict=True)
    write_csv(
        path,
        ["clip", "label", "score", "suspect", *clips.classes],
        [
            [clip, result.label(i), f"{q:.4f}", "yes" if bad else "no", *(f"{s:.5f}" for s in row)]
            for i, (clip, q, bad, row) in enumerate(rows)
        ],
    )


def _labelled(clips: Clips) -> Clips:
    """The clips with a label, with the classes that occur."""
    require_labels(clips, "a search for wrong labels")
    clips = clips[clips.is_labelled]
    counts = Counter(label for row in clips.labels for label in row)
    classes = tuple(name for name in clips.classes if counts[name])
    if len(classes) < 2:
        raise DataError(
            f"'{clips.name}': found {len(classes)} class, expected at least 2: a label can only "
            "be doubted where there is another one"
        )
    return clips.with_columns(classes=classes)


def _judge(options: SuspectsOptions, run: RunFolder, clips: Clips, prepared: Prepared) -> Judge:
    target: NDArray[Any] = targets_of(prepared.clips, multi_label=clips.is_multi_label)
    if options.model == STATISTICS:
        return statistics_judge(
            prepared, target, n_classes=len(clips.classes), workers=options.workers
        )
    return network_judge(
        prepared, target, TrainSettings(model=options.model, loss=options.loss, fit=options.fit),
        mel=options.mel, classes=clips.classes, device=options.device,
        folder=run.path("training"),
    )  # fmt: skip


def _find(clips: Clips, scores: NDArray[np.float64], options: SuspectsOptions) -> Suspects:
    rule: Any = options.rule
    if clips.is_multi_label:
        return find_suspects_multi(clips.targets(), np.clip(scores, 0.0, 1.0), rule=rule)
    ranking: Any = options.ranking
    return find_suspects(clips.target(), np.clip(scores, 0.0, 1.0), rule=rule, ranking=ranking)
