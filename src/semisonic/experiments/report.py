"""The report of an experiment: numbers, curves, pictures and players."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import WITHOUT_DECODER
from semisonic.classifier.simple import CEPSTRUM, CLASSIFIERS, EMBEDDING, vectors
from semisonic.core.options import to_dict
from semisonic.core.text import percent_text
from semisonic.data.categories import categories_of
from semisonic.evaluation.embeddings import Separability, separability
from semisonic.evaluation.predictions import ConfidentError, Predictions, top_errors
from semisonic.evaluation.published import BASELINES, STUDIES, PublishedResult, same_data
from semisonic.evaluation.report.content import (
    ExperimentContent,
    GeneratedPatches,
    JobHistory,
    Reconstructions,
    Series,
)
from semisonic.evaluation.report.document import Player, clip_player, spaced
from semisonic.evaluation.report.experiment import write_experiment_report
from semisonic.experiments.generated import N_PATCHES
from semisonic.experiments.jobs import TrainJob, read_arrays
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import ExperimentPlan, cell_name, pretraining_way
from semisonic.experiments.recipe import Budget, Recipe, Setting
from semisonic.experiments.results import ExperimentOutcome, method_notes, timing_rows
from semisonic.experiments.runner import command_line, provenance, write_results
from semisonic.features.inversion import mel_to_wave
from semisonic.features.options import MelOptions
from semisonic.training.run_folder import RunFolder

# Generated patches of an experiment, as its report shows them.


N_PLAYED = 3
"""Classes whose sounds are played."""

CLIPS = "clips"


def generated_patches(
    plan: ExperimentPlan, jobs: Path, classes: tuple[str, ...]
) -> GeneratedPatches | None:
    """Clips of each class and what each generator made after them; None without a generator.

    Of the first fold and draw. A generator that serves several settings is shown once.
    """
    shown = _first_jobs(plan)
    if not shown:
        return None
    mel = next(iter(shown.values())).setting.mel
    rows: dict[str, NDArray[Any]] = {}
    target = np.zeros(0, np.int64)
    for name, job in shown.items():
        arrays = read_arrays(jobs, job)
        if "made" not in arrays or job.setting.mel != mel:
            continue
        if not rows:
            target = np.unique(arrays["heard_class"])
            rows |= _in_rows(CLIPS, arrays["heard"], arrays["heard_class"])
        rows |= _in_rows(name, arrays["made"], arrays["made_class"])
    if not rows:
        return None
    names = [classes[one] for one in target]
    return GeneratedPatches(rows, names, _sounds(rows, names, mel))


def _first_jobs(plan: ExperimentPlan) -> dict[str, TrainJob]:
    """For each generator, under its name, the first job of the first draw that has it."""
    found: dict[str, TrainJob] = {}
    seen = set()
    for cell, job in plan.cells:
        options = job.setting.generated
        if options.is_used and job.draw == 0 and options not in seen:
            seen.add(options)
            kind = options.generator.upper()
            found[kind if kind not in found else cell] = job
    return found


def _in_rows(name: str, values: NDArray[Any], target: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The first of every class, then the second, as rows of a picture; a class may have one."""
    rows = {}
    for number in range(N_PATCHES):
        places = [np.flatnonzero(target == one) for one in np.unique(target)]
        chosen = [place[min(number, len(place) - 1)] for place in places]
        rows[name + " " * number] = np.asarray(values[chosen], np.float32)
    return rows


def _sounds(rows: dict[str, NDArray[Any]], names: list[str], mel: MelOptions) -> list[Player]:
    """Some columns as sounds, from the spectrograms alone."""
    found = []
    for column in range(min(N_PLAYED, len(names))):
        for name, values in rows.items():
            if name.endswith(" "):
                continue
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(column)
                wave = mel_to_wave(torch.from_numpy(values[column]).float(), mel)
            how = "a clip, from its bands" if name == CLIPS else f"made by {name}"
            found.append(Player(wave.numpy(), mel.sample_rate, spaced(names[column]), how))
    return found


# Which settings stand side by side in a report, and what only simple classifiers show there.


INPUTS_IN_WORDS = {
    "mfcc-zcr": "means and deviations of 12 MFCC and the zero-crossing rate",
    "mel": "statistics of the mel spectrogram",
    "embedding": "embeddings of an encoder",
}
PLAYED_OF_A_PAIR = 3
"""Clips of each of two classes that can be heard."""


