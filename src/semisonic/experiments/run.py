"""``semisonic run``: from a recipe and recordings to a report, resumable at every step."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from semisonic.classifier.config import SegmentOptions
from semisonic.classifier.prepare import FrontOptions, in_batch_device
from semisonic.classifier.provenance import data_hash, recording_hashes
from semisonic.classifier.run_files import write_remarks
from semisonic.classifier.starting_encoder import synthetic_file
from semisonic.core.errors import DataError
from semisonic.core.files import replacing, write_csv
from semisonic.core.options import to_dict
from semisonic.core.parallel import (
    LOCAL_ENGINE,
    Engine,
    Task,
    count_workers,
    open_engine,
    run_graph,
)
from semisonic.core.progress import bar
from semisonic.core.text import Result
from semisonic.data.categories import categories_of
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import SynthOptions
from semisonic.evaluation.comparison import Comparison
from semisonic.experiments.jobs import MODEL, PretrainJob, Rows, TrainJob, is_done, read_job
from semisonic.experiments.material import Material, gather
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.plan import ExperimentPlan, make_plan
from semisonic.experiments.recipe import Recipe, read_recipe
from semisonic.experiments.report import write_report
from semisonic.experiments.results import (
    ExperimentOutcome,
    ResultTable,
    collect,
    comparison_rows,
    short_trainings,
)
from semisonic.experiments.source import load_source, measured, network_key, trained_files
from semisonic.experiments.worker import WorkerContext, run_pretrain, run_train, start
from semisonic.recipes import find
from semisonic.training.devices import choose_device, choose_plan, with_plan
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# The jobs of an experiment, each after those it needs, wherever the engine does them.
#
# On a GPU of this machine they run one after the other in this process.


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    label: str,
    done: int = 0,
    initializer: Callable[..., None],
    context: tuple[Any, ...],
    engine: Engine = LOCAL_ENGINE,
    device: str = "cpu",
) -> None:
    """Run all tasks, each after those it names; the first error stops the rest.

    Parameters
    ----------
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    workers : int
        Tasks at once; 0 or 1 runs everything in this process, on the local engine. On a cluster
        0 is as many as it has room for.
    label : str
        Text of the progress bar.
    done : int
        Tasks that an earlier run has finished, for the bar.
    initializer, context
        Called once in each process before its first task.
    engine : Engine
    device : str
        What each task computes on.

    Raises
    ------
    SemisonicError
        When a worker process was killed, most often for memory.
    """
    with (
        bar(len(tasks) + done, label, "job", initial=done) as shown,
        engine.tasks(initializer, context, workers=workers, device=device) as calls,
    ):
        run_graph(calls, tasks, shown.update)


# ``semisonic run``: from a recipe and recordings to a report, resumable at every step.


_log = logging.getLogger(__name__)
EXAMPLES = 3
FREE = ("workers", "device", "in_batch", "cache", "output", "where")


@dataclass(frozen=True)
class ExperimentResult(Result):
    """What an experiment leaves.

    Attributes
    ----------
    table : Table
        The main table for a terminal.
    verdicts : tuple of str
        One honest sentence a setting.
    report : Path
        The HTML file.
    model : Path or None
        A trained model of the last setting that is a network, to predict with: the arm that is
        tried, first fold.
    examples : Clips
        A few clips of the test fold, of different classes, that this model has not heard.
    failures : tuple of (clip, reason)
    notes : tuple of str
    """

    table: ResultTable
    verdicts: tuple[str, ...]
    report: Path
    model: Path | None
    examples: Clips
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """For a terminal."""
        return "\n".join([str(self.table), *self.verdicts, *self.notes, f"report: {self.report}"])

    def to_frame(self) -> pd.DataFrame:
        """The main table: what was compared."""
        return self.table.to_frame()


@dataclass(frozen=True)
class Finished:
    """A finished experiment before it is reported."""

    run: RunFolder
    recipe: Recipe
    plan: ExperimentPlan
    material: Material
    outcome: ExperimentOutcome
    seconds: float


def run_recipe(options: RunOptions) -> ExperimentResult:
    """Run, or go on with, an experiment.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_recipe(find(options.recipe), quick=options.quick, changes=options.changes)
    with conduct("run", recipe, options) as done:
        report = write_report(
            done.run,
            options,
            done.recipe,
            done.plan,
            done.material,
            done.outcome,
            seconds=done.seconds,
        )
        return _result(
            done.recipe, done.plan, done.material, done.outcome, report, done.run.folder / "jobs"
        )


