"""Recipes in stages: trainings that go on from each other, and filters of unverified labels.

The file says ``kind = "stages"``. ``[network]`` is what all stages share, ``[stage]`` what they
share of how they are trained, and each ``[[stages]]`` table is one training::

    kind = "stages"
    draws = 3
    [network]
    model = "small"
    [stage.fit]
    steps = 300
    [[stages]]
    name = "noisy"
    data = ["noisy"]
    [[stages]]
    name = "then curated"
    start = "noisy"            # the weights that "noisy" ended with, class layer and all
    [[stages]]
    name = "and kept"
    start = "then curated"
    filter = "then curated"    # whose answers decide which noisy labels are kept
    data = ["curated", "kept"]
    against = ["then curated"] # what it is held against in the report

Every stage is scored on the test clips, so each row of the report is a stage. What a stage needs
must stand above it. The filter's rule of the k best classes is that of a student system for
FSDKaggle2019 (k = 5 of 80 classes); its threshold is the usual one of pseudo-labels (Lee 2013),
asked of labels that are there already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import METHODS, SOLVED, TrainConfig, check_noisy
from semisonic.classifier.scoring import mean_by, score_rows
from semisonic.classifier.training import TrainingData, reads_pool, train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import replacing
from semisonic.core.options import from_mapping, nearest, option, to_dict
from semisonic.core.seeds import derive
from semisonic.core.text import duration_text, p_value, percent_text, points_text
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.data.synth.dataset import load_synth, make_in_cache
from semisonic.evaluation.comparison import (
    LWLRAP,
    ArmAccuracy,
    Comparison,
    arm_accuracy,
    compare_setting_pairs,
)
from semisonic.evaluation.metrics import lwlrap, mean_average_precision
from semisonic.evaluation.plots.results import comparison_plot, training_curves
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.published import STUDIES
from semisonic.evaluation.report.document import IntervalEstimate, Number, Report, Verdict
from semisonic.evaluation.report.experiment import add_study
from semisonic.evaluation.significance import holm
from semisonic.experiments.material import WHOLE, Material
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.plan import FILTER, MODEL, STAGE, Job, Plan, Rows
from semisonic.experiments.recipe import STAGES, ExperimentRecipe, load_table, merged
from semisonic.experiments.report import QUICK, without_history
from semisonic.experiments.results import too_few_steps
from semisonic.experiments.run import EXAMPLES, RunResult
from semisonic.experiments.runner import (
    command_line,
    load_data,
    open_experiment,
    provenance,
    warned,
    write_results,
)
from semisonic.experiments.worker import WorkerContext, here, provenance_of
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load, save
from semisonic.recipes import find
from semisonic.training.devices import with_precision
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder

CURATED, NOISY, KEPT = PARTS = ("curated", "noisy", "kept")
SCORES, DECISIONS = "scores.csv.gz", "decisions.csv"
_LEVEL = 0.05
BEST = 5
"""A filter keeps a label that is among the model's so many best classes."""


