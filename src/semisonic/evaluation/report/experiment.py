"""The report of an experiment: two arms in several settings, from the answer to the seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.core.text import (
    count_text,
    duration_text,
    p_text,
    p_value,
    percent_text,
    points_text,
)
from semisonic.evaluation import published
from semisonic.evaluation.comparison import ArmAccuracy, Comparison, arm_accuracy
from semisonic.evaluation.embeddings import Separability
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.results import (
    accuracy_by_fold,
    class_recall,
    comparison_plot,
    confusion_matrix,
    training_curves,
)
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
    Report,
    Verdict,
    file_name,
    spaced,
)
from semisonic.evaluation.statistics import holm

OUTCOMES = {
    "better": "better",
    "worse": "worse",
    "better here": "better on these clips",
    "worse here": "worse on these clips",
    "open": "may be chance",
}
_MOST_CONFUSED = 8
_GAP = "ours less published"


class Series(NamedTuple):
    """A row of the table that shows all classifiers side by side: predictions and their name.

    ``method`` describes the method in words; ``published`` is a published result of the same
    method on the same data, if there is one.
    """

    name: str
    setting: str
    arm: str
    method: str = ""
    published: published.PublishedResult | None = None


def build_report(
    title: str,
    predictions: Predictions,
    comparisons: Sequence[Comparison],
    *,
    main_setting: str = "",
    subject: str = "Pre-training",
    subtitle: str = "",
    data: str = "",
    study: str = "",
    setting_pairs: Sequence[Comparison] = (),
    series: Mapping[str, Sequence[Series]] | None = None,
    categories: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Build the common parts of a report; the ``add_`` functions add others.

    Parameters
    ----------
    title : str
        What was done, such as "Auto-encoder pre-training on ESC-10".
    predictions : Predictions
        Both arms in every setting; a setting with one arm is shown without comparison.
    comparisons : sequence of Comparison
        The treated arm against the control, one a setting that has both; at least one.
    main_setting : str
        The setting whose comparison is the headline; by default the first.
    subject : str
        What the treated arm adds, as the verdict says it. Empty where settings are classifiers
        that compete with the control: they are then called by their own names.
    subtitle, data : str
        On which data, in a line; the data set's name, by which published results are found.
    study : str
        A key of :data:`semisonic.evaluation.published.STUDIES` to show beside ours.
    setting_pairs : sequence of Comparison
        Settings compared with each other.
    series : mapping of str to sequence of Series, optional
        By budget of labels the classifiers to be shown side by side.
    categories : mapping of class to group, optional
        Groups of classes to report the accuracy of.
    notes : sequence of str
        More on the method.

    Returns
    -------
    Report
        Its ``values`` hold the ``comparisons`` and ``main``, the one of the headline.
    """
    main = next((one for one in comparisons if one.setting == main_setting), comparisons[0])
    control, treated = main.a.name, main.b.name
    rows = predictions.select(setting=main.setting)
    arms = {arm: rows.select(arm=arm) for arm in (control, treated)}
    if not subject:  # classifiers that compete are called by their own names
        main = replace(main, b=replace(main.b, name=main.setting))
    report = Report(
        "experiment.j2",
        title,
        subtitle,
        main=main,
        comparisons=comparisons,
        setting_pairs=setting_pairs,
        series=series or {},
        categories=categories or {},
        subject=subject,
        classes=predictions.classes,
        data=data or "our data",
        listeners=published.listeners(data),
        esc_notes=" ".join(published.ESC_NOTES),
        competitor="setting" if subject else "classifier",
        method_notes=[*main.cautions, *notes],
    )
    report.data = {
        "main_setting": main.setting,
        "comparisons": [one.to_dict() for one in comparisons],
    }
    _add_answer(report, main, subject)
    _add_settings(report, predictions, comparisons, (control, treated), main.setting)
    _add_setting_pairs(report, setting_pairs)
    competitors = {
        (budget, one.name): predictions.select(setting=one.setting, arm=one.arm)
        for budget, members in (series or {}).items()
        for one in members
    }
    _add_competitors(report, series or {}, competitors, data)
    add_study(report, study, data, _ours(comparisons), protocol_of(main))
    _add_folds(report, main)
    _add_classes(report, arms, main)
    if categories:
        several = len(series or {}) > 1
        named = {
            f"{name}, {budget}" if several else name: one
            for (budget, name), one in competitors.items()
        }
        _add_categories(report, categories, named or arms, arms[treated], main)
    return report


