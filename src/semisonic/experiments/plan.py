"""The jobs of an experiment: what each trains on, what it depends on, and what it writes.

The name of a job is a hash of everything that its result depends on, and of nothing else: equal
work is done once (the control is the same for every decoder), and an interrupted run finds its
finished jobs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import (
    AUTO,
    GIVEN,
    MAJORITY,
    MEAN,
    NO_OBJECTIVE,
    READERS,
    RECONSTRUCTION,
    SOLVED,
    WITHOUT_DECODER,
    DataSummary,
    MethodOptions,
    resolve_auto,
)
from semisonic.classifier.pretrain import hold_out_recordings
from semisonic.classifier.simple import CLASSIFIERS, MEL
from semisonic.classifier.train import HELD_OUT_SHARE
from semisonic.core.errors import OptionError
from semisonic.core.files import digest, read_json, write_json
from semisonic.core.options import changed
from semisonic.core.seeds import derive, generator
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits, label_budget
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.recipe import TRAINED, Budget, Recipe, Setting
from semisonic.features.options import WAVE
from semisonic.training.loop import FitResult
from semisonic.training.options import FitOptions

Rows = NDArray[np.int64]

PRETRAIN, TRAIN, STAGE = "pre-train", "train", "stage"
"""The kinds of jobs."""
DONE = "job.json"
ENCODER, MODEL, PICTURES = "encoder.zip", "model.zip", "pictures.npz"
PREDICTIONS = {MEAN: "predictions.csv.gz", MAJORITY: "majority.csv.gz"}
"""By the way that the segments of a clip vote; the second where a clip has several."""


def _no_rows() -> Rows:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A piece of work in its own folder. Rows count labelled clips, then the pool.

    Attributes
    ----------
    kind : str
        "pre-train", "train" or "stage".
    setting : Setting or TrainingStage
    fold, draw, seed : int
    train, validation, test : ndarray of int64
        Of a pre-training, clips to learn from, held-out ones, and test clips for pictures.
    pool : ndarray of int64
        Clips to learn from without labels.
    noisy : ndarray of int64
        Clips with unverified labels, of which the judge leaves some, if there is one.
    start, judge : Job, optional
        The job that it continues from, and the one whose model filters the unverified labels.
    budget : Budget
    arm : str
    name : str
        Of the folder.
    """

    kind: str
    setting: Any
    fold: int
    draw: int
    seed: int
    train: Rows
    validation: Rows = field(default_factory=_no_rows)
    test: Rows = field(default_factory=_no_rows)
    pool: Rows = field(default_factory=_no_rows)
    noisy: Rows = field(default_factory=_no_rows)
    start: Job | None = None
    judge: Job | None = None
    budget: Budget = field(default_factory=Budget)
    arm: str = ""
    name: str = ""

    @property
    def fit(self) -> FitOptions | None:
        """The length and steps of the training; None for jobs without steps."""
        setting = self.setting
        if self.kind == PRETRAIN:
            return setting.pretrain  # type: ignore[no-any-return]
        return None if getattr(setting, "classifier", "") else setting.fit

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs that come before it."""
        return tuple(one.name for one in (self.start, self.judge) if one is not None)

    def named(self, *reads: object, is_random: bool = True) -> Job:
        """The job under its name.

        Parameters
        ----------
        *reads
            What its result depends on besides the clips and the jobs before it.
        is_random : bool
            Whether it depends on the seed.
        """
        parts = [p.tolist() for p in (self.train, self.validation, self.pool, self.noisy)]
        seed = self.seed if is_random else None
        key = digest(self.kind, *reads, self.fold, seed, parts, self.needs)
        return replace(self, name=f"{self.kind.replace('-', '')}-{key}")

    def is_done(self, folder: Path) -> bool:
        """Whether an earlier run finished it; ``folder`` is that of all jobs."""
        return (folder / self.name / DONE).is_file()

    def record(self, folder: Path) -> dict[str, Any]:
        """The record that it wrote when it was done."""
        found: dict[str, Any] = read_json(folder / self.name / DONE)
        return found

    def finish(
        self, folder: Path, seconds: float, fit: FitResult | None = None, **found: Any
    ) -> None:
        """Write its record, which marks it as done, and remove checkpoints."""
        course: dict[str, Any] = {"n_steps": 0, "precision": None, "best_epoch": 0, "history": []}
        if fit is not None:
            course = {name: getattr(fit, name) for name in course}
        parts = ("train", "validation", "test", "pool", "noisy")
        record = {
            "kind": self.kind,
            "setting": self.setting.name,
            "arm": self.arm,
            "labels_per_class": self.budget.labels_per_class,
            "start": self.start.name if self.start else "",
            "judge": self.judge.name if self.judge else "",
            **{name: getattr(self, name) for name in ("fold", "draw", "seed")},
            **{f"n_{part}": len(getattr(self, part)) for part in parts},
            "seconds": seconds,
            "peak_memory_mib": _peak_memory(),
            **course,
            **found,
        }
        place = folder / self.name
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / DONE, record)
        for name in ("checkpoint.pt", "timing.json", "history.json"):
            for file in place.rglob(name):
                file.unlink()
        for inner in place.iterdir():
            if inner.is_dir():
                inner.rmdir()

    def predictions(self, folder: Path, setting: str) -> Predictions:
        """Its scored test clips, under the names of this run: equal work is done once."""
        file = folder / self.name / PREDICTIONS[self.setting.segments.voting]
        # Where no clip has two segments, both votes are one.
        table = Predictions.read(file if file.is_file() else file.with_name(PREDICTIONS[MEAN]))
        return table.assign(setting=setting, arm=self.arm, draw=self.draw, seed=self.seed)


def _peak_memory() -> float | None:
    """The most memory that this process has held so far, in MiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@dataclass(frozen=True)
