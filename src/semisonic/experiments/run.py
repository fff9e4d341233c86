"""``semisonic run``: settings compared in two arms, from a recipe and recordings to a report."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.audio.player import Player, clip_player
from semisonic.classifier.config import AUTO, WITHOUT_DECODER, WITHOUT_POOL
from semisonic.classifier.simple import CEPSTRUM, CLASSIFIERS, vectors
from semisonic.core.errors import DataError
from semisonic.core.options import to_dict
from semisonic.core.text import percent_text
from semisonic.data.categories import categories_of
from semisonic.data.clips import join
from semisonic.data.splits import make_folds
from semisonic.evaluation.comparison import Comparison
from semisonic.evaluation.embeddings import Separability, separability
from semisonic.evaluation.plots.results import patches
from semisonic.evaluation.predictions import Predictions, top_errors
from semisonic.evaluation.published import BASELINES, STUDIES, PublishedResult, same_data
from semisonic.evaluation.report.document import Report, spaced
from semisonic.evaluation.report.experiment import (
    Series,
    add_learning,
    add_run,
    add_separability,
    build_report,
)
from semisonic.experiments.material import N_FOLDS, Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import (
    PICTURES,
    PRETRAIN,
    TRAIN,
    Job,
    Plan,
    cell_name,
    make_plan,
    pretraining_way,
)
from semisonic.experiments.recipe import Budget, Recipe, Setting, StagesRecipe, read_recipe
from semisonic.experiments.runner import (
    QUICK,
    Finished,
    RunResult,
    command_line,
    compare_arms,
    comparison_table,
    gather_for,
    keep_model,
    load_data,
    open_experiment,
    short_trainings,
    shown_job,
    without_history,
)
from semisonic.experiments.stages import make_stages_plan, run_stages
from semisonic.recipes import find

N_MISTAKES = 8
MOST_PLAIN_ROWS = 20_000  # of predictions; more are compressed
N_RECONSTRUCTIONS = 6
N_PLAYED = 3
"""Clips to listen to of each of the two classes most often confused."""
TRANSDUCTIVE = (
    "Transductive: training used the test clips, without their labels. Accuracy on new "
    "recordings can be lower."
)
INPUTS_IN_WORDS = {
    "mfcc-zcr": "means and deviations of 12 MFCC and the zero-crossing rate",
    "mel": "statistics of the mel spectrogram",
}


def run_recipe(options: RunOptions) -> RunResult:
    """Run or continue an experiment.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, a run folder of other options, or unusable data.
    """
    recipe = read_recipe(find(options.recipe), quick=options.quick, changes=options.changes)
    if isinstance(recipe, StagesRecipe):
        return run_stages(options, recipe)
    with open_experiment("run", options, recipe) as experiment:
        done = compare_arms(experiment, recipe, gather_for(experiment, recipe))
        report = write_report(done)
        shown = shown_job(recipe, done.plan)
        model = keep_model(experiment, shown)
    return RunResult(
        table=comparison_table(done.comparisons),
        answers=tuple(_verdict(c, recipe) for c in done.comparisons),
        report=report,
        model=model,
        tested=done.material.labelled[shown.test],
        failures=done.material.failures,
        notes=tuple(experiment.notes),
    )


def expected_warnings(options: RunOptions, recipe: Recipe | StagesRecipe) -> list[str]:
    """The warnings of a run, from the table of clips, without decoding.

    Raises
    ------
    OptionError, DataError
        For clips that the recipe cannot be planned for.
    """
    given, pool = load_data(options, recipe.synth)
    labelled, others = given[given.is_labelled], given[~given.is_labelled]
    pool = others if pool is None else join(pool, others)
    if not labelled.folds:
        labelled = labelled.with_columns(fold=make_folds(labelled, N_FOLDS, options.seed))
    if isinstance(recipe, StagesRecipe):
        return short_trainings(make_stages_plan(recipe, labelled, pool, seed=options.seed))
    plan = make_plan(
        recipe,
        labelled,
        pool,
        seed=options.seed,
        transductive=options.transductive,
        categories=categories_of(labelled.classes, dict(recipe.categories)),
    )
    return short_trainings(plan)


def _verdict(one: Comparison, recipe: Recipe) -> str:
    if not recipe.subject and one.outcome != "open":
        return one.verdict(name=one.setting)
    return f"{one.setting}: {one.verdict(recipe.subject)}"


def write_report(done: Finished) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``; return the page."""
    recipe, plan, material = done.recipe, done.plan, done.material
    experiment, labelled = done.experiment, material.labelled
    options = experiment.options
    command = command_line("run", options)
    main = _main_setting(done)
    shown = next(
        job for cell, job in plan.cells if (cell, job.draw, job.arm) == (main, 0, recipe.treated)
    )
    tested = done.predictions.select(setting=main, arm=recipe.treated)
    report = build_report(
        recipe.title,
        done.predictions,
        done.comparisons,
        main_setting=main,
        subject=recipe.subject,
        subtitle=_subtitle(material, options, recipe),
        data=labelled.name,
        study=recipe.published if recipe.published in STUDIES else "",
        setting_pairs=done.pairs,
        series=side_by_side(recipe, plan, labelled.name),
        categories=categories_of(labelled.classes, dict(recipe.categories)),
        notes=(recipe.question,),
    )
    report.values["arms"] = _arms(recipe, plan)
    report.warnings += [QUICK] * options.quick + [TRANSDUCTIVE] * options.transductive
    report.warnings += experiment.notes
    add_learning(report, done.jobs)
    if shown.setting.classifier:
        confused = most_confused(tested)
        measured, inputs = class_distances(shown, material), INPUTS_IN_WORDS[shown.setting.inputs]
        add_separability(report, tested, measured, inputs)
        report.players("confused", [_player(wrong, material) for wrong in confused.itertuples()])
        report.values["confused_pair"] = sorted({*confused["target"], *confused["predicted"]})
    _add_reconstructions(report, done)
    dead = dead_units(done)
    headers = ["setting", "layer", "units", "share never active"]
    report.table("dead-units", headers, dead, formats={headers[-1]: percent_text})
    _add_generated(report, done)
    timing = timing_rows(done.jobs, done.seconds)
    add_run(
        report,
        provenance={"command": command, **experiment.provenance},
        options={"run": to_dict(options), "recipe": to_dict(recipe)},
        settings={cell: _describe(job) for cell, job in plan.cells},
        timing=timing,
    )
    mistakes = top_errors(tested, N_MISTAKES)
    report.players("mistakes", [_player(wrong, material) for wrong in mistakes.itertuples()])
    page = report.write(experiment.run.folder)
    ending = ".gz" if len(done.predictions) > MOST_PLAIN_ROWS else ""
    done.predictions.write(page.parent / "tables" / f"predictions.csv{ending}")
    values = {
        "comparisons": [one.to_dict() for one in done.comparisons],
        "setting_pairs": [one.to_dict() for one in done.pairs],
        "timing": timing,
        "dead_units": dead,
        "jobs": [without_history(job) for job in done.jobs],
    }
    experiment.write_results(command, recipe, values)
    return page


