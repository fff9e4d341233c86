"""``semisonic curve``: how many labels are needed, and whether unlabelled recordings help."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from semisonic.classifier.config import (
    AUTO,
    DROPOUT,
    FIT,
    NO_OBJECTIVE,
    PRETRAIN,
    PROBE,
    SIMCLR,
    SOLVED,
    MethodOptions,
)
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import changed, check, to_dict
from semisonic.core.text import count_text, percent_text
from semisonic.data.clips import Clips
from semisonic.data.options import SynthOptions
from semisonic.evaluation.learning_curve import (
    LEAST_POINTS,
    CurvePoint,
    LearningCurve,
    count_labels,
    needed_texts,
    worth_in_labels,
)
from semisonic.evaluation.plots.results import label_curve
from semisonic.evaluation.published import human_accuracy
from semisonic.evaluation.report.document import Report, Verdict
from semisonic.experiments.options import CurveOptions
from semisonic.experiments.plan import labels_there
from semisonic.experiments.recipe import Budget, Recipe, Setting
from semisonic.experiments.runner import (
    ExperimentResult,
    Finished,
    command_line,
    compare_arms,
    comparison_table,
    gather_for,
    open_experiment,
)

ARMS = ("labels alone", "labels and pool")
UNLABELLED = "the other training clips, without their labels,"
"""What serves as a pool if none is given."""


@dataclass(frozen=True, kw_only=True)
class CurveResult(ExperimentResult):
    """The result of ``curve``: how many labels are needed, and what the pool is worth.

    Attributes
    ----------
    curves : tuple of LearningCurve
        Labels alone, and labels with the pool.
    """

    curves: tuple[LearningCurve, LearningCurve]


def learning_curve(options: CurveOptions) -> CurveResult:
    """Train with several numbers of labels, with and without the pool, on all folds.

    Raises
    ------
    OptionError
        For numbers of labels given twice, or if the run folder belongs to other options.
    DataError
        If every number of labels is more than a class has in some training fold; if only some are,
        they are left out, and the notes say so.
    """
    check(options)
    recipe = recipe_of(options)
    with open_experiment("curve", options, recipe) as experiment:
        context = gather_for(experiment, recipe)
        recipe, said = _with_labels_there(recipe, context.material.labelled)
        experiment.notes.extend(said)
        done = compare_arms(experiment, recipe, context)
        curves = _curves(done)
        table = comparison_table(done.comparisons)
        n = max(one.n_clips for one in done.comparisons)
        recordings = max(one.n_recordings for one in done.comparisons)
        clips = f"of {count_text(n, 'test clip')} of {count_text(recordings, 'recording')}"
        answers = [f"Accuracies are {clips}.", *_answers(curves, done, options.goals)]
        labelled, pool = done.material.labelled, done.material.pool
        learned = "the training clips" + (f" and {len(pool)} of '{pool.name}'" * bool(len(pool)))
        report = Report(
            "curve.j2",
            f"How many labels does '{labelled.name}' need?",
            f"{len(labelled)} clips, {len(labelled.classes)} classes, "
            f"{count_text(options.draws, 'draw')} of "
            f"labels; trained without labels on {learned}",
            answers=answers,
        )
        first, *_ = points = curves[1].points
        best = max(points, key=lambda point: point.accuracy.mean)
        more = f", {_interval(best)} with {best.labels_per_class:.3g}" * (best is not first)
        report.verdict = Verdict(
            f"{_interval(first)} with {count_labels(first.labels_per_class)} per class"
            f"{' and the pool' * bool(len(pool))}{more}; {clips}"
        )
        report.warnings += experiment.notes
        report.figure("curve", label_curve(curves, human=human_accuracy(labelled.name)))
        report.frame("curve", table)
        report.data = {
            "curves": {curve.name: [asdict(point) for point in curve.points] for curve in curves},
            "comparisons": [one.to_dict() for one in done.comparisons],
            "options": to_dict(options),
        }
        values = {**report.data, "seconds": done.seconds}
        experiment.write_results(command_line("curve", options), recipe, values)
        page = report.write(experiment.run.folder)
    return CurveResult(
        curves=curves,
        table=table,
        answers=tuple(answers),
        report=page,
        failures=done.material.failures,
        notes=tuple(experiment.notes),
    )


def recipe_of(options: CurveOptions) -> Recipe:
    """The experiment of the curve."""
    if len(set(options.labels)) != len(options.labels) or not options.labels:
        raise OptionError(
            f"option 'labels': found {list(options.labels)}, expected at least one number, each "
            "once"
        )
    with_pool = Setting(
        model=options.model, objective=NO_OBJECTIVE, method=options.method, mel=options.mel
    )
    alone = replace(with_pool, pool=False)
    if options.method != AUTO:
        params = MethodOptions(augment="mixed", mixup=0.4)
        with_pool = replace(
            with_pool, start="synthetic", method_params=params, dropout=DROPOUT, fit=FIT
        )
        alone = replace(with_pool, method="supervised", pool=False)
    if options.method in SOLVED:
        guess = MethodOptions(threshold=0.7) if options.method == PROBE else MethodOptions()
        with_pool = replace(with_pool, objective=SIMCLR, pretrain=PRETRAIN, method_params=guess)
    if options.steps:
        with_pool, alone = (
            replace(one, fit=changed(one.fit, steps=options.steps)) for one in (with_pool, alone)
        )
    return Recipe(
        title="How many labels are needed?",
        validation=0.0,
        pretrain_draws=1,
        folds=options.folds,
        arms=ARMS,
        budgets=tuple(Budget(n, options.draws) for n in options.labels),
        settings=(with_pool,),
        controls=(alone,),
        synth=SynthOptions(clips_per_class=40, n_pool=600),
    )


def _with_labels_there(recipe: Recipe, labelled: Clips) -> tuple[Recipe, list[str]]:
    """The recipe without numbers of labels that are too large, and a message."""
    there = labels_there(recipe, labelled)
    least, rarest, _ = min(there)
    has_all = any(not one.labels_per_class for one in recipe.budgets)
    most = min(mean for *_, mean in there) if has_all else math.inf
    kept = [
        one
        for one in recipe.budgets
        if one.labels_per_class <= least and one.labels_per_class < most
    ]
    if len(kept) == len(recipe.budgets):
        return recipe, []
    numbers = ", ".join(str(one.labels_per_class) for one in recipe.budgets if one not in kept)
    why = f"the class '{rarest}' has {count_labels(least)} in the smallest training part"
    if not kept:
        raise DataError(
            f"option 'labels': found {numbers}, but {why}; give numbers up to {least}, or 0 for "
            "all labels, or label more clips of this class"
        )
    rest = "; all labels were tried instead" if has_all else ""
    said = f"Left out of the numbers of labels: {numbers}, as {why}{rest}."
    return replace(recipe, budgets=tuple(kept)), [said]


def _curves(done: Finished) -> tuple[LearningCurve, LearningCurve]:
    """The curves of both arms; "all labels" is at their mean number per class."""
    sizes = [len(job.train) for _, job in done.plan.cells if not job.budget.labels_per_class]
    n_all = sum(sizes) / max(len(sizes), 1) / len(done.material.labelled.classes)

    def curve(name: str, arm: str) -> LearningCurve:
        points = [
            CurvePoint(
                float(budget.labels_per_class or n_all),
                getattr(one, arm),
                tuple(one.draws[f"accuracy_{arm}"].tolist()),
            )
            for budget, one in zip(done.recipe.budgets, done.comparisons, strict=True)
        ]
        return LearningCurve(name, tuple(points))

    with_pool = ARMS[1] if len(done.material.pool) else "labels and unlabelled clips"
    return curve(ARMS[0], "a"), curve(with_pool, "b")


def _answers(
    curves: tuple[LearningCurve, LearningCurve], done: Finished, goals: tuple[float, ...]
) -> list[str]:
    """The answers to the two questions, from the curves."""
    alone, pool = curves
    said = [sentence for curve in curves for sentence in needed_texts(curve, goals)]
    is_there = bool(len(done.material.pool))
    name = "the pool" if is_there else UNLABELLED
    worth = worth_in_labels(pool, alone) if len(alone.points) >= LEAST_POINTS else []
    for labels, needed in worth:
        with_pool = f"{count_labels(labels)} per class with {name}"
        if math.isinf(needed):
            said.append(f"{with_pool} are better than any number tried without.")
        elif needed > labels * 1.1:
            n = round(needed, 1 if needed < 10 else 0)
            said.append(f"{with_pool} are as good as about {n:g} without.")
    gains = [one.difference for one in done.comparisons if one.is_shown]
    harm = sum(gain < 0 for gain in gains)
    helps = f"{name[0].upper()}{name[1:]} {'is' if is_there else 'are'} shown to help at"
    said.append(
        f"{helps} {len(gains) - harm} of {len(done.comparisons)} numbers of labels"
        + (f", and to hurt at {harm}." if harm else ".")
    )
    return said


def _interval(point: CurvePoint) -> str:
    low, high = point.accuracy.interval
    return f"{percent_text(point.accuracy.mean)} ({percent_text(low)} to {percent_text(high)})"