def side_by_side(recipe: Recipe, plan: ExperimentPlan, data: str) -> dict[str, tuple[Series, ...]]:
    """By budget the control, once where it is the same work, and every setting.

    Empty where no simple classifiers compete and the recipe does not ask for it.
    """
    everything = (*recipe.settings, *recipe.controls)
    if not (recipe.side_by_side or any(setting.classifier for setting in everything)):
        return {}
    return {budget.label: _of_budget(recipe, plan, budget, data) for budget in recipe.budgets}


def _of_budget(
    recipe: Recipe, plan: ExperimentPlan, budget: Budget, data: str
) -> tuple[Series, ...]:
    cells = [cell_name(setting.name, budget, recipe) for setting in recipe.settings]
    work = {(cell, arm): _jobs(plan, cell, arm) for cell in cells for arm in recipe.arms}
    shared = len({work[cell, recipe.control] for cell in cells}) == 1
    found: dict[frozenset[tuple[str, int]], Series] = {}
    controls: list[Series] = []
    treated: list[Series] = []
    for cell, setting, control in zip(cells, recipe.settings, recipe.controls, strict=True):
        for arm, own, rows in (
            (recipe.control, control, controls),
            (recipe.treated, setting, treated),
        ):
            jobs = work[cell, arm]
            if jobs not in found:
                label = setting.name if arm == recipe.treated else recipe.control
                if recipe.side_by_side and not shared:
                    label = f"{setting.name}, {arm}"
                taken = [other.name for other in found.values()]
                label = f"{label} of {setting.name}" if label in taken else label
                theirs = _published(own, data) if not budget.labels_per_class else None
                found[jobs] = Series(label, cell, arm, in_words(own), theirs)
                rows.append(found[jobs])
    for one in recipe.ensembles:
        cell = cell_name(one.name, budget, recipe)
        method = f"mean of the probabilities of {' and '.join(one.of)}"
        for arm in (recipe.treated,) if shared else recipe.arms:
            label = one.name if shared else f"{one.name}, {arm}"
            treated.append(Series(label, cell, arm, method))
    return (*controls, *treated)


def _jobs(plan: ExperimentPlan, cell: str, arm: str) -> frozenset[tuple[str, int]]:
    return frozenset(
        (job.name, job.draw) for name, job in plan.cells if (name, job.arm) == (cell, arm)
    )


def in_words(setting: Setting) -> str:
    """How a setting learns and from what."""
    if not setting.classifier:
        return f"network {setting.architecture}, {setting.method}"
    classifier = CLASSIFIERS[setting.classifier]
    text = f"{classifier.title}: {classifier.text}. Inputs: {INPUTS_IN_WORDS[setting.inputs]}"
    return f"{text}. The group of classes first" if setting.group_first else text


def _published(setting: Setting, data: str) -> PublishedResult | None:
    """What the authors of ESC measured with the same classifier on the same inputs."""
    if not setting.classifier or setting.inputs != CEPSTRUM or setting.group_first:
        return None
    title = CLASSIFIERS[setting.classifier].title
    return next((p for p in BASELINES if p.system == title and same_data(p.data, data)), None)


def class_distances(job: TrainJob, material: Material) -> Separability | None:
    """How far apart the classes lie in a classifier's inputs; None where it learns its own."""
    setting, labelled = job.setting, material.labelled
    if not setting.classifier or setting.inputs == EMBEDDING:
        return None
    table = material.table(setting.front, setting.segments)
    rows = table.rows_of(np.arange(len(labelled)))
    x = vectors(setting.inputs, table.open(), rows)
    owner = table.source[rows]
    return separability(x, labelled.target()[owner], labelled.group[owner], len(labelled.classes))


def most_confused(predictions: Predictions) -> list[ConfidentError]:
    """Clips of the two classes most often taken for each other, surest first, both ways."""
    wrong = top_errors(predictions, len(predictions))
    pairs = Counter(frozenset((one.target, one.predicted)) for one in wrong)
    if not pairs:
        return []
    pair = max(pairs, key=lambda both: (pairs[both], sorted(both)))
    mine = [one for one in wrong if {one.target, one.predicted} == pair]
    return [
        one
        for target in sorted(pair)
        for one in [one for one in mine if one.target == target][:PLAYED_OF_A_PAIR]
    ]


# Fill the report of an experiment from its jobs: numbers, curves, pictures and players.


N_MISTAKES = 8
N_RECONSTRUCTIONS = 6
TRANSDUCTIVE = (
    "Transductive: training heard the test clips, without their labels. Accuracy on clips "
    "that nobody has recorded yet can be lower."
)
QUICK = "A quick look: fewer folds and epochs than the recipe asks for. No basis for a claim."