class Plan:
    """The rows of the result, and the jobs that give them.

    ``cells`` has a setting's name in tables and its job, for each fold and draw.
    """

    cells: tuple[tuple[str, Job], ...]

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, each once and behind those it needs."""
        found: dict[str, Job] = {}
        for _, job in self.cells:
            for one in (job.start, job.judge, job):
                if one is not None:
                    found.setdefault(one.name, one)
        return tuple(found.values())

    def of(self, kind: str) -> list[Job]:
        """The jobs of a kind."""
        return [job for job in self.jobs if job.kind == kind]


def make_plan(
    recipe: Recipe,
    labelled: Clips,
    pool: Clips,
    *,
    seed: int = 0,
    transductive: bool = False,
    categories: Mapping[str, str] | None = None,
    source: str = "",
) -> Plan:
    """Plan every fold, draw, budget, setting and arm of a recipe.

    Parameters
    ----------
    recipe : Recipe
    labelled : Clips
        Clips with one label each; folds are official ones or made by recording.
    pool : Clips
        Unlabelled clips; their rows follow those of ``labelled`` in the joined table. Clips of a
        recording (group) in the test fold are not used.
    seed : int
    transductive : bool
        Let pre-training learn from the test fold (without labels).
    categories : mapping of class to group, optional
        Read by settings that name the group first.
    source : str
        What tells the set apart that settings with ``start = "trained"`` begin from.

    Raises
    ------
    OptionError
        For a setting that needs groups of classes, or an encoder, and has none.
    """
    arms = [
        (arm, setting)
        for both in zip(recipe.controls, recipe.settings, strict=True)
        for arm, setting in zip(recipe.arms, both, strict=True)
    ]
    for _, setting in arms:
        _check_simple(setting, categories)
    cells: list[tuple[str, Job]] = []
    joined_groups = np.concatenate([labelled.group, pool.group])
    for draw in range(max(budget.draws for budget in recipe.budgets)):
        turn = draw % recipe.pretrain_draws if recipe.pretrain_draws else draw
        seed_of_draw, seed_of_turn = (derive(seed, "draw", n) % (1 << 31) for n in (draw, turn))
        for split in _splits(recipe, labelled, seed_of_turn):
            known = np.isin(pool.group, labelled.group[split.test]) & (not transductive)
            parts = [split.train, np.flatnonzero(~known) + len(labelled)]
            parts += [split.test] if transductive else []
            rng = generator(seed_of_turn, "pre-training held out", split.fold)
            to_pretrain = hold_out_recordings(
                joined_groups, np.concatenate(parts), HELD_OUT_SHARE, rng
            )
            pool_rows = np.sort(np.concatenate(to_pretrain))
            for (arm, setting), budget in product(arms, recipe.budgets):
                if draw >= budget.draws:
                    continue
                labels, validation = _labels(budget, split, seed_of_draw, labelled)
                n_pool = len(np.setdiff1d(pool_rows, labels)) if setting.pool else 0
                summary = DataSummary(len(labels) / len(labelled.classes), len(labels), n_pool)
                resolved = _resolved(setting, budget, summary)
                start = None
                if resolved.pretrains and not resolved.classifier:
                    rows, held_out = to_pretrain if setting.pool else (labels, labels[:0])
                    start = Job(
                        kind=PRETRAIN,
                        setting=resolved,
                        fold=split.fold,
                        draw=turn,
                        seed=seed_of_turn,
                        train=rows,
                        validation=held_out,
                        test=one_of_each_class(labelled, split.test),
                    )
                    start = _named(start, source)
                job = Job(
                    kind=TRAIN,
                    setting=resolved,
                    budget=budget,
                    arm=arm,
                    fold=split.fold,
                    draw=draw,
                    seed=seed_of_draw,
                    train=labels,
                    validation=validation,
                    test=split.test,
                    pool=pool_rows if setting.pool else pool_rows[:0],
                    start=start,
                )
                name = cell_name(setting.name, budget, recipe)
                cells.append((name, _named(job, source, categories)))
    return Plan(tuple(cells))


_ONLY_FIT = ("dropout", "label_smoothing", "fit")


def _named(job: Job, source: str, categories: Mapping[str, str] | None = None) -> Job:
    """The job under its name, without the clips and options that it does not read."""
    setting, plain = job.setting, Setting()
    none = job.pool[:0]
    unread = {"name", "pool"}
    replaced: dict[str, Any] = {}
    if job.kind == PRETRAIN:
        unread |= {*_ONLY_FIT, "method", "method_params", "classifier", "inputs", "group_first"}
        unread |= {"generated_ratio", "generator_steps"}
        if not setting.pretrain.heeds_validation:  # nothing is chosen by the held-out rows
            rows = np.sort(np.concatenate([job.train, job.validation]))
            job = replace(job, train=rows, validation=none)
    elif setting.classifier:  # it has no pool, chooses no epoch, and may have nothing random
        job, cut = replace(job, pool=none, validation=none), setting.segments
        groups = sorted((categories or {}).items()) if setting.group_first else ""
        reads = (setting.classifier, setting.inputs, setting.front.key(), groups)
        is_random = CLASSIFIERS[setting.classifier].is_random
        return job.named(*reads, cut.hop, cut.rest, cut.copies, is_random=is_random)
    else:
        unread |= {"pretrain"}
        if job.start is None:
            unread |= {"decoder", "pretext"}
            replaced["objective"] = NO_OBJECTIVE
        if not setting.generated_ratio:
            unread |= {"generated_ratio", "generator_steps"}
        if setting.method in SOLVED:
            unread |= {*_ONLY_FIT}
        if setting.method == "supervised":
            params, job = setting.method_params, replace(job, pool=none)
            kept = {n: getattr(params, n) for n, of in READERS.items() if setting.method in of}
            replaced["method_params"] = MethodOptions(**kept)
    replaced |= {name: getattr(plain, name) for name in unread}
    # Predictions of both votes are written. What is trained on is named by rows: a method that
    # hears the test clips is another job.
    replaced["segments"] = replace(setting.segments, voting=plain.segments.voting)
    return job.named(replace(setting, **replaced), source if setting.start == TRAINED else "")


def cell_name(setting: str, budget: Budget, recipe: Recipe) -> str:
    """The name of a setting with a budget: only the values that differ from the others."""
    parts = [setting] if len(recipe.settings) > 1 else []
    parts += [budget.label] if len(recipe.budgets) > 1 or not parts else []
    return ", ".join(parts)


def pretraining_way(setting: Setting) -> str:
    """The name of a way of pre-training in figures and tables."""
    if setting.objective == RECONSTRUCTION:
        return setting.decoder
    if setting.objective in (NO_OBJECTIVE, *WITHOUT_DECODER):
        return setting.objective
    return f"{setting.objective}, {setting.decoder}"


def one_of_each_class(labelled: Clips, rows: Rows) -> Rows:
    """The first clip of every class among some rows, for pictures."""
    target = labelled.target()[rows]
    return rows[np.sort(np.unique(target, return_index=True)[1])]


def labels_there(recipe: Recipe, labelled: Clips, seed: int = 0) -> list[tuple[int, str, float]]:
    """Of each training part: clips of the rarest class, its name, and the mean over classes."""
    found = []
    for split in _splits(recipe, labelled, seed):
        counts = np.bincount(labelled.target()[split.train], minlength=len(labelled.classes))
        rarest = int(counts.argmin())
        found.append((int(counts[rarest]), labelled.classes[rarest], float(counts.mean())))
    return found


def _splits(recipe: Recipe, labelled: Clips, seed: int) -> Sequence[Split]:
    way: Any = recipe.validation_fold
    splits = fold_splits(labelled, validation=recipe.validation, seed=seed, validation_fold=way)
    return [split for split in splits if not recipe.folds or split.fold in recipe.folds]


def _labels(budget: Budget, split: Split, seed: int, labelled: Clips) -> tuple[Rows, Rows]:
    """Rows to learn from and rows to validate on.

    The labels of a validation part would not be in a budget, so there is none under one:
    training lasts the recipe's epochs and ends with its last weights.
    """
    if not budget.labels_per_class:
        return split.train, split.validation
    everything = np.sort(np.concatenate([split.train, split.validation]))
    return label_budget(labelled, everything, budget.labels_per_class, seed), everything[:0]


def _check_simple(setting: Setting, categories: Mapping[str, str] | None) -> None:
    """Raise OptionError if a simple classifier lacks what it needs."""
    is_simple, cut = bool(setting.classifier), setting.segments
    problems = {
        "'group_first' needs a 'classifier'": setting.group_first and not is_simple,
        "'group_first' needs groups of classes: give [categories]": (
            setting.group_first and not categories
        ),
        "with a simple classifier, all segments vote by the mean of their scores; leave out "
        "segments.voting and segments.silence_db": (
            is_simple and (cut.voting != MEAN or cut.silence_db is not None)
        ),
        "inputs 'mel' are statistics of a spectrogram; found mel.input = 'wave'": (
            is_simple and setting.inputs == MEL and setting.mel.input == WAVE
        ),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise OptionError(f"setting '{setting.name}': {problem}")


def _resolved(setting: Setting, budget: Budget, data: DataSummary) -> Setting:
    """The setting as long as the budget asks for, with what ``auto`` chooses: method and start."""
    if budget.epochs:
        setting = replace(setting, fit=changed(setting.fit, epochs=budget.epochs, steps=0))
    if setting.method != AUTO or setting.classifier:
        return setting
    objective = setting.objective if setting.pretrains else AUTO
    data = replace(data, start=GIVEN if setting.start == TRAINED else setting.start)
    found = resolve_auto(changed(setting, objective=objective), data)
    names = ("method", "method_params", "fit", "dropout", "pretrain", "objective")
    start = setting.start if found.start == GIVEN else found.start
    return replace(setting, start=start, **{name: getattr(found.config, name) for name in names})
