"""``semisonic curve``: how many labels are needed, and what the unlabelled recordings bring."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
from semisonic.core.files import write_json
from semisonic.core.options import check, to_dict
from semisonic.core.text import Result, percent_text
from semisonic.data.options import SynthOptions
from semisonic.evaluation.comparison import ArmAccuracy, Comparison
from semisonic.evaluation.learning_curve import (
    CurvePoint,
    LearningCurve,
    count_labels,
    say_needed,
    worth_in_labels,
)
from semisonic.evaluation.plots.experiments import label_curve
from semisonic.evaluation.published import human_accuracy
from semisonic.evaluation.report.document import Report, Verdict
from semisonic.experiments.material import Material
from semisonic.experiments.options import CurveOptions, RunOptions
from semisonic.experiments.plan import labels_there
from semisonic.experiments.recipe import Budget, Recipe, Setting
from semisonic.experiments.results import ResultTable, comparison_rows
from semisonic.experiments.run import Finished, conduct

if TYPE_CHECKING:
    import pandas as pd

ARMS = ("labels alone", "labels and pool")


@dataclass(frozen=True)
class CurveResult(Result):
    """What ``curve`` found.

    Attributes
    ----------
    curves : tuple of LearningCurve
        Labels alone, and labels with the pool.
    table : Table
        For a terminal.
    answers : tuple of str
        How many labels are needed, and what the pool is worth, in words.
    report : Path
    failures : tuple of (clip, reason)
    notes : tuple of str
    """

    curves: tuple[LearningCurve, LearningCurve]
    table: ResultTable
    answers: tuple[str, ...]
    report: Path
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """For a terminal."""
        return "\n".join([str(self.table), *self.answers, *self.notes, f"report: {self.report}"])

    def to_frame(self) -> pd.DataFrame:
        """The main table: a row per number of labels."""
        return self.table.to_frame()


def learning_curve(options: CurveOptions) -> CurveResult:
    """Train with several numbers of labels, with and without the pool, on all folds.

    Raises
    ------
    OptionError
        For numbers of labels given twice, or options of another run in the same folder.
    DataError
        When every number of labels is more than a class has in some training fold; fewer are left
        out, and the notes say so.
    """
    check(options)
    recipe = recipe_of(options)
    same = {field.name for field in fields(RunOptions)} & {f.name for f in fields(CurveOptions)}
    run = RunOptions(recipe="curve", **{name: getattr(options, name) for name in same})
    with conduct("curve", recipe, run, asked=options, fitted=_with_labels_there) as done:
        curves = _curves(done)
        measured = _measured(done.outcome.comparisons)
        answers = [f"Accuracies are {measured}.", *_answers(curves, done, options)]
        headers, rows = comparison_rows(done.outcome)
        page = _page(options, done, curves, answers, measured, headers, rows)
        return CurveResult(
            curves,
            ResultTable(headers, rows),
            tuple(answers),
            page,
            done.material.failures,
            done.material.notes,
        )


def recipe_of(options: CurveOptions) -> Recipe:
    """The experiment that gives the curve."""
    if len(set(options.labels)) != len(options.labels) or not options.labels:
        raise OptionError(
            f"option 'labels': found {list(options.labels)}, expected at least one number, each "
            "once"
        )
    if options.method == AUTO:
        with_pool = Setting(
            model=options.model, objective=NO_OBJECTIVE, method=AUTO, mel=options.mel
        )
        alone = replace(with_pool, pool=False)
    else:
        params = MethodOptions(augment="mixed", mixup=0.4)
        with_pool = Setting(
            model=options.model,
            objective=NO_OBJECTIVE,
            method=options.method,
            method_params=params,
            start="synthetic",
            dropout=DROPOUT,
            fit=FIT,
            mel=options.mel,
        )
        alone = replace(with_pool, method="supervised", pool=False)
        if options.method in SOLVED:
            guess = MethodOptions(threshold=0.7) if options.method == PROBE else MethodOptions()
            with_pool = replace(
                with_pool,
                objective=SIMCLR,
                pretrain=PRETRAIN,
                method_params=guess,
            )
    return Recipe(
        title="How many labels are needed?",
        validation=0.0,
        pretrain_draws=1,
        folds=options.folds,
        arms=ARMS,
        budgets=tuple(Budget(n, options.draws, steps=options.steps) for n in options.labels),
        settings=(with_pool,),
        controls=(alone,),
        synth=SynthOptions(clips_per_class=40, n_pool=600),
    )


def _with_labels_there(recipe: Recipe, material: Material) -> tuple[Recipe, list[str]]:
    """The recipe without numbers of labels that are more than there are, and what to say of it.

    Raises
    ------
    DataError
        When no number is left.
    """
    there = labels_there(recipe, material.labelled)
    least, rarest, _ = min(there)
    has_all = any(not one.labels_per_class for one in recipe.budgets)
    most = min(mean for *_, mean in there) if has_all else math.inf
    kept = [
        one
        for one in recipe.budgets
        if one.labels_per_class <= least and one.labels_per_class < most
    ]
    left_out = [one.labels_per_class for one in recipe.budgets if one not in kept]
    if not left_out:
        return recipe, []
    numbers = ", ".join(map(str, left_out))
    why = f"the class '{rarest}' has {count_labels(least)} in the smallest training part"
    if not kept:
        raise DataError(
            f"option 'labels': found {numbers}, but {why}; give numbers up to {least}, give 0 for "
            "all labels, or label more clips of this class"
        )
    rest = "; all labels are tried" if has_all else ""
    return replace(recipe, budgets=tuple(kept)), [
        f"Left out of the numbers of labels: {numbers}, as {why}{rest}."
    ]


def _measured(comparisons: tuple[Comparison, ...]) -> str:
    """What the accuracies were measured on, in words."""
    clips = {one.n_clips for one in comparisons}
    recordings = max(one.n_recordings for one in comparisons)
    n = max(clips)
    return f"of {n:,} test {'clip' if n == 1 else 'clips'} of {recordings:,} recordings"


def _with_interval(point: CurvePoint) -> str:
    low, high = point.accuracy.interval.low, point.accuracy.interval.high
    return f"{percent_text(point.accuracy.mean)} ({percent_text(low)} to {percent_text(high)})"


def _curves(done: Finished) -> tuple[LearningCurve, LearningCurve]:
    """The curves of both arms; all labels stand at their mean number per class."""
    n_all = _all_labels(done)
    points: tuple[list[CurvePoint], list[CurvePoint]] = ([], [])
    budgets = done.recipe.budgets
    for budget, found in zip(budgets, done.outcome.comparisons, strict=True):
        x = float(budget.labels_per_class or n_all)
        for arm, accuracy, draws in (
            (0, found.a, tuple(pair.accuracy_a for pair in found.draws)),
            (1, found.b, tuple(pair.accuracy_b for pair in found.draws)),
        ):
            points[arm].append(CurvePoint(x, accuracy, draws))
    first, second = (LearningCurve(name, tuple(of)) for name, of in zip(ARMS, points, strict=True))
    return first, second


def _all_labels(done: Finished) -> float:
    """Mean number of labels per class in a whole training part."""
    n_classes = len(done.material.labelled.classes)
    sizes = [len(j.train) for _, j in done.plan.cells if not j.budget.labels_per_class]
    return sum(sizes) / len(sizes) / n_classes if sizes else math.nan


def _answers(
    curves: tuple[LearningCurve, LearningCurve],
    done: Finished,
    options: CurveOptions,
) -> list[str]:
    """The questions people ask, answered from the curves."""
    comparisons = done.outcome.comparisons
    alone, pool = curves
    said = [sentence for curve in curves for sentence in say_needed(curve, options.goals)]
    for labels, needed in worth_in_labels(pool, alone):
        if math.isinf(needed):
            said.append(
                f"{count_labels(labels)} per class with the pool reach more than any number tried "
                "without it."
            )
        elif needed > labels * 1.1:
            said.append(
                f"{count_labels(labels)} per class with the pool do as well as about "
                f"{round(needed, 1 if needed < 10 else 0):g} "
                "without it."
            )
    shown = [c for c in comparisons if c.is_shown and c.difference > 0]
    worse = [c for c in comparisons if c.is_shown and c.difference < 0]
    said.append(
        f"The pool is shown to help at {len(shown)} of {len(comparisons)} numbers of labels"
        + (f", and did harm at {len(worse)}." if worse else ".")
    )
    return said


def _page(
    options: CurveOptions,
    done: Finished,
    curves: tuple[LearningCurve, LearningCurve],
    answers: list[str],
    measured: str,
    headers: list[str],
    rows: list[list[str]],
) -> Path:
    labelled, pool = done.material.labelled, done.material.pool
    heard = "the training clips" + (f" and {len(pool)} of '{pool.name}'" if len(pool) else "")
    best = max(curves[1].points, key=lambda point: point.accuracy.mean)
    first = curves[1].points[0]
    more = f", {_with_interval(best)} with {best.labels_per_class:.3g}" if best is not first else ""
    report = Report(
        "curve.j2",
        f"How many labels does '{labelled.name}' need?",
        f"{len(labelled)} clips, {len(labelled.classes)} classes, {options.draws} draws of "
        f"labels; the pool is {heard}",
        answers=answers,
    )
    report.verdict = Verdict(
        f"{_with_interval(first)} with {count_labels(first.labels_per_class)} per class and the "
        f"pool{more}; {measured}"
    )
    report.warnings += done.material.notes
    report.figure("curve", label_curve(curves, human=human_accuracy(labelled.name)))
    report.table("curve", headers, rows)
    report.data = {
        "curves": {curve.name: [_plain(point) for point in curve.points] for curve in curves},
        "comparisons": [one.to_dict() for one in done.outcome.comparisons],
        "options": to_dict(options),
    }
    record = done.run.record
    write_json(
        done.run.folder / "results.json",
        {
            **{key: record[key] for key in ("commit", "machine", "versions", "data", "started")},
            "recipe": to_dict(done.recipe),
            **report.data,
            "training_seconds": done.seconds,
        },
    )
    return report.write(done.run.folder)


def _plain(point: CurvePoint) -> dict[str, object]:
    accuracy: ArmAccuracy = point.accuracy
    return {
        "labels_per_class": point.labels_per_class,
        "mean": accuracy.mean,
        "interval": [accuracy.interval.low, accuracy.interval.high],
        "draws": list(point.draws),
    }
