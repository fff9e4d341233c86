"""Experiments in stages: trainings that continue from each other, and filters of unverified
labels.

Every stage is scored on the test clips, so each row of the report is a stage. The filter's rule of
the k best classes is that of a student system for FSDKaggle2019 (k = 5 of 80 classes); its
threshold is the usual one of pseudo-labels (Lee 2013), asked of labels that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from semisonic.classifier.finish import finish_training
from semisonic.classifier.scoring import mean_by, score_rows
from semisonic.classifier.training import TrainingData, reads_pool, train_model
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import replacing
from semisonic.core.seeds import derive
from semisonic.core.text import count_text, duration_text, p_value, percent_text, points_text
from semisonic.data.clips import Clips
from semisonic.data.splits import fold_splits
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
from semisonic.evaluation.report.document import IntervalEstimate, Number, Report, Verdict
from semisonic.evaluation.report.experiment import add_study
from semisonic.evaluation.statistics import holm
from semisonic.experiments.material import WHOLE
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.plan import MODEL, STAGE, Job, Plan, Rows
from semisonic.experiments.recipe import BEST, CURATED, KEPT, NOISY, StagesRecipe
from semisonic.experiments.runner import (
    QUICK,
    Experiment,
    RunResult,
    command_line,
    keep_model,
    load_data,
    open_experiment,
    with_number_format,
    without_history,
)
from semisonic.experiments.worker import here, provenance_of
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load, save

SCORES, DECISIONS = "scores.csv.gz", "decisions.csv"
_LEVEL = 0.05


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
    """
    table = pd.DataFrame({"clip": list(clips), "label": list(labels), "row": range(len(clips))})
    table = table.explode("label", ignore_index=True).dropna(subset="label")
    row = table.pop("row").to_numpy(int)
    column = pd.Index(classes).get_indexer(pd.Index(table["label"]))
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


def read_decisions(path: Path) -> pd.DataFrame:
    """The decisions about unverified labels, as :func:`filter_labels` gave them."""
    return pd.read_csv(path, dtype={"clip": str, "label": str}, keep_default_na=False)


def make_stages_plan(recipe: StagesRecipe, labelled: Clips, pool: Clips, *, seed: int = 0) -> Plan:
    """Plan every draw, fold and stage. Stages that are alike up to a point share the work.

    Parameters
    ----------
    recipe : StagesRecipe
    labelled : Clips
        Those with verified labels are divided into training, validation and test, by recording;
        the others train only, and not where their recording is tested.
    pool : Clips
        Unlabelled clips; those of a test recording are not used.
    seed : int

    Raises
    ------
    DataError
        If a stage needs unverified labels and the data have none.
    """
    asked = [stage.name for stage in recipe.stages if {NOISY, KEPT} & set(stage.data)]
    if asked and labelled.is_verified[labelled.is_labelled].all():
        raise DataError(
            f"'{labelled.name}': found no clips with unverified labels, which the stage "
            f"'{asked[0]}' learns from; expected a set that has them, such as FSDKaggle2019"
        )
    cells: list[tuple[str, Job]] = []
    for draw in range(recipe.draws):
        seed_of_draw = derive(seed, "draw", draw) % (1 << 31)
        for split in fold_splits(labelled, validation=recipe.validation, seed=seed_of_draw):
            if recipe.folds and split.fold not in recipe.folds:
                continue
            certain = labelled.is_verified[split.train]
            curated, noisy, none = split.train[certain], split.train[~certain], split.train[:0]
            known = np.isin(pool.group, labelled.group[split.test])
            apart = np.flatnonzero(~known) + len(labelled)
            done: dict[str, Job] = {}
            for stage in recipe.stages:
                method, uses_noisy = stage.method, bool({NOISY, KEPT} & set(stage.data))
                unlabelled = none
                if reads_pool(method, stage.method_params) or method == "noisy-student":
                    others = none if NOISY in stage.data else noisy
                    unlabelled = np.concatenate([others, apart])
                job = Job(
                    kind=STAGE,
                    setting=stage,
                    fold=split.fold,
                    draw=draw,
                    seed=seed_of_draw,
                    train=curated if CURATED in stage.data else none,
                    validation=split.validation,
                    test=split.test,
                    pool=unlabelled,
                    noisy=noisy if uses_noisy else none,
                    start=done.get(stage.start),
                    judge=done.get(stage.filter),
                )
                alike = replace(stage, name="", start="", filter="", against=())
                done[stage.name] = job.named(alike)
            cells += done.items()
    return Plan(tuple(cells))