def _main_setting(done: Finished) -> str:
    """The headline: the first row with the most draws, of the setting that the recipe names."""
    rows = {cell for cell, job in done.plan.cells if job.setting.name == done.recipe.main}
    named = [one for one in done.comparisons if one.setting in rows]
    return max(named or done.comparisons, key=lambda c: len(c.draws)).setting


def _subtitle(material: Material, options: RunOptions, recipe: Recipe) -> str:
    labelled, pool = material.labelled, material.pool
    text = (
        f"{len(labelled)} clips of '{labelled.name}', {len(labelled.classes)} classes, "
        f"{len(labelled.folds)} folds"
    )
    networks = [one for one in (*recipe.settings, *recipe.controls) if not one.classifier]
    if any(one.pretrains or one.method != "supervised" for one in networks):
        text += "; unlabelled: training folds"
        text += f" and {len(pool)} clips of '{pool.name}'" if len(pool) else ""
        text += " and the test clips" if options.transductive else ""
    return text


def _describe(job: Job) -> dict[str, Any]:
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


def in_words(setting: Setting) -> str:
    """How a setting learns and from what."""
    if not setting.classifier:
        return f"network {setting.architecture}, {setting.method}"
    classifier = CLASSIFIERS[setting.classifier]
    text = f"{classifier.title}: {classifier.text}. Inputs: {INPUTS_IN_WORDS[setting.inputs]}"
    return f"{text}. The group of classes first" if setting.group_first else text


