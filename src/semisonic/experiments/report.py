"""The report of an experiment: numbers, curves, pictures and players."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import AUTO, PROBE, WITHOUT_DECODER, WITHOUT_POOL
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
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import (
    PICTURES,
    PRETRAIN,
    TRAIN,
    Job,
    Plan,
    cell_name,
    pretraining_way,
)
from semisonic.experiments.recipe import TRAINED, Budget, Recipe, Setting
from semisonic.experiments.runner import Finished, command_line
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
        notes=(recipe.question, *method_notes(recipe, plan)),
    )
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


def without_history(job: Mapping[Any, Any]) -> dict[str, Any]:
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


def _pictures(done: Finished, job: Job) -> dict[str, NDArray[Any]]:
    """The arrays that a job kept for figures; empty where it kept none."""
    file = done.experiment.jobs / job.name / PICTURES
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


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
    jobs = (job for _, job in done.plan.cells if job.setting.generated_ratio and not job.draw)
    job = next(jobs, None)
    if job is None:
        return
    arrays, mel = _pictures(done, job), job.setting.mel
    rows: dict[str, NDArray[Any]] = {}
    for name, key in (("clips", "heard"), ("generated", "made")):
        target = arrays[f"{key}_class"]
        places = [np.flatnonzero(target == one) for one in np.unique(target)]
        for number in range(2):  # a class may have one clip only
            chosen = [place[min(number, len(place) - 1)] for place in places]
            rows[name + " " * number] = np.asarray(arrays[key][chosen], np.float32)
    classes = done.material.labelled.classes
    names = [spaced(classes[one]) for one in np.unique(arrays["heard_class"])]
    sounds = []
    for column, label in enumerate(names[:N_PLAYED]):
        for name, how in (("clips", "a clip, from its bands"), ("generated", "generated")):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(column)
                wave = mel_to_wave(torch.from_numpy(rows[name][column]), mel)
            sounds.append(Player(wave.numpy(), mel.sample_rate, label, how))
    report.figure("generated", patches(rows, names, unit="dB"))
    report.players("generated", sounds)
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
        "addition.": any(t.generated_ratio and not c.generated_ratio for c, t in pairs),
        "Each test fold is scored once, after training.": True,
        f"{100 * recipe.validation:g} % of the training folds, whole recordings, choose the "
        "epoch; they are not trained on.": any(len(job.validation) for job in plan.of(TRAIN)),
        "With few labels there is no validation part, as its labels would not be in the "
        "budget: training lasts all epochs and the last weights are tested. The labelled "
        "clips of each draw are in budgets.csv.": any(b.labels_per_class for b in recipe.budgets),
    }
    return [text for text, applies in notes.items() if applies]
