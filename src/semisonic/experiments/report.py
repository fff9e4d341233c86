"""Fill the report of an experiment from its jobs: numbers, curves, pictures and players."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.audio import read_start
from semisonic.base.errors import AudioError
from semisonic.base.files import write_json
from semisonic.base.options import to_dict
from semisonic.data.categories import categories_of
from semisonic.evaluation.mistakes import WrongClip, worst_mistakes
from semisonic.evaluation.projection import pca_2d
from semisonic.evaluation.published_studies import STUDIES
from semisonic.evaluation.report import (
    ExperimentContent,
    JobHistory,
    Mistake,
    Reconstructions,
    SimpleTable,
    write_experiment_report,
)
from semisonic.experiments.generated import generated_patches
from semisonic.experiments.job_folder import read_arrays
from semisonic.experiments.jobs import TrainJob
from semisonic.experiments.material import Material
from semisonic.experiments.method_notes import method_notes
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import Plan, pretraining_way
from semisonic.experiments.recipe import Recipe
from semisonic.experiments.results import Outcome
from semisonic.experiments.side_by_side import (
    INPUTS_IN_WORDS,
    class_distances,
    in_words,
    most_confused,
    side_by_side,
)
from semisonic.experiments.timing import timing_rows
from semisonic.inference.pretext import WITHOUT_DECODER
from semisonic.training import RunFolder

N_MISTAKES = 8
N_RECONSTRUCTIONS = 6
LONGEST_PLAYED = 10.0
"""Seconds of a mistake that the report lets one hear."""

PLAYED_RATE = 22050
"""Samples a second of what can be heard, in Hz."""

TRANSDUCTIVE = (
    "Transductive: training heard the test clips, without their labels. Accuracy on clips "
    "that nobody has recorded yet can be lower."
)
QUICK = "A quick look: fewer folds and epochs than the recipe asks for. No basis for a claim."


def write_report(
    run: RunFolder,
    options: RunOptions,
    recipe: Recipe,
    plan: Plan,
    material: Material,
    outcome: Outcome,
    *,
    seconds: float,
) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``.

    Parameters
    ----------
    seconds : float
        Training time of all jobs together.

    Returns
    -------
    Path
        The page.
    """
    main = _main_setting(outcome, plan, recipe.main)
    shown = _shown_jobs(plan, main)
    tried = shown[recipe.treated]
    surest = outcome.predictions.select(setting=main, arm=recipe.treated)
    categories = categories_of(material.labelled.classes, dict(recipe.categories)) or {}
    jobs = run.folder / "jobs"
    content = ExperimentContent(
        title=recipe.title,
        subtitle=_subtitle(material, options, recipe),
        predictions=outcome.predictions,
        data=material.labelled.name,
        main_setting=main,
        control=recipe.control,
        treated=recipe.treated,
        subject=recipe.subject,
        settings={cell: _describe(job, recipe) for cell, job in plan.cells},
        with_published=recipe.published == "cae",
        paper_cells=_paper_cells(plan) if recipe.published == "cae" else {},
        histories=_histories(outcome, main),
        reconstructions=_reconstructions(plan, outcome, jobs, material),
        filters={
            arm: arrays["filters"][:, None]
            for arm, job in shown.items()
            if "filters" in (arrays := read_arrays(jobs, job))
        },
        study=recipe.published if recipe.published in STUDIES else "",
        setting_pairs=outcome.pairs,
        series=side_by_side(recipe, plan, material.labelled.name),
        categories=categories,
        separability=class_distances(tried, material),
        separability_inputs=INPUTS_IN_WORDS[tried.setting.inputs],
        confused=[
            heard
            for wrong in (most_confused(surest) if tried.setting.classifier else [])
            if (heard := _heard(wrong, material))
        ],
        embeddings=_embeddings(jobs, shown),
        generated=generated_patches(plan, jobs, material.labelled.classes),
        mistakes=[
            heard
            for wrong in worst_mistakes(surest, N_MISTAKES)
            if (heard := _heard(wrong, material))
        ],
        dead_units=_dead_units(outcome),
        timing=timing_rows(outcome, seconds),
        provenance=provenance_of(run, options),
        options={"run": to_dict(options), "recipe": to_dict(recipe)},
        warnings=_warnings(options, material),
        notes=(recipe.question, *method_notes(recipe, plan)),
    )
    page = write_experiment_report(run.folder, content, list(outcome.comparisons))
    write_json(
        run.folder / "results.json",
        {
            **provenance_of(run, options),
            "recipe": to_dict(recipe),
            "comparisons": [one.to_dict() for one in outcome.comparisons],
            "setting_pairs": [one.to_dict() for one in outcome.pairs],
            "timing": [list(row) for row in content.timing],
            "dead_units": [list(row) for row in content.dead_units.rows]
            if content.dead_units
            else [],
            "jobs": [without_history(job) for job in outcome.jobs],
        },
    )
    return page


