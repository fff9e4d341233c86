"""Which settings stand side by side in a report, and what only simple classifiers show there."""

from __future__ import annotations

from collections import Counter

import numpy as np

from semisonic.evaluation.mistakes import WrongClip, worst_mistakes
from semisonic.evaluation.published import BASELINES, Published, same_data
from semisonic.evaluation.report import Series
from semisonic.evaluation.results import Predictions
from semisonic.evaluation.separability import Separability, separability
from semisonic.experiments.jobs import TrainJob
from semisonic.experiments.material import Material
from semisonic.experiments.plan import Plan, cell_name
from semisonic.experiments.recipe import Budget, Recipe, Setting
from semisonic.inference.simple.classifiers import CLASSIFIERS
from semisonic.inference.simple.inputs import CEPSTRUM, EMBEDDING, vectors

INPUTS_IN_WORDS = {
    "mfcc-zcr": "means and deviations of 12 MFCC and the zero-crossing rate",
    "mel": "statistics of the mel spectrogram",
    "embedding": "embeddings of an encoder",
}
PLAYED_OF_A_PAIR = 3
"""Clips of each of two classes that can be heard."""


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
    work = {(cell, arm): _jobs(plan, cell, arm) for cell in cells for arm in recipe.arms}
    shared = len({work[cell, recipe.control] for cell in cells}) == 1
    found: dict[frozenset[tuple[str, int]], Series] = {}
    controls: list[Series] = []
    treated: list[Series] = []
    for cell, setting, control in zip(cells, recipe.settings, recipe.controls, strict=True):
        for arm, own, rows in (
            (recipe.control, control, controls), (recipe.treated, setting, treated),
        ):  # fmt: skip
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


def _jobs(plan: Plan, cell: str, arm: str) -> frozenset[tuple[str, int]]:
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


def _published(setting: Setting, data: str) -> Published | None:
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
    return separability(
        x, labelled.target()[owner], labelled.group[owner], len(labelled.classes)
    )  # fmt: skip


def most_confused(predictions: Predictions) -> list[WrongClip]:
    """Clips of the two classes most often taken for each other, surest first, both ways."""
    wrong = worst_mistakes(predictions, len(predictions))
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