@contextmanager
def conduct(
    command: str,
    recipe: Recipe,
    options: RunOptions,
    *,
    asked: Any = None,
    fitted: Callable[[Recipe, Material], tuple[Recipe, list[str]]] | None = None,
) -> Iterator[Finished]:
    """Run all jobs of a recipe in the options' run folder, or those not done yet.

    Within the block the run is still open: what is written there belongs to it.

    Parameters
    ----------
    command : str
    recipe : Recipe
    options : RunOptions
    asked : options, optional
        What the run's record holds and a second call must repeat; the options and the recipe if
        not given.
    fitted : callable, optional
        From the recipe and the data to the recipe that these allow, and what to say of it.
    """
    device = choose_device(options.device)
    if asked is None:
        asked = {**to_dict(options), "contents": to_dict(recipe)}
    recipe = with_number_format(recipe, device)
    with (
        RunFolder(options.output, command, asked, seeds=options.seed, free=FREE) as run,
        open_engine(options.where) as engine,
    ):
        cache = options.cache or run.folder / "cache"
        inputs = [(one.front, one.segments) for one in (*recipe.settings, *recipe.controls)]
        material, hashes = material_of(run, options, recipe.synth, inputs, cache, engine)
        if fitted is not None:
            recipe, said = fitted(recipe, material)
            material = replace(material, notes=(*material.notes, *said))
        jobs = run.folder / "jobs"
        categories = categories_of(material.labelled.classes, dict(recipe.categories))
        source = load_source(options, recipe, material.labelled)
        plan = make_plan(
            recipe,
            material.labelled,
            material.pool,
            seed=options.seed,
            transductive=options.transductive,
            categories=categories,
            source=source.key if source else "",
        )
        material = warned(material, short_trainings(recipe, plan))
        _write_budgets(plan, material, run.folder)
        fits = [job.setting.fit for job in plan.train if not job.setting.classifier]
        run.note(precision=plans_of([*fits, *(job.setting.pretrain for job in plan.pretrain)]))
        starts = synthetic_starts(plan, cache, str(device), options.workers)
        if source is not None:
            run.add_data("source", source.key)
            trained = trained_files(
                source,
                [job.setting for job in all_jobs(plan)],
                recipe,
                cache,
                seed=options.seed,
                device=str(device),
                workers=options.workers,
            )
            starts |= trained
            notes = (*material.notes, *source.notes, *measured(trained.values()))
            material = replace(material, notes=notes)
        context = WorkerContext(jobs, material, str(device), hashes, starts, categories or {})
        seconds = _run_jobs(plan, context, options.workers, engine)
        outcome = collect(recipe, plan, jobs)
        yield Finished(run, recipe, plan, material, outcome, seconds)


