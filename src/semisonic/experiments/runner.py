"""The runner of experiments: what ``run``, ``curve`` and ``tune`` have in common.

An experiment opens its run folder, gathers clips and features, and does its jobs, each after those
that it needs. Finished jobs are not repeated, so the same command continues an interrupted run.
The jobs give one table of scored test clips, from which all comparisons and reports are made.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from markupsafe import Markup

from semisonic.classifier.config import SegmentOptions
from semisonic.classifier.prepare import FrontOptions, in_batch_device
from semisonic.classifier.provenance import data_hash, recording_hashes, recording_prints
from semisonic.classifier.run_files import write_remarks
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError
from semisonic.core.files import json_ready, replacing, write_csv, write_json
from semisonic.core.html import Result
from semisonic.core.options import to_dict
from semisonic.core.parallel import Engine, Task, count_workers, run_tasks
from semisonic.core.text import count_text, text_table
from semisonic.data.categories import categories_of
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import SynthOptions
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    compare_setting_pairs,
    compare_settings,
)
from semisonic.evaluation.predictions import Predictions, ensemble
from semisonic.experiments.material import Material, gather
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.plan import (
    MODEL,
    PRETRAIN,
    STAGE,
    TRAIN,
    Job,
    Plan,
    cell_name,
    make_plan,
)
from semisonic.experiments.recipe import ExperimentRecipe, Recipe
from semisonic.experiments.starts import SourceSet, load_source, make_starts
from semisonic.experiments.worker import WorkerContext, run_pretrain, run_train, start
from semisonic.training.devices import choose_device, with_precision
from semisonic.training.run_folder import FREE, RunFolder

_log = logging.getLogger(__name__)
EXAMPLES = 3
QUICK = "A first look, with fewer folds and epochs than the recipe has: not a basis for a claim."
WORK = {PRETRAIN: run_pretrain, TRAIN: run_train}
REPEATED = ("change", "search")
"""Options that are given once for each of their values."""


@dataclass(frozen=True)
class Experiment:
    """An experiment whose run folder is open.

    Attributes
    ----------
    run : RunFolder
    engine : Engine
    options : RunOptions
    device : str
    notes : list of str
        What a reader of the report must know.
    """

    run: RunFolder
    engine: Engine
    options: RunOptions
    device: str
    notes: list[str] = field(default_factory=list)

    @property
    def cache(self) -> Path:
        """The folder of decoded clips and features."""
        return self.options.cache or self.run.folder / "cache"

    @property
    def jobs(self) -> Path:
        """Where the jobs have their folders."""
        return self.run.folder / "jobs"

    @property
    def listens_for_copies(self) -> bool:
        """Whether clips are compared by their sound; the synthetic set has no copies."""
        return self.options.near_copies and str(self.options.data) != SYNTH

    def gather(
        self,
        data: tuple[Clips, Clips | None],
        inputs: Iterable[tuple[FrontOptions, SegmentOptions]],
        categories: Iterable[tuple[str, str]] = (),
        **more: Any,
    ) -> WorkerContext:
        """What the jobs share: clips with their features, and hashes of the recordings.

        Parameters
        ----------
        data : (Clips, Clips or None)
            Labelled clips and a pool.
        inputs, **more
            As for :func:`~semisonic.experiments.material.gather`.
        categories : iterable of (class, group)
        """
        options, run = self.options, self.run
        material = gather(
            *data,
            inputs,
            self.cache,
            seed=options.seed,
            workers=options.workers,
            engine=self.engine,
            group=options.group,
            near_copies=self.listens_for_copies,
            in_batch=in_batch_device(options.in_batch, options.device),
            **more,
        )
        hashes = {
            name: recording_hashes(table, workers=options.workers, cache=self.cache)
            for name, table in (("labelled", material.labelled), ("pool", material.pool))
        }
        for name, of_files in hashes.items():
            run.add_data(name, data_hash(of_files.values()))
        run.add_bad_files(material.failures)
        write_remarks(run, material.remarks)
        self.notes.extend(material.notes)
        groups = categories_of(material.labelled.classes, dict(categories)) or {}
        return WorkerContext(self.jobs, material, self.device, hashes, groups)

    def with_whole(self, context: WorkerContext, name: str) -> WorkerContext:
        """The same, for jobs one of which makes a whole model, which knows its recordings again."""
        labelled, prints = context.material.labelled, {}
        if self.listens_for_copies:
            prints = recording_prints(labelled, workers=self.options.workers, cache=self.cache)
        return dataclasses.replace(context, whole=name, prints=prints)

    def carry_out(
        self,
        plan: Plan,
        context: WorkerContext,
        work: Mapping[str, Callable[[Job], None]] = WORK,
    ) -> float:
        """Do a plan, after warnings about it; the seconds of training that all jobs took."""
        warnings = short_trainings(plan)
        for warning in warnings:
            _log.warning("%s", warning)
        self.notes[:0] = warnings
        self.run.note(precision=sorted({job.fit.precision for job in plan.jobs if job.fit}))
        return self.do(plan.jobs, context, work)

    def do(
        self,
        jobs: Sequence[Job],
        context: WorkerContext,
        work: Mapping[str, Callable[[Job], None]] = WORK,
    ) -> float:
        """Do the jobs that are not done yet; the seconds of training that all took together.

        Parameters
        ----------
        jobs : sequence of Job
        context : WorkerContext
            What all jobs share.
        work : mapping of str to callable
            What does a job of each kind.
        """
        todo = [job for job in jobs if not job.is_done(self.jobs)]
        # A job that others wait for goes first, the rest follow fold by fold.
        todo.sort(key=lambda job: (job.draw, job.fold))
        n_done, at_once = len(jobs) - len(todo), self.at_once
        _log.info("%d jobs, %d of them done, %d at once", len(jobs), n_done, at_once)
        if todo:
            run_tasks(
                [Task(job.name, work[job.kind], (job,), job.needs) for job in todo],
                workers=min(at_once, len(todo)),
                label="train",
                done=n_done,
                initializer=start,
                context=(context,),
                engine=self.engine,
                device=self.device,
            )
        return float(sum(job.record(self.jobs)["seconds"] for job in jobs))

    @property
    def at_once(self) -> int:
        """Jobs at once: as the option says, else one per core, one on a GPU, or as many as fit (0)
        on a cluster.
        """
        if self.options.workers or not self.engine.is_local:
            return self.options.workers or 0
        return count_workers(None) if self.device == "cpu" else 1

    @property
    def provenance(self) -> dict[str, Any]:
        """The versions and the machine of the run."""
        record = self.run.record
        names = ("commit", "seed", "machine", "precision", "versions", "data", "started")
        known = {**record, **record["notes"], "seed": record["seeds"]["seed"]}
        return {name: known[name] for name in names if name in known}

    def write_results(self, command: str, recipe: Any, values: Mapping[str, Any]) -> None:
        """Write ``results.json``: what repeats the run, the recipe, and the numbers."""
        found = {"command": command, **self.provenance, "recipe": to_dict(recipe), **values}
        write_json(self.run.folder / "results.json", json_ready(found))


def load_data(options: RunOptions, synth: SynthOptions) -> tuple[Clips, Clips | None]:
    """The labelled clips and the pool that the options name."""
    pool, how = None, options.of_tables()
    if str(options.data) == SYNTH:
        from semisonic.data.synth.dataset import load_synth, make_in_cache

        labelled, pool = load_synth(make_in_cache(synth))
    else:
        labelled = load_clips(options.data, group=options.group, **how)
        if not labelled.is_labelled.any():
            raise DataError(
                f"{options.data}: found recordings without labels, expected labelled ones, such "
                "as a folder of class folders; give unlabelled recordings with --unlabelled"
            )
    if options.unlabelled is not None:
        pool = load_clips(options.unlabelled, labels="none", **how)
    return labelled, pool


@contextmanager
def open_experiment(
    command: str,
    options: RunOptions,
    recipe: ExperimentRecipe,
    *,
    free: Collection[str] = (),
    **asked: Any,
) -> Iterator[Experiment]:
    """Open or continue an experiment.

    Parameters
    ----------
    command : str
    options : RunOptions
    recipe : ExperimentRecipe
    free : iterable of str
        More options that may differ when the run continues.
    **asked
        What a second call must repeat, besides options and recipe.
    """
    asked = {**to_dict(options), "contents": to_dict(recipe), **asked}
    with (
        RunFolder(options.output, command, asked, seed=options.seed, free=free) as run,
        open_engine(options.where) as engine,
    ):
        yield Experiment(run, engine, options, str(choose_device(options.device)))


@dataclass(frozen=True)
class Finished:
    """Two arms, trained and compared, before they are reported.

    Attributes
    ----------
    experiment : Experiment
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
        The record of each job, with its ``cell``, the setting's name in tables. A job that several
        settings share is listed for each.
    seconds : float
        Of training.
    """

    experiment: Experiment
    recipe: Recipe
    plan: Plan
    material: Material
    predictions: Predictions
    comparisons: list[Comparison]
    pairs: list[Comparison]
    jobs: list[dict[str, Any]]
    seconds: float


def gather_for(experiment: Experiment, recipe: Recipe) -> WorkerContext:
    """What the jobs of a recipe share."""
    inputs = [(one.front, one.segments) for one in (*recipe.settings, *recipe.controls)]
    data = load_data(experiment.options, recipe.synth)
    return experiment.gather(data, inputs, recipe.categories)


def plan_and_starts(
    experiment: Experiment, recipe: Recipe, context: WorkerContext, source: SourceSet | None
) -> tuple[Plan, list[str]]:
    """The jobs of a recipe, for which every encoder that they start from is made now; notes."""
    options, material = experiment.options, context.material
    plan = make_plan(
        recipe,
        material.labelled,
        material.pool,
        seed=options.seed,
        transductive=options.transductive,
        categories=context.categories,
        source=source.key if source else "",
    )
    settings = [job.setting for job in plan.jobs]
    return plan, make_starts(settings, recipe, source, context, experiment.cache, options)


def compare_arms(experiment: Experiment, recipe: Recipe, context: WorkerContext) -> Finished:
    """Train both arms in every setting, fold and draw, if not done yet, and compare them.

    Parameters
    ----------
    experiment : Experiment
    recipe : Recipe
    context : WorkerContext
        Of :func:`gather_for`.
    """
    material = context.material
    recipe = with_number_format(recipe, torch.device(experiment.device))
    source = load_source(experiment.options, recipe, material.labelled)
    plan, notes = plan_and_starts(experiment, recipe, context, source)
    _write_budgets(plan, material.labelled, experiment.run.folder)
    if source is not None:
        experiment.run.add_data("source", source.key)
        experiment.notes.extend(source.notes)
    experiment.notes.extend(notes)
    shown = shown_job(recipe, plan)
    seconds = experiment.carry_out(plan, experiment.with_whole(context, shown.name))
    tables: list[Predictions] = []
    jobs: dict[tuple[str, str, str], dict[str, Any]] = {}
    for cell, job in plan.cells:
        tables.append(job.predictions(experiment.jobs, cell))
        for one in filter(None, (job, job.start)):
            record = {**one.record(experiment.jobs), "cell": cell, "name": one.name, "arm": one.arm}
            jobs.setdefault((cell, one.arm, one.name), record)
    predictions = Predictions.concat(tables).check()
    pairs = []
    for budget in recipe.budgets:
        named = {one: cell_name(one, budget, recipe) for one in recipe.names}
        for together, of in recipe.ensembles:
            predictions = ensemble(predictions, [named[one] for one in of], named[together])
        pairs += [(named[first], named[second]) for first, second in recipe.against]
    return Finished(
        experiment,
        recipe,
        plan,
        material,
        predictions,
        compare_settings(
            predictions, recipe.control, recipe.treated, n_clips=len(material.labelled)
        ),
        compare_setting_pairs(predictions, pairs, n_clips=len(material.labelled)),
        list(jobs.values()),
        seconds,
    )


def with_number_format(recipe: Any, device: torch.device) -> Any:
    """The recipe with the number format of every training written out, the same in both arms."""

    def settled(one: Any) -> Any:
        fits = {name: getattr(one, name) for name in ("pretrain", "fit")}
        formats = {k: with_precision(fit, device, recipe.precision) for k, fit in fits.items()}
        return replace(one, **formats)

    parts = ("settings", "controls") if isinstance(recipe, Recipe) else ("stages",)
    return replace(recipe, **{name: tuple(map(settled, getattr(recipe, name))) for name in parts})


def _write_budgets(plan: Plan, labelled: Clips, folder: Path) -> None:
    """The labelled clips of every draw, so that anybody can train on the same ones."""
    draws = {(job.budget.labels_per_class, job.draw, job.fold): job for _, job in plan.cells[::-1]}
    rows = [
        (*key, part, labelled.ids[row])
        for key, job in reversed(draws.items())
        for part in ("train", "validation")
        for row in getattr(job, part).tolist()
    ]
    write_csv(folder / "budgets.csv", ["labels_per_class", "draw", "fold", "part", "clip"], rows)


def short_trainings(plan: Plan) -> list[str]:
    """A warning for each kind of training that ends before it used each clip once."""
    found = []
    for kind, what, key in (
        (PRETRAIN, "the pre-training for", "setting.pretrain.steps"),
        (TRAIN, "the training of", "setting.fit.steps"),
        (STAGE, "the stage", "stage.fit.steps"),
    ):
        short = []
        for job in plan.of(kind):
            fit, n_clips = job.fit, len(job.train) + len(job.noisy)
            if fit and fit.steps and fit.steps * fit.batch_size < n_clips:
                name = ", ".join(filter(None, (job.setting.name, job.arm)))
                short.append((fit.steps * fit.batch_size / n_clips, name, n_clips, fit))
        if not short:
            continue
        _, name, n_clips, fit = min(short, key=lambda one: one[0])
        windows, n_names = fit.steps * fit.batch_size, len({one[1] for one in short})
        others = f", and the same holds for {n_names - 1} more" if n_names > 1 else ""
        found.append(
            f"Too few steps for these data: {what} '{name}' sees {windows} windows of {n_clips} "
            f"clips ({count_text(fit.steps, 'step')} of {fit.batch_size}), so at least "
            f"{n_clips - windows} of them are never used{others}. The results are those of a "
            "short training, and say little about the methods. One pass over the clips takes "
            f"{-(-n_clips // fit.batch_size)} steps: --change {key}=NUMBER."
        )
    return found


def comparison_table(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """The main table, as text: a row per setting."""

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
    """The result of every verb that runs a recipe.

    Attributes
    ----------
    table : DataFrame
        The main table, as text.
    answers : tuple of str
        The findings, in words.
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

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.core.html import frame_table, note, problems

        said = map(note, (*self.answers, *self.notes, f"report: {self.report}"))
        return [frame_table(self.table, most=len(self.table)), *said, problems(self.failures)]

    def summary(self) -> str:
        """For a terminal."""
        table = text_table(list(map(str, self.table)), self.table.to_numpy().tolist(), ruled=True)
        return "\n".join([table, *self.answers, *self.notes, f"report: {self.report}"])

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        return self.table


