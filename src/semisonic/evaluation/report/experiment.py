"""The report of an experiment: two arms in several settings, from the answer down to the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from semisonic.core.errors import DataError
from semisonic.core.text import duration_text, p_text, p_value, percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    arm_accuracy,
    compare_settings,
)
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix
from semisonic.evaluation.plots.experiments import (
    comparison_plot,
    contest,
    fold_values,
    recall_table,
)
from semisonic.evaluation.plots.recordings import embedding_map
from semisonic.evaluation.plots.sounds import patches, reconstructions
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.plots.training import filters, training_curves
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.content import ErrorShown, ExperimentContent, Series
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
    Player,
    Report,
    Verdict,
    file_name,
    spaced,
)
from semisonic.evaluation.significance import holm

OUTCOMES = {
    "better": "better",
    "worse": "worse",
    "better here": "better on these clips",
    "worse here": "worse on these clips",
    "open": "may be chance",
}
LISTENERS = "listeners"
_MOST_PLAIN_ROWS = 20_000
_MOST_CONFUSED = 8


def write_experiment_report(
    folder: str | Path,
    content: ExperimentContent,
    comparisons: list[Comparison] | None = None,
) -> Path:
    """Write report.html, figures/, tables/ and report.json.

    Parameters
    ----------
    folder : path
        Made if needed; files of an earlier report in it are replaced.
    content : ExperimentContent
    comparisons : list of Comparison, optional
        Those already computed for these predictions; by default they are computed here.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        When predictions are missing or stand twice, or no setting has both arms.
    """
    report, _ = build_report(content, comparisons)
    root = Path(folder)
    many = len(content.predictions) > _MOST_PLAIN_ROWS
    path = report.write(root)
    content.predictions.write(root / "tables" / f"predictions.csv{'.gz' if many else ''}")
    return path


def build_report(
    content: ExperimentContent, comparisons: list[Comparison] | None = None
) -> tuple[Report, list[Comparison]]:
    """Build the report without writing it; return it and the comparisons that it shows."""
    if comparisons is None:
        comparisons = compare_settings(
            content.predictions,
            content.control,
            content.treated,
            test_train_ratio=content.test_train_ratio,
        )
    main = _main_comparison(content, comparisons)
    if not content.subject:  # classifiers that compete are called by their own names
        main = replace(main, b=replace(main.b, name=main.setting))
    report = Report(
        "experiment.j2",
        content.title,
        content.subtitle,
        content=content,
        main=main,
        comparisons=comparisons,
        classes=content.predictions.classes,
        data=content.data or "our data",
        competitor="setting" if content.subject else "classifier",
        method_notes=[*main.cautions, *content.notes],
    )
    report.warnings += content.warnings
    report.data = {
        "main_setting": main.setting,
        "comparisons": [one.to_dict() for one in comparisons],
        "provenance": content.provenance,
        "options": content.options,
        "warnings": content.warnings,
        "histories": content.histories,
    }
    _add_answer(report, content, main)
    _add_settings(report, content, comparisons, main)
    _add_competitors(report, content)
    _add_setting_pairs(report, content)
    add_study(report, content.study, content.data, _ours(content, comparisons), protocol_of(main))
    if content.with_published:
        _add_published(report, content, comparisons, main)
    _add_folds(report, main)
    _add_learning(report, content, main.setting)
    _add_classes(report, content, main)
    _add_competitors_by_class(report, content)
    _add_categories(report, content, main)
    _add_hard_classes(report, content, main)
    _add_network(report, content)
    _add_repeat(report, content)
    report.players("mistakes", map(player_of, content.mistakes))
    return report, comparisons


def add_study(
    report: Report,
    study: str,
    data: str,
    ours: Sequence[tuple[str, IntervalEstimate]],
    protocol: str,
) -> None:
    """Add what ``study.j2`` shows: a published study beside what was measured here.

    Parameters
    ----------
    report : Report
        Its template includes ``study.j2``.
    study : str
        A key of :data:`semisonic.evaluation.published.STUDIES`; nothing is shown for "".
    data : str
        The data set that was measured on; rows of other data are grey.
    ours : sequence of (what, value)
    protocol : str
        How ours were measured, in a few words.
    """
    found = published.STUDIES[study] if study else None
    report.values["study"] = found
    if found is None:
        return
    rows: list[tuple[Any, ...]] = [
        (row.system, row.data, row.accuracy, row.protocol, row.note) for row in found.rows
    ]
    styles = {
        i: "soft" for i, row in enumerate(found.rows) if not published.same_data(row.data, data)
    }
    for name, value in ours:
        styles[len(rows)] = "strong"
        rows.append((f"ours: {name}", data, value, protocol, ""))
    report.table(
        "published-study",
        ["system", "data", found.measure, "protocol", "note"],
        rows,
        formats={found.measure: percent_text},
        styles=styles,
    )


def protocol_of(main: Comparison) -> str:
    """How many folds and draws a comparison has, in words."""
    n_folds = len({pair.fold for pair in main.folds})
    return f"{n_folds} {'fold' if n_folds == 1 else 'folds'}, {_draws(main)}"


def player_of(one: ErrorShown) -> Player:
    """A card with a wrong answer, to listen to."""
    return Player(
        one.samples,
        one.sample_rate,
        spaced(one.target),
        f"taken for {spaced(one.predicted)}, {percent_text(one.score, 0)} sure",
        f"{one.clip}. {one.note}" if one.note else one.clip,
    )


def _add_answer(report: Report, content: ExperimentContent, main: Comparison) -> None:
    claim, stop, doubt = main.verdict(content.subject).partition(". ")
    report.verdict = Verdict(claim + ("." if stop else ""), doubt, main.outcome)
    n_folds = len({pair.fold for pair in main.folds})
    report.numbers = [
        Number(percent_text(main.a.mean), main.a.name, _ends(main.a), "control"),
        Number(percent_text(main.b.mean), main.b.name, _ends(main.b), "treated"),
        Number(
            f"{_signed(main.difference)} points",
            "difference",
            f"McNemar {p_text(main.p_mcnemar)}, corrected t {p_text(main.p_folds)}",
        ),
        Number(
            f"{main.n_clips} clips",
            f"of {main.n_recordings} recordings",
            f"{n_folds} folds × {_draws(main)}, each clip scored once a draw",
        ),
    ]


def _add_settings(
    report: Report, content: ExperimentContent, comparisons: Sequence[Comparison], main: Comparison
) -> None:
    """A row a setting, also where it has one arm only; the main one is set off."""
    several = len(comparisons) > 1
    corrected = holm([one.p for one in comparisons])
    by_name = {one.setting: (one, p) for one, p in zip(comparisons, corrected, strict=True)}
    headers = ["setting", content.control, content.treated, "difference"]
    headers += ["McNemar p", "corrected t p", *(["p, Holm"] if several else []), "outcome"]
    rows: list[list[Any]] = []
    for name in content.predictions.settings:
        if name not in by_name:
            rows.append([name, *_lone(content, name), *[None] * (4 + several)])
            continue
        one, p = by_name[name]
        difference = IntervalEstimate(one.difference, *one.claimed_interval)
        tests = [one.p_mcnemar, one.p_folds, *([p] if several else [])]
        rows.append([name, _arm(one.a), _arm(one.b), difference, *tests, OUTCOMES[one.outcome]])
    report.table(
        "settings",
        headers,
        rows,
        formats={
            "difference": _signed,
            **dict.fromkeys(("McNemar p", "corrected t p", "p, Holm"), p_value),
        },
        styles={i: "strong" for i, row in enumerate(rows) if several and row[0] == main.setting},
    )
    if several:
        report.figure("comparison", comparison_plot(comparisons))
    report.values |= {
        "listeners": published.listeners(content.data),
        "differences": _differences(comparisons),
    }


def _add_competitors(report: Report, content: ExperimentContent) -> None:
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
        contest(
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
        accuracy = _arm(arm_accuracy(table))
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
    formats = {**dict.fromkeys(headers[1:], percent_text), "ours less published": _signed}
    report.table(f"classifiers-by-fold{suffix}", headers, rows, formats=formats, styles=styles)


def _add_setting_pairs(report: Report, content: ExperimentContent) -> None:
    """A row a pair of settings: both accuracies, their difference, and whether it is shown."""
    pairs = content.setting_pairs
    report.values["pair_differences"] = _differences(pairs)
    if not pairs:
        return
    rows = [
        (
            one.setting,
            _arm(one.a),
            _arm(one.b),
            IntervalEstimate(one.difference, *one.claimed_interval),
            one.p,
            p,
            OUTCOMES[one.outcome],
        )
        for one, p in zip(pairs, holm([one.p for one in pairs]), strict=True)
    ]
    report.table(
        "setting-pairs",
        ["what is asked", "first", "second", "difference", "p", "p, Holm", "outcome"],
        rows,
        formats={"difference": _signed, "p": p_value, "p, Holm": p_value},
    )
    report.figure("setting-pairs", comparison_plot(pairs))


def _add_published(
    report: Report, content: ExperimentContent, comparisons: Sequence[Comparison], main: Comparison
) -> None:
    """The paper's two tables with ours beside, and what else is known of the data set."""
    data = report.values["data"]
    by_name = {one.setting: one for one in comparisons}
    ours = [by_name.get(content.paper_cells.get(c.batch_size, "")) for c in published.CAE_TABLE_1]
    headers = ["batch size", "paper, supervised", "paper, pre-trained"]
    rows: list[list[Any]] = [
        [one.batch_size, one.supervised, one.pretrained] for one in published.CAE_TABLE_1
    ]
    if any(ours):
        headers += [f"ours, {content.control}", f"ours, {content.treated}"]
        for row, mine in zip(rows, ours, strict=True):
            row += [_arm(mine.a), _arm(mine.b)] if mine else [None, None]
    report.table("paper-table-1", headers, rows, formats=dict.fromkeys(headers[1:3], percent_text))
    listed = list(published.CAE_TABLE_2)
    seen = {(row.system, row.data) for row in listed}
    known = published.published_for(content.data)
    listed += [row for row in known if (row.system, row.data) not in seen]
    table: list[tuple[Any, ...]] = [
        (row.system, row.data, row.accuracy, row.protocol, row.note) for row in listed
    ]
    styles = {
        i: "soft" for i, row in enumerate(listed) if not published.same_data(row.data, content.data)
    }
    for arm in (main.a, main.b):
        styles[len(table)] = "strong"
        table.append((f"ours, {arm.name}", data, _arm(arm), protocol_of(main), main.setting))
    report.table(
        "paper-table-2",
        ["system", "data", "accuracy", "protocol", "note"],
        table,
        formats={"accuracy": percent_text},
        styles=styles,
    )
    report.values |= {
        "ours_in_table_1": any(ours),
        "paper": published.SOURCES["CAE"],
        "paper_notes": published.CAE_NOTES,
    }


