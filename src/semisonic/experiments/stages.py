"""``semisonic run`` for a recipe in stages: jobs, results and report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from semisonic.classifier.provenance import DataPart
from semisonic.classifier.scoring import score_owners
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_json
from semisonic.core.options import to_dict
from semisonic.core.text import duration_text, p_value, percent_text, points_text
from semisonic.data.clips import Clips
from semisonic.data.synth.dataset import load_synth, make_in_cache
from semisonic.evaluation.comparison import ArmAccuracy, Comparison, compare_tags, tag_arm
from semisonic.evaluation.plots.experiments import comparison_plot
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.plots.training import training_curves
from semisonic.evaluation.predictions import TagScores
from semisonic.evaluation.report.document import IntervalEstimate, Number, Report, Verdict
from semisonic.evaluation.report.experiment import add_study
from semisonic.evaluation.significance import holm
from semisonic.experiments.jobs import DONE, MODEL, course_of, peak_memory, read_job, tidy
from semisonic.experiments.material import WHOLE, FeatureTable, Material
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.report import QUICK, without_history
from semisonic.experiments.results import ResultTable, too_few_steps
from semisonic.experiments.run import EXAMPLES, RunResult
from semisonic.experiments.runner import (
    command_line,
    load_data,
    open_experiment,
    provenance,
    warned,
    write_results,
)
from semisonic.experiments.stages_plan import (
    FilterJob,
    Rows,
    StageJob,
    StagesPlan,
    StagesRecipe,
    filter_labels,
    kept_labels,
    make_stages_plan,
    read_decisions,
    read_stages,
    write_decisions,
)
from semisonic.experiments.worker import WorkerContext, here
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load, save
from semisonic.models.sound_model import SoundModel
from semisonic.recipes import find
from semisonic.training.devices import with_precision
from semisonic.training.run_folder import RunFolder

# What one process does: train a stage and score its test clips, or filter labels by a stage.
#
# Processes share what :mod:`semisonic.experiments.worker` sets up. A job that is done has its
# ``job.json``, which is written last.


SCORES, DECISIONS = "scores.csv.gz", "decisions.csv"


def run_stage(job: StageJob) -> None:
    """Train the job's stage, keep its model, and score its test clips once."""
    context = here()
    folder, stage = context.folder / job.name, job.stage
    labelled = context.material.labelled
    table = context.material.table(stage.mel)
    features = table.open()
    target, noisy, unlabelled = _labels(job, context)
    parts = (job.curated, noisy) if stage.is_beside else (np.union1d(job.curated, noisy), noisy[:0])
    data = TrainingData(
        features,
        table.spread(target),
        labelled.classes,
        table.rows_of(parts[0]),
        table.rows_of(job.validation),
        table.rows_of(unlabelled),
        table.rows_of(parts[1]),
    )
    outcome = train_model(
        stage.config,
        data,
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=load(context.folder / job.start.name / MODEL) if job.start else None,
        label=stage.name,
    )
    scores = _tested(job, outcome.model, table, features, labelled)
    folder.mkdir(parents=True, exist_ok=True)
    scores.write(folder / SCORES)
    save(folder / MODEL, outcome.model, about=_provenance(job, context))
    write_json(
        folder / DONE,
        {
            "kind": "train",
            "stage": stage.name,
            "fold": job.fold,
            "draw": job.draw,
            "seed": job.seed,
            "start": job.start.name if job.start else "",
            "filter": job.filter.name if job.filter else "",
            "n_curated": len(job.curated),
            "n_noisy": len(noisy),
            "n_unlabelled": len(unlabelled),
            "n_validation": len(job.validation),
            "n_test": len(job.test),
            "lwlrap": scores.lwlrap,
            "mean_average_precision": scores.mean_average_precision,
            "n_parameters": count_parameters(outcome.model),
            "seconds": outcome.seconds,
            "peak_memory_mib": peak_memory(),
            **course_of(outcome.fit),
        },
    )
    tidy(folder)