@dataclass(frozen=True)
class TrainingStage(TrainConfig):
    """One training, its network included; stages share what tables above them say."""

    name: str = option("", "what the stage is called in tables")
    start: str = option("", "stage whose weights are trained further; random ones if empty")
    data: tuple[str, ...] = option(
        (CURATED,),
        "labels that are learned: curated; noisy, all unverified ones; kept, what "
        "a filter leaves of those",
        choices=PARTS,
    )
    filter: str = option("", "stage whose model filters the noisy labels; for the data 'kept'")
    against: tuple[str, ...] = option((), "stages that this one is compared with in the report")
    method: str = option(
        "supervised",
        "how clips without a label are learned from: the noisy ones that the "
        "stage learns no label of, and the pool",
        choices=tuple(method for method in METHODS if method not in SOLVED),
    )
    keep_top_k: int = option(
        BEST, "keep a label that is among the model's so many best classes; 0: any rank", minimum=0
    )
    keep_threshold: float = option(
        0.0, "keep a label with at least this score; 0: any score", minimum=0.0, maximum=1.0
    )
    fit: FitOptions = option(FitOptions(), "training loop")
    length: int = option(
        1, "train so many times as long as 'fit' says, as two stages in a row would", minimum=1
    )

    @property
    def whole_fit(self) -> FitOptions:
        """How the stage is trained, its length considered."""
        steps, epochs = self.fit.steps * self.length, self.fit.epochs * self.length
        return replace(self.fit, steps=steps, epochs=epochs)

    @property
    def is_beside(self) -> bool:
        """Whether noisy or kept labels are learned beside curated ones, as a part of their own."""
        return CURATED in self.data and len(self.data) > 1

    def check(self, above: Sequence[TrainingStage]) -> None:
        """Raise OptionError for keys that do not go together, or with the stages above it."""
        known = [one.name for one in above]
        found = ""
        named = [("start", self.start), ("filter", self.filter)]
        for key, wanted in (*named, *(("against", one) for one in self.against)):
            if wanted and wanted not in known:
                near = nearest(wanted, known) if known else "it is the first"
                found = f"{key}: no stage '{wanted}' above it; {near}"
        before = [one.model for one in above if one.name == self.start]
        if not self.name or self.name in known:
            found = "expected a name of its own for each stage"
        elif found:
            pass
        elif before and before[0] != self.model:
            found = (
                f"model: '{self.model}' cannot start from '{self.start}', which is another network"
            )
        elif not self.data or len(set(self.data)) < len(self.data):
            found = f"data: found {list(self.data)}, expected parts, each once"
        elif {NOISY, KEPT} <= set(self.data):
            found = "data: 'kept' labels are noisy ones; name one of the two"
        elif (KEPT in self.data) != bool(self.filter):
            found = "the data 'kept' and the option 'filter' need each other"
        elif not self.filter and (self.keep_top_k, self.keep_threshold) != (BEST, 0.0):
            found = "keep_top_k or keep_threshold: given, but the stage filters no labels"
        elif not self.is_beside and self.has_noisy_part:
            found = (
                "noisy_weight and noisy_loss are for noisy or kept labels beside "
                "curated ones; use 'loss' here"
            )
        if found:
            raise OptionError(f"recipe, stage '{self.name}': {found}")
        if self.is_beside:
            check_noisy(self.method)
        self.method_params.check_for(self.method)