def _add_folds(report: Report, main: Comparison) -> None:
    """Every fold and draw of the main setting."""
    a, b = main.a.name, main.b.name
    accuracy = {a: percent_text, b: percent_text, "difference": _signed}
    by_fold = [
        [pair for pair in main.folds if pair.fold == number]
        for number in sorted({pair.fold for pair in main.folds})
    ]
    report.figure("folds", fold_values(main))
    report.table(
        "fold-means",
        ["fold", "clips", a, b, "difference", "gained in"],
        [
            (
                pairs[0].fold,
                pairs[0].n_clips,
                float(np.mean([pair.accuracy_a for pair in pairs])),
                float(np.mean([pair.accuracy_b for pair in pairs])),
                float(np.mean([pair.difference for pair in pairs])),
                f"{sum(pair.difference > 0 for pair in pairs)} of {len(pairs)}",
            )
            for pairs in by_fold
        ],
        formats=accuracy,
    )
    report.table(
        "folds",
        ["draw", "seed", "fold", "clips", a, b, "difference"],
        [
            (f.draw, f.seed, f.fold, f.n_clips, f.accuracy_a, f.accuracy_b, f.difference)
            for f in main.folds
        ],
        formats=accuracy,
    )
    report.table(
        "draws",
        ["draw", "seed", a, b, f"only {a} right", f"only {b} right", "McNemar p"],
        [
            (d.draw, d.seed, d.accuracy_a, d.accuracy_b, *d.mcnemar[1:], d.mcnemar.p)
            for d in main.draws
        ],
        formats={a: percent_text, b: percent_text, "McNemar p": p_value},
    )
    gained = sum(pair.difference > 0 for pair in main.folds)
    lost = sum(pair.difference < 0 for pair in main.folds)
    report.values |= {"gained": gained, "lost": lost, "equal": len(main.folds) - gained - lost}


