"""What the report of an experiment tells of classes and of classifiers that compete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from semisonic.core.text import percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    arm_accuracy,
)
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix
from semisonic.evaluation.plots.experiments import accuracy_by_fold
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.content import ExperimentContent, Series
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Report,
    file_name,
    spaced,
)

_MOST_CONFUSED = 8


def add_competitors(report: Report, content: ExperimentContent) -> None:
    """Accuracy of every classifier in every fold, beside what was published, by label budget."""
    everything = [one for series in content.series.values() for one in series]
    methods = {one.name: one.method for one in everything if one.method}
    report.values |= {
        "accuracies": {},
        "with_others": [],
        "esc_notes": " ".join(published.ESC_NOTES),
    }
    for suffix, budget, series in _budgets(content):
        _add_budget(report, content, budget, series, suffix)
    if len(set(methods.values())) > 1:
        report.table(
            "classifiers", [report.values["competitor"], "how it learns"], list(methods.items())
        )
    if any(one.published for one in everything):
        report.table(
            "published",
            ["system", "accuracy", "protocol", "note"],
            [
                (p.system, p.accuracy, p.protocol, p.note)
                for p in published.published_for(content.data)
            ],
            formats={"accuracy": percent_text},
        )


def _add_budget(
    report: Report, content: ExperimentContent, budget: str, series: Sequence[Series], suffix: str
) -> None:
    tables = {one.name: _rows_of(content, one) for one in series}
    folds = {name: _accuracy_by_fold(rows) for name, rows in tables.items()}
    others = {one.name: one.published for one in series if one.published}
    human = published.human_accuracy(content.data)
    report.values["accuracies"][budget] = "; ".join(
        f"{name} {percent_text(rows.correct.mean())}" for name, rows in tables.items()
    )
    report.values["with_others"] += [budget] if others else []
    report.figure(
        f"classifiers-by-fold{suffix}",
        accuracy_by_fold(
            folds,
            published={name: one.accuracy for name, one in others.items()},
            human=human,
            chance=1 / len(content.predictions.classes),
        ),
    )
    numbers = sorted({fold for values in folds.values() for fold in values})
    headers = [report.values["competitor"], *(f"fold {number}" for number in numbers), "all clips"]
    headers += ["published", "ours less published"] if others else []
    rows: list[list[Any]] = []
    styles: dict[int, str] = {}
    for name, table in tables.items():
        accuracy = arm_estimate(arm_accuracy(table))
        row: list[Any] = [name, *(folds[name].get(number) for number in numbers), accuracy]
        other = others.get(name)
        known = _same_folds(other, numbers) if other else []
        if other:
            mean = float(np.mean(known)) if known else other.accuracy
            row += [mean, accuracy.value - mean]
        elif others:
            row += [None, None]
        rows.append(row)
        if known:
            styles[len(rows)] = "soft"
            rows.append([f"{name}, published", *known, mean, None, None])
    if human is not None:
        styles[len(rows)] = "soft"
        blank: list[Any] = [None] * len(numbers)
        rows.append(["human listeners", *blank, human, *([None, None] if others else [])])
    formats = {**dict.fromkeys(headers[1:], percent_text), "ours less published": signed_points}
    report.table(f"classifiers-by-fold{suffix}", headers, rows, formats=formats, styles=styles)


def add_classes(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """Confusion matrix, recall of each class, and the table behind them."""
    classes = content.predictions.classes
    rows = content.predictions.select(setting=main.setting)
    tables, recalls, counts_of, shown = {}, {}, {}, []
    for arm, name in ((content.control, main.a.name), (content.treated, main.b.name)):
        one = rows.select(arm=arm)
        tables[arm] = per_class(one.target, one.predicted, len(classes))
        recalls[name] = np.where(tables[arm].n_clips > 0, tables[arm].recall, np.nan)
        counts = counts_of[arm] = confusion(one.target, one.predicted, len(classes))
        report.figure(f"confusion-{file_name(arm)}", confusion_matrix(counts, classes, name))
        right, total = int(np.trace(counts)), int(counts.sum())
        shown.append(
            {
                "file": file_name(arm),
                "name": name,
                "right": right,
                "total": total,
                "share": right / total,
                "together": "All draws together: " if len(main.draws) > 1 else "",
            }
        )
    report.data["confusion"] = counts_of
    report.values["confusions"] = shown
    report.figure("class-recall", class_recall(recalls, classes))
    _add_confused(report, classes, counts_of[content.treated])
    a, b = tables[content.control], tables[content.treated]
    shares = [f"recall, {main.a.name}", f"recall, {main.b.name}"]
    shares += [f"precision, {main.b.name}", f"F1, {main.b.name}"]
    columns = (a.recall, b.recall, b.precision, b.f1)
    report.table(
        "classes",
        ["class", "clips", *shares],
        [
            [spaced(one), int(b.n_clips[i]) // len(main.draws), *(float(c[i]) for c in columns)]
            for i, one in enumerate(classes)
        ],
        formats=dict.fromkeys(shares, percent_text),
    )


def _add_confused(report: Report, classes: Sequence[str], counts: NDArray[np.int64]) -> None:
    """The pairs of classes that are most often taken for each other, both ways together."""
    both = np.triu(counts + counts.T, k=1)
    clips = counts.sum(axis=1)
    order = np.argsort(-both, axis=None, kind="stable")[:_MOST_CONFUSED].tolist()
    pairs = [divmod(i, len(classes)) for i in order if both.flat[i] > 0]
    if pairs:
        report.table(
            "confused",
            ["classes", "confused", "of their clips", "first for second", "second for first"],
            [
                (
                    f"{spaced(classes[i])} and {spaced(classes[j])}",
                    int(both[i, j]),
                    float(both[i, j] / (clips[i] + clips[j])),
                    int(counts[i, j]),
                    int(counts[j, i]),
                )
                for i, j in pairs
            ],
            formats={"of their clips": percent_text},
        )


def add_competitors_by_class(report: Report, content: ExperimentContent) -> None:
    """Recall of each class by every classifier, and by listeners where it is known."""
    classes = content.predictions.classes
    for suffix, _, series in _budgets(content):
        recalls: dict[str, Sequence[float]] = {}
        for one in series:
            rows = _rows_of(content, one)
            found = per_class(rows.target, rows.predicted, len(classes))
            recalls[one.name] = np.where(found.n_clips > 0, found.recall, np.nan).tolist()
        people = published.human_recall(content.data, classes)
        if people:
            recalls["listeners"] = people
        report.table(
            f"recall-by-classifier{suffix}",
            ["class", *recalls],
            [
                [spaced(name), *(values[i] for values in recalls.values())]
                for i, name in enumerate(classes)
            ],
            formats=dict.fromkeys(recalls, percent_text),
        )


def add_categories(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """How often the group of classes is right, from the same predictions."""
    classes, given = content.predictions.classes, content.categories
    if not given:
        return
    names = list(dict.fromkeys(given[name] for name in classes))
    group_of = np.array([names.index(given[name]) for name in classes])
    rows = []
    for label, one in _competitors(content, main):
        right = float(one.correct.mean())
        group_right = float((group_of[one.predicted] == group_of[one.target]).mean())
        rows.append([label, right, group_right, right / group_right if group_right else None])
    shares = ["class right", "group right", "class right where the group is"]
    report.table(
        "group-accuracy", ["classifier", *shares], rows, formats=dict.fromkeys(shares, percent_text)
    )
    treated = content.predictions.select(setting=main.setting, arm=content.treated)
    counts = confusion(group_of[treated.target], group_of[treated.predicted], len(names))
    report.figure("confusion-groups", confusion_matrix(counts, names, main.b.name))
    report.table(
        "groups",
        ["group", "classes", "clips", "group right"],
        [
            (
                name,
                ", ".join(spaced(one) for one in classes if given[one] == name),
                int(counts[i].sum()) // len(main.draws),
                float(counts[i, i] / max(counts[i].sum(), 1)),
            )
            for i, name in enumerate(names)
        ],
        formats={"group right": percent_text},
    )
    report.values["n_groups"] = len(names)


def add_hard_classes(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """How far apart classes lie, what is confused, and clips of the most confused pair."""
    report.players("confused", content.confused)
    report.values["rank_correlation"] = None
    measured, classes = content.separability, content.predictions.classes
    if measured is None:
        return
    rows = content.predictions.select(setting=main.setting, arm=content.treated)
    found = per_class(rows.target, rows.predicted, len(classes))
    counts = confusion(rows.target, rows.predicted, len(classes))
    np.fill_diagonal(counts, 0)
    order = np.argsort(np.nan_to_num(measured.purity, nan=2.0), kind="stable")
    recall = f"recall, {main.b.name}"
    report.table(
        "separability",
        ["class", "silhouette", "neighbours of its class", "closest class", recall, "taken for"],
        [
            (
                spaced(classes[i]),
                float(measured.silhouette[i]),
                float(measured.purity[i]),
                spaced(classes[measured.nearest[i]]) if measured.nearest[i] >= 0 else "",
                float(found.recall[i]),
                spaced(classes[int(counts[i].argmax())]) if counts[i].any() else "",
            )
            for i in order.tolist()
        ],
        formats={
            "silhouette": lambda v: f"{round(v, 2) + 0.0:+.2f}",
            "neighbours of its class": percent_text,
            recall: percent_text,
        },
    )
    report.values["rank_correlation"] = _rank_correlation(measured.purity, found.recall)


def _rank_correlation(purity: NDArray[np.float64], recall: NDArray[np.float64]) -> float | None:
    """How well the neighbours foretell which classes are found."""
    known = np.isfinite(purity) & np.isfinite(recall)
    if known.sum() < 4 or len(np.unique(purity[known])) < 2 or len(np.unique(recall[known])) < 2:
        return None
    return float(spearmanr(purity[known], recall[known]).statistic)


def _budgets(content: ExperimentContent) -> Iterator[tuple[str, str, Sequence[Series]]]:
    """The suffix of file names, the label budget and the classifiers of each."""
    for number, (budget, series) in enumerate(content.series.items(), start=1):
        yield f"-{number}" if number > 1 else "", budget, series


def _competitors(content: ExperimentContent, main: Comparison) -> list[tuple[str, Predictions]]:
    """What has a row in a table over all classifiers; without series both arms of the main one."""
    several = len(content.series) > 1
    found = [
        (f"{one.name}, {budget}" if several else one.name, _rows_of(content, one))
        for budget, series in content.series.items()
        for one in series
    ]
    return found or [
        (arm, content.predictions.select(setting=main.setting, arm=arm))
        for arm in (content.control, content.treated)
    ]


def _rows_of(content: ExperimentContent, one: Series) -> Predictions:
    return content.predictions.select(setting=one.setting, arm=one.arm)


def _accuracy_by_fold(rows: Predictions) -> Mapping[int, float]:
    return {
        int(fold): float(rows.correct[rows.fold == fold].mean()) for fold in np.unique(rows.fold)
    }


def _same_folds(one: published.PublishedResult, numbers: Sequence[int]) -> list[float]:
    """What was published of the folds that were run; empty where it was not told by fold."""
    if not numbers or not all(1 <= number <= len(one.folds) for number in numbers):
        return []
    return [one.folds[number - 1] for number in numbers]


def arm_estimate(arm: ArmAccuracy) -> IntervalEstimate:
    """Give the mean of an arm with its interval."""
    return IntervalEstimate(arm.mean, *arm.interval)


def signed_points(share: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return points_text(share, signed=True)