@dataclass(frozen=True, kw_only=True)
class StagesRecipe(ExperimentRecipe):
    """An experiment: stages x draws x folds."""

    published: str = option("", "published study put beside ours", choices=("", *STUDIES))
    main: str = option("", "stage that the report opens with; the last if empty")
    draws: int = option(3, "how often the held-out part and first weights are drawn", minimum=1)
    stages: tuple[TrainingStage, ...] = option((), "the trainings, one a [[stages]] table")

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.stages):
            stage.check(self.stages[:number])
        names = [stage.name for stage in self.stages]
        if self.main and self.main not in names:
            raise OptionError(
                f"recipe key 'main': no stage '{self.main}'; {nearest(self.main, names)}"
            )

    @property
    def headline(self) -> str:
        """The stage that the report opens with."""
        return self.main or self.stages[-1].name

    def stage(self, name: str) -> TrainingStage:
        """A stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


def read_stages(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> StagesRecipe:
    """Read a recipe file of the kind "stages".

    Raises
    ------
    OptionError
        For a file that is no such recipe, an unknown key, a value out of range, or a stage that
        needs one that does not stand above it.
    """
    where = str(path)
    table = load_table(path, quick=quick, changes=changes)
    if table.pop("kind", "") != STAGES:
        raise OptionError(f'{where}: not a recipe in stages, which says kind = "{STAGES}"')
    network, shared = table.pop("network", {}), table.pop("stage", {})
    own = table.pop("stages", [])
    for name, found in (("network", network), ("stage", shared)):
        if not isinstance(found, dict):
            raise OptionError(f"{where}: '{name}': found {found!r}, expected [{name}]")
    if not (isinstance(own, list) and own and all(isinstance(one, dict) for one in own)):
        raise OptionError(f"{where}: 'stages': found {own!r}, expected one or more [[stages]]")
    shared = merged(network, shared)
    stages: list[TrainingStage] = []
    for one in own:
        values = merged(merged({}, shared), one)
        before = [stage for stage in stages if stage.name == one.get("start")]
        if before and not one.get("model"):
            values["model"] = before[0].model  # weights go on in the network they are of
        stages.append(from_mapping(TrainingStage, values, f"{where}: stages."))
    return from_mapping(StagesRecipe, {**table, "stages": tuple(stages)}, f"{where}: ")


def filter_labels(
    clips: Sequence[str],
    labels: Sequence[Sequence[str]],
    scores: NDArray[np.float64],
    classes: Sequence[str],
    *,
    top_k: int = BEST,
    threshold: float = 0.0,
) -> pd.DataFrame:
    """Decide about each label of each clip; it is kept where both rules in use agree.

    Parameters
    ----------
    clips : sequence of str, length n
    labels : sequence of sequences of str, length n
    scores : ndarray, shape (n, n_classes)
        Probabilities by a model in evaluation mode.
    classes : sequence of str
    top_k : int
        A label must be among the model's so many best classes; 0: any rank.
    threshold : float
        A label must have at least this score; 0: any.

    Returns
    -------
    DataFrame
        A row for each label of each clip, in their order: ``clip``, ``label``, ``kept``,
        ``reason``, ``rank`` (of the class among all, from 1; equal scores are ranked by class
        number) and ``score``.

    Raises
    ------
    DataError
        When scores are not finite or of another shape.
    OptionError
        When neither rule is in use.
    """
    if not top_k and not threshold:
        raise OptionError(
            "filter: found keep_top_k 0 and keep_threshold 0, which keep every label; expected one "
            "above 0"
        )
    if scores.shape != (len(clips), len(classes)) or not np.isfinite(scores).all():
        raise DataError(
            f"filter: found scores of shape {scores.shape}, expected finite ones of shape "
            f"({len(clips)}, {len(classes)})"
        )
    table = pd.DataFrame({"clip": list(clips), "label": list(labels), "row": range(len(clips))})
    table = table.explode("label", ignore_index=True).dropna(subset="label")
    row, column = (
        table.pop("row").to_numpy(int),
        pd.Index(classes).get_indexer(pd.Index(table["label"])),
    )
    rank = (np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1)[row, column]
    score = scores[row, column]
    is_best, is_sure = rank <= (top_k or len(classes)), score >= threshold
    reasons = [
        f"rank {place} is not among the best {top_k}"
        if not best
        else f"score {value:.3f} is {'at least' if sure else 'below'} {threshold:g}"
        if threshold
        else f"rank {place} is among the best {top_k}"
        for place, value, best, sure in zip(rank, score, is_best, is_sure, strict=True)
    ]
    return table.assign(kept=is_best & is_sure, reason=reasons, rank=rank, score=score)


def kept_labels(decisions: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The labels that each clip is left with; none for one that becomes unlabelled."""
    kept = decisions["label"].where(decisions["kept"])
    grouped = kept.groupby(decisions["clip"], sort=False)
    return {str(clip): tuple(names.dropna()) for clip, names in grouped}


def read_decisions(path: Path) -> pd.DataFrame:
    """The decisions of a finished filter, as :func:`filter_labels` gave them."""
    types = {"clip": str, "label": str}
    return pd.read_csv(path, dtype=types, keep_default_na=False)