def without_history(job: dict[str, Any]) -> dict[str, Any]:
    """A job's record with the number of epochs in place of every epoch."""
    kept = {name: value for name, value in job.items() if name != "history"}
    return {**kept, "n_epochs": len(job["history"])}


def _main_setting(outcome: Outcome, plan: Plan, wanted: str) -> str:
    """The headline: the first row with the most draws, of the setting that the recipe names."""
    rows = {cell for cell, job in plan.cells if job.setting.name == wanted}
    named = [one for one in outcome.comparisons if one.setting in rows]
    return max(named or outcome.comparisons, key=lambda c: len(c.draws)).setting


def _shown_jobs(plan: Plan, main: str) -> dict[str, TrainJob]:
    """By arm the job of the main setting whose pictures are shown: first draw and fold."""
    shown: dict[str, TrainJob] = {}
    for cell, job in plan.cells:
        if cell == main and job.draw == 0:
            shown.setdefault(job.arm, job)
    return shown


def _subtitle(material: Material, options: RunOptions, recipe: Recipe) -> str:
    labelled, pool = material.labelled, material.pool
    heard = "training folds" + (f" and {len(pool)} clips of '{pool.name}'" if len(pool) else "")
    text = (
        f"{len(labelled)} clips of '{labelled.name}', {len(labelled.classes)} classes, "
        f"{len(labelled.folds)} folds"
    )
    networks = [one for one in (*recipe.settings, *recipe.controls) if one.has_encoder]
    if not any(one.pretraining or one.method != "supervised" for one in networks):
        return text  # nobody hears clips without their labels
    return f"{text}; unlabelled: {heard}" + (
        " and on the test clips" if options.transductive else ""
    )


def _describe(job: TrainJob, recipe: Recipe) -> dict[str, Any]:
    """What makes a setting; values that all settings share are left to the options."""
    setting = job.setting
    if setting.classifier:
        return {"classifier": in_words(setting), "labels": job.budget.label}
    return {
        "network": setting.architecture,
        "input": f"{setting.mel.n_mels} x {setting.mel.n_frames}",
        "pre-training": pretraining_way(setting),
        "batch size": setting.train.batch_size,
        "labels": job.budget.label,
    }


def _paper_cells(plan: Plan) -> dict[int, str]:
    """Settings that repeat the paper's table 1: 64 filters, un-pooling, its input."""
    found: dict[int, str] = {}
    for cell, job in plan.cells:
        s = job.setting
        same_network = s.architecture == "(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc"
        same_input = (s.mel.n_mels, s.mel.n_frames) == (28, 36)
        if (
            same_network
            and same_input
            and pretraining_way(s) == "unpool"
            and not job.budget.labels_per_class
        ):
            found.setdefault(s.train.batch_size, cell)
    return found


def _histories(outcome: Outcome, main: str) -> list[JobHistory]:
    return [
        JobHistory(
            job["cell"],
            job["arm"] if job["kind"] == "train" else job["way"],
            job["draw"],
            job["fold"],
            job["history"],
            "train" if job["kind"] == "train" else "pretrain",
        )
        for job in outcome.jobs
        if job["cell"] == main or job["kind"] == "pre-train"
    ]


