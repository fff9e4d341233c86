"""From finished jobs to numbers: predictions, comparisons, times, and notes about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.classifier.config import AUTO, PROBE, SOLVED, WITHOUT_POOL
from semisonic.core.text import Result, count_text
from semisonic.evaluation.comparison import Comparison, compare_setting_pairs, compare_settings
from semisonic.evaluation.predictions import Predictions, ensemble
from semisonic.experiments.jobs import read_job, read_predictions
from semisonic.experiments.plan import ExperimentPlan, cell_name
from semisonic.experiments.recipe import TRAINED, Recipe
from semisonic.training.options import FitOptions

if TYPE_CHECKING:
    import pandas as pd

# From finished jobs to numbers: predictions, comparisons and the tables people read.


@dataclass(frozen=True)
class ExperimentOutcome:
    """The numbers of a finished experiment.

    Attributes
    ----------
    predictions : Predictions
        Every scored test clip of every setting, arm and draw; each exactly once.
    comparisons : tuple of Comparison
        The treated arm against the control, one a setting.
    pairs : tuple of Comparison
        Settings against settings, as the recipe's key ``against`` asks.
    jobs : tuple of dict
        What each job wrote of itself, with its ``cell``, the setting's name in tables. A job
        that serves several settings is there for each.
    """

    predictions: Predictions
    comparisons: tuple[Comparison, ...]
    jobs: tuple[dict[str, Any], ...]
    pairs: tuple[Comparison, ...] = ()


def collect(recipe: Recipe, plan: ExperimentPlan, folder: Path) -> ExperimentOutcome:
    """Read all jobs of a finished plan and compare the arms."""
    tables: list[Predictions] = []
    jobs: dict[tuple[str, str, str], dict[str, Any]] = {}
    for cell, job in plan.cells:
        tables.append(read_predictions(folder, job, cell))
        for one in (job, job.start):
            if one is not None:
                record = {**read_job(folder, one), "cell": cell, "name": one.name}
                if one is job:
                    record["arm"] = job.arm
                jobs.setdefault((cell, record.get("arm", ""), one.name), record)
    predictions = Predictions.concat(tables).check()
    for budget in recipe.budgets:
        for together in recipe.ensembles:
            members = [cell_name(name, budget, recipe) for name in together.of]
            name = cell_name(together.name, budget, recipe)
            predictions = ensemble(predictions, members, name)
    return ExperimentOutcome(
        predictions,
        tuple(compare_settings(predictions, recipe.control, recipe.treated)),
        tuple(jobs.values()),
        tuple(compare_setting_pairs(predictions, _cells_of_pairs(recipe))),
    )


def _cells_of_pairs(recipe: Recipe) -> list[tuple[str, str]]:
    """The names in tables of settings that are held against each other, under each budget."""
    return [
        (cell_name(first, budget, recipe), cell_name(second, budget, recipe))
        for budget in recipe.budgets
        for first, second in recipe.against
    ]


def comparison_rows(outcome: ExperimentOutcome) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the main table, as text."""
    arms = [outcome.comparisons[0].a.name, outcome.comparisons[0].b.name]
    headers = ["setting", *arms, "difference", "95 % interval", "p", "shown"]
    rows = []
    for c in outcome.comparisons:
        low, high = 100 * c.claimed_interval.low, 100 * c.claimed_interval.high
        rows.append(
            [
                c.setting,
                _arm(c.a),
                _arm(c.b),
                f"{100 * c.difference:+.1f}",
                f"{low:+.1f} to {high:+.1f}",
                f"{c.p:.3f}",
                "yes" if c.is_shown else "here only" if c.outcome.endswith("here") else "no",
            ]
        )
    return headers, rows