def make_stages_plan(recipe: StagesRecipe, labelled: Clips, pool: Clips, *, seed: int = 0) -> Plan:
    """Plan every draw, fold and stage. Stages that are alike up to a point share the work.

    Parameters
    ----------
    recipe : StagesRecipe
    labelled : Clips
        Those with verified labels are divided into training, validation and test, by recording;
        the others train only, and not where their recording is tested.
    pool : Clips
        Unlabelled; those of a tested recording are not learned from.
    seed : int

    Raises
    ------
    DataError
        When a stage needs unverified labels and the data have none.
    """
    asked = [stage.name for stage in recipe.stages if {NOISY, KEPT} & set(stage.data)]
    if asked and labelled.is_verified[labelled.is_labelled].all():
        raise DataError(
            f"'{labelled.name}': found no clips with unverified labels, which the stage "
            f"'{asked[0]}' learns from; expected a set with such a part, as FSDKaggle2019 has"
        )
    jobs: dict[str, Job] = {}
    cells: list[tuple[str, Job]] = []
    for draw in range(recipe.draws):
        seed_of_draw = derive(seed, "draw", draw) % (1 << 31)
        for split in fold_splits(labelled, validation=recipe.validation, seed=seed_of_draw):
            if recipe.folds and split.fold not in recipe.folds:
                continue
            done: dict[str, Job] = {}
            for stage in recipe.stages:
                job = _stage_job(stage, split, draw, seed_of_draw, labelled, pool, done)
                for one in filter(None, (job.filter, job)):
                    jobs.setdefault(one.name, one)
                done[stage.name] = job
                cells.append((stage.name, job))
    return Plan(tuple(jobs.values()), tuple(cells))


def _stage_job(
    stage: TrainingStage,
    split: Split,
    draw: int,
    seed: int,
    labelled: Clips,
    pool: Clips,
    done: dict[str, Job],
) -> Job:
    certain = labelled.is_verified[split.train]
    curated, noisy = split.train[certain], split.train[~certain]
    none = split.train[:0]
    unlabelled = none
    if reads_pool(stage.method, stage.method_params) or stage.method == "noisy-student":
        known = np.isin(pool.group, labelled.group[split.test])
        unlabelled = np.flatnonzero(~known) + len(labelled)
        if NOISY not in stage.data:
            unlabelled = np.concatenate([noisy, unlabelled])
    job = Job(
        kind=STAGE,
        setting=stage,
        fold=split.fold,
        draw=draw,
        seed=seed,
        train=curated if CURATED in stage.data else none,
        validation=split.validation,
        test=split.test,
        pool=unlabelled,
        noisy=noisy if {NOISY, KEPT} & set(stage.data) else none,
        start=done.get(stage.start),
    )
    if stage.filter:
        judge = done[stage.filter]
        chosen = replace(job, kind=FILTER, train=none, validation=none, pool=none, start=judge)
        job = replace(job, filter=chosen.named(stage.keep_top_k, stage.keep_threshold))
    return job.named(replace(stage, name="", start="", filter="", against=()))


# What one process does: train a stage and score its test clips, or filter labels by a stage.


def run_stage(job: Job) -> None:
    """Train the job's stage, keep its model, and score its test clips once."""
    context, stage = here(), job.setting
    folder, labelled = context.folder / job.name, context.material.labelled
    table = context.material.table(stage.mel)
    features = table.features
    target, noisy, unlabelled = _labels(job)
    curated, beside = (
        (job.train, noisy) if stage.is_beside else (np.union1d(job.train, noisy), noisy[:0])
    )
    data = TrainingData(
        features,
        table.spread(target),
        labelled.classes,
        table.rows_of(curated),
        table.rows_of(job.validation),
        table.rows_of(unlabelled),
        table.rows_of(beside),
    )
    outcome = train_model(
        replace(stage, fit=stage.whole_fit),
        data,
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=load(context.folder / job.start.name / MODEL) if job.start else None,
        label=stage.name,
    )
    rows = table.rows_of(job.test)
    owner, values = mean_by(table.source[rows], score_rows(outcome.model, features, rows))
    clips = labelled[owner]
    scores = Predictions.of(
        clips.ids,
        clips.targets(),
        values,
        labelled.classes,
        group=clips.group,
        fold=job.fold,
        draw=job.draw,
    )
    folder.mkdir(parents=True, exist_ok=True)
    scores.write(folder / SCORES)
    save(folder / MODEL, outcome.model, about=_provenance(job))
    job.finish(
        context.folder,
        outcome.seconds,
        outcome.fit,
        n_noisy=len(noisy),
        n_pool=len(unlabelled),
        lwlrap=lwlrap(scores.targets, scores.probabilities),
        mean_average_precision=mean_average_precision(scores.targets, scores.probabilities),
        n_parameters=count_parameters(outcome.model),
    )