def _pictures(done: Finished, job: Job) -> dict[str, NDArray[Any]]:
    """The arrays that a job kept for figures; empty if it kept none."""
    file = done.experiment.jobs / job.name / PICTURES
    if not file.is_file():
        return {}
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        advice = f"Delete the folder '{file.parent}': the job is done again"
        raise DataError(f"{file}: damaged ({error}). {advice}") from error


def _add_reconstructions(report: Report, done: Finished) -> None:
    """Test clips of one fold through each auto-encoder that saw the same input."""
    rows: dict[str, NDArray[Any]] = {}
    means: dict[str, float] = {}
    jobs = done.plan.of(PRETRAIN)
    for job in jobs:
        first, way, setting = jobs[0], pretraining_way(job.setting), job.setting
        is_like = (setting.mel, job.fold, job.draw) == (first.setting.mel, first.fold, first.draw)
        if not is_like or way in means or setting.objective in WITHOUT_DECODER:
            continue
        found = {k: part[:N_RECONSTRUCTIONS] for k, part in _pictures(done, job).items()}
        errors = [one["error"] for one in done.jobs if one.get("way") == way and one["error"]]
        means[way] = float(np.mean(errors)) if errors else np.nan
        rows.setdefault("truth", found["truth"])
        rows[f"{way}\n{means[way]:.3g}" if errors else way] = found["again"]
    if not len(rows.get("truth", ())):
        return
    names = [done.material.labelled.labels[row][0] for row in jobs[0].test[: len(rows["truth"])]]
    report.figure("reconstructions", patches(rows, names, unit="standardised level"))
    known = {way: mean for way, mean in means.items() if not np.isnan(mean)}
    report.values |= {"decoders": list(means), "reconstruction_errors": known}


def _player(wrong: Any, material: Material) -> Player | None:
    """A wrong answer to listen to; None if the clip cannot be read now."""
    labelled = material.labelled
    row = labelled.ids.index(wrong.clip)
    note = f". wrong in {wrong.n_wrong} of {wrong.n_scored} draws" if wrong.n_scored > 1 else ""
    return clip_player(
        labelled.paths[row],
        float(labelled.start_time[row]),
        float(labelled.end_time[row]),
        spaced(wrong.target),
        f"predicted {spaced(wrong.predicted)}, {percent_text(wrong.score, 0)} sure",
        f"{wrong.clip}{note}",
    )


def dead_units(done: Finished) -> list[tuple[str, str, int, float]]:
    """Units of the encoder that no held-out clip ever made active, mean over jobs."""
    rows = [
        {"setting": job["setting"], **layer, "share": layer["n_dead"] / layer["n_units"]}
        for job in done.jobs
        if job["kind"] == PRETRAIN
        for layer in job["dead_units"]
    ]
    if not rows:
        return []
    layers = pd.DataFrame(rows).groupby(["setting", "layer"], sort=False)
    return [
        (str(setting), str(layer), int(part["n_units"].iloc[0]), float(part["share"].mean()))
        for (setting, layer), part in layers
    ]


# Settings side by side, and what only simple classifiers show.


def side_by_side(recipe: Recipe, plan: Plan, data: str) -> dict[str, tuple[Series, ...]]:
    """By budget the control, once where it is the same work, and every setting.

    Empty if there are no simple classifiers and the recipe does not ask for it.
    """
    everything = (*recipe.settings, *recipe.controls)
    if not (recipe.side_by_side or any(setting.classifier for setting in everything)):
        return {}
    return {budget.label: _of_budget(recipe, plan, budget, data) for budget in recipe.budgets}