def _table(
    report: Report,
    name: str,
    rows: pd.DataFrame | Sequence[Mapping[str, Any]],
    *,
    percent: Sequence[str] = (),
    points: Sequence[str] = (),
    p: Sequence[str] = (),
    styles: Mapping[int, str] | None = None,
    **formats: Callable[[Any], str],
) -> None:
    """Add rows by column; the lists of columns say how numbers are shown."""
    shown: dict[str, Callable[[Any], str]] = dict(formats)
    for columns, form in ((percent, percent_text), (points, signed_points), (p, p_value)):
        shown |= dict.fromkeys(columns, form)
    report.frame(name, pd.DataFrame(rows), formats=shown, styles=styles)


def arm_estimate(arm: ArmAccuracy) -> IntervalEstimate:
    """Give the mean of an arm with its interval."""
    return IntervalEstimate(arm.mean, *arm.interval)


def signed_points(share: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return points_text(share, signed=True)


def protocol_of(main: Comparison) -> str:
    """How many folds and draws a comparison has, in words."""
    folds, draws = main.folds["fold"].nunique(), main.folds["draw"].nunique()
    return f"{count_text(folds, 'fold')}, {count_text(draws, 'draw')}"


def _add_answer(report: Report, main: Comparison, subject: str) -> None:
    claim, stop, caveat = main.verdict(subject).partition(". ")
    report.verdict = Verdict(claim + ("." if stop else ""), caveat, main.outcome)
    for arm, style in ((main.a, "control"), (main.b, "treated")):
        low, high = map(points_text, arm.interval)
        note = f"95 % interval {low} to {high}"
        report.numbers.append(Number(percent_text(arm.mean), arm.name, note, style))
    report.numbers += [
        Number(
            f"{signed_points(main.difference)} points",
            "difference",
            f"McNemar {p_text(main.p_mcnemar)}, corrected t {p_text(main.p_folds)}",
        ),
        Number(
            count_text(main.n_clips, "clip"),
            f"of {count_text(main.n_recordings, 'recording')}",
            f"{protocol_of(main).replace(',', ' ×')}, each clip scored once per draw",
        ),
    ]


def _add_settings(
    report: Report,
    predictions: Predictions,
    comparisons: Sequence[Comparison],
    arms: tuple[str, str],
    main: str,
) -> None:
    """A row per setting, also if it has only one arm; the main one is emphasised."""
    several = len(comparisons) > 1
    by_name = {one.setting: one for one in comparisons}
    corrected = dict(zip(by_name, holm([one.p for one in comparisons]), strict=True))
    rows = []
    for name in predictions.settings:
        one = by_name.get(name)
        if one is None:
            lone = predictions.select(setting=name)
            estimates = [
                arm_estimate(arm_accuracy(lone.select(arm=arm))) if arm in lone.arms else None
                for arm in arms
            ]
        else:
            estimates = [arm_estimate(one.a), arm_estimate(one.b)]
        row: dict[str, Any] = {"setting": name, **dict(zip(arms, estimates, strict=True))}
        row["difference"] = IntervalEstimate(one.difference, *one.claimed_interval) if one else None
        row["McNemar p"] = one.p_mcnemar if one else None
        row["corrected t p"] = one.p_folds if one else None
        row |= {"p, Holm": corrected.get(name)} if several else {}
        rows.append(row | {"outcome": OUTCOMES[one.outcome] if one else None})
    strong = [i for i, row in enumerate(rows) if several and row["setting"] == main]
    _table(
        report,
        "settings",
        rows,
        points=["difference"],
        p=["McNemar p", "corrected t p", "p, Holm"],
        styles=dict.fromkeys(strong, "strong"),
    )
    if several:
        report.figure("comparison", comparison_plot(comparisons))


def _add_setting_pairs(report: Report, pairs: Sequence[Comparison]) -> None:
    """A row a pair of settings: both accuracies, their difference, and whether it is shown."""
    rows = [
        {
            "what is asked": one.setting,
            "first": arm_estimate(one.a),
            "second": arm_estimate(one.b),
            "difference": IntervalEstimate(one.difference, *one.claimed_interval),
            "p": one.p,
            "p, Holm": p,
            "outcome": OUTCOMES[one.outcome],
        }
        for one, p in zip(pairs, holm([one.p for one in pairs]), strict=True)
    ]
    _table(report, "setting-pairs", rows, points=["difference"], p=["p", "p, Holm"])
    if pairs:
        report.figure("setting-pairs", comparison_plot(pairs))


def _add_competitors(
    report: Report,
    series: Mapping[str, Sequence[Series]],
    tables: Mapping[tuple[str, str], Predictions],
    data: str,
) -> None:
    """Accuracy and recall of every classifier, with published results, by label budget."""
    competitor, classes = report.values["competitor"], report.values["classes"]
    human = published.human_accuracy(data)
    for number, (budget, members) in enumerate(series.items(), start=1):
        suffix = f"-{number}" if number > 1 else ""
        others = {one.name: one.published for one in members if one.published}
        folds = {one.name: _by_fold(tables[budget, one.name]) for one in members}
        figure = accuracy_by_fold(
            folds,
            published={name: one.accuracy for name, one in others.items()},
            human=human,
            chance=1 / len(classes),
        )
        report.figure(f"classifiers-by-fold{suffix}", figure)
        rows: list[dict[str, Any]] = []
        for name, ours in folds.items():
            accuracy = arm_estimate(arm_accuracy(tables[budget, name]))
            rows.append({competitor: name, **_fold_columns(ours), "all clips": accuracy})
            if name in others:
                theirs = dict(enumerate(others[name].folds, start=1))
                known = set(ours) <= set(theirs)
                mean = (
                    float(np.mean([theirs[fold] for fold in ours]))
                    if known
                    else (others[name].accuracy)
                )
                rows[-1] |= {"published": mean, _GAP: accuracy.value - mean}
                if known:
                    there = _fold_columns({fold: theirs[fold] for fold in ours})
                    rows.append({competitor: f"{name}, published", **there, "all clips": mean})
        if human is not None:
            rows.append({competitor: "human listeners", "all clips": human})
        soft = [i for i, row in enumerate(rows) if row[competitor] not in folds]
        _table(
            report,
            f"classifiers-by-fold{suffix}",
            rows,
            percent=[*_fold_columns(ours), "all clips", "published"],
            points=[_GAP],
            styles=dict.fromkeys(soft, "soft"),
        )
        recalls = {one.name: _recall(tables[budget, one.name]) for one in members}
        if people := published.human_recall(data, classes):
            recalls["listeners"] = np.array(people)
        by_class = [
            {"class": spaced(name), **{key: float(values[i]) for key, values in recalls.items()}}
            for i, name in enumerate(classes)
        ]
        _table(report, f"recall-by-classifier{suffix}", by_class, percent=list(recalls))
    everything = [one for members in series.values() for one in members]
    methods = {one.name: one.method for one in everything if one.method}
    if len(set(methods.values())) > 1:
        report.table("classifiers", [competitor, "how it learns"], list(methods.items()))
    if any(one.published for one in everything):
        known_rows = [
            {"system": p.system, "accuracy": p.accuracy, "protocol": p.protocol, "note": p.note}
            for p in published.published_for(data)
        ]
        _table(report, "published", known_rows, percent=["accuracy"])


def _by_fold(table: Predictions) -> dict[int, float]:
    """The accuracy in each fold."""
    right, fold = table.correct, table.fold
    return {one: float(right[fold == one].mean()) for one in np.unique(fold).tolist()}


def _fold_columns(folds: Mapping[int, float]) -> dict[str, float]:
    return {f"fold {fold}": value for fold, value in folds.items()}


def _recall(table: Predictions) -> NDArray[np.float64]:
    """The recall of each class, NaN without clips."""
    found = per_class(table.target, table.predicted, len(table.classes))
    return np.where(found.n_clips > 0, found.recall, np.nan)


def add_study(
    report: Report,
    study: str,
    data: str,
    ours: Sequence[tuple[str, IntervalEstimate]],
    protocol: str,
) -> None:
    """Add the values of ``study.j2``: a published study beside our results.

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
    rows = [(row.system, row.data, row.accuracy, row.protocol, row.note) for row in found.rows]
    styles = {
        i: "soft" for i, row in enumerate(found.rows) if not published.same_data(row.data, data)
    }
    styles |= dict.fromkeys(range(len(rows), len(rows) + len(ours)), "strong")
    beside = [(f"ours: {name}", data, value, protocol, "") for name, value in ours]
    headers = ["system", "data", found.measure, "protocol", "note"]
    formats = {found.measure: percent_text}
    report.table("published-study", headers, [*rows, *beside], formats=formats, styles=styles)


def _ours(comparisons: Sequence[Comparison]) -> list[tuple[str, IntervalEstimate]]:
    """Every arm of every setting; a control that all settings share is named once."""
    shared = len({one.a.mean for one in comparisons}) == 1 and len(comparisons) > 1
    found: dict[str, IntervalEstimate] = {}
    for one in comparisons:
        found[one.a.name if shared else f"{one.setting}, {one.a.name}"] = arm_estimate(one.a)
        found[one.setting if shared else f"{one.setting}, {one.b.name}"] = arm_estimate(one.b)
    return list(found.items())


def _add_folds(report: Report, main: Comparison) -> None:
    """Every fold and draw of the main setting."""
    a, b = main.a.name, main.b.name
    names = {"accuracy_a": a, "accuracy_b": b, "n_clips": "clips", "p": "McNemar p"}
    names |= {"n_only_a": f"only {a} right", "n_only_b": f"only {b} right"}
    folds, draws = main.folds.rename(columns=names), main.draws.rename(columns=names)
    percent = [a, b]
    _table(report, "folds", folds, percent=percent, points=["difference"])
    _table(report, "draws", draws, percent=percent, p=["McNemar p"])
    means: Any = folds.groupby("fold")[[a, b]].mean().to_dict()
    report.figure("folds", accuracy_by_fold(means))
    signs = np.sign(main.folds["difference"]).astype(int).tolist()
    counts = {"gained": signs.count(1), "lost": signs.count(-1), "equal": signs.count(0)}
    report.values |= counts


def add_learning(report: Report, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Add learning curves of both arms of the main setting, and of all pre-training.

    Parameters
    ----------
    report : Report
        Of :func:`build_report`.
    jobs : sequence of mapping
        What each job wrote of itself: its ``kind``, ``cell``, ``draw``, ``fold``, ``arm`` or
        ``way`` of pre-training, and ``history``, a mapping an epoch.
    """
    main = report.values["main"]
    before = [job for job in jobs if job["kind"] == "pre-train"]
    trained = [job for job in jobs if job["kind"] == "train" and job["cell"] == main.setting]
    trained.sort(key=lambda job: job["arm"] != main.a.name)

    def curves(of: Sequence[Mapping[str, Any]], name: str, key: str) -> dict[str, list[Any]]:
        """By arm the values by epoch, one list a job; jobs without them are left out."""
        found: dict[str, list[Any]] = {job[name]: [] for job in of}
        for job in of:
            values = [float(row[key]) for row in job["history"] if row.get(key) is not None]
            if np.isfinite(values).any():
                found[job[name]].append(values)
        return found

    epochs = [row for job in before for row in job["history"]]
    key = "val_loss" if any("val_loss" in row for row in epochs) else "loss"
    for name, found, more in (
        ("learning-accuracy", curves(trained, "arm", "val_accuracy"), {}),
        ("learning-loss", curves(trained, "arm", "loss"), {"measure": "training loss"}),
        ("pretraining", curves(before, "way", key), {"measure": "loss", "colours": CLASS_COLOURS}),
    ):
        if any(found.values()):
            report.figure(name, training_curves(found, is_share=not more, **more))
    report.values["pretraining_clips"] = "held-out" if key == "val_loss" else "training"


def _add_classes(report: Report, arms: Mapping[str, Predictions], main: Comparison) -> None:
    """Confusion matrix, recall of each class, and the table behind them."""
    classes = report.values["classes"]
    names = dict(zip(arms, (main.a.name, main.b.name), strict=True))
    report.data["confusion"] = {}
    for arm, one in arms.items():
        counts = confusion(one.target, one.predicted, len(classes))
        report.data["confusion"][arm] = counts
        figure = confusion_matrix(counts, classes, names[arm])
        report.figure(f"confusion-{file_name(arm)}", figure)
    report.values["arm_files"] = {file_name(arm): name for arm, name in names.items()}
    recalls = {names[arm]: _recall(one) for arm, one in arms.items()}
    report.figure("class-recall", class_recall(recalls, classes))
    _add_confused(report, classes, counts)
    found = per_class(one.target, one.predicted, len(classes))
    columns: dict[str, Any] = {f"recall, {name}": values for name, values in recalls.items()}
    columns |= {f"precision, {main.b.name}": found.precision, f"F1, {main.b.name}": found.f1}
    n_draws = main.folds["draw"].nunique()
    frame = pd.DataFrame({"class": list(map(spaced, classes)), "clips": found.n_clips // n_draws})
    frame = frame.assign(**columns)
    _table(report, "classes", frame, percent=list(columns))


def _add_confused(report: Report, classes: Sequence[str], counts: NDArray[np.int64]) -> None:
    """The pairs of classes that are most often confused, both ways together."""
    both = np.triu(counts + counts.T, k=1)
    clips = counts.sum(axis=1)
    order = np.argsort(-both, axis=None, kind="stable")[:_MOST_CONFUSED].tolist()
    rows = [
        {
            "classes": f"{spaced(classes[i])} and {spaced(classes[j])}",
            "confused": int(both[i, j]),
            "of their clips": float(both[i, j] / (clips[i] + clips[j])),
            "first for second": int(counts[i, j]),
            "second for first": int(counts[j, i]),
        }
        for i, j in (divmod(place, len(classes)) for place in order)
        if both[i, j] > 0
    ]
    _table(report, "confused", rows, percent=["of their clips"])


def _add_categories(
    report: Report,
    group_of: Mapping[str, str],
    competitors: Mapping[str, Predictions],
    treated: Predictions,
    main: Comparison,
) -> None:
    """The accuracy of the group of classes, from the same predictions."""
    numbers, names = pd.factorize(pd.Series([group_of[name] for name in treated.classes]))
    rows = []
    for label, one in competitors.items():
        right = float(one.correct.mean())
        group_right = float((numbers[one.predicted] == numbers[one.target]).mean())
        inside = right / group_right if group_right else None
        shares = {"class right": right, "group right": group_right}
        rows.append({"classifier": label, **shares, "class right where the group is": inside})
    _table(report, "group-accuracy", rows, percent=list(rows[0])[1:])
    counts = confusion(numbers[treated.target], numbers[treated.predicted], len(names))
    report.figure("confusion-groups", confusion_matrix(counts, list(names), main.b.name))
    members = pd.Series(list(map(spaced, treated.classes))).groupby(numbers).agg(", ".join)
    n_clips = counts.sum(axis=1)
    groups = {
        "group": names,
        "classes": members,
        "clips": n_clips // main.folds["draw"].nunique(),
        "group right": np.diag(counts) / np.maximum(n_clips, 1),
    }
    _table(report, "groups", pd.DataFrame(groups), percent=["group right"])


def add_separability(
    report: Report, treated: Predictions, measured: Separability, inputs: str
) -> None:
    """Add the distances of the classes in a classifier's inputs, and what it confuses.

    Parameters
    ----------
    report : Report
    treated : Predictions
        Of the classifier in the main setting.
    measured : Separability
    inputs : str
        What its inputs are, in words.
    """
    classes = list(map(spaced, treated.classes))
    counts = confusion(treated.target, treated.predicted, len(classes))
    np.fill_diagonal(counts, 0)
    purity, recall = measured.purity, f"recall, {report.values['main'].b.name}"
    recalls = _recall(treated)
    table = [
        {
            "class": classes[i],
            "silhouette": float(measured.silhouette[i]),
            "neighbours of its class": float(purity[i]),
            "closest class": classes[n] if (n := measured.nearest[i]) >= 0 else "",
            recall: float(recalls[i]),
            "confused with": classes[int(counts[i].argmax())] if counts[i].any() else "",
        }
        for i in np.argsort(np.nan_to_num(purity, nan=2.0), kind="stable").tolist()
    ]
    percent = ["neighbours of its class", recall]
    _table(report, "separability", table, percent=percent, silhouette="{:+.2f}".format)
    related = pd.Series(purity).corr(pd.Series(recalls), method="spearman", min_periods=4)
    report.values["rank_correlation"] = None if np.isnan(related) else float(related)
    report.values["separability_inputs"] = inputs


def add_run(
    report: Report,
    *,
    provenance: Mapping[str, Any],
    options: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    timing: Sequence[tuple[str, float, str]],
) -> None:
    """Add the command, versions, options, the values of each setting, and the time."""
    report.data |= {"provenance": provenance, "options": options}
    known = dict(provenance)
    flat = pd.json_normalize(dict(options)).to_dict("records")[0]
    report.values |= {
        "command": str(known.pop("command", "")),
        "provenance": {name: _text(value) for name, value in known.items()},
        "options": {name: _text(value) for name, value in flat.items()},
    }
    if any(settings.values()):
        rows = [{"setting": name, **row} for name, row in settings.items()]
        _table(report, "setting-values", rows)
    report.table("timing", ["what", "time", "note"], timing, formats={"time": duration_text})


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        named = [(k.replace("_", " "), v) for k, v in value.items() if v not in (None, "", [], {})]
        return ", ".join(f"{k} {_text(v)}" for k, v in named)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