def _add_learning(report: Report, content: ExperimentContent, setting: str) -> None:
    """Learning curves of both arms, and of the pre-training."""
    trained = [h for h in content.histories if h.phase == "train" and h.setting == setting]
    arms = (content.control, content.treated)

    def of_arms(key: str) -> dict[str, list[list[float]]]:
        return {arm: _curves([h.rows for h in trained if h.arm == arm], key) for arm in arms}

    if any((accuracy := of_arms("val_accuracy")).values()):
        report.figure("learning-accuracy", training_curves(accuracy))
    if any((loss := of_arms("loss")).values()):
        figure = training_curves(loss, measure="training loss", is_share=False)
        report.figure("learning-loss", figure)
    before = [h for h in content.histories if h.phase == "pretrain"]
    key = "val_loss" if any("val_loss" in row for h in before for row in h.rows) else "loss"
    by_way = {
        way: _curves([h.rows for h in before if h.arm == way], key)
        for way in dict.fromkeys(h.arm for h in before)
    }
    if any(by_way.values()):
        report.figure(
            "pretraining",
            training_curves(by_way, measure="loss", is_share=False, colours=CLASS_COLOURS),
        )
    report.values |= {
        "ways": list(by_way),
        "pretraining_clips": "held-out" if key == "val_loss" else "training",
    }