def _reconstructions(
    plan: Plan, outcome: Outcome, jobs: Path, material: Material
) -> Reconstructions | None:
    """Test clips of one fold through each auto-encoder that saw the same input."""
    errors: dict[str, list[float]] = defaultdict(list)
    for record in outcome.jobs:
        if record["kind"] == "pre-train" and record["error"] is not None:
            errors[record["way"]].append(record["error"])
    if not plan.pretrain:
        return None
    first = plan.pretrain[0]
    decoders: dict[str, Any] = {}
    truth = None
    for job in plan.pretrain:
        same = (job.setting.mel, job.fold, job.draw) == (first.setting.mel, first.fold, first.draw)
        way = pretraining_way(job.setting)
        if not same or way in decoders or job.setting.objective in WITHOUT_DECODER:
            continue
        arrays = read_arrays(jobs, job)
        truth = arrays["truth"][:N_RECONSTRUCTIONS] if truth is None else truth
        decoders[way] = arrays["again"][:N_RECONSTRUCTIONS]
    if truth is None or not len(truth):
        return None
    labels = [material.labelled.labels[row][0] for row in first.show[: len(truth)]]
    means = {name: float(np.mean(values)) for name, values in errors.items() if name in decoders}
    return Reconstructions(truth, decoders, labels, means)


def _embeddings(jobs: Path, shown: dict[str, TrainJob]) -> dict[str, tuple[Any, Any]]:
    found = {}
    for arm, job in shown.items():
        arrays = read_arrays(jobs, job)
        if len(arrays.get("points", ())) > 2:
            found[arm] = (pca_2d(arrays["points"]), arrays["target"])
    return found


def _heard(wrong: WrongClip, material: Material) -> Mistake | None:
    """A wrong answer with what is needed to hear the clip; None where it cannot be read now."""
    labelled = material.labelled
    row = labelled.ids.index(wrong.clip)
    start, end = float(labelled.start_time[row]), float(labelled.end_time[row])
    try:
        samples = read_start(
            labelled.paths[row], duration=LONGEST_PLAYED, sample_rate=PLAYED_RATE,
            start_time=start, end_time=None if np.isnan(end) else end,
        )  # fmt: skip
    except AudioError:
        return None
    note = f"wrong in {wrong.n_wrong} of {wrong.n_scored} draws" if wrong.n_scored > 1 else ""
    return Mistake(
        wrong.clip, samples, PLAYED_RATE, wrong.target, wrong.predicted, wrong.score, note
    )  # fmt: skip


def _dead_units(outcome: Outcome) -> SimpleTable | None:
    """Units of the encoder that no held-out clip ever made active, mean over jobs."""
    shares: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for job in outcome.jobs:
        if job["kind"] == "pre-train":
            for layer in job["dead_units"]:
                key = (job["setting"], layer["layer"])
                shares[key].append((layer["n_dead"], layer["n_units"]))
    if not shares:
        return None
    rows = [
        (setting, layer, counts[0][1], float(np.mean([dead / units for dead, units in counts])))
        for (setting, layer), counts in shares.items()
    ]
    return SimpleTable(
        ("setting", "layer", "units", "share never active"),
        rows,
        "After pre-training, on held-out clips if there are any. A dead last layer gives every "
        "clip the same code.",
        shares=("share never active",),
    )


def provenance_of(run: RunFolder, options: RunOptions) -> dict[str, Any]:
    """What repeats the run, and what it ran with."""
    record = run.record
    return {
        "command": _command(options),
        "commit": record["commit"],
        "seed": options.seed,
        "machine": record["machine"],
        "precision": record["notes"]["precision"],
        "versions": record["versions"],
        "data": record["data"],
        "started": record["started"],
    }


def _command(options: RunOptions) -> str:
    """The command that repeats the run; the places of data are named, not given."""
    parts = ["semisonic", "run", Path(options.recipe).stem, "--data", options.data.name]
    if options.source is not None:
        parts += ["--source", options.source.name]
    if options.unlabelled is not None:
        parts += ["--unlabelled", options.unlabelled.name]
    parts += ["--quick"] * options.quick + ["--transductive"] * options.transductive
    for change in options.change:
        parts += ["--change", change]
    if options.seed:
        parts += ["--seed", str(options.seed)]
    return shlex.join(parts)


def _warnings(options: RunOptions, material: Material) -> list[str]:
    return [QUICK] * options.quick + [TRANSDUCTIVE] * options.transductive + list(material.notes)