def run_stage(job: Job) -> None:
    """Train the job's stage, keep its model, and score its test clips once."""
    context, stage = here(), job.setting
    folder, labelled = context.folder / job.name, context.material.labelled
    folder.mkdir(parents=True, exist_ok=True)
    table = context.material.table(stage.mel)
    features = table.features
    target = np.zeros((len(labelled) + len(context.material.pool), len(labelled.classes)))
    target[: len(labelled)] = labelled.targets()
    noisy, unlabelled, kept = job.noisy, job.pool, {}
    if job.judge is not None:
        decisions = _judged(job, job.judge)
        target[noisy] = 0.0
        places = pd.Series(noisy, [labelled.ids[row] for row in noisy])
        left = decisions[decisions["kept"]]
        columns = pd.Index(labelled.classes).get_indexer(pd.Index(left["label"]))
        target[places[left["clip"]], columns] = 1.0
        noisy = noisy[target[noisy].any(axis=1)]
        if not len(noisy) and not len(job.train):
            raise DataError(
                f"stage '{stage.name}': the filter kept no label; change keep_top_k or "
                "keep_threshold to keep more"
            )
        unlabelled = np.setdiff1d(unlabelled, noisy)
        kept = {"n_labels": len(decisions), "n_kept": len(left)}
    curated, beside = job.train, noisy
    if not stage.is_beside:
        curated, beside = np.union1d(job.train, noisy), noisy[:0]
    data = TrainingData(
        features,
        table.spread(target.astype(np.float32)),
        labelled.classes,
        table.rows_of(curated),
        table.rows_of(job.validation),
        table.rows_of(unlabelled),
        table.rows_of(beside),
    )
    outcome = train_model(
        stage,
        data,
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=load(context.folder / job.start.name / MODEL) if job.start else None,
        label=stage.name,
    )
    rows = table.scored_rows(job.test)
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
    scores.write(folder / SCORES)
    if job.name == context.whole:
        where = context.device
        finish_training(outcome, table, data, labelled, stage, seed=job.seed, device=where)
    about = provenance_of(job, training=_heard(job), validation=job.validation)
    save(folder / MODEL, outcome.model, about=about)
    job.finish(
        context.folder,
        outcome.seconds,
        outcome.fit,
        n_noisy=len(noisy),
        n_pool=len(unlabelled),
        lwlrap=lwlrap(scores.targets, scores.probabilities),
        mean_average_precision=mean_average_precision(scores.targets, scores.probabilities),
        n_parameters=count_parameters(outcome.model),
        **kept,
    )


def _judged(job: Job, judge: Job) -> pd.DataFrame:
    """What the judge's model, in evaluation mode, decides about the labels of the noisy clips."""
    context, stage = here(), job.setting
    table = context.material.table(judge.setting.mel)
    rows = table.scored_rows(job.noisy)
    model = load(context.folder / judge.name / MODEL)
    found = score_rows(model, table.features, rows, device=context.device)
    owner, scores = mean_by(table.source[rows], found)
    clips, rule = context.material.labelled[owner], (stage.keep_top_k, stage.keep_threshold)
    decisions = filter_labels(
        clips.ids, clips.labels, scores, model.classes, top_k=rule[0], threshold=rule[1]
    )
    with replacing(context.folder / job.name / DECISIONS) as part:
        decisions.to_csv(part, index=False)
    return decisions


def _heard(job: Job) -> Rows:
    """The training rows of a stage and of those before it."""
    own = np.concatenate([job.train, job.noisy, job.pool])
    return own if job.start is None else np.union1d(own, _heard(job.start))


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


