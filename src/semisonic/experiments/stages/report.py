"""The report of an experiment in stages: whether each earns its place, and what it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.files import write_json
from semisonic.base.options import to_dict
from semisonic.base.wording import duration, p_value, percent, points
from semisonic.evaluation.outcome import Comparison
from semisonic.evaluation.plain import plain
from semisonic.evaluation.plots import comparison as comparison_plot
from semisonic.evaluation.plots import training_curves
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.report import Measured, Number, Page
from semisonic.evaluation.report.study_section import add_study
from semisonic.evaluation.significance import holm
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.report import QUICK, provenance_of, without_history
from semisonic.experiments.stages.recipe import StagesRecipe
from semisonic.experiments.stages.results import Quality, StageResult, StagesOutcome
from semisonic.training import RunFolder

Row = tuple[Any, ...]
_LEVEL = 0.05
_CLASSES_SHOWN = 40
_NO_TRUTH = "Which labels are right is not known for these data, so only their number is given."


def write_stages_report(
    run: RunFolder,
    options: RunOptions,
    recipe: StagesRecipe,
    material: Material,
    outcome: StagesOutcome,
) -> Path:
    """Write ``report.html`` with its tables and figures, and ``results.json``; return the page."""
    page = Page(recipe.title, _subtitle(recipe, material))
    headline = outcome.of(recipe.headline.name)
    for c in headline.comparisons[:1]:
        page.verdict(c.verdict(), "", c.outcome)
    page.numbers(
        Number(percent(one.lwlrap.mean), one.name, "lwlrap") for one in _shown(outcome, headline)
    )
    for warning in [QUICK] * options.quick + list(material.notes):
        page.warning(warning)
    if recipe.question:
        page.text(recipe.question)
    _add_stages(page, recipe, outcome)
    ours = [(one.name, Measured(one.lwlrap.mean, *one.lwlrap.interval)) for one in outcome.stages]
    protocol = f"{len(recipe.folds) or len(material.labelled.folds)} folds, {recipe.draws} draws"
    add_study(page, recipe.published, material.labelled.name, ours, protocol)
    _add_filters(page, recipe, outcome)
    _add_curves(page, outcome)
    page.section("How it was done")
    page.notes(_notes(recipe))
    page.section("How to repeat it")
    known = provenance_of(run, options)
    page.code(str(known["command"]))
    page.facts({k: str(v) for k, v in known.items() if k != "command"})
    page.facts({"training time of all jobs": duration(outcome.seconds)})
    result = plain(
        {
            **known,
            "recipe": to_dict(recipe),
            "stages": [_plain_stage(one) for one in outcome.stages],
            "filters": outcome.filters,
            "filters_by_class": outcome.by_class,
            "seconds": outcome.seconds,
        }
    )
    page.data |= result
    write_json(run.folder / "results.json", result)
    return page.write(run.folder)


def gain_rows(outcome: StagesOutcome) -> list[Row]:
    """Rows of the table of gains: stage, what it is compared with, gain, p, corrected p, earned."""
    corrected = holm([c.p for c in outcome.comparisons])
    return [
        (c.b.name, c.a.name, Measured(c.difference, *c.claimed_interval), c.p, p, earned(c, p))
        for c, p in zip(outcome.comparisons, corrected, strict=True)
    ]


GAINS = ("stage", "compared with", "gain", "p", "p (Holm)", "earns its place")


def earned(c: Comparison, p: float) -> str:
    """Whether a stage is better than what it is compared with; ``p`` allows for all questions."""
    if c.is_shown and p < _LEVEL:
        return "yes" if c.difference > 0 else "no: it harms"
    if c.outcome != "open":
        return (
            "may be chance: " + ("better" if c.difference > 0 else "worse") + " on these clips only"
        )
    return "may be chance"


def _add_stages(page: Page, recipe: StagesRecipe, outcome: StagesOutcome) -> None:
    page.section("Does each stage earn its place?")
    names = [one.name for one in outcome.stages]
    page.table(
        ("stage", "lwlrap", "sd of draws", "mean average precision"),
        [
            (
                one.name,
                Measured(one.lwlrap.mean, *one.lwlrap.interval),
                one.lwlrap.spread,
                one.mean_average_precision,
            )
            for one in outcome.stages
        ],
        name="stages",
        caption="Every stage on the same test clips",
        note="lwlrap: for each label of a clip, the share of the classes ranked at or above it "
        "that are labels too. Means over draws; below them the 95 % interval over recordings and "
        "draws.",
        formats={"lwlrap": percent, "sd of draws": points, "mean average precision": percent},
        styles={names.index(recipe.headline.name): "strong"},
    )
    if outcome.comparisons:
        _add_gains(page, outcome)
    page.table(
        ("stage", "curated", "noisy", "without label", "best epoch", "time"),
        [
            (
                one.name,
                one.mean("n_curated"),
                one.mean("n_noisy"),
                one.mean("n_unlabelled"),
                one.mean("best_epoch"),
                one.mean("seconds"),
            )
            for one in outcome.stages
        ],
        name="learned-from",
        caption="What each stage learned from: clips and time, mean of a job",
        formats={"time": duration},
    )


def _add_gains(page: Page, outcome: StagesOutcome) -> None:
    page.table(
        GAINS,
        gain_rows(outcome),
        name="gains",
        caption="Gains in lwlrap, percentage points",
        note="The interval reaches as far as the corrected t-test's, too, unless the gain is of "
        "these clips only. p: the larger of a paired bootstrap over recordings and draws and the "
        "corrected resampled t-test over folds and draws; in the next column corrected for "
        "asking so many questions (Holm).",
        formats={
            "gain": lambda gain: points(gain, signed=True),
            "p": p_value,
            "p (Holm)": p_value,
        },
    )
    page.figure(
        comparison_plot(outcome.comparisons, measured="gain in lwlrap"),
        "Gain of each stage over what it is compared with. Thick: interval over recordings and "
        "draws; thin: over other training clips too; filled: shown.",
        name="gains",
    )


def _add_filters(page: Page, recipe: StagesRecipe, outcome: StagesOutcome) -> None:
    if not outcome.filters:
        return
    page.section("What the filters kept")
    known = any(np.isfinite(one.right_before) for one in outcome.filters.values())
    headers = ("stage", "filtered by", "rule", *_QUALITY)
    page.table(
        headers,
        [
            (name, recipe.stage(name).filter, _rule(recipe, name), *_of_quality(found))
            for name, found in outcome.filters.items()
        ],
        name="filters",
        caption="Unchecked labels before and after, over all folds and draws",
        note="Each decision, with its reason, is in decisions.csv of the filter's folder. "
        + ("" if known else _NO_TRUTH),
        formats=_SHARES,
    )
    name = recipe.headline.name
    if name not in outcome.by_class:
        name = next(iter(outcome.by_class))
    classes = outcome.by_class[name]
    page.table(
        ("class", *_QUALITY),
        [(label, *_of_quality(found)) for label, found in classes.items()],
        name="filter-by-class",
        caption=f"By class, for '{name}'",
        formats=_SHARES,
        folded=len(classes) > _CLASSES_SHOWN,
    )


_QUALITY = ("labels", "kept", "right before", "right among kept", "right ones kept")
_SHARES = dict.fromkeys(_QUALITY[2:], percent)


def _of_quality(found: Quality) -> Row:
    return (
        found.n_labels, found.n_kept, found.right_before, found.right_after, found.right_kept,
    )  # fmt: skip


def _rule(recipe: StagesRecipe, name: str) -> str:
    keep = recipe.stage(name).keep
    parts = [f"among the best {keep.top_k}"] if keep.top_k else []
    parts += [f"score at least {keep.threshold:g}"] if keep.threshold else []
    return ", ".join(parts)


def _add_curves(page: Page, outcome: StagesOutcome) -> None:
    curves = {}
    for one in outcome.stages:
        rows = [[row.get("val_lwlrap") for row in job["history"]] for job in one.jobs]
        if all(row and None not in row for row in rows):
            curves[one.name] = [np.array(row, np.float64) for row in rows]
    if not curves:
        return
    page.section("How the stages learned")
    page.figure(
        training_curves(curves, measure="lwlrap of held-out clips", colours=CLASS_COLOURS),
        "Held-out curated clips, by epoch of each stage; these choose the epoch and are not the "
        "test clips.",
        name="curves",
    )


def _notes(recipe: StagesRecipe) -> list[str]:
    pooled = {"scores": "probabilities", "logits": "logits"}[recipe.network.pooling]
    return [
        "Only curated clips are validated and tested on, whole recordings on one side; noisy ones "
        "train only, and not where their recording is tested.",
        f"{100 * recipe.validation:g} % of the curated training clips choose the epoch of each "
        "stage."
        if recipe.validation
        else "No clips are held out: each stage runs all its epochs.",
        f"Longer clips are cut into windows of {recipe.network.mel.duration:g} s, the last of "
        f"which ends where the clip ends; a clip's answer is the mean of its windows' {pooled}. "
        "Only a clip shorter than a window is padded, and it has one window.",
        "A stage that starts from another goes on with the whole model: encoder, class layer, "
        "statistics of the features and of the norms.",
        "Filters score clips in evaluation mode: no dropout, running statistics, so that the same "
        "model decides the same twice.",
        "A stage that starts from another has trained longer than one that does not. Stages that "
        "repeat their data are there to tell a gain by more steps from one by other labels.",
    ]


def _shown(outcome: StagesOutcome, headline: StageResult) -> Sequence[StageResult]:
    return [*(outcome.of(c.a.name) for c in headline.comparisons[:2]), headline]


def _subtitle(recipe: StagesRecipe, material: Material) -> str:
    labelled = material.labelled
    certain = int(labelled.is_certain.sum())
    return (
        f"'{labelled.name}': {certain} clips with checked labels, {len(labelled) - certain} with "
        f"unchecked ones, {len(material.pool)} without, {len(labelled.classes)} classes; "
        f"{', '.join(dict.fromkeys(recipe.network_of(s).model for s in recipe.stages))}; "
        f"{recipe.draws} draws"
    )


def _plain_stage(one: StageResult) -> dict[str, Any]:
    return {
        "name": one.name,
        "lwlrap": one.lwlrap,
        "mean_average_precision": one.mean_average_precision,
        "comparisons": [c.to_dict() for c in one.comparisons],
        "jobs": [without_history(job) for job in one.jobs],
    }