@dataclass(frozen=True, kw_only=True)
class RunResult(ExperimentResult):
    """The result of ``run``; its answers are one sentence per setting.

    Attributes
    ----------
    model : Path or None
        The file of a trained model of the last setting that is a network, with calibration, rules
        for unknown sounds and an event layer where they could be learned; None without a network.
    tested : Clips
        The clips of the test fold, which this model was not trained on.
    """

    model: Path | None
    tested: Clips

    @property
    def examples(self) -> Clips:
        """The first clip of each of a few classes."""
        labels = self.tested.labels
        first = {labels[row]: row for row in reversed(range(len(labels)))}
        return self.tested[sorted(first.values())[:EXAMPLES]]


def shown_job(recipe: Recipe, plan: Plan) -> Job:
    """The job whose model is shown: of the last setting that is a network, in the arm that is
    tried, or else the first job.
    """
    networks = [
        job
        for _, job in plan.cells
        if job.arm == recipe.treated and job.draw == 0 and not job.setting.classifier
    ]
    return networks[-1] if networks else plan.cells[0][1]


def keep_model(experiment: Experiment, job: Job) -> Path | None:
    """Copy the model of a job to where ``predict`` looks for it in a run folder, if it has one."""
    file = experiment.jobs / job.name / MODEL
    if not file.is_file():
        return None
    kept: Path = experiment.run.folder / MODEL
    with replacing(kept) as part:
        shutil.copyfile(file, part)
    return kept


