"""The runner of experiments: what ``run``, ``curve`` and ``tune`` have in common.

An experiment opens its run folder, gathers clips and features, and does its jobs, each after those
that it needs. A job that is done is not done again, so the same command goes on where it was cut
off. From what the jobs leave, one table of scored test clips, everything is compared and reported.
"""

from __future__ import annotations

import dataclasses
import logging
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semisonic.classifier.config import SegmentOptions
from semisonic.classifier.prepare import FrontOptions, in_batch_device
from semisonic.classifier.provenance import data_hash, recording_hashes
from semisonic.classifier.run_files import write_remarks
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError
from semisonic.core.files import json_ready, write_json
from semisonic.core.options import to_dict
from semisonic.core.parallel import Engine, Task, count_workers, run_tasks
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import SynthOptions
from semisonic.experiments.material import Material, gather
from semisonic.experiments.options import SYNTH, ExperimentOptions
from semisonic.experiments.plan import Job
from semisonic.experiments.worker import WorkerContext, start
from semisonic.training.devices import choose_device
from semisonic.training.run_folder import RunFolder

_log = logging.getLogger(__name__)
FREE = ("workers", "device", "in_batch", "cache", "output", "where")
"""Options that no result depends on: a run goes on when they differ."""
REPEATED = ("change", "search")
"""Options that are given once for each of their values."""