def run_filter(job: FilterJob) -> None:
    """Score the clips by the job's model, in evaluation mode, and decide about their labels."""
    context = here()
    labelled = context.material.labelled
    table = context.material.table(job.of.stage.mel)
    model = load(context.folder / job.of.name / MODEL)
    rows = table.rows_of(job.rows)
    owner, scores = score_owners(
        model,
        table.open(),
        rows,
        table.source[rows],
        pooling=job.of.pooling,
        device=context.device,
    )
    clips = labelled[owner]
    decisions = filter_labels(clips.ids, clips.labels, scores, model.classes, job.keep)
    folder = context.folder / job.name
    folder.mkdir(parents=True, exist_ok=True)
    write_decisions(folder / DECISIONS, decisions)
    left = kept_labels(decisions).values()
    write_json(
        folder / DONE,
        {
            "kind": "filter",
            "stage": job.of.stage.name,
            "fold": job.fold,
            "draw": job.draw,
            "n_clips": len(clips),
            "n_labels": len(decisions),
            "n_kept": int(decisions["kept"].sum()),
            "n_unlabelled": sum(not labels for labels in left),
            "seconds": 0.0,
        },
    )


def _labels(job: StageJob, context: WorkerContext) -> tuple[NDArray[np.float32], Rows, Rows]:
    """Targets of all rows of the joined table, the noisy rows learned, and those without label."""
    labelled, pool = context.material.labelled, context.material.pool
    target = np.zeros((len(labelled) + len(pool), len(labelled.classes)), np.float32)
    target[: len(labelled)] = labelled.targets()
    if job.filter is None:
        return target, job.noisy, job.unlabelled
    left = kept_labels(read_decisions(context.folder / job.filter.name / DECISIONS))
    ids, column = labelled.ids, {name: k for k, name in enumerate(labelled.classes)}
    target[job.noisy] = 0.0
    for row in job.noisy.tolist():
        target[row, [column[name] for name in left[ids[row]]]] = 1.0
    has_label = target[job.noisy].any(axis=1)
    kept = job.noisy[has_label]
    if not len(kept) and not len(job.curated):
        raise DataError(
            f"stage '{job.stage.name}': the filter left no label to learn; let it keep more"
        )
    return target, kept, np.setdiff1d(job.unlabelled, kept)


def _tested(
    job: StageJob, model: SoundModel, table: FeatureTable, features: Any, labelled: Clips
) -> TagScores:
    rows = table.rows_of(job.test)
    owner, scores = score_owners(model, features, rows, table.source[rows], pooling=job.pooling)
    clips = labelled[owner]
    return TagScores.of(
        clips.ids,
        clips.targets(),
        scores,
        labelled.classes,
        group=clips.group,
        fold=job.fold,
        draw=job.draw,
    )


def _provenance(job: StageJob, context: WorkerContext) -> dict[str, Any]:
    """What the model file says of its making, earlier stages included."""
    labelled, pool = context.material.labelled, context.material.pool
    heard: Rows = np.zeros(0, np.int64)
    one: StageJob | None = job
    while one is not None:
        heard = np.union1d(heard, np.concatenate([one.curated, one.noisy, one.unlabelled]))
        one = one.start
    own = heard[heard < len(labelled)]
    about: dict[str, Any] = {
        "stage": job.stage.name,
        "fold": job.fold,
        "draw": job.draw,
        "seed": job.seed,
        "training": DataPart.of(labelled[own], context.hashes["labelled"]).to_dict(),
        "validation": DataPart.of(labelled[job.validation], context.hashes["labelled"]).to_dict(),
    }
    if len(own) < len(heard):
        others = pool[heard[len(own) :] - len(labelled)]
        about["pool"] = DataPart.of(others, context.hashes["pool"]).to_dict()
    return about


def read_scores(folder: Path, job: StageJob) -> TagScores:
    """The scored test clips of a finished job."""
    return TagScores.read(folder / job.name / SCORES, fold=job.fold, draw=job.draw)