def _add_classes(report: Report, content: ExperimentContent, main: Comparison) -> None:
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


def _add_competitors_by_class(report: Report, content: ExperimentContent) -> None:
    """Recall of each class by every classifier, and by listeners where it is known."""
    classes = content.predictions.classes
    recall_by: dict[str, list[str]] = {}
    for suffix, budget, series in _budgets(content):
        recalls: dict[str, Sequence[float]] = {}
        for one in series:
            rows = _rows_of(content, one)
            found = per_class(rows.target, rows.predicted, len(classes))
            recalls[one.name] = np.where(found.n_clips > 0, found.recall, np.nan).tolist()
        people = published.human_recall(content.data, classes)
        if people:
            recalls[LISTENERS] = people
        recall_by[budget] = list(recalls)
        report.figure(f"recall-by-classifier{suffix}", recall_table(recalls, classes))
        report.table(
            f"recall-by-classifier{suffix}",
            ["class", *recalls],
            [
                [spaced(name), *(values[i] for values in recalls.values())]
                for i, name in enumerate(classes)
            ],
            formats=dict.fromkeys(recalls, percent_text),
        )
    report.values |= {"recall_by": recall_by, "listeners_name": LISTENERS}


def _add_categories(report: Report, content: ExperimentContent, main: Comparison) -> None:
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