def write_report(
    run: RunFolder,
    options: RunOptions,
    recipe: Recipe,
    plan: ExperimentPlan,
    material: Material,
    outcome: ExperimentOutcome,
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
    command = command_line("run", options)
    main = _main_setting(outcome, plan, recipe.main)
    shown = _shown_jobs(plan, main)
    tried = shown[recipe.treated]
    surest = outcome.predictions.select(setting=main, arm=recipe.treated)
    categories = categories_of(material.labelled.classes, dict(recipe.categories)) or {}
    confused = most_confused(surest) if tried.setting.classifier else []
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
        histories=_histories(outcome, main),
        reconstructions=_reconstructions(plan, outcome, jobs, material),
        study=recipe.published if recipe.published in STUDIES else "",
        setting_pairs=outcome.pairs,
        series=side_by_side(recipe, plan, material.labelled.name),
        categories=categories,
        separability=class_distances(tried, material),
        separability_inputs=INPUTS_IN_WORDS[tried.setting.inputs],
        confused=[_player(wrong, material) for wrong in confused],
        confused_pair=sorted({n for one in confused[:1] for n in (one.target, one.predicted)}),
        generated=generated_patches(plan, jobs, material.labelled.classes),
        mistakes=[_player(wrong, material) for wrong in top_errors(surest, N_MISTAKES)],
        dead_units=_dead_units(outcome),
        timing=timing_rows(outcome, seconds),
        provenance=provenance(run, command),
        options={"run": to_dict(options), "recipe": to_dict(recipe)},
        warnings=_warnings(options, material),
        notes=(recipe.question, *method_notes(recipe, plan)),
    )
    page = write_experiment_report(run.folder, content, list(outcome.comparisons))
    write_results(
        run,
        command,
        recipe,
        {
            "comparisons": [one.to_dict() for one in outcome.comparisons],
            "setting_pairs": [one.to_dict() for one in outcome.pairs],
            "timing": [list(row) for row in content.timing],
            "dead_units": [list(row) for row in content.dead_units],
            "jobs": [without_history(job) for job in outcome.jobs],
        },
    )
    return page


def without_history(job: dict[str, Any]) -> dict[str, Any]:
    """A job's record with the number of epochs in place of every epoch."""
    kept = {name: value for name, value in job.items() if name != "history"}
    return {**kept, "n_epochs": len(job["history"])}


def _main_setting(outcome: ExperimentOutcome, plan: ExperimentPlan, wanted: str) -> str:
    """The headline: the first row with the most draws, of the setting that the recipe names."""
    rows = {cell for cell, job in plan.cells if job.setting.name == wanted}
    named = [one for one in outcome.comparisons if one.setting in rows]
    return max(named or outcome.comparisons, key=lambda c: len(c.draws)).setting


def _shown_jobs(plan: ExperimentPlan, main: str) -> dict[str, TrainJob]:
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
    if not any(one.pretrains or one.method != "supervised" for one in networks):
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
        "batch size": setting.fit.batch_size,
        "labels": job.budget.label,
    }


def _histories(outcome: ExperimentOutcome, main: str) -> list[JobHistory]:
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
    plan: ExperimentPlan, outcome: ExperimentOutcome, jobs: Path, material: Material
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


def _player(wrong: ConfidentError, material: Material) -> Player | None:
    """A wrong answer to listen to; None where the clip cannot be read now."""
    labelled = material.labelled
    row = labelled.ids.index(wrong.clip)
    note = f". wrong in {wrong.n_wrong} of {wrong.n_scored} draws" if wrong.n_scored > 1 else ""
    return clip_player(
        labelled.paths[row],
        float(labelled.start_time[row]),
        float(labelled.end_time[row]),
        spaced(wrong.target),
        f"taken for {spaced(wrong.predicted)}, {percent_text(wrong.score, 0)} sure",
        f"{wrong.clip}{note}",
    )


def _dead_units(outcome: ExperimentOutcome) -> list[tuple[str, str, int, float]]:
    """Units of the encoder that no held-out clip ever made active, mean over jobs."""
    shares: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for job in outcome.jobs:
        if job["kind"] == "pre-train":
            for layer in job["dead_units"]:
                key = (job["setting"], layer["layer"])
                shares[key].append((layer["n_dead"], layer["n_units"]))
    return [
        (setting, layer, counts[0][1], float(np.mean([dead / units for dead, units in counts])))
        for (setting, layer), counts in shares.items()
    ]


def _warnings(options: RunOptions, material: Material) -> list[str]:
    return [QUICK] * options.quick + [TRANSDUCTIVE] * options.transductive + list(material.notes)