# From finished jobs to numbers: lwlrap of each stage, comparisons, and what filters were worth.


@dataclass(frozen=True)
class StageResult:
    """A row of the report: a stage over all folds and draws.

    Attributes
    ----------
    name : str
    lwlrap : ArmAccuracy
        0 to 1.
    mean_average_precision : float
        Mean over folds and draws, 0 to 1.
    comparisons : tuple of Comparison
        Against the stages that the recipe names.
    jobs : tuple of dict
        What each job wrote of itself.
    """

    name: str
    lwlrap: ArmAccuracy
    mean_average_precision: float
    comparisons: tuple[Comparison, ...]
    jobs: tuple[dict[str, Any], ...]

    def mean(self, key: str) -> float:
        """The mean of a number over jobs."""
        return float(np.mean([job[key] for job in self.jobs]))


@dataclass(frozen=True)
class FilterQuality:
    """How many labels a filter kept and, where the truth is known, how many of them are right.

    Attributes
    ----------
    n_labels, n_kept : int
        Before and after.
    right_before, right_after : float
        Shares of right labels, 0 to 1; NaN where the truth is not known.
    right_kept : float
        Share of the right labels that were kept.
    """

    n_labels: int
    n_kept: int
    right_before: float
    right_after: float
    right_kept: float

    @classmethod
    def of(
        cls, decisions: pd.DataFrame, truth: Mapping[str, tuple[str, ...]] | None
    ) -> FilterQuality:
        """The quality of some decisions; ``truth`` holds the true labels by clip."""
        kept = decisions["kept"].to_numpy(np.bool_)
        nan = float("nan")
        if truth is None:
            return cls(len(kept), int(kept.sum()), nan, nan, nan)
        named = zip(decisions["clip"], decisions["label"], strict=True)
        right = np.array([label in truth[clip] for clip, label in named], np.bool_)
        return cls(
            len(kept), int(kept.sum()), _share(right), _share(right[kept]), _share(kept[right])
        )


@dataclass(frozen=True)
class StagesOutcome:
    """The numbers of a finished experiment.

    Attributes
    ----------
    stages : tuple of StageResult
        In the recipe's order.
    filters : dict of str to Quality
        By the stage that learns from what the filter left, over all folds and draws.
    by_class : dict of str to dict of str to Quality
        The same by class.
    seconds : float
        Training time of all jobs together.
    """

    stages: tuple[StageResult, ...]
    filters: dict[str, FilterQuality]
    by_class: dict[str, dict[str, FilterQuality]]
    seconds: float

    @property
    def comparisons(self) -> list[Comparison]:
        """Those of all stages, in order."""
        return [c for one in self.stages for c in one.comparisons]

    def of(self, name: str) -> StageResult:
        """The result of a stage."""
        return next(one for one in self.stages if one.name == name)


def collect_stages(
    recipe: StagesRecipe,
    plan: StagesPlan,
    folder: Path,
    truth: Mapping[str, tuple[str, ...]] | None,
) -> StagesOutcome:
    """Read all jobs of a finished plan.

    Parameters
    ----------
    truth : mapping of str to tuple of str, optional
        The true labels of clips, where they are known: to measure filters by, nothing else.
    """
    tables: dict[str, list[TagScores]] = defaultdict(list)
    jobs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    decisions: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for name, job in plan.cells:
        tables[name].append(read_scores(folder, job))
        jobs[name].append({**read_job(folder, job), "stage": name, "name": job.name})
        if job.filter is not None:
            decisions[name].append(read_decisions(folder / job.filter.name / DECISIONS))
    stages = []
    for stage in recipe.stages:
        held = tuple(
            compare_tags(
                name,
                tables[name],
                stage.name,
                tables[stage.name],
                setting=f"{stage.name} against {name}",
            )
            for name in stage.against
        )
        stages.append(
            StageResult(
                stage.name,
                tag_arm(stage.name, tables[stage.name]),
                float(np.mean([one["mean_average_precision"] for one in jobs[stage.name]])),
                held,
                tuple(jobs[stage.name]),
            )
        )
    filtered = {name: pd.concat(found) for name, found in decisions.items()}
    by_class = {
        name: {str(label): FilterQuality.of(rows, truth) for label, rows in found.groupby("label")}
        for name, found in filtered.items()
    }
    seconds = sum(read_job(folder, job)["seconds"] for job in plan.jobs)
    filters = {name: FilterQuality.of(found, truth) for name, found in filtered.items()}
    return StagesOutcome(tuple(stages), filters, by_class, float(seconds))


