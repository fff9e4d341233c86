"""From finished jobs to numbers: predictions, comparisons, times, and notes about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from semisonic.classifier.config import AUTO, PROBE, SOLVED, WITHOUT_POOL
from semisonic.core.text import Result, count_text, text_table
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    compare_setting_pairs,
    compare_settings,
)
from semisonic.evaluation.predictions import Predictions, ensemble
from semisonic.experiments.material import Material
from semisonic.experiments.plan import PRETRAIN, TRAIN, Plan, cell_name
from semisonic.experiments.recipe import TRAINED, Recipe
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder


@dataclass(frozen=True)
class Finished:
    """A finished experiment before it is reported.

    Attributes
    ----------
    run : RunFolder
    recipe : Recipe
    plan : Plan
    material : Material
    predictions : Predictions
        Every scored test clip of every setting, arm and draw; each exactly once.
    comparisons : list of Comparison
        The treated arm against the control, one a setting.
    pairs : list of Comparison
        Settings against settings, as the recipe's key ``against`` asks.
    jobs : list of dict
        What each job wrote of itself, with its ``cell``, the setting's name in tables. A job
        that serves several settings is there for each.
    seconds : float
        Of training.
    """

    run: RunFolder
    recipe: Recipe
    plan: Plan
    material: Material
    predictions: Predictions
    comparisons: list[Comparison]
    pairs: list[Comparison]
    jobs: list[dict[str, Any]]
    seconds: float

    @property
    def folder(self) -> Path:
        """Where the jobs have their folders."""
        return self.run.folder / "jobs"


def collect(
    run: RunFolder, recipe: Recipe, plan: Plan, material: Material, seconds: float
) -> Finished:
    """Read all jobs of a finished plan and compare the arms."""
    folder = run.folder / "jobs"
    tables: list[Predictions] = []
    jobs: dict[tuple[str, str, str], dict[str, Any]] = {}
    for cell, job in plan.cells:
        tables.append(job.predictions(folder, cell))
        for one in filter(None, (job, job.start)):
            record = {**one.record(folder), "cell": cell, "name": one.name, "arm": one.arm}
            jobs.setdefault((cell, one.arm, one.name), record)
    predictions = Predictions.concat(tables).check()
    pairs = []
    for budget in recipe.budgets:
        for together, of in recipe.ensembles:
            members = [cell_name(name, budget, recipe) for name in of]
            predictions = ensemble(predictions, members, cell_name(together, budget, recipe))
        pairs += [
            (cell_name(first, budget, recipe), cell_name(second, budget, recipe))
            for first, second in recipe.against
        ]
    return Finished(
        run,
        recipe,
        plan,
        material,
        predictions,
        compare_settings(predictions, recipe.control, recipe.treated),
        compare_setting_pairs(predictions, pairs),
        list(jobs.values()),
        seconds,
    )


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """The main table, as text: a row a setting."""

    def arm(one: ArmAccuracy) -> str:
        spread = "" if pd.isna(one.spread) else f" ± {100 * one.spread:.1f}"
        return f"{100 * one.mean:.1f}{spread}"

    return pd.DataFrame(
        {
            "setting": c.setting,
            c.a.name: arm(c.a),
            c.b.name: arm(c.b),
            "difference": f"{100 * c.difference:+.1f}",
            "95 % interval": "{:+.1f} to {:+.1f}".format(*(100 * x for x in c.claimed_interval)),
            "p": f"{c.p:.3f}",
            "shown": "yes" if c.is_shown else "here only" if c.outcome.endswith("here") else "no",
        }
        for c in comparisons
    )


@dataclass(frozen=True, kw_only=True)
class ExperimentResult(Result):
    """What every verb that runs a recipe leaves.

    Attributes
    ----------
    table : DataFrame
        The main table, as text.
    answers : tuple of str
        What was found, in words.
    report : Path
        The HTML file.
    failures : tuple of (clip, reason)
    notes : tuple of str
    """

    table: pd.DataFrame
    answers: tuple[str, ...]
    report: Path
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """For a terminal."""
        table = text_table(list(map(str, self.table)), self.table.to_numpy().tolist(), ruled=True)
        return "\n".join([table, *self.answers, *self.notes, f"report: {self.report}"])

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        return self.table


def timing_rows(records: Iterable[dict[str, Any]], seconds: float) -> list[tuple[str, float, str]]:
    """What took how many seconds of one core, and a note: the whole, one job, each row.

    An encoder that serves several draws or settings counts once a row.
    """
    all_jobs = pd.DataFrame(records)
    jobs = all_jobs.drop_duplicates("name").set_index("name")
    memory = jobs.get("peak_memory_mib", pd.Series(dtype=float)).max()
    note = f"{len(jobs)} jobs" + (
        "" if pd.isna(memory) else f", at most {memory:.0f} MiB a process"
    )
    rows = [("all training", seconds, note)]
    for kind, times in jobs.groupby("kind", sort=False)["seconds"]:
        rows.append((f"one {kind} job", float(times.median()), "median"))
    trained = all_jobs[all_jobs["kind"] == TRAIN]
    for (cell, arm), part in trained.groupby(["cell", "arm"], sort=False):
        names = {*part["name"], *part["start"]} - {""}
        total = float(jobs.loc[sorted(names), "seconds"].sum())
        rows.append((f"{cell}: {arm}", total, f"all folds, draws: {part['draw'].nunique()}"))
    return rows


def short_trainings(plan: Plan) -> list[str]:
    """A warning where trainings of a recipe see fewer windows than there are clips."""
    pretrainings = (
        (job.setting.name, job.setting.pretrain, len(job.train)) for job in plan.of(PRETRAIN)
    )
    trainings = (
        (f"{job.setting.name}, {job.arm}".removeprefix(", "), job.setting.fit, len(job.train))
        for job in plan.of(TRAIN)
        if not job.setting.classifier and job.setting.method not in SOLVED
    )
    return [
        *too_few_steps("the pre-training for", "setting.pretrain.steps", pretrainings),
        *too_few_steps("the training of", "setting.fit.steps", trainings),
    ]


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


def method_notes(recipe: Recipe, plan: Plan) -> list[str]:
    """How both arms were trained and tested, a sentence or two each."""
    everything = (*recipe.settings, *recipe.controls)
    pairs = list(zip(recipe.controls, recipe.settings, strict=True))
    pairs = [(c, t) for c, t in pairs if not (c.classifier and t.classifier)]
    networks = [setting for pair in pairs for setting in pair]
    starts = {setting.start for setting in networks}
    methods = sorted({t.method for c, t in pairs if t.method != c.method})
    with_pool = [method for method in methods if method not in (AUTO, *WITHOUT_POOL)]
    notes = {
        f"Both arms ({recipe.control}, {recipe.treated}) share split, labels, seed"
        + (", order of clips and the classifier's first weights." if networks else "."): True,
        "Simple classifiers learn from the labelled training clips alone: they have no pool and "
        "choose no epoch. One without anything random in it gives the same scores in every draw "
        "of the same labels. A clip longer than the window is scored by the mean of its "
        "windows.": any(setting.classifier for setting in everything),
        "Pre-training gives the encoder's first weights and the statistics that features are "
        "standardised by; without it, these come from the labelled training clips.": any(
            t.pretrains and not t.classifier and not c.pretrains for c, t in pairs
        ),
        "Some arms start from an encoder that has learned to name the synthetic sounds of "
        "'synth'. No recording is in it, but its kinds of sounds were chosen by hand, and "
        "some are close to classes of the known data sets.": "synthetic" in starts,
        "Some arms start from the encoder of a classifier of another labelled set; their class "
        "layer is new. It was trained once, so the spread over draws does not hold its "
        "luck.": TRAINED in starts,
        "The method probe, which auto chooses where labels are few, learns a linear layer on "
        "the encoder's embeddings and leaves the encoder as it is. It has no epochs: its "
        "curves show rounds of pseudo-labels.": bool({PROBE, AUTO} & {*methods}),
        f"'{recipe.treated}' learns from the unlabelled clips while it trains "
        f"({', '.join(with_pool)}); '{recipe.control}' does not.": bool(with_pool),
        "A generator learns from the labelled training clips of its fold and draw. Its patches "
        "stand in training batches beside these clips, under the class they were made for, and "
        "nowhere else. All arms take as many steps with as many clips; the patches come in "
        "addition.": any(t.generated.is_used and not c.generated.is_used for c, t in pairs),
        "Each test fold is scored once, after training.": True,
        f"{100 * recipe.validation:g} % of the training folds, whole recordings, choose the "
        "epoch; they are not trained on.": any(len(job.validation) for job in plan.of(TRAIN)),
        "With few labels there is no validation part, as its labels would not be in the "
        "budget: training lasts all epochs and the last weights are tested. The labelled "
        "clips of each draw are in budgets.csv.": any(b.labels_per_class for b in recipe.budgets),
    }
    return [text for text, applies in notes.items() if applies]