@dataclass(frozen=True)
class ResultTable:
    """Rows of texts under headers; as text aligned for a terminal, the first column to the left."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in [self.headers, *self.rows]) for i in range(self.width)]

        def line(row: Sequence[str]) -> str:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            return "  ".join(cells).rstrip()

        ruler = ["-" * width for width in widths]
        return "\n".join([line(self.headers), line(ruler), *map(line, self.rows)])

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.headers)

    def to_frame(self) -> pd.DataFrame:
        """The same for pandas."""
        import pandas as pd

        return pd.DataFrame([list(row) for row in self.rows], columns=list(self.headers))


@dataclass(frozen=True, kw_only=True)
class ExperimentResult(Result):
    """What every verb that runs a recipe leaves.

    Attributes
    ----------
    table : ResultTable
        The main table for a terminal.
    answers : tuple of str
        What was found, in words.
    report : Path
        The HTML file.
    failures : tuple of (clip, reason)
    notes : tuple of str
    """

    table: ResultTable
    answers: tuple[str, ...]
    report: Path
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """For a terminal."""
        return "\n".join([str(self.table), *self.answers, *self.notes, f"report: {self.report}"])

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        return self.table.to_frame()


def _arm(arm: Any) -> str:
    spread = "" if np.isnan(arm.spread) else f" ± {100 * arm.spread:.1f}"
    return f"{100 * arm.mean:.1f}{spread}"


# How long the jobs of an experiment took, and how much memory they held.


Row = tuple[str, float, str]


def timing_rows(outcome: ExperimentOutcome, seconds: float) -> list[Row]:
    """What took how many seconds of one core, and a note: the whole, one job, each row."""
    jobs = {job["name"]: job for job in outcome.jobs}
    memory = max((job.get("peak_memory_mib") or 0 for job in outcome.jobs), default=0)
    note = f"{len(jobs)} jobs" + (f", at most {memory:.0f} MiB a process" if memory else "")
    rows = [("all training", seconds, note)]
    for kind in dict.fromkeys(job["kind"] for job in jobs.values()):
        times = [job["seconds"] for job in jobs.values() if job["kind"] == kind]
        rows.append((f"one {kind} job", median(times), "median"))
    return rows + _of_each_row(outcome.jobs)


def _of_each_row(jobs: tuple[dict[str, Any], ...]) -> list[Row]:
    """All folds and draws of each row of the table; an encoder that serves several counts once."""
    seconds: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    draws: dict[tuple[str, str], set[int]] = defaultdict(set)
    known = {job["name"]: job["seconds"] for job in jobs}
    for job in jobs:
        if job["kind"] == "train":
            row = job["cell"], job["arm"]
            for name in filter(None, (job["name"], job.get("start"))):
                seconds[row][name] = known[name]
            draws[row].add(job["draw"])
    return [
        (f"{cell}: {arm}", sum(parts.values()), f"all folds, draws: {len(draws[cell, arm])}")
        for (cell, arm), parts in seconds.items()
    ]


# What a report says of how its numbers came about.


SIMPLE = (
    "Simple classifiers learn from the labelled training clips alone: they hear no pool and choose "
    "no epoch. One without anything random in it gives the same scores in every draw of the same "
    "labels; its draws differ with few labels only. A clip longer than the window is scored by "
    "the mean of its windows."
)


def method_notes(recipe: Recipe, plan: ExperimentPlan) -> list[str]:
    """How both arms were trained and tested, a sentence or two each."""
    networks = any(s.has_encoder for s in (*recipe.settings, *recipe.controls))
    notes = [
        f"Both arms ({recipe.control}, {recipe.treated}) share split, labels, seed"
        + (", order of clips and the classifier's first weights." if networks else "."),
        *_differences(recipe),
        "Each test fold is scored once, after training.",
    ]
    if any(len(job.validation) for job in plan.train):
        notes.append(
            f"{100 * recipe.validation:g} % of the training folds, whole recordings, choose the "
            "epoch; they are not trained on."
        )
    if any(job.budget.labels_per_class for job in plan.train):
        notes.append(
            "With few labels there is no validation part, as its labels would not be in the "
            "budget: training lasts all epochs and the last weights are tested. The labelled "
            "clips of each draw are in budgets.csv."
        )
    return notes


def short_trainings(recipe: Recipe, plan: ExperimentPlan) -> list[str]:
    """A warning where trainings of a recipe hear fewer windows than there are clips."""
    notes = too_few_steps(
        "the pre-training for",
        "setting.pretrain.steps",
        ((job.setting.name, job.setting.pretrain, len(job.rows)) for job in plan.pretrain),
    )
    trained = (
        (f"{job.setting.name}, {job.arm}".removeprefix(", "), job.setting.fit, len(job.train))
        for job in plan.train
        if job.setting.has_encoder and job.setting.method not in SOLVED
    )
    return notes + too_few_steps("the training of", "setting.fit.steps", trained)


def too_few_steps(
    what: str, key: str, trainings: Iterable[tuple[str, FitOptions, int]]
) -> list[str]:
    """A warning where a training ends before each of its clips was heard once.

    Parameters
    ----------
    what : str
        What the names are of, as "the stage".
    key : str
        The recipe's key that asks for more steps.
    trainings : iterable of (name, how it is trained, clips it learns from)
    """
    short = [
        (fit.steps * fit.batch_size, n_clips, name, fit)
        for name, fit, n_clips in trainings
        if fit.steps and fit.steps * fit.batch_size < n_clips
    ]
    if not short:
        return []
    windows, n_clips, name, fit = min(short, key=lambda one: one[0] / one[1])
    others = len({one[2] for one in short} - {name})
    return [
        f"Too few steps for these data: {what} '{name}' hears {windows} windows of {n_clips} "
        f"clips ({count_text(fit.steps, 'step')} of {fit.batch_size}), so at least "
        f"{n_clips - windows} of them are never heard"
        + (f", and {others} more do likewise" if others else "")
        + ". The numbers say what so short a training reaches, and little of the methods. One pass "
        f"over the clips takes {-(-n_clips // fit.batch_size)} steps: --change {key}=NUMBER."
    ]


def _differences(recipe: Recipe) -> list[str]:
    """In what the arms differ, over all settings."""
    pairs = list(zip(recipe.controls, recipe.settings, strict=True))
    notes = []
    if any(setting.classifier for pair in pairs for setting in pair):
        notes.append(SIMPLE)
    pairs = [(c, t) for c, t in pairs if c.has_encoder or t.has_encoder]
    if any(
        treated.pretrains and treated.has_encoder and not control.pretrains
        for control, treated in pairs
    ):
        notes.append(
            "Pre-training gives the encoder's first weights and the statistics that features are "
            "standardised by; without it, these come from the labelled training clips."
        )
    if any(setting.start == "synthetic" for pair in pairs for setting in pair):
        notes.append(
            "Some arms start from an encoder that has learned to name the made-up sounds of "
            "'synth'. No recording is in it, but its kinds of sounds were chosen by hand, and "
            "some are close to classes of the known data sets."
        )
    if any(setting.start == TRAINED for pair in pairs for setting in pair):
        notes.append(
            "Some arms start from the encoder of a classifier of another labelled set; their class "
            "layer is new. It was trained once, so the spread over draws does not hold its luck."
        )
    if any(t.fit.needs_body for _, t in pairs):
        notes.append(
            "Some arms freeze the encoder at first, or let its deeper layers learn more slowly; "
            "see the options. They take as many steps as the control."
        )
    methods = sorted({t.method for c, t in pairs if t.method != c.method})
    if PROBE in methods or AUTO in methods:
        notes.append(
            "The method probe, which auto chooses where labels are few, learns a linear layer on "
            "the encoder's embeddings and leaves the encoder as it is. It has no epochs: its "
            "curves show rounds of pseudo-labels."
        )
    methods = [method for method in methods if method not in (AUTO, *WITHOUT_POOL)]
    if methods:
        notes.append(
            f"'{recipe.treated}' learns from the unlabelled clips while it trains "
            f"({', '.join(methods)}); '{recipe.control}' does not hear them."
        )
    made = [(c.generated, t.generated) for c, t in pairs]
    if any(treated.is_used and not control.is_used for control, treated in made):
        notes.append(
            "A generator learns from the labelled training clips of its fold and draw. Its patches "
            "stand in training batches beside these clips, under the class they were made for, and "
            "nowhere else. All arms take as many steps with as many clips; the patches come in "
            "addition."
        )
    if any(
        t.method_params.augment != c.method_params.augment
        or t.method_params.mixup != c.method_params.mixup
        for c, t in pairs
    ):
        notes.append("Some arms differ in augmentation; see the options.")
    return notes