def true_labels(clips: Clips) -> dict[str, tuple[str, ...]]:
    """The labels of clips by their names."""
    return dict(zip(clips.ids, clips.labels, strict=True))


def _share(values: Any) -> float:
    return float(values.mean()) if len(values) else float("nan")


# The report of an experiment in stages: whether each earns its place, and what it learned from.


Row = tuple[Any, ...]
_LEVEL = 0.05


def write_stages_report(
    run: RunFolder,
    options: RunOptions,
    recipe: StagesRecipe,
    material: Material,
    outcome: StagesOutcome,
) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``; return the page."""
    command = command_line("run", options)
    report = Report(
        "stages.j2",
        recipe.title,
        _subtitle(recipe, material),
        recipe=recipe,
        outcome=outcome,
        pooled={"scores": "probabilities", "logits": "logits"}[recipe.pooling],
        command=command,
        provenance={k: str(v) for k, v in provenance(run, command).items() if k != "command"},
    )
    headline = outcome.of(recipe.headline.name)
    for c in headline.comparisons[:1]:
        report.verdict = Verdict(c.verdict(), "", c.outcome)
    report.numbers = [
        Number(percent_text(one.lwlrap.mean), one.name, "lwlrap")
        for one in _shown(outcome, headline)
    ]
    report.warnings += [QUICK] * options.quick + list(material.notes)
    _add_stages(report, recipe, outcome)
    ours = [
        (one.name, IntervalEstimate(one.lwlrap.mean, *one.lwlrap.interval))
        for one in outcome.stages
    ]
    protocol = f"{len(recipe.folds) or len(material.labelled.folds)} folds, {recipe.draws} draws"
    add_study(report, recipe.published, material.labelled.name, ours, protocol)
    _add_filters(report, recipe, outcome)
    _add_curves(report, outcome)
    report.data = {
        "stages": [_plain_stage(one) for one in outcome.stages],
        "filters": outcome.filters,
        "filters_by_class": outcome.by_class,
        "seconds": outcome.seconds,
    }
    write_results(run, command, recipe, report.data)
    return report.write(run.folder)


def gain_rows(outcome: StagesOutcome) -> list[Row]:
    """Rows of the table of gains: stage, what it is compared with, gain, p, corrected p, earned."""
    corrected = holm([c.p for c in outcome.comparisons])
    return [
        (
            c.b.name,
            c.a.name,
            IntervalEstimate(c.difference, *c.claimed_interval),
            c.p,
            p,
            earned(c, p),
        )
        for c, p in zip(outcome.comparisons, corrected, strict=True)
    ]


GAINS = ("stage", "compared with", "gain", "p", "p (Holm)", "earns its place")


def earned(c: Comparison, p: float) -> str:
    """Whether a stage is better than what it is compared with; ``p`` allows for all questions."""
    if c.is_shown and p < _LEVEL:
        return "yes" if c.difference > 0 else "no: it harms"
    if c.outcome != "open":
        return (
            "may be chance: " + ("better" if c.difference > 0 else "worse") + " on these clips only"
        )
    return "may be chance"


def _add_stages(report: Report, recipe: StagesRecipe, outcome: StagesOutcome) -> None:
    names = [one.name for one in outcome.stages]
    report.table(
        "stages",
        ("stage", "lwlrap", "sd of draws", "mean average precision"),
        [
            (
                one.name,
                IntervalEstimate(one.lwlrap.mean, *one.lwlrap.interval),
                one.lwlrap.spread,
                one.mean_average_precision,
            )
            for one in outcome.stages
        ],
        formats={
            "lwlrap": percent_text,
            "sd of draws": points_text,
            "mean average precision": percent_text,
        },
        styles={names.index(recipe.headline.name): "strong"},
    )
    if outcome.comparisons:
        report.table(
            "gains",
            GAINS,
            gain_rows(outcome),
            formats={
                "gain": lambda gain: points_text(gain, signed=True),
                "p": p_value,
                "p (Holm)": p_value,
            },
        )
        figure = comparison_plot(outcome.comparisons, measured="gain in lwlrap")
        report.figure("gains", figure)
    report.table(
        "learned-from",
        ("stage", "curated", "noisy", "without label", "best epoch", "time"),
        [
            (
                one.name,
                one.mean("n_curated"),
                one.mean("n_noisy"),
                one.mean("n_unlabelled"),
                one.mean("best_epoch"),
                one.mean("seconds"),
            )
            for one in outcome.stages
        ],
        formats={"time": duration_text},
    )


def _add_filters(report: Report, recipe: StagesRecipe, outcome: StagesOutcome) -> None:
    if not outcome.filters:
        return
    report.table(
        "filters",
        ("stage", "filtered by", "rule", *_QUALITY),
        [
            (name, recipe.stage(name).filter, _rule(recipe, name), *_of_quality(found))
            for name, found in outcome.filters.items()
        ],
        formats=_SHARES,
    )
    name = recipe.headline.name
    if name not in outcome.by_class:
        name = next(iter(outcome.by_class))
    report.table(
        "filter-by-class",
        ("class", *_QUALITY),
        [(label, *_of_quality(found)) for label, found in outcome.by_class[name].items()],
        formats=_SHARES,
    )
    report.values |= {
        "truth_is_known": any(np.isfinite(one.right_before) for one in outcome.filters.values()),
        "filter_shown": name,
    }


_QUALITY = ("labels", "kept", "right before", "right among kept", "right ones kept")
_SHARES = dict.fromkeys(_QUALITY[2:], percent_text)


def _of_quality(found: FilterQuality) -> Row:
    return (
        found.n_labels,
        found.n_kept,
        found.right_before,
        found.right_after,
        found.right_kept,
    )


def _rule(recipe: StagesRecipe, name: str) -> str:
    keep = recipe.stage(name).keep
    parts = [f"among the best {keep.top_k}"] if keep.top_k else []
    parts += [f"score at least {keep.threshold:g}"] if keep.threshold else []
    return ", ".join(parts)


def _add_curves(report: Report, outcome: StagesOutcome) -> None:
    curves = {}
    for one in outcome.stages:
        rows = [[row.get("val_lwlrap") for row in job["history"]] for job in one.jobs]
        if all(row and None not in row for row in rows):
            curves[one.name] = [np.array(row, np.float64) for row in rows]
    if curves:
        report.figure(
            "curves",
            training_curves(curves, measure="lwlrap of held-out clips", colours=CLASS_COLOURS),
        )


def _shown(outcome: StagesOutcome, headline: StageResult) -> Sequence[StageResult]:
    return [*(outcome.of(c.a.name) for c in headline.comparisons[:2]), headline]


def _subtitle(recipe: StagesRecipe, material: Material) -> str:
    labelled = material.labelled
    certain = int(labelled.is_verified.sum())
    return (
        f"'{labelled.name}': {certain} clips with checked labels, {len(labelled) - certain} with "
        f"unchecked ones, {len(material.pool)} without, {len(labelled.classes)} classes; "
        f"{', '.join(dict.fromkeys(s.model for s in recipe.stages))}; "
        f"{recipe.draws} draws"
    )


def _plain_stage(one: StageResult) -> dict[str, Any]:
    return {
        "name": one.name,
        "lwlrap": one.lwlrap,
        "mean_average_precision": one.mean_average_precision,
        "comparisons": [c.to_dict() for c in one.comparisons],
        "jobs": [without_history(job) for job in one.jobs],
    }


# ``semisonic run`` for a recipe in stages: from recordings to a report, resumable at every job.


_HEADERS = ("stage", "lwlrap", "mAP", "compared with", "gain", "p", "earns its place")


WORK: dict[type, Callable[[Any], None]] = {StageJob: run_stage, FilterJob: run_filter}


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
            "option 'transductive': a recipe in stages never hears the test clips; leave it out"
        )
    if options.source is not None:
        raise OptionError(
            "option 'source': a stage starts from random weights or from another stage; leave it "
            "out"
        )
    asked = {**to_dict(options), "contents": to_dict(recipe)}
    with open_experiment("run", options, asked) as opened:
        run, jobs, place = opened.run, opened.jobs, torch.device(opened.device)
        stages = tuple(
            replace(stage, fit=with_precision(stage.fit, place, recipe.precision))
            for stage in recipe.stages
        )
        recipe = replace(recipe, stages=stages)
        inputs = [(recipe.stages[0].mel, WHOLE)]
        material, hashes = opened.gather(load_data(options, recipe.synth), inputs, several=True)
        plan = make_stages_plan(recipe, material.labelled, material.pool, seed=options.seed)
        run.note(precision=sorted({stage.fit.precision for stage in recipe.stages}))
        material = warned(material, _short_stages(plan))
        opened.do(plan.jobs, WORK, WorkerContext(jobs, material, opened.device, hashes))
        outcome = collect_stages(recipe, plan, jobs, _truth(options, recipe))
        report = write_stages_report(run, options, recipe, material, outcome)
        shown = _shown_job(recipe, plan)
        _leave_models(plan, jobs)
    test = material.labelled[shown.test]
    return RunResult(
        table=_table(outcome),
        answers=tuple(f"{c.setting}: {c.verdict()}" for c in outcome.comparisons),
        report=report,
        model=jobs / shown.name / MODEL,
        examples=test[:: max(1, len(test) // EXAMPLES)][:EXAMPLES],
        failures=material.failures,
        notes=material.notes,
    )


def _short_stages(plan: StagesPlan) -> list[str]:
    """A warning where stages end before each of their clips was heard once."""
    stages = (
        (name, job.stage.whole_fit, len(job.curated) + len(job.noisy)) for name, job in plan.cells
    )
    return too_few_steps("the stage", "stage.fit.steps", stages)


def _truth(options: RunOptions, recipe: StagesRecipe) -> Mapping[str, tuple[str, ...]] | None:
    """The true labels of all clips, where somebody knows them: of made-up sounds."""
    if str(options.data) != SYNTH:
        return None
    labelled, _ = load_synth(make_in_cache(recipe.synth), true_labels=True)
    return true_labels(labelled)


def _shown_job(recipe: StagesRecipe, plan: StagesPlan) -> StageJob:
    return next(job for name, job in plan.cells if name == recipe.headline.name)


def _leave_models(plan: StagesPlan, folder: Path) -> None:
    """Keep the models of the first draw; those of the others were for the stages after them."""
    for job in plan.jobs:
        if job.draw > 0:
            (folder / job.name / MODEL).unlink(missing_ok=True)


def _table(outcome: StagesOutcome) -> ResultTable:
    """All stages with their numbers, and below each what it is held against."""
    gains = {(row[0], row[1]): row[2:] for row in gain_rows(outcome)}
    rows = []
    for one in outcome.stages:
        head = [one.name, percent_text(one.lwlrap.mean), percent_text(one.mean_average_precision)]
        compared = [gains[one.name, c.a.name] for c in one.comparisons]
        lines = [
            [c.a.name, points_text(gain.value, signed=True), p_value(p), said]
            for c, (gain, _, p, said) in zip(one.comparisons, compared, strict=True)
        ]
        for line in lines or [[""] * 4]:
            rows.append([*head, *line])
            head = [""] * len(head)
    return ResultTable(_HEADERS, rows)