def run_filter(job: Job) -> None:
    """Score the clips by the job's model, in evaluation mode, and decide about their labels."""
    context, judge = here(), job.start
    if judge is None:
        raise RuntimeError(f"{job.name}: a filter without the stage that filters")
    table = context.material.table(judge.setting.mel)
    model = load(context.folder / judge.name / MODEL)
    rows = table.rows_of(job.noisy)
    found = score_rows(model, table.features, rows, device=context.device)
    owner, scores = mean_by(table.source[rows], found)
    clips = context.material.labelled[owner]
    decisions = filter_labels(
        clips.ids,
        clips.labels,
        scores,
        model.classes,
        top_k=job.setting.keep_top_k,
        threshold=job.setting.keep_threshold,
    )
    folder = context.folder / job.name
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / DECISIONS) as part:
        decisions.to_csv(part, index=False)
    job.finish(
        context.folder,
        0.0,
        n_labels=len(decisions),
        n_kept=int(decisions["kept"].sum()),
        n_unlabelled=sum(not labels for labels in kept_labels(decisions).values()),
    )


def _labels(job: Job) -> tuple[NDArray[np.float32], Rows, Rows]:
    """Targets of all rows of the joined table, the noisy rows learned, and those without label."""
    context = here()
    labelled, pool = context.material.labelled, context.material.pool
    target = np.zeros((len(labelled) + len(pool), len(labelled.classes)), np.float32)
    target[: len(labelled)] = labelled.targets()
    if job.filter is None:
        return target, job.noisy, job.pool
    left = kept_labels(read_decisions(context.folder / job.filter.name / DECISIONS))
    column = {name: k for k, name in enumerate(labelled.classes)}
    target[job.noisy] = 0.0
    for row in job.noisy.tolist():
        target[row, [column[name] for name in left[labelled.ids[row]]]] = 1.0
    kept = job.noisy[target[job.noisy].any(axis=1)]
    if not len(kept) and not len(job.train):
        raise DataError(
            f"stage '{job.setting.name}': the filter left no label to learn; let it keep more"
        )
    return target, kept, np.setdiff1d(job.pool, kept)


def _provenance(job: Job) -> dict[str, Any]:
    """What the model file says of its making, earlier stages included."""
    n_labelled = len(here().material.labelled)
    rows: Rows = job.train[:0]
    one: Job | None = job
    while one is not None:
        rows = np.union1d(rows, np.concatenate([one.train, one.noisy, one.pool]))
        one = one.start
    pool = rows[rows >= n_labelled] - n_labelled
    return provenance_of(job, pool, training=rows, validation=job.validation)


# From finished jobs to numbers: lwlrap of each stage, comparisons, and what filters were worth.


@dataclass(frozen=True)
class StageResult:
    """A row of the report: a stage over all folds and draws.

    ``jobs`` is what each of its jobs wrote of itself; ``comparisons`` are with the stages that the
    recipe names.
    """

    name: str
    lwlrap: ArmAccuracy
    comparisons: list[Comparison]
    jobs: pd.DataFrame

    @property
    def mean_average_precision(self) -> float:
        """Mean over folds and draws, 0 to 1."""
        return float(self.jobs["mean_average_precision"].mean())