def with_number_format(recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with the number format of every training written out, the same in both arms."""
    settings, controls = (
        tuple(
            replace(
                one,
                pretrain=with_plan(one.pretrain, device, recipe.precision),
                fit=with_plan(one.fit, device, recipe.precision),
            )
            for one in arm
        )
        for arm in (recipe.settings, recipe.controls)
    )
    return replace(recipe, settings=settings, controls=controls)


def plans_of(fits: Iterable[FitOptions]) -> list[str]:
    """Number format and layout of trainings whose options name both, each once."""
    return sorted({str(choose_plan(fit, torch.device("cpu"))) for fit in fits})


def warned(material: Material, warnings: Sequence[str]) -> Material:
    """The material with warnings before its own notes, told now and in the report's first lines."""
    for warning in warnings:
        _log.warning("%s", warning)
    return replace(material, notes=(*warnings, *material.notes))


def material_of(
    run: RunFolder,
    options: RunOptions,
    synth: SynthOptions,
    inputs: Iterable[tuple[FrontOptions, SegmentOptions]],
    cache: Path,
    engine: Engine,
    *,
    several: bool = False,
) -> tuple[Material, dict[str, dict[str, str]]]:
    """The data of a run with their features, and hashes of recordings; both go into its record.

    ``several`` lets clips carry several labels.
    """
    data = load_data(options, synth)
    return material_from(run, options, data, inputs, cache, engine, several=several)


def material_from(
    run: RunFolder,
    options: RunOptions,
    data: tuple[Clips, Clips | None],
    inputs: Iterable[tuple[FrontOptions, SegmentOptions]],
    cache: Path,
    engine: Engine,
    *,
    several: bool = False,
    inner_folds: int = 0,
) -> tuple[Material, dict[str, dict[str, str]]]:
    """As :func:`material_of`, of labelled clips and a pool that were loaded before.

    ``inner_folds`` divides labelled clips without folds into so many.
    """
    labelled, pool = data
    material = gather(
        labelled,
        pool,
        inputs,
        cache,
        seed=options.seed,
        workers=options.workers,
        engine=engine,
        several=several,
        group=options.group,
        near_copies=listens_for_copies(options),
        inner_folds=inner_folds,
        in_batch=in_batch_device(options.in_batch, options.device),
    )
    hashes = {
        name: recording_hashes(table, workers=options.workers, cache=cache)
        for name, table in (("labelled", material.labelled), ("pool", material.pool))
    }
    for name, found in hashes.items():
        run.add_data(name, data_hash(found.values()))
    run.add_bad_files(material.failures)
    write_remarks(run, material.remarks)
    return material, hashes


def listens_for_copies(options: RunOptions) -> bool:
    """Whether clips are compared by their sound; the embedded set holds no copies."""
    return options.near_copies and str(options.data) != SYNTH


def load_data(options: RunOptions, synth_options: SynthOptions) -> tuple[Clips, Clips | None]:
    """The labelled clips and the pool that the options name."""
    if str(options.data) == SYNTH:
        from semisonic.data.synth.dataset import load_synth, make_in_cache

        labelled, pool = load_synth(make_in_cache(synth_options))
    else:
        how = dataclasses.asdict(options.table)
        labelled, pool = load_clips(options.data, group=options.group, **how), None
        if not labelled.is_labelled.any():
            raise DataError(
                f"{options.data}: found recordings without labels, expected labelled ones, such "
                "as a folder of class folders; give the unlabelled ones with --unlabelled"
            )
    if options.unlabelled is not None:
        pool = load_clips(options.unlabelled, labels="none", **dataclasses.asdict(options.table))
    return labelled, pool


def _run_jobs(
    plan: ExperimentPlan, context: WorkerContext, workers: int | None, engine: Engine
) -> float:
    """Run what is not done yet; the seconds of training that all jobs took together."""
    folder = context.folder
    jobs = all_jobs(plan)
    todo = [job for job in jobs if not is_done(folder, job)]
    # A job that others wait for goes first, the rest follow fold by fold.
    todo.sort(key=lambda job: (job.draw, job.fold))
    train_all([_task(job) for job in todo], len(jobs) - len(todo), context, workers, engine)
    return float(sum(read_job(folder, job)["seconds"] for job in jobs))


def train_all(
    tasks: Sequence[Task], n_done: int, context: WorkerContext, workers: int | None, engine: Engine
) -> None:
    """Run jobs, each after those it waits for."""
    at_once = tasks_at_once(workers, context.device, engine)
    n_all = len(tasks) + n_done
    _log.info("%d jobs, %d of them done, %d at once", n_all, n_done, at_once)
    if tasks:
        run_tasks(
            tasks,
            workers=min(at_once, len(tasks)),
            label="train",
            done=n_done,
            initializer=start,
            context=(context,),
            engine=engine,
            device=context.device,
        )


def tasks_at_once(workers: int | None, device: str, engine: Engine) -> int:
    """How many: as was asked for, else one per core, one on a GPU, and 0, all there is room for, on
    a cluster.
    """
    if workers or not engine.is_local:
        return workers or 0
    return count_workers(None) if device == "cpu" else 1


def all_jobs(plan: ExperimentPlan) -> list[PretrainJob | TrainJob]:
    """Pre-trainings, then trainings."""
    return [*plan.pretrain, *plan.train]


def synthetic_starts(
    plan: ExperimentPlan, cache: Path, device: str, workers: int | None
) -> dict[tuple[str, ...], Path]:
    """An encoder of made-up sounds for each network that starts from one.

    It comes from the user's cache; a copy stays with the run, where all machines see it.
    """
    settings = [
        job.setting
        for job in all_jobs(plan)
        if job.setting.start == "synthetic" and job.setting.has_encoder
    ]
    starts = {}
    for key, setting in {network_key(setting): setting for setting in settings}.items():
        made = synthetic_file(
            setting.architecture,
            setting.mel,
            standardize=setting.standardize,
            device=device,
            workers=workers,
        )
        starts[key] = cache / made.name
        if not starts[key].is_file():
            with replacing(starts[key]) as part:
                shutil.copyfile(made, part)
    return starts


def _task(job: PretrainJob | TrainJob) -> Task:
    if isinstance(job, PretrainJob):
        return Task(job.name, run_pretrain, (job,))
    after = (job.start.name,) if job.start else ()
    return Task(job.name, run_train, (job,), after)


def _write_budgets(plan: ExperimentPlan, material: Material, folder: Path) -> None:
    """The labelled clips of every draw, so that anybody can train on the same ones."""
    ids = material.labelled.ids
    table: list[tuple[object, ...]] = []
    seen = set()
    for _, job in plan.cells:
        key = (job.budget.labels_per_class, job.draw, job.fold)
        if key in seen:
            continue
        seen.add(key)
        for part, rows in (("train", job.train), ("validation", job.validation)):
            table += [(*key, part, ids[row]) for row in rows.tolist()]
    write_csv(folder / "budgets.csv", ["labels_per_class", "draw", "fold", "part", "clip"], table)


def _result(
    recipe: Recipe,
    plan: ExperimentPlan,
    material: Material,
    outcome: ExperimentOutcome,
    report: Path,
    folder: Path,
) -> ExperimentResult:
    headers, rows = comparison_rows(outcome)
    networks = [
        job
        for _, job in plan.cells
        if job.arm == recipe.treated and job.draw == 0 and not job.setting.classifier
    ]
    shown = networks[-1] if networks else plan.cells[0][1]
    return ExperimentResult(
        table=ResultTable(headers, rows),
        verdicts=tuple(_verdict(c, recipe) for c in outcome.comparisons),
        report=report,
        model=folder / shown.name / MODEL if networks else None,
        examples=_examples(material.labelled, shown.test),
        failures=material.failures,
        notes=material.notes,
    )


def _verdict(one: Comparison, recipe: Recipe) -> str:
    if not recipe.subject and one.outcome != "open":
        return one.verdict(name=one.setting)
    return f"{one.setting}: {one.verdict(recipe.subject)}"


def _examples(clips: Clips, rows: Rows) -> Clips:
    """The first clip of each of a few classes."""
    first = {clips.labels[row]: row for row in reversed(rows.tolist())}
    return clips[sorted(first.values())[:EXAMPLES]]