def _add_hard_classes(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """How far apart classes lie, what is confused, and clips of the most confused pair."""
    report.players("confused", map(player_of, content.confused))
    report.values["confused_pair"] = sorted(
        {spaced(name) for one in content.confused[:1] for name in (one.target, one.predicted)}
    )
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


def _add_network(report: Report, content: ExperimentContent) -> None:
    """Reconstructions, filters, silent units, the map of embeddings, and generated patches."""
    seen = content.reconstructions
    if seen:
        report.figure(
            "reconstructions",
            reconstructions(
                seen.truth, seen.decoders, seen.names, errors=seen.errors, unit=seen.unit
            ),
        )
    for arm, points in content.embeddings.items():
        figure = embedding_map({arm: points}, content.predictions.classes)
        report.figure(f"embeddings-{file_name(arm)}", figure)
    for arm, weights in content.filters.items():
        report.figure(f"filters-{file_name(arm)}", filters({arm: weights}))
    dead = content.dead_units
    if dead:
        shares = dict.fromkeys(dead.shares, percent_text)
        report.table("dead-units", list(dead.headers), dead.rows, formats=shares)
    made = content.generated
    if made:
        report.figure(
            "generated", patches(made.rows, [spaced(name) for name in made.names], unit="dB")
        )
        report.players(
            "generated",
            (
                Player(one.samples, one.sample_rate, spaced(one.what), one.how)
                for one in made.sounds
            ),
        )


def _add_repeat(report: Report, content: ExperimentContent) -> None:
    """The command, the versions, the options and the time it took."""
    known = dict(content.provenance)
    report.values |= {
        "command": str(known.pop("command", "")),
        "provenance": {name: _flat_text(value) for name, value in known.items()},
        "options": dict(_flat(content.options)),
    }
    factors = list(dict.fromkeys(name for row in content.settings.values() for name in row))
    if factors:
        report.table(
            "setting-values",
            ["setting", *factors],
            [[name, *(row.get(f) for f in factors)] for name, row in content.settings.items()],
        )
    if content.timing:
        report.table(
            "timing",
            ["what", "time", "note"],
            [(what, float(seconds), note) for what, seconds, note in content.timing],
            formats={"time": duration_text},
        )


def _main_comparison(content: ExperimentContent, comparisons: list[Comparison]) -> Comparison:
    if not comparisons:
        raise DataError(
            f"report: no setting has both arms '{content.control}' and '{content.treated}'; "
            f"arms found: {', '.join(content.predictions.arms)}"
        )
    wanted = content.main_setting or comparisons[0].setting
    for one in comparisons:
        if one.setting == wanted:
            return one
    raise DataError(
        f"report: the main setting '{wanted}' is not among those with both arms: "
        + ", ".join(c.setting for c in comparisons)
    )


def _ours(
    content: ExperimentContent, comparisons: Sequence[Comparison]
) -> list[tuple[str, IntervalEstimate]]:
    """Every arm of every setting; a control that all settings share is named once."""
    shared = len({one.a.mean for one in comparisons}) == 1 and len(comparisons) > 1
    found: dict[str, IntervalEstimate] = {}
    for one in comparisons:
        found[content.control if shared else f"{one.setting}, {content.control}"] = _arm(one.a)
        found[one.setting if shared else f"{one.setting}, {content.treated}"] = _arm(one.b)
    return list(found.items())


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


def _curves(jobs: Sequence[Sequence[Mapping[str, float]]], key: str) -> list[list[float]]:
    """The values of one key by epoch, one list a job; jobs without it are left out."""
    found = []
    for rows in jobs:
        values = [float(row[key]) for row in rows if key in row and row[key] is not None]
        if any(map(math.isfinite, values)):
            found.append(values)
    return found


def _lone(content: ExperimentContent, setting: str) -> list[IntervalEstimate | None]:
    rows = content.predictions.select(setting=setting)
    return [
        _arm(arm_accuracy(rows.select(arm=arm))) if arm in rows.arms else None
        for arm in (content.control, content.treated)
    ]


def _arm(arm: ArmAccuracy) -> IntervalEstimate:
    return IntervalEstimate(arm.mean, *arm.interval)


def _draws(main: Comparison) -> str:
    return "1 draw" if len(main.draws) == 1 else f"{len(main.draws)} draws"


def _ends(arm: ArmAccuracy) -> str:
    return f"95 % interval {points_text(arm.interval.low)} to {points_text(arm.interval.high)}"


def _signed(share: float) -> str:
    return points_text(share, signed=True)


def _differences(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(f"{one.setting} {_signed(one.difference)}" for one in comparisons)


def _flat(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested options with dotted names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _flat_text(value)


def _flat_text(value: Any) -> str:
    if isinstance(value, Mapping):
        named = [(k.replace("_", " "), v) for k, v in value.items() if v not in (None, "", [], {})]
        return ", ".join(f"{k} {_flat_text(v)}" for k, v in named)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