def collect_stages(recipe: StagesRecipe, plan: Plan, folder: Path) -> list[StageResult]:
    """Read all jobs of a finished plan, and compare the stages as the recipe says."""
    tables: list[Predictions] = []
    records: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, job in plan.cells:
        tables.append(Predictions.read(folder / job.name / SCORES).assign(setting=name))
        records[name].append({**job.record(folder), "stage": name, "name": job.name})
    scores = Predictions.concat(tables)
    return [
        StageResult(
            name,
            arm_accuracy(scores.select(setting=name), measure=LWLRAP),
            compare_setting_pairs(
                scores, [(other, name) for other in recipe.stage(name).against], measure=LWLRAP
            ),
            pd.DataFrame(records[name]),
        )
        for name in records
    ]


QUALITY = ("labels", "kept", "right before", "right among kept", "right ones kept")


def filter_quality(
    plan: Plan, folder: Path, truth: Mapping[str, tuple[str, ...]] | None
) -> pd.DataFrame:
    """How many labels each filter kept and, where the truth is known, how many of them are right.

    Parameters
    ----------
    plan : Plan
        Finished.
    folder : Path
        Of all jobs.
    truth : mapping of str to tuple of str, optional
        The true labels by clip: to measure filters by, nothing else.

    Returns
    -------
    DataFrame
        ``stage``, ``class`` and :data:`QUALITY`; over all folds and draws, a row for each class of
        each stage that learns from a filter's labels, and one of class "" for all of them.
    """
    found = [
        read_decisions(folder / job.filter.name / DECISIONS).assign(stage=name)
        for name, job in plan.cells
        if job.filter is not None
    ]
    columns = ["stage", "class", *QUALITY]
    if not found:
        return pd.DataFrame(columns=columns)
    labels = pd.concat(found, ignore_index=True).assign(right=np.nan)
    if truth is not None:
        named = zip(labels["clip"], labels["label"], strict=True)
        labels["right"] = [float(label in truth[clip]) for clip, label in named]
    groups = pd.concat([labels.assign(label=""), labels]).groupby(["stage", "label"], sort=False)
    rows = [
        (
            *key,
            len(part),
            int(part["kept"].sum()),
            part["right"].mean(),
            part["right"][part["kept"]].mean(),
            part["kept"][part["right"] == 1].mean(),
        )
        for key, part in groups
    ]
    return pd.DataFrame(rows, columns=columns)


def gains(stages: Sequence[StageResult]) -> pd.DataFrame:
    """Each comparison with its p-value corrected for the number of questions, and a verdict.

    A stage earns its place if it is better than what it is compared with by both.
    """
    comparisons = [c for one in stages for c in one.comparisons]
    rows = []
    for c, p in zip(comparisons, holm([c.p for c in comparisons]), strict=True):
        better = c.difference > 0
        earned = "may be chance"
        if c.is_shown and p < _LEVEL:
            earned = "yes" if better else "no: it harms"
        elif c.outcome != "open":
            earned += f": {'better' if better else 'worse'} on these clips only"
        gain = IntervalEstimate(c.difference, *c.claimed_interval)
        rows.append((c.b.name, c.a.name, gain, c.p, p, earned))
    columns = ["stage", "compared with", "gain", "p", "p (Holm)", "earns its place"]
    return pd.DataFrame(rows, columns=columns)