def collect_stages(
    recipe: StagesRecipe, plan: Plan, folder: Path, n_certain: int
) -> list[StageResult]:
    """Read all jobs of a finished plan, and compare the stages as the recipe says.

    ``n_certain`` clips of all folds have verified labels.
    """
    tables: list[Predictions] = []
    records = []
    for name, job in plan.cells:
        tables.append(Predictions.read(folder / job.name / SCORES).assign(setting=name))
        records.append({**job.record(folder), "stage": name, "name": job.name})
    scores, jobs = Predictions.concat(tables), pd.DataFrame(records)
    return [
        StageResult(
            stage.name,
            arm_accuracy(scores.select(setting=stage.name), measure=LWLRAP),
            compare_setting_pairs(
                scores,
                [(other, stage.name) for other in stage.against],
                measure=LWLRAP,
                n_clips=n_certain,
            ),
            jobs[jobs["stage"] == stage.name],
        )
        for stage in recipe.stages
    ]


QUALITY = ("labels", "kept", "right before", "right among kept", "right ones kept")


def filter_quality(
    plan: Plan, folder: Path, truth: Mapping[str, tuple[str, ...]] | None
) -> pd.DataFrame:
    """How many labels each filter kept and, if the truth is known, how many of them are right.

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
        read_decisions(folder / job.name / DECISIONS).assign(stage=name)
        for name, job in plan.cells
        if job.judge is not None
    ]
    if not found:
        return pd.DataFrame(columns=["stage", "class", *QUALITY])
    labels = pd.concat(found, ignore_index=True).assign(right=np.nan)
    if truth is not None:
        named = zip(labels["clip"], labels["label"], strict=True)
        labels["right"] = [float(label in truth[clip]) for clip, label in named]
    labels["right_kept"] = labels["right"].where(labels["kept"])
    labels["kept_right"] = labels["kept"].where(labels["right"] == 1).astype(float)
    groups = pd.concat([labels.assign(label=""), labels]).groupby(["stage", "label"], sort=False)
    quality = groups.agg(
        labels=("kept", "size"),
        kept=("kept", "sum"),
        before=("right", "mean"),
        among=("right_kept", "mean"),
        ones=("kept_right", "mean"),
    )
    return quality.set_axis(list(QUALITY), axis=1).rename_axis(["stage", "class"]).reset_index()


def gains(stages: Sequence[StageResult]) -> pd.DataFrame:
    """Each comparison with its p-value corrected for the number of questions, and a verdict.

    A stage earns its place if it is better than what it is compared with by both.
    """
    comparisons = [c for one in stages for c in one.comparisons]
    rows = []
    for c, p in zip(comparisons, holm([c.p for c in comparisons]), strict=True):
        better = c.difference > 0
        word, earned = "better" if better else "worse", "may be chance"
        if c.is_shown and p < _LEVEL:
            earned = "yes" if better else "no: it harms"
        elif c.is_shown:
            earned += f": {word} by this comparison alone, not after correction for all of them"
        elif c.outcome != "open":
            earned += f": {word} on these clips only"
        gain = IntervalEstimate(c.difference, *c.claimed_interval)
        rows.append((c.b.name, c.a.name, gain, c.p, p, earned))
    columns = ["stage", "compared with", "gain", "p", "p (Holm)", "earns its place"]
    return pd.DataFrame(rows, columns=columns)


def run_stages(options: RunOptions, recipe: StagesRecipe) -> RunResult:
    """Run or continue an experiment in stages.

    Raises
    ------
    OptionError, DataError
        For options of another run in the same folder, options that have no meaning here, or
        unusable data.
    """
    if options.transductive or options.source is not None:
        name = "transductive" if options.transductive else "source"
        raise OptionError(
            f"option '{name}': a recipe in stages never learns from the test clips, and starts "
            "from random weights or from another stage; leave the option out"
        )
    with open_experiment("run", options, recipe) as experiment:
        folder = experiment.jobs
        recipe = with_number_format(recipe, torch.device(experiment.device))
        inputs = [(recipe.stages[0].mel, WHOLE)]
        context = experiment.gather(load_data(options, recipe.synth), inputs, several=True)
        labelled, pool = context.material.labelled, context.material.pool
        plan = make_stages_plan(recipe, labelled, pool, seed=options.seed)
        shown = next(job for name, job in plan.cells if name == recipe.headline)
        context = experiment.with_whole(context, shown.name)
        seconds = experiment.carry_out(plan, context, {STAGE: run_stage})
        truth = None
        if str(options.data) == SYNTH:
            made, _ = load_synth(make_in_cache(recipe.synth), true_labels=True)
            truth = dict(zip(made.ids, made.labels, strict=True))
        certain, draws = int(labelled.is_verified.sum()), count_text(recipe.draws, "draw")
        results = collect_stages(recipe, plan, folder, certain)
        quality = filter_quality(plan, folder, truth)
        subtitle = (
            f"'{labelled.name}': {certain} clips with verified labels, {len(labelled) - certain} "
            f"with unverified ones, {len(pool)} without, {len(labelled.classes)} classes; "
            f"{', '.join(dict.fromkeys(s.model for s in recipe.stages))}; {draws}"
        )
        protocol = f"{len(recipe.folds) or len(labelled.folds)} folds, {draws}"
        report = _report(experiment, recipe, subtitle, results, quality, seconds)
        ours = [(s.name, IntervalEstimate(s.lwlrap.mean, *s.lwlrap.interval)) for s in results]
        add_study(report, recipe.published, labelled.name, ours, protocol)
        experiment.write_results(report.values["command"], recipe, report.data)
        page = report.write(experiment.run.folder)
        for job in plan.jobs:
            if job.draw > 0:  # those models were for the stages after them
                (folder / job.name / MODEL).unlink(missing_ok=True)
        model = keep_model(experiment, shown)
    return RunResult(
        table=_table(results),
        answers=tuple(f"{c.setting}: {c.verdict()}" for one in results for c in one.comparisons),
        report=page,
        model=model,
        tested=labelled[shown.test],
        failures=context.material.failures,
        notes=tuple(experiment.notes),
    )


def _table(stages: Sequence[StageResult]) -> pd.DataFrame:
    """All stages with their numbers and, below each, what it is compared with, as text."""
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


def _report(
    experiment: Experiment,
    recipe: StagesRecipe,
    subtitle: str,
    stages: Sequence[StageResult],
    quality: pd.DataFrame,
    seconds: float,
) -> Report:
    """The page with its tables and figures, and what goes into ``results.json``."""
    report = Report(
        "stages.j2",
        recipe.title,
        subtitle,
        recipe=recipe,
        seconds=seconds,
        command=command_line("run", experiment.options),
        provenance={name: str(value) for name, value in experiment.provenance.items()},
        has_filters=len(quality) > 0,
    )
    by_name = {one.name: one for one in stages}
    headline = by_name[recipe.headline]
    for c in headline.comparisons[:1]:
        report.verdict = Verdict(c.verdict(), "", c.outcome)
    shown = [*(by_name[c.a.name] for c in headline.comparisons[:2]), headline]
    report.numbers = [Number(percent_text(s.lwlrap.mean), s.name, "lwlrap") for s in shown]
    report.warnings += [QUICK] * experiment.options.quick + experiment.notes
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
            for one in stages
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
        signed = {"gain": lambda gain: points_text(gain, signed=True)}
        formats = {**signed, "p": p_value, "p (Holm)": p_value}
        report.frame("gains", compared, formats=formats)
        comparisons = [c for one in stages for c in one.comparisons]
        report.figure("gains", comparison_plot(comparisons, measured="gain in lwlrap"))
    columns = ["n_train", "n_noisy", "n_pool", "best_epoch", "seconds"]
    report.table(
        "learned-from",
        ("stage", "curated", "noisy", "without label", "best epoch", "time"),
        [(one.name, *one.jobs[columns].mean()) for one in stages],
        formats={"time": duration_text},
    )
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
                "jobs": [without_history(job) for job in one.jobs.to_dict("records")],
            }
            for one in stages
        ],
        "filters": quality.to_dict("records"),
        "seconds": seconds,
    }
    return report


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
    report.frame("filter-by-class", by_class[["class", *QUALITY]], formats=shares)
    report.values |= {
        "truth_is_known": bool(quality["right before"].notna().any()),
        "filter_shown": name,
    }