def without_history(job: Mapping[Any, Any]) -> dict[str, Any]:
    """A job's record with the number of epochs in place of every epoch."""
    kept = {name: value for name, value in job.items() if name != "history"}
    return {**kept, "n_epochs": len(job["history"])}


def command_line(verb: str, options: RunOptions, *, exact: bool = False) -> str:
    """The command to repeat an experiment.

    Parameters
    ----------
    verb : str
    options : RunOptions
    exact : bool
        Give full paths and the output; otherwise paths are placeholders.

    Examples
    --------
    >>> from semisonic.experiments.options import RunOptions
    >>> command_line("run", RunOptions(recipe="demo.toml", seed=3, near_copies=False))
    'semisonic run demo --seed 3 --no-near-copies'
    """

    def text(value: Any) -> str:
        return value.name if isinstance(value, Path) and not exact else str(value)

    def flags(group: Any, plain: Any) -> Iterator[str]:
        for one in dataclasses.fields(group):
            value, default = getattr(group, one.name), getattr(plain, one.name)
            name = one.name.replace("_", "-")
            if value == default or one.name in (argument, *FREE):
                continue
            if dataclasses.is_dataclass(value):
                yield from flags(value, default)
            elif isinstance(value, bool):
                yield f"--{name}" if value else f"--no-{name}"
            elif one.name in REPEATED:
                yield from (part for each in value for part in (f"--{name}", each))
            else:
                joined = ",".join(map(str, value)) if isinstance(value, tuple) else text(value)
                yield from (f"--{name}", joined)

    argument = "data" if verb == "curve" else "recipe"
    first = getattr(options, argument)
    if argument == "recipe" and not exact:
        first = Path(first).stem
    parts = ["semisonic", verb, text(first), *flags(options, type(options)())]
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join  # as their shells quote
    return join([*parts, "-o", str(options.output)] if exact else parts)