def _of_budget(recipe: Recipe, plan: Plan, budget: Budget, data: str) -> tuple[Series, ...]:
    cells = [cell_name(setting.name, budget, recipe) for setting in recipe.settings]
    work = {
        (cell, arm): frozenset(
            (job.name, job.draw) for name, job in plan.cells if (name, job.arm) == (cell, arm)
        )
        for cell in cells
        for arm in recipe.arms
    }
    shared = len({work[cell, recipe.control] for cell in cells}) == 1
    found: dict[frozenset[tuple[str, int]], Series] = {}
    for arm, settings in ((recipe.control, recipe.controls), (recipe.treated, recipe.settings)):
        for cell, setting in zip(cells, settings, strict=True):
            if work[cell, arm] in found:
                continue
            label = setting.name if arm == recipe.treated else recipe.control
            if recipe.side_by_side and not shared:
                label = f"{setting.name}, {arm}"
            if label in [other.name for other in found.values()]:
                label = f"{label} of {setting.name}"
            theirs = _published(setting, data) if not budget.labels_per_class else None
            found[work[cell, arm]] = Series(label, cell, arm, in_words(setting), theirs)
    together = []
    for name, of in recipe.ensembles:
        cell = cell_name(name, budget, recipe)
        method = f"mean of the probabilities of {' and '.join(of)}"
        for arm in (recipe.treated,) if shared else recipe.arms:
            label = name if shared else f"{name}, {arm}"
            together.append(Series(label, cell, arm, method))
    return (*found.values(), *together)


def _published(setting: Setting, data: str) -> PublishedResult | None:
    """What the authors of ESC measured with the same classifier on the same inputs."""
    if not setting.classifier or setting.inputs != CEPSTRUM or setting.group_first:
        return None
    title = CLASSIFIERS[setting.classifier].title
    return next((p for p in BASELINES if p.system == title and same_data(p.data, data)), None)


def class_distances(job: Job, material: Material) -> Separability:
    """The separability of the classes in a classifier's inputs."""
    setting, labelled = job.setting, material.labelled
    table = material.table(setting.front, setting.segments)
    rows = table.rows_of(np.arange(len(labelled)))
    x = vectors(setting.inputs, table.features, rows)
    owner = table.source[rows]
    return separability(x, labelled.target()[owner], labelled.group[owner], len(labelled.classes))


def most_confused(predictions: Predictions) -> pd.DataFrame:
    """Clips of the two classes most often confused, surest first, both ways."""
    wrong = top_errors(predictions, len(predictions))
    pairs = [tuple(sorted(both)) for both in zip(wrong["target"], wrong["predicted"], strict=True)]
    counts = Counter(pairs)
    most = max(counts, key=lambda pair: (counts[pair], pair), default=None)
    mine = wrong[np.array([pair == most for pair in pairs], np.bool_)]
    return mine.sort_values("target", kind="stable").groupby("target").head(N_PLAYED)


def _add_generated(report: Report, done: Finished) -> None:
    """Clips of each class and patches generated after them, of the first fold and draw, if any."""
    jobs = (job for _, job in done.plan.cells if job.setting.generated_ratio and not job.draw)
    job = next(jobs, None)
    if job is None:
        return
    arrays = _pictures(done, job)
    rows: dict[str, NDArray[Any]] = {}
    for name, key in (("clips", "heard"), ("generated", "made")):
        target = arrays[f"{key}_class"]
        places = [np.flatnonzero(target == one) for one in np.unique(target)]
        for number in range(2):  # a class may have one clip only
            chosen = [place[min(number, len(place) - 1)] for place in places]
            rows[name + " " * number] = np.asarray(arrays[key][chosen], np.float32)
    classes = done.material.labelled.classes
    names = [spaced(classes[one]) for one in np.unique(arrays["heard_class"])]
    report.figure("generated", patches(rows, names, unit="dB"))
    report.values["generated_rows"] = list(rows)


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


def _arms(recipe: Recipe, plan: Plan) -> dict[str, Any]:
    """What ``arms.j2`` reads: how both arms were trained and tested."""
    everything = (*recipe.settings, *recipe.controls)
    pairs = list(zip(recipe.controls, recipe.settings, strict=True))
    pairs = [(c, t) for c, t in pairs if not (c.classifier and t.classifier)]
    methods = sorted({t.method for c, t in pairs if t.method != c.method})
    return {
        "control": recipe.control,
        "treated": recipe.treated,
        "networks": bool(pairs),
        "simple": any(setting.classifier for setting in everything),
        "pretrains": any(t.pretrains and not (t.classifier or c.pretrains) for c, t in pairs),
        "starts": {setting.start for pair in pairs for setting in pair},
        "methods": methods,
        "with_pool": [one for one in methods if one not in (AUTO, *WITHOUT_POOL)],
        "generates": any(t.generated_ratio and not c.generated_ratio for c, t in pairs),
        "validation": any(len(job.validation) for job in plan.of(TRAIN)) and recipe.validation,
        "few_labels": any(budget.labels_per_class for budget in recipe.budgets),
    }