@dataclass(frozen=True)
class OpenExperiment:
    """An experiment whose run folder is open.

    Attributes
    ----------
    run : RunFolder
    engine : Engine
    options : ExperimentOptions
    device : str
    """

    run: RunFolder
    engine: Engine
    options: ExperimentOptions
    device: str

    @property
    def cache(self) -> Path:
        """Where decoded clips and features lie."""
        return self.options.cache or self.run.folder / "cache"

    @property
    def jobs(self) -> Path:
        """Where the jobs have their folders."""
        return self.run.folder / "jobs"

    def gather(
        self,
        data: tuple[Clips, Clips | None],
        inputs: Iterable[tuple[FrontOptions, SegmentOptions]],
        *,
        several: bool = False,
        inner_folds: int = 0,
    ) -> tuple[Material, dict[str, dict[str, str]]]:
        """Clips with their features, and hashes of recordings; both go into the run's record.

        Parameters
        ----------
        data : (Clips, Clips or None)
            Labelled clips and a pool.
        inputs : iterable of (MelOptions or MfccInput, SegmentOptions)
        several : bool
            Let clips carry several labels.
        inner_folds : int
            Divide labelled clips without folds into so many.
        """
        options, run = self.options, self.run
        material = gather(
            *data,
            inputs,
            self.cache,
            seed=options.seed,
            workers=options.workers,
            engine=self.engine,
            several=several,
            group=options.group,
            near_copies=listens_for_copies(options),
            inner_folds=inner_folds,
            in_batch=in_batch_device(options.in_batch, options.device),
        )
        hashes = {
            name: recording_hashes(table, workers=options.workers, cache=self.cache)
            for name, table in (("labelled", material.labelled), ("pool", material.pool))
        }
        for name, of_files in hashes.items():
            run.add_data(name, data_hash(of_files.values()))
        run.add_bad_files(material.failures)
        write_remarks(run, material.remarks)
        return material, hashes

    def do(
        self, jobs: Sequence[Job], work: Mapping[str, Callable[[Job], None]], context: WorkerContext
    ) -> float:
        """Do the jobs that are not done yet; the seconds of training that all took together.

        Parameters
        ----------
        jobs : sequence of Job
        work : mapping of str to callable
            What does a job of each kind.
        context : WorkerContext
            What all jobs share.
        """
        todo = [job for job in jobs if not job.is_done(self.jobs)]
        # A job that others wait for goes first, the rest follow fold by fold.
        todo.sort(key=lambda job: (job.draw, job.fold))
        n_done = len(jobs) - len(todo)
        _log.info("%d jobs, %d of them done, %d at once", len(jobs), n_done, self.at_once)
        if todo:
            run_tasks(
                [Task(job.name, work[job.kind], (job,), job.needs) for job in todo],
                workers=min(self.at_once, len(todo)),
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
        """Jobs at once: as asked for, else one per core, one on a GPU, all there is room for (0) on
        a cluster.
        """
        if self.options.workers or not self.engine.is_local:
            return self.options.workers or 0
        return count_workers(None) if self.device == "cpu" else 1


@contextmanager
def open_experiment(
    command: str, options: ExperimentOptions, asked: Any, *, free: Iterable[str] = ()
) -> Iterator[OpenExperiment]:
    """Open, or go on with, an experiment.

    Parameters
    ----------
    command : str
    options : ExperimentOptions
    asked : options or mapping
        What the run's record holds and a second call must repeat.
    free : iterable of str
        More options that may differ when the run goes on.
    """
    device = str(choose_device(options.device))
    with (
        RunFolder(options.output, command, asked, seeds=options.seed, free=(*FREE, *free)) as run,
        open_engine(options.where) as engine,
    ):
        yield OpenExperiment(run, engine, options, device)


def warned(material: Material, warnings: Sequence[str]) -> Material:
    """The material with warnings before its own notes, told now and in the report's first lines."""
    for warning in warnings:
        _log.warning("%s", warning)
    return replace(material, notes=(*warnings, *material.notes))


def listens_for_copies(options: ExperimentOptions) -> bool:
    """Whether clips are compared by their sound; the embedded set holds no copies."""
    return options.near_copies and str(options.data) != SYNTH


def load_data(
    options: ExperimentOptions, synth_options: SynthOptions
) -> tuple[Clips, Clips | None]:
    """The labelled clips and the pool that the options name."""
    if str(options.data) == SYNTH:
        from semisonic.data.synth.dataset import load_synth, make_in_cache

        labelled, pool = load_synth(make_in_cache(synth_options))
    else:
        how = options.of_tables()
        labelled, pool = load_clips(options.data, group=options.group, **how), None
        if not labelled.is_labelled.any():
            raise DataError(
                f"{options.data}: found recordings without labels, expected labelled ones, such "
                "as a folder of class folders; give the unlabelled ones with --unlabelled"
            )
    if options.unlabelled is not None:
        pool = load_clips(options.unlabelled, labels="none", **options.of_tables())
    return labelled, pool


def command_line(
    verb: str, options: ExperimentOptions, *, argument: str = "recipe", exact: bool = False
) -> str:
    """The command that repeats an experiment.

    Parameters
    ----------
    verb : str
    options : ExperimentOptions
    argument : str
        The option that stands without its name.
    exact : bool
        Give places in full, and where the results go; otherwise places are named, not given.

    Examples
    --------
    >>> from semisonic.experiments.options import RunOptions
    >>> command_line("run", RunOptions(recipe="demo.toml", seed=3, near_copies=False))
    'semisonic run demo --seed 3 --no-near-copies'
    """

    def text(value: Any) -> str:
        return value.name if isinstance(value, Path) and not exact else str(value)

    def flags(group: Any, plain: Any) -> Iterator[str]:
        for field in dataclasses.fields(group):
            value, default = getattr(group, field.name), getattr(plain, field.name)
            name = field.name.replace("_", "-")
            if value == default or field.name in (argument, *FREE):
                continue
            if dataclasses.is_dataclass(value):
                yield from flags(value, default)
            elif isinstance(value, bool):
                yield f"--{name}" if value else f"--no-{name}"
            elif field.name in REPEATED:
                yield from (part for one in value for part in (f"--{name}", one))
            else:
                joined = ",".join(map(str, value)) if isinstance(value, tuple) else text(value)
                yield from (f"--{name}", joined)

    first = getattr(options, argument)
    if argument == "recipe" and not exact:
        first = Path(first).stem
    parts = ["semisonic", verb, text(first), *flags(options, type(options)())]
    return shlex.join([*parts, "-o", str(options.output)] if exact else parts)


def write_results(run: RunFolder, command: str, recipe: Any, values: Mapping[str, Any]) -> Path:
    """Write ``results.json``: what repeats the run, the recipe, and the numbers."""
    file = run.folder / "results.json"
    write_json(file, json_ready({**provenance(run, command), "recipe": to_dict(recipe), **values}))
    return file


def provenance(run: RunFolder, command: str) -> dict[str, Any]:
    """What repeats the run, and what it ran with."""
    record = run.record
    names = ("commit", "seed", "machine", "precision", "versions", "data", "started")
    known = {**record, **record["notes"], "seed": record["seeds"]}
    return {"command": command} | {name: known[name] for name in names if name in known}
