"""The sections that hold several classifiers side by side, and those on groups and hard classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.text import percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import Comparison, arm_accuracy
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.classes import confusion_matrix
from semisonic.evaluation.plots.experiments import contest, recall_table
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.blocks import IntervalEstimate
from semisonic.evaluation.report.content import ExperimentContent, Series
from semisonic.evaluation.report.detail_sections import player_of, spaced
from semisonic.evaluation.report.page import Page

LISTENERS = "listeners"


def add_side_by_side(page: Page, content: ExperimentContent) -> None:
    """Accuracy of every classifier in every fold, beside what was published, by budget."""
    if not content.series:
        return
    what = "setting" if content.subject else "classifier"
    page.section(f"Every {what}, fold by fold")
    for number, (budget, series) in enumerate(content.series.items()):
        if len(content.series) > 1:
            page.heading(budget)
        _side_by_side(page, content, series, f"-{number + 1}" if number else "")
    everything = [one for series in content.series.values() for one in series]
    methods = {one.name: one.method for one in everything if one.method}
    if len(set(methods.values())) > 1:
        page.table(
            [what, "how it learns"],
            list(methods.items()),
            name="classifiers",
            caption=f"What the {what}s are",
        )
    known = published.published_for(content.data)
    if any(one.published for one in everything):
        page.table(
            ["system", "accuracy", "protocol", "note"],
            [(p.system, p.accuracy, p.protocol, p.note) for p in known],
            name="published",
            caption=f"What was published on {content.data}",
            note=" ".join(published.ESC_NOTES),
            formats={"accuracy": percent_text},
        )


def _side_by_side(
    page: Page, content: ExperimentContent, series: Sequence[Series], suffix: str
) -> None:
    tables = {one.name: _rows(content, one) for one in series}
    folds = {name: _by_fold(rows) for name, rows in tables.items()}
    theirs = {one.name: one.published for one in series if one.published}
    human = published.human_accuracy(content.data)
    page.figure(
        contest(
            folds,
            published={name: one.accuracy for name, one in theirs.items()},
            human=human,
            chance=1 / len(content.predictions.classes),
        ),
        "Accuracy in each test fold, mean over draws, with the fold's number; the bar is the mean "
        "over folds." + (" Diamond: the published mean of the same method." if theirs else ""),
        name=f"classifiers-by-fold{suffix}",
        alt="Accuracy of each classifier: "
        + "; ".join(f"{name} {percent_text(rows.correct.mean())}" for name, rows in tables.items()),
    )
    numbers = sorted({fold for values in folds.values() for fold in values})
    headers = [
        "setting" if content.subject else "classifier",
        *(f"fold {number}" for number in numbers),
        "all clips",
    ]
    headers += ["published", "ours less published"] if theirs else []
    table: list[list[Any]] = []
    styles: dict[int, str] = {}
    for name, rows in tables.items():
        accuracy = arm_accuracy(rows)
        row: list[Any] = [name, *(folds[name].get(number) for number in numbers)]
        row.append(IntervalEstimate(accuracy.mean, *accuracy.interval))
        one = theirs.get(name)
        if one:
            known = _same_folds(one, numbers)
            mean = float(np.mean(known)) if known else one.accuracy
            row += [mean, accuracy.mean - mean]
        elif theirs:
            row += [None, None]
        table.append(row)
        if one and known:
            styles[len(table)] = "soft"
            table.append([f"{name}, published", *known, mean, None, None])
    if human is not None:
        styles[len(table)] = "soft"
        blank = [None] * len(numbers)
        table.append(["human listeners", *blank, human, *([None, None] if theirs else [])])
    page.table(
        headers,
        table,
        name=f"classifiers-by-fold{suffix}",
        caption="Accuracy by test fold",
        note="All clips: the share of clips that are right, mean over draws, with its 95 % "
        "interval over recordings and draws. Differences are tested above.",
        formats={
            **dict.fromkeys(headers[1:], percent_text),
            "ours less published": lambda v: points_text(v, signed=True),
        },
        styles=styles,
    )


def _same_folds(one: published.PublishedResult, numbers: Sequence[int]) -> list[float]:
    """What was published of the folds that were run; empty where it was not told by fold."""
    if not numbers or not all(1 <= number <= len(one.folds) for number in numbers):
        return []
    return [one.folds[number - 1] for number in numbers]


def add_side_by_side_classes(page: Page, content: ExperimentContent) -> None:
    """Recall of each class by every classifier, and by listeners where it is known."""
    classes = content.predictions.classes
    for number, (budget, series) in enumerate(content.series.items()):
        recalls: dict[str, Sequence[float]] = {}
        for one in series:
            rows = _rows(content, one)
            found = per_class(rows.target, rows.predicted, len(classes))
            recalls[one.name] = np.where(found.n_clips > 0, found.recall, np.nan).tolist()
        people = published.human_recall(content.data, classes)
        if people:
            recalls[LISTENERS] = people
        where = f" With {budget}." if len(content.series) > 1 else ""
        suffix = f"-{number + 1}" if number else ""
        page.figure(
            recall_table(recalls, classes),
            f"Share of each class's clips that every classifier found, in %.{where}"
            + (" Listeners: Piczak's crowd, right judgements of all." if people else ""),
            name=f"recall-by-classifier{suffix}",
            alt="Recall of each class by " + ", ".join(recalls),
        )
        page.table(
            ["class", *recalls],
            [
                [spaced(name), *(values[i] for values in recalls.values())]
                for i, name in enumerate(classes)
            ],
            name=f"recall-by-classifier{suffix}",
            caption="Recall of each class by every classifier",
            formats=dict.fromkeys(recalls, percent_text),
            folded=True,
        )


def add_categories(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """How often the group of classes is right, from the same predictions."""
    classes, given = content.predictions.classes, content.categories
    if not given:
        return
    names = list(dict.fromkeys(given[name] for name in classes))
    group_of = np.array([names.index(given[name]) for name in classes])
    page.section("Groups of classes")
    page.text(
        f"The {len(classes)} classes are of {len(names)} groups. A prediction is right about the "
        "group when it names any class of it."
    )
    whole = content.predictions
    rows = []
    for label, one in _named(content, whole, main):
        right, group_right = float(one.correct.mean()), _group_right(one, group_of)
        within = right / group_right if group_right else None
        rows.append([label, right, group_right, within])
    shares = ["class right", "group right", "class right where the group is"]
    page.table(
        ["classifier", *shares],
        rows,
        name="group-accuracy",
        caption="Classes and groups of classes",
        formats=dict.fromkeys(shares, percent_text),
    )
    treated = whole.select(setting=main.setting, arm=content.treated)
    counts = confusion(group_of[treated.target], group_of[treated.predicted], len(names))
    page.figure(
        confusion_matrix(counts, names, main.b.name),
        f"Groups that are taken for each other by {main.b.name}, all draws together.",
        name="confusion-groups",
        alt="Confusion matrix of groups of classes",
        wide=False,
    )
    n_draws = len(main.draws)
    page.table(
        ["group", "classes", "clips", "group right"],
        [
            [
                name,
                ", ".join(spaced(one) for one in classes if given[one] == name),
                int(counts[i].sum()) // n_draws,
                float(counts[i, i] / max(counts[i].sum(), 1)),
            ]
            for i, name in enumerate(names)
        ],
        name="groups",
        caption=f"By group, {main.b.name}",
        formats={"group right": percent_text},
    )


def add_hard_classes(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """How far apart classes lie, what is confused, and clips of the most confused pair."""
    measured = content.separability
    if measured is None and not content.confused:
        return
    page.section("Which classes are hard")
    if measured is not None:
        _separability_table(page, content, main)
    if content.confused:
        pair = {content.confused[0].target, content.confused[0].predicted}
        first, second = sorted(map(spaced, pair))
        page.heading(f"Most often taken for each other: {first} and {second}")
        page.players(player_of(one) for one in content.confused)


def _separability_table(page: Page, content: ExperimentContent, main: Comparison) -> None:
    measured, classes = content.separability, content.predictions.classes
    if measured is None:
        return
    rows = content.predictions.select(setting=main.setting, arm=content.treated)
    found = per_class(rows.target, rows.predicted, len(classes))
    counts = confusion(rows.target, rows.predicted, len(classes))
    np.fill_diagonal(counts, 0)
    order = np.argsort(np.nan_to_num(measured.purity, nan=2.0), kind="stable")
    recall = f"recall, {main.b.name}"
    page.table(
        ["class", "silhouette", "neighbours of its class", "closest class", recall, "taken for"],
        [
            [
                spaced(classes[i]),
                float(measured.silhouette[i]),
                float(measured.purity[i]),
                spaced(classes[measured.nearest[i]]) if measured.nearest[i] >= 0 else "",
                float(found.recall[i]),
                spaced(classes[int(counts[i].argmax())]) if counts[i].any() else "",
            ]
            for i in order.tolist()
        ],
        name="separability",
        caption=f"How far apart the classes lie in {content.separability_inputs}",
        note="Before any classifier has learned; inputs standardised over all clips. Silhouette: "
        "above 0, a clip lies closer to its own class than to the nearest other one. Neighbours: "
        "of the five nearest clips of other recordings, the share of the same class. Closest: "
        "the other class that most of those are of. Taken for: by "
        f"{main.b.name}. {_agreement(measured.purity, found.recall)}",
        formats={
            "silhouette": lambda v: f"{round(v, 2) + 0.0:+.2f}",
            "neighbours of its class": percent_text,
            recall: percent_text,
        },
        folded=len(classes) > 15,
    )


def _agreement(purity: NDArray[np.float64], recall: NDArray[np.float64]) -> str:
    """How well the neighbours foretell which classes are found."""
    from scipy.stats import spearmanr

    known = np.isfinite(purity) & np.isfinite(recall)
    if known.sum() < 4 or len(np.unique(purity[known])) < 2 or len(np.unique(recall[known])) < 2:
        return ""
    rank = float(spearmanr(purity[known], recall[known]).statistic)
    return f"Rank correlation of neighbours and recall: {rank:.2f}."


def _named(
    content: ExperimentContent, whole: Predictions, main: Comparison
) -> list[tuple[str, Predictions]]:
    """What has a row in a table over all classifiers; without series both arms of the main one."""
    several = len(content.series) > 1
    found = [
        (f"{one.name}, {budget}" if several else one.name, _rows(content, one))
        for budget, series in content.series.items()
        for one in series
    ]
    return found or [
        (arm, whole.select(setting=main.setting, arm=arm))
        for arm in (content.control, content.treated)
    ]


def _rows(content: ExperimentContent, one: Series) -> Predictions:
    return content.predictions.select(setting=one.setting, arm=one.arm)


def _by_fold(rows: Predictions) -> Mapping[int, float]:
    return {
        int(fold): float(rows.correct[rows.fold == fold].mean()) for fold in np.unique(rows.fold)
    }


def _group_right(rows: Predictions, group_of: NDArray[np.int64]) -> float:
    return float((group_of[rows.predicted] == group_of[rows.target]).mean())
