"""The report of an experiment: two arms in several settings, from the answer down to the seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.text import duration_text, p_text, p_value, percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import ArmAccuracy, Comparison, arm_accuracy, compare_settings
from semisonic.evaluation.embeddings import Separability
from semisonic.evaluation.metrics import confusion, per_class
from semisonic.evaluation.plots.classes import class_recall, confusion_matrix
from semisonic.evaluation.plots.experiments import accuracy_by_fold, comparison_plot
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.plots.training import training_curves
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.report.document import (
    IntervalEstimate,
    Number,
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
_MOST_CONFUSED = 8


class Series(NamedTuple):
    """A row of a table that holds everything side by side: which predictions, called what.

    ``method`` says in words how it learns; ``published`` is what others measured of the same
    method on the same data, if anybody did.
    """

    name: str
    setting: str
    arm: str
    method: str = ""
    published: published.PublishedResult | None = None


@dataclass
class ExperimentContent:
    """What the report of a comparison shows from predictions; what is empty is left out.

    Attributes
    ----------
    title : str
        What was done, such as "Auto-encoder pre-training on ESC-10".
    predictions : Predictions
        Both arms in every setting; a setting with one arm is shown without comparison.
    control, treated : str
        The names of the arms in the predictions.
    subject : str
        What the treated arm adds, as the verdict says it: "Pre-training". Empty where settings
        are classifiers that compete with the control: they are then called by their own names.
    data : str
        The data set's name, by which published results are found ("ESC-10").
    main_setting : str
        The setting whose comparison is the headline; by default the first.
    study : str
        A key of :data:`semisonic.evaluation.published.STUDIES` to stand beside ours.
    setting_pairs : sequence of Comparison
        Settings held against each other.
    series : mapping of str to sequence of Series
        By budget of labels the classifiers to be shown side by side; empty for none.
    categories : mapping of class to group
        Groups of classes whose accuracy is told.
    notes : sequence of str
        More on the method.
    """

    title: str
    predictions: Predictions
    control: str = "supervised"
    treated: str = "pre-trained"
    subject: str = "Pre-training"
    subtitle: str = ""
    data: str = ""
    main_setting: str = ""
    study: str = ""
    setting_pairs: Sequence[Comparison] = ()
    series: Mapping[str, Sequence[Series]] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def build_report(content: ExperimentContent, comparisons: list[Comparison] | None = None) -> Report:
    """Build what every experiment has; the ``add_`` functions add what some have.

    Parameters
    ----------
    content : ExperimentContent
    comparisons : list of Comparison, optional
        Those already computed for these predictions; by default they are computed here.

    Returns
    -------
    Report
        Its ``values`` hold the ``comparisons`` and ``main``, the one of the headline.

    Raises
    ------
    DataError
        When predictions are missing or stand twice, or no setting has both arms.
    """
    if comparisons is None:
        comparisons = compare_settings(content.predictions, content.control, content.treated)
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
    report.data = {
        "main_setting": main.setting,
        "comparisons": [one.to_dict() for one in comparisons],
    }
    _add_answer(report, content, main)
    _add_settings(report, content, comparisons, main)
    _add_competitors(report, content)
    _add_setting_pairs(report, content)
    add_study(report, content.study, content.data, _ours(content, comparisons), protocol_of(main))
    _add_folds(report, main)
    _add_classes(report, content, main)
    _add_categories(report, content, main)
    return report


def _main_comparison(content: ExperimentContent, comparisons: list[Comparison]) -> Comparison:
    if not comparisons:
        raise DataError(
            f"report: no setting has both arms '{content.control}' and '{content.treated}'; "
            f"arms found: {', '.join(content.predictions.arms)}"
        )
    by_name = {one.setting: one for one in comparisons}
    wanted = content.main_setting or comparisons[0].setting
    if wanted not in by_name:
        raise DataError(
            f"report: the main setting '{wanted}' is not among those with both arms: "
            + ", ".join(by_name)
        )
    return by_name[wanted]


def _table(
    report: Report,
    name: str,
    rows: Sequence[Mapping[str, Any]],
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
    if rows:
        values = [tuple(row.values()) for row in rows]
        report.table(name, list(rows[0]), values, formats=shown, styles=styles)


def arm_estimate(arm: ArmAccuracy) -> IntervalEstimate:
    """Give the mean of an arm with its interval."""
    return IntervalEstimate(arm.mean, *arm.interval)


def signed_points(share: float) -> str:
    """Write a difference of shares in percentage points, with its sign."""
    return points_text(share, signed=True)


def protocol_of(main: Comparison) -> str:
    """How many folds and draws a comparison has, in words."""
    n_folds = len({pair.fold for pair in main.folds})
    return f"{n_folds} {'fold' if n_folds == 1 else 'folds'}, {_draws(main)}"


def _draws(main: Comparison) -> str:
    return "1 draw" if len(main.draws) == 1 else f"{len(main.draws)} draws"


def _add_answer(report: Report, content: ExperimentContent, main: Comparison) -> None:
    claim, stop, caveat = main.verdict(content.subject).partition(". ")
    report.verdict = Verdict(claim + ("." if stop else ""), caveat, main.outcome)
    n_folds = len({pair.fold for pair in main.folds})

    def number(arm: ArmAccuracy, style: str) -> Number:
        low, high = map(points_text, arm.interval)
        note = f"95 % interval {low} to {high}"
        return Number(percent_text(arm.mean), arm.name, note, style)

    report.numbers = [
        number(main.a, "control"),
        number(main.b, "treated"),
        Number(
            f"{signed_points(main.difference)} points",
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
    by_name = {one.setting: one for one in comparisons}
    corrected = dict(zip(by_name, holm([one.p for one in comparisons]), strict=True))
    rows = []
    for name in content.predictions.settings:
        one = by_name.get(name)
        row: dict[str, Any] = {"setting": name}
        if one is None:
            lone = content.predictions.select(setting=name)
            for arm in (content.control, content.treated):
                has_arm = arm in lone.arms
                row[arm] = arm_estimate(arm_accuracy(lone.select(arm=arm))) if has_arm else None
        else:
            row |= {content.control: arm_estimate(one.a), content.treated: arm_estimate(one.b)}
        row["difference"] = IntervalEstimate(one.difference, *one.claimed_interval) if one else None
        row["McNemar p"] = one.p_mcnemar if one else None
        row["corrected t p"] = one.p_folds if one else None
        row |= {"p, Holm": corrected.get(name)} if several else {}
        rows.append(row | {"outcome": OUTCOMES[one.outcome] if one else None})
    strong = [i for i, row in enumerate(rows) if several and row["setting"] == main.setting]
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
    report.values["listeners"] = published.listeners(content.data)


def _add_setting_pairs(report: Report, content: ExperimentContent) -> None:
    """A row a pair of settings: both accuracies, their difference, and whether it is shown."""
    pairs = content.setting_pairs
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


def _add_competitors(report: Report, content: ExperimentContent) -> None:
    """Accuracy and recall of every classifier, beside what was published, by label budget."""
    everything = [one for series in content.series.values() for one in series]
    methods = {one.name: one.method for one in everything if one.method}
    report.values["esc_notes"] = " ".join(published.ESC_NOTES)
    for suffix, _, series in _budgets(content):
        _add_budget(report, content, series, suffix)
    if len(set(methods.values())) > 1:
        competitor = report.values["competitor"]
        report.table("classifiers", [competitor, "how it learns"], list(methods.items()))
    if any(one.published for one in everything):
        rows = [
            {"system": p.system, "accuracy": p.accuracy, "protocol": p.protocol, "note": p.note}
            for p in published.published_for(content.data)
        ]
        _table(report, "published", rows, percent=["accuracy"])


def _add_budget(
    report: Report, content: ExperimentContent, series: Sequence[Series], suffix: str
) -> None:
    classes = content.predictions.classes
    tables = {one.name: _rows_of(content, one) for one in series}
    folds = {name: _by_fold(rows.frame, "correct") for name, rows in tables.items()}
    others = {one.name: one.published for one in series if one.published}
    human = published.human_accuracy(content.data)
    figure = accuracy_by_fold(
        folds,
        published={name: one.accuracy for name, one in others.items()},
        human=human,
        chance=1 / len(classes),
    )
    report.figure(f"classifiers-by-fold{suffix}", figure)
    numbers = sorted(set().union(*folds.values()))

    def row(name: str, of_fold: Mapping[int, float], value: Any, *other: Any) -> dict[str, Any]:
        parts = {f"fold {number}": of_fold.get(number) for number in numbers}
        beside = dict(zip(("published", "ours less published"), (*other, None, None), strict=False))
        first = {report.values["competitor"]: name}
        return first | parts | {"all clips": value} | (beside if others else {})

    rows, styles = [], {}
    for name, table in tables.items():
        accuracy = arm_estimate(arm_accuracy(table))
        if name not in others:
            rows.append(row(name, folds[name], accuracy))
            continue
        theirs = dict(enumerate(others[name].folds, start=1))
        is_known = bool(numbers) and set(numbers) <= set(theirs)
        known = [theirs[number] for number in numbers] if is_known else [others[name].accuracy]
        mean = float(np.mean(known))
        rows.append(row(name, folds[name], accuracy, mean, accuracy.value - mean))
        if is_known:
            styles[len(rows)] = "soft"
            rows.append(row(f"{name}, published", theirs, mean))
    if human is not None:
        styles[len(rows)] = "soft"
        rows.append(row("human listeners", {}, human))
    percent = [column for column in rows[0] if column.startswith(("fold", "all", "published"))]
    _table(
        report,
        f"classifiers-by-fold{suffix}",
        rows,
        percent=percent,
        points=["ours less published"],
        styles=styles,
    )
    recalls: dict[str, Any] = {name: _recall(rows, classes) for name, rows in tables.items()}
    if people := published.human_recall(content.data, classes):
        recalls["listeners"] = people
    by_class = [
        {"class": spaced(name), **{key: float(values[i]) for key, values in recalls.items()}}
        for i, name in enumerate(classes)
    ]
    _table(report, f"recall-by-classifier{suffix}", by_class, percent=list(recalls))


def _by_fold(frame: pd.DataFrame, column: str) -> dict[int, float]:
    """The mean of a column in each fold."""
    means: dict[Any, float] = frame.groupby("fold")[column].mean().to_dict()
    return means


def _recall(rows: Predictions, classes: Sequence[str]) -> NDArray[np.float64]:
    """The recall of each class, NaN without clips."""
    found = per_class(rows.target, rows.predicted, len(classes))
    return np.where(found.n_clips > 0, found.recall, np.nan)


def _budgets(content: ExperimentContent) -> Iterator[tuple[str, str, Sequence[Series]]]:
    """The suffix of file names, the label budget and the classifiers of each."""
    for number, (budget, series) in enumerate(content.series.items(), start=1):
        yield f"-{number}" if number > 1 else "", budget, series


def _rows_of(content: ExperimentContent, one: Series) -> Predictions:
    return content.predictions.select(setting=one.setting, arm=one.arm)


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
    rows = [(row.system, row.data, row.accuracy, row.protocol, row.note) for row in found.rows]
    styles = {
        i: "soft" for i, row in enumerate(found.rows) if not published.same_data(row.data, data)
    }
    styles |= dict.fromkeys(range(len(rows), len(rows) + len(ours)), "strong")
    beside = [(f"ours: {name}", data, value, protocol, "") for name, value in ours]
    headers = ["system", "data", found.measure, "protocol", "note"]
    formats = {found.measure: percent_text}
    report.table("published-study", headers, [*rows, *beside], formats=formats, styles=styles)


def _ours(
    content: ExperimentContent, comparisons: Sequence[Comparison]
) -> list[tuple[str, IntervalEstimate]]:
    """Every arm of every setting; a control that all settings share is named once."""
    shared = len({one.a.mean for one in comparisons}) == 1 and len(comparisons) > 1
    found: dict[str, IntervalEstimate] = {}
    for one in comparisons:
        first, second = f"{one.setting}, {content.control}", f"{one.setting}, {content.treated}"
        found[content.control if shared else first] = arm_estimate(one.a)
        found[one.setting if shared else second] = arm_estimate(one.b)
    return list(found.items())


def _add_folds(report: Report, main: Comparison) -> None:
    """Every fold and draw of the main setting."""
    a, b = main.a.name, main.b.name
    rows = [
        {
            "draw": pair.draw,
            "seed": pair.seed,
            "fold": pair.fold,
            "clips": pair.n_clips,
            a: pair.accuracy_a,
            b: pair.accuracy_b,
            "difference": pair.difference,
        }
        for pair in main.folds
    ]
    _table(report, "folds", rows, percent=[a, b], points=["difference"])
    frame = pd.DataFrame(rows)
    report.figure("folds", accuracy_by_fold({arm: _by_fold(frame, arm) for arm in (a, b)}))
    draws = [
        {
            "draw": one.draw,
            "seed": one.seed,
            a: one.accuracy_a,
            b: one.accuracy_b,
            f"only {a} right": one.mcnemar.n_only_a,
            f"only {b} right": one.mcnemar.n_only_b,
            "McNemar p": one.mcnemar.p,
        }
        for one in main.draws
    ]
    _table(report, "draws", draws, percent=[a, b], p=["McNemar p"])
    signs = np.sign([pair.difference for pair in main.folds]).astype(int).tolist()
    counts = {"gained": signs.count(1), "lost": signs.count(-1), "equal": signs.count(0)}
    report.values |= counts


def add_learning(report: Report, jobs: Sequence[Mapping[str, Any]], control: str) -> None:
    """Add learning curves of both arms of the main setting, and of all pre-training.

    Parameters
    ----------
    report : Report
        Of :func:`build_report`.
    jobs : sequence of mapping
        What each job wrote of itself: its ``kind``, ``cell``, ``draw``, ``fold``, ``arm`` or
        ``way`` of pre-training, and ``history``, a mapping an epoch.
    control : str
        The arm that is drawn first.
    """
    setting = report.values["main"].setting
    before = [job for job in jobs if job["kind"] == "pre-train"]
    trained = [job for job in jobs if job["kind"] == "train" and job["cell"] == setting]
    trained.sort(key=lambda job: job["arm"] != control)
    report.data["histories"] = [
        {"setting": job["cell"], "arm": job[name], "draw": job["draw"], "fold": job["fold"]}
        | {"rows": job["history"], "phase": phase}
        for phase, of, name in (("train", trained, "arm"), ("pretrain", before, "way"))
        for job in of
    ]

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


def _add_classes(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """Confusion matrix, recall of each class, and the table behind them."""
    classes = content.predictions.classes
    rows = content.predictions.select(setting=main.setting)
    names = {content.control: main.a.name, content.treated: main.b.name}
    arms = {arm: rows.select(arm=arm) for arm in names}
    report.data["confusion"] = counts_of = {
        arm: confusion(one.target, one.predicted, len(classes)) for arm, one in arms.items()
    }
    report.values["arm_files"] = {file_name(arm): name for arm, name in names.items()}
    for arm, counts in counts_of.items():
        figure = confusion_matrix(counts, classes, names[arm])
        report.figure(f"confusion-{file_name(arm)}", figure)
    recalls = {name: _recall(arms[arm], classes) for arm, name in names.items()}
    report.figure("class-recall", class_recall(recalls, classes))
    _add_confused(report, classes, counts_of[content.treated])
    treated = arms[content.treated]
    b = per_class(treated.target, treated.predicted, len(classes))
    columns = {f"recall, {name}": values for name, values in recalls.items()}
    columns |= {f"precision, {main.b.name}": b.precision, f"F1, {main.b.name}": b.f1}
    table = [
        {"class": spaced(name), "clips": int(b.n_clips[i]) // len(main.draws)}
        | {column: float(values[i]) for column, values in columns.items()}
        for i, name in enumerate(classes)
    ]
    _table(report, "classes", table, percent=list(columns))


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


def _add_categories(report: Report, content: ExperimentContent, main: Comparison) -> None:
    """How often the group of classes is right, from the same predictions."""
    classes, given = content.predictions.classes, content.categories
    if not given:
        return
    names = list(dict.fromkeys(given[name] for name in classes))
    group_of = np.array([names.index(given[name]) for name in classes])
    several = len(content.series) > 1
    competitors = [
        (f"{one.name}, {budget}" if several else one.name, _rows_of(content, one))
        for _, budget, series in _budgets(content)
        for one in series
    ] or [
        (arm, content.predictions.select(setting=main.setting, arm=arm))
        for arm in (content.control, content.treated)
    ]
    rows = []
    for label, one in competitors:
        right = float(one.correct.mean())
        group_right = float((group_of[one.predicted] == group_of[one.target]).mean())
        inside = right / group_right if group_right else None
        shares = {"class right": right, "group right": group_right}
        rows.append({"classifier": label, **shares, "class right where the group is": inside})
    _table(report, "group-accuracy", rows, percent=list(rows[0])[1:])
    treated = content.predictions.select(setting=main.setting, arm=content.treated)
    counts = confusion(group_of[treated.target], group_of[treated.predicted], len(names))
    report.figure("confusion-groups", confusion_matrix(counts, names, main.b.name))
    groups = [
        {
            "group": name,
            "classes": ", ".join(spaced(one) for one in classes if given[one] == name),
            "clips": int(counts[i].sum()) // len(main.draws),
            "group right": float(counts[i, i] / max(counts[i].sum(), 1)),
        }
        for i, name in enumerate(names)
    ]
    _table(report, "groups", groups, percent=["group right"])


def add_separability(
    report: Report, content: ExperimentContent, measured: Separability, inputs: str
) -> None:
    """Add how far apart the classes lie in the inputs of a classifier, and what it confuses."""
    main, classes = report.values["main"], content.predictions.classes
    rows = content.predictions.select(setting=main.setting, arm=content.treated)
    counts = confusion(rows.target, rows.predicted, len(classes))
    np.fill_diagonal(counts, 0)
    purity, recall = measured.purity, f"recall, {main.b.name}"
    recalls = _recall(rows, classes)
    table = [
        {
            "class": spaced(classes[i]),
            "silhouette": float(measured.silhouette[i]),
            "neighbours of its class": float(purity[i]),
            "closest class": spaced(classes[n]) if (n := measured.nearest[i]) >= 0 else "",
            recall: float(recalls[i]),
            "confused with": spaced(classes[int(counts[i].argmax())]) if counts[i].any() else "",
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
    """Add the command, the versions, the options, what makes each setting and the time it took."""
    report.data |= {"provenance": provenance, "options": options}
    known = dict(provenance)
    report.values |= {
        "command": str(known.pop("command", "")),
        "provenance": {name: _flat_text(value) for name, value in known.items()},
        "options": dict(_flat(options)),
    }
    factors = list(dict.fromkeys(name for row in settings.values() for name in row))
    rows = [
        {"setting": name, **{factor: row.get(factor) for factor in factors}}
        for name, row in settings.items()
        if factors
    ]
    _table(report, "setting-values", rows)
    report.table("timing", ["what", "time", "note"], timing, formats={"time": duration_text})


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
