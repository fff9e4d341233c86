"""The report of an experiment: numbers, curves, pictures and players."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import WITHOUT_DECODER
from semisonic.classifier.simple import CEPSTRUM, CLASSIFIERS, vectors
from semisonic.core.options import to_dict
from semisonic.core.text import percent_text
from semisonic.data.categories import categories_of
from semisonic.evaluation.embeddings import Separability, separability
from semisonic.evaluation.plots.experiments import patches
from semisonic.evaluation.predictions import Predictions, top_errors
from semisonic.evaluation.published import BASELINES, STUDIES, PublishedResult, same_data
from semisonic.evaluation.report.document import Player, Report, clip_player, spaced
from semisonic.evaluation.report.experiment import (
    Series,
    add_learning,
    add_run,
    add_separability,
    build_report,
)
from semisonic.experiments.generated import N_PATCHES
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import PRETRAIN, Job, Plan, cell_name, pretraining_way
from semisonic.experiments.recipe import Budget, Recipe, Setting
from semisonic.experiments.results import Finished, method_notes, timing_rows
from semisonic.experiments.runner import command_line, provenance, write_results
from semisonic.features.logmel import mel_to_wave

N_MISTAKES = 8
MOST_PLAIN_ROWS = 20_000  # of predictions; more are compressed
N_RECONSTRUCTIONS = 6
N_PLAYED = 3
"""Classes of generated sounds, and clips of each of two classes, that can be heard."""
TRANSDUCTIVE = (
    "Transductive: training used the test clips, without their labels. Accuracy on clips "
    "that nobody has recorded yet can be lower."
)
QUICK = "A quick look: fewer folds and epochs than the recipe asks for. No basis for a claim."
INPUTS_IN_WORDS = {
    "mfcc-zcr": "means and deviations of 12 MFCC and the zero-crossing rate",
    "mel": "statistics of the mel spectrogram",
}


def write_report(done: Finished, options: RunOptions) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``; return the page."""
    recipe, plan, material = done.recipe, done.plan, done.material
    labelled = material.labelled
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
        notes=(recipe.question, *method_notes(recipe, plan)),
    )
    report.warnings += [QUICK] * options.quick + [TRANSDUCTIVE] * options.transductive
    report.warnings += material.notes
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
        provenance=provenance(done.run, command),
        options={"run": to_dict(options), "recipe": to_dict(recipe)},
        settings={cell: _describe(job) for cell, job in plan.cells},
        timing=timing,
    )
    mistakes = top_errors(tested, N_MISTAKES)
    report.players("mistakes", [_player(wrong, material) for wrong in mistakes.itertuples()])
    page = report.write(done.run.folder)
    ending = ".gz" if len(done.predictions) > MOST_PLAIN_ROWS else ""
    done.predictions.write(page.parent / "tables" / f"predictions.csv{ending}")
    values = {
        "comparisons": [one.to_dict() for one in done.comparisons],
        "setting_pairs": [one.to_dict() for one in done.pairs],
        "timing": timing,
        "dead_units": dead,
        "jobs": [without_history(job) for job in done.jobs],
    }
    write_results(done.run, command, recipe, values)
    return page


def without_history(job: dict[str, Any]) -> dict[str, Any]:
    """A job's record with the number of epochs in place of every epoch."""
    kept = {name: value for name, value in job.items() if name != "history"}
    return {**kept, "n_epochs": len(job["history"])}


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


def _add_reconstructions(report: Report, done: Finished) -> None:
    """Test clips of one fold through each auto-encoder that saw the same input."""
    decoders: dict[str, Any] = {}
    truth, pretrainings = None, done.plan.of(PRETRAIN)
    for job in pretrainings:
        first = pretrainings[0]
        same = (job.setting.mel, job.fold, job.draw) == (first.setting.mel, first.fold, first.draw)
        way = pretraining_way(job.setting)
        if same and way not in decoders and job.setting.objective not in WITHOUT_DECODER:
            arrays = job.arrays(done.folder)
            truth = arrays["truth"][:N_RECONSTRUCTIONS] if truth is None else truth
            decoders[way] = arrays["again"][:N_RECONSTRUCTIONS]
    if truth is None or not len(truth):
        return
    names = [done.material.labelled.labels[row][0] for row in pretrainings[0].test[: len(truth)]]
    rows, means = {"truth": truth}, {}
    for way, again in decoders.items():
        errors = [job["error"] for job in done.jobs if job.get("way") == way and job["error"]]
        if errors:
            means[way] = float(np.mean(errors))
        rows[f"{way}\n{means[way]:.3g}" if errors else way] = again
    report.figure("reconstructions", patches(rows, names, unit="standardised level"))
    report.values |= {"decoders": list(decoders), "reconstruction_errors": means}


def _player(wrong: Any, material: Material) -> Player | None:
    """A wrong answer to listen to; None where the clip cannot be read now."""
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

    Empty where no simple classifiers compete and the recipe does not ask for it.
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
    """How far apart the classes lie in a classifier's inputs."""
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
    for _, job in done.plan.cells:
        if not job.setting.generated.is_used or job.draw:
            continue
        arrays = job.arrays(done.folder)
        rows: dict[str, NDArray[Any]] = {}
        for name, key in (("clips", "heard"), ("generated", "made")):
            target = arrays[f"{key}_class"]
            places = [np.flatnonzero(target == one) for one in np.unique(target)]
            for number in range(N_PATCHES):  # a class may have one clip only
                chosen = [place[min(number, len(place) - 1)] for place in places]
                rows[name + " " * number] = np.asarray(arrays[key][chosen], np.float32)
        names = [done.material.labelled.classes[one] for one in np.unique(arrays["heard_class"])]
        sounds = []
        for column, label in enumerate(names[:N_PLAYED]):
            for name, how in (("clips", "a clip, from its bands"), ("generated", "generated")):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(column)
                    wave = mel_to_wave(torch.from_numpy(rows[name][column]), job.setting.mel)
                rate = job.setting.mel.sample_rate
                sounds.append(Player(wave.numpy(), rate, spaced(label), how))
        report.figure("generated", patches(rows, [spaced(name) for name in names], unit="dB"))
        report.players("generated", sounds)
        report.values["generated_rows"] = list(rows)
        return