def run_stages(options: RunOptions) -> RunResult:
    """Run, or go on with, an experiment in stages.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_stages(find(options.recipe), quick=options.quick, changes=options.changes)
    if options.transductive:
        raise OptionError(
            "option 'transductive': a recipe in stages never learns from the test clips; leave it "
            "out"
        )
    if options.source is not None:
        raise OptionError(
            "option 'source': a stage starts from random weights or from another stage; leave it "
            "out"
        )
    asked = {**to_dict(options), "contents": to_dict(recipe)}
    with open_experiment("run", options, asked) as opened:
        run, folder, place = opened.run, opened.jobs, torch.device(opened.device)
        stages = tuple(
            replace(stage, fit=with_precision(stage.fit, place, recipe.precision))
            for stage in recipe.stages
        )
        recipe = replace(recipe, stages=stages)
        inputs = [(stages[0].mel, WHOLE)]
        material, hashes = opened.gather(load_data(options, recipe.synth), inputs, several=True)
        plan = make_stages_plan(recipe, material.labelled, material.pool, seed=options.seed)
        run.note(precision=sorted({stage.fit.precision for stage in stages}))
        trainings = (
            (name, job.setting.whole_fit, len(job.train) + len(job.noisy))
            for name, job in plan.cells
        )
        material = warned(material, too_few_steps("the stage", "stage.fit.steps", trainings))
        context = WorkerContext(folder, material, opened.device, hashes)
        seconds = opened.do(plan.jobs, {STAGE: run_stage, FILTER: run_filter}, context)
        truth = None
        if str(options.data) == SYNTH:
            made, _ = load_synth(make_in_cache(recipe.synth), true_labels=True)
            truth = dict(zip(made.ids, made.labels, strict=True))
        results = collect_stages(recipe, plan, folder)
        quality = filter_quality(plan, folder, truth)
        report = _write_report(run, options, recipe, material, results, quality, seconds)
        for job in plan.of(STAGE):
            if job.draw > 0:  # those models were for the stages after them
                (folder / job.name / MODEL).unlink(missing_ok=True)
    shown = next(job for name, job in plan.cells if name == recipe.headline)
    test = material.labelled[shown.test]
    return RunResult(
        table=_table(results),
        answers=tuple(f"{c.setting}: {c.verdict()}" for one in results for c in one.comparisons),
        report=report,
        model=folder / shown.name / MODEL,
        examples=test[:: max(1, len(test) // EXAMPLES)][:EXAMPLES],
        failures=material.failures,
        notes=material.notes,
    )


def _table(stages: Sequence[StageResult]) -> pd.DataFrame:
    """All stages with their numbers, and below each what it is held against, as text."""
    rows = pd.DataFrame(
        [
            (s.name, percent_text(s.lwlrap.mean), percent_text(s.mean_average_precision))
            for s in stages
        ],
        columns=["stage", "lwlrap", "mAP"],
    )
    compared = gains(stages).drop(columns="p").rename(columns={"p (Holm)": "p"})
    compared["gain"] = [points_text(gain.value, signed=True) for gain in compared["gain"]]
    compared["p"] = compared["p"].map(p_value)
    rows = rows.merge(compared, how="left", on="stage").fillna("")
    rows.loc[rows["stage"].duplicated(), ["stage", "lwlrap", "mAP"]] = ""
    return rows


def _write_report(
    run: RunFolder,
    options: RunOptions,
    recipe: StagesRecipe,
    material: Material,
    stages: Sequence[StageResult],
    quality: pd.DataFrame,
    seconds: float,
) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``; return the page."""
    command, labelled = command_line("run", options), material.labelled
    certain = int(labelled.is_verified.sum())
    report = Report(
        "stages.j2",
        recipe.title,
        f"'{labelled.name}': {certain} clips with verified labels, {len(labelled) - certain} with "
        f"unverified ones, {len(material.pool)} without, {len(labelled.classes)} classes; "
        f"{', '.join(dict.fromkeys(s.model for s in recipe.stages))}; {recipe.draws} draws",
        recipe=recipe,
        seconds=seconds,
        command=command,
        provenance={k: str(v) for k, v in provenance(run, command).items() if k != "command"},
        has_filters=len(quality) > 0,
    )
    by_name = {one.name: one for one in stages}
    headline = by_name[recipe.headline]
    for c in headline.comparisons[:1]:
        report.verdict = Verdict(c.verdict(), "", c.outcome)
    shown = [*(by_name[c.a.name] for c in headline.comparisons[:2]), headline]
    report.numbers = [Number(percent_text(s.lwlrap.mean), s.name, "lwlrap") for s in shown]
    report.warnings += [QUICK] * options.quick + list(material.notes)
    ours = [(s.name, IntervalEstimate(s.lwlrap.mean, *s.lwlrap.interval)) for s in stages]
    report.table(
        "stages",
        ("stage", "lwlrap", "sd of draws", "mean average precision"),
        [
            (*named, one.lwlrap.spread, one.mean_average_precision)
            for named, one in zip(ours, stages, strict=True)
        ],
        formats={
            "lwlrap": percent_text,
            "sd of draws": points_text,
            "mean average precision": percent_text,
        },
        styles={list(by_name).index(headline.name): "strong"},
    )
    compared = gains(stages)
    if len(compared):
        report.table(
            "gains",
            list(map(str, compared)),
            compared.to_numpy().tolist(),
            formats={
                "gain": lambda gain: points_text(gain, signed=True),
                "p": p_value,
                "p (Holm)": p_value,
            },
        )
        comparisons = [c for one in stages for c in one.comparisons]
        report.figure("gains", comparison_plot(comparisons, measured="gain in lwlrap"))
    columns = ["n_train", "n_noisy", "n_pool", "best_epoch", "seconds"]
    report.table(
        "learned-from",
        ("stage", "curated", "noisy", "without label", "best epoch", "time"),
        [(one.name, *one.jobs[columns].mean()) for one in stages],
        formats={"time": duration_text},
    )
    protocol = f"{len(recipe.folds) or len(labelled.folds)} folds, {recipe.draws} draws"
    add_study(report, recipe.published, labelled.name, ours, protocol)
    if len(quality):
        _add_filters(report, recipe, quality)
    curves = {
        one.name: [np.array([row["val_lwlrap"] for row in job]) for job in one.jobs["history"]]
        for one in stages
        if all("val_lwlrap" in row for job in one.jobs["history"] for row in job)
    }
    if curves:
        figure = training_curves(curves, measure="lwlrap of held-out clips", colours=CLASS_COLOURS)
        report.figure("curves", figure)
    report.data = {
        "stages": [
            {
                "name": one.name,
                "lwlrap": one.lwlrap,
                "mean_average_precision": one.mean_average_precision,
                "comparisons": [c.to_dict() for c in one.comparisons],
                "jobs": [without_history({**job}) for _, job in one.jobs.iterrows()],
            }
            for one in stages
        ],
        "filters": quality.to_dict("records"),
        "seconds": seconds,
    }
    write_results(run, command, recipe, report.data)
    return report.write(run.folder)


def _add_filters(report: Report, recipe: StagesRecipe, quality: pd.DataFrame) -> None:
    shares = dict.fromkeys(QUALITY[2:], percent_text)
    rows = []
    for name, _, *found in quality[quality["class"] == ""].itertuples(index=False, name=None):
        stage = recipe.stage(name)
        rule = [f"among the best {stage.keep_top_k}"] * bool(stage.keep_top_k)
        rule += [f"score at least {stage.keep_threshold:g}"] * bool(stage.keep_threshold)
        rows.append((name, stage.filter, ", ".join(rule), *found))
    report.table("filters", ("stage", "filtered by", "rule", *QUALITY), rows, formats=shares)
    filtered = quality["stage"].tolist()
    name = recipe.headline if recipe.headline in filtered else filtered[0]
    by_class = quality[(quality["stage"] == name) & (quality["class"] != "")].sort_values("class")
    classes = by_class[["class", *QUALITY]].to_numpy().tolist()
    report.table("filter-by-class", ("class", *QUALITY), classes, formats=shares)
    report.values |= {
        "truth_is_known": bool(quality["right before"].notna().any()),
        "filter_shown": name,
    }
