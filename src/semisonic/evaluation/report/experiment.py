"""The report of an experiment: two arms in several settings, from the answer down to the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.text import duration_text, p_text, p_value, percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import (
    ArmAccuracy,
    Comparison,
    arm_accuracy,
    compare_settings,
)
from semisonic.evaluation.plots.experiments import (
    accuracy_by_fold,
    comparison_plot,
)
from semisonic.evaluation.plots.network import embedding_map, filters, patches
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.plots.training import training_curves
from semisonic.evaluation.report.class_sections import (
    add_categories,
    add_classes,
    add_competitors,
    add_competitors_by_class,
    add_hard_classes,
    arm_estimate,
    signed_points,
)
from semisonic.evaluation.report.content import ExperimentContent
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
_MOST_PLAIN_ROWS = 20_000


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
    add_competitors(report, content)
    _add_setting_pairs(report, content)
    add_study(report, content.study, content.data, _ours(content, comparisons), protocol_of(main))
    if content.with_published:
        _add_published(report, content, comparisons, main)
    _add_folds(report, main)
    _add_learning(report, content, main.setting)
    add_classes(report, content, main)
    add_competitors_by_class(report, content)
    add_categories(report, content, main)
    add_hard_classes(report, content, main)
    _add_network(report, content)
    _add_repeat(report, content)
    report.players("mistakes", content.mistakes)
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


def _add_answer(report: Report, content: ExperimentContent, main: Comparison) -> None:
    claim, stop, doubt = main.verdict(content.subject).partition(". ")
    report.verdict = Verdict(claim + ("." if stop else ""), doubt, main.outcome)
    n_folds = len({pair.fold for pair in main.folds})
    report.numbers = [
        Number(percent_text(main.a.mean), main.a.name, _ends(main.a), "control"),
        Number(percent_text(main.b.mean), main.b.name, _ends(main.b), "treated"),
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
        rows.append(
            [
                name,
                arm_estimate(one.a),
                arm_estimate(one.b),
                difference,
                *tests,
                OUTCOMES[one.outcome],
            ]
        )
    report.table(
        "settings",
        headers,
        rows,
        formats={
            "difference": signed_points,
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


def _add_setting_pairs(report: Report, content: ExperimentContent) -> None:
    """A row a pair of settings: both accuracies, their difference, and whether it is shown."""
    pairs = content.setting_pairs
    report.values["pair_differences"] = _differences(pairs)
    if not pairs:
        return
    rows = [
        (
            one.setting,
            arm_estimate(one.a),
            arm_estimate(one.b),
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
        formats={"difference": signed_points, "p": p_value, "p, Holm": p_value},
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
            row += [arm_estimate(mine.a), arm_estimate(mine.b)] if mine else [None, None]
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
        table.append(
            (f"ours, {arm.name}", data, arm_estimate(arm), protocol_of(main), main.setting)
        )
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
    accuracy = {a: percent_text, b: percent_text, "difference": signed_points}
    by_fold = [
        [pair for pair in main.folds if pair.fold == number]
        for number in sorted({pair.fold for pair in main.folds})
    ]
    means = {
        arm.name: {
            pairs[0].fold: float(np.mean([getattr(pair, f"accuracy_{side}") for pair in pairs]))
            for pairs in by_fold
        }
        for side, arm in (("a", main.a), ("b", main.b))
    }
    report.figure("folds", accuracy_by_fold(means))
    report.table(
        "fold-means",
        ["fold", "clips", a, b, "difference", "gained in"],
        [
            (
                pairs[0].fold,
                pairs[0].n_clips,
                means[a][pairs[0].fold],
                means[b][pairs[0].fold],
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


def _add_network(report: Report, content: ExperimentContent) -> None:
    """Reconstructions, filters, silent units, the map of embeddings, and generated patches."""
    seen = content.reconstructions
    if seen:
        rows = {"truth": seen.truth}
        for name, values in seen.decoders.items():
            rows[f"{name}\n{seen.errors[name]:.3g}" if name in seen.errors else name] = values
        report.figure("reconstructions", patches(rows, seen.names, unit=seen.unit))
    for arm, (points, targets) in content.embeddings.items():
        figure = embedding_map(points, targets, content.predictions.classes, arm)
        report.figure(f"embeddings-{file_name(arm)}", figure)
    for arm, weights in content.filters.items():
        report.figure(f"filters-{file_name(arm)}", filters(weights, arm))
    headers = ["setting", "layer", "units", "share never active"]
    formats = {"share never active": percent_text}
    report.table("dead-units", headers, content.dead_units, formats=formats)
    made = content.generated
    if made:
        report.figure(
            "generated", patches(made.rows, [spaced(name) for name in made.names], unit="dB")
        )
        report.players("generated", made.sounds)


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
        found[content.control if shared else f"{one.setting}, {content.control}"] = arm_estimate(
            one.a
        )
        found[one.setting if shared else f"{one.setting}, {content.treated}"] = arm_estimate(one.b)
    return list(found.items())


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
        arm_estimate(arm_accuracy(rows.select(arm=arm))) if arm in rows.arms else None
        for arm in (content.control, content.treated)
    ]


def _draws(main: Comparison) -> str:
    return "1 draw" if len(main.draws) == 1 else f"{len(main.draws)} draws"


def _ends(arm: ArmAccuracy) -> str:
    return f"95 % interval {points_text(arm.interval.low)} to {points_text(arm.interval.high)}"


def _differences(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(f"{one.setting} {signed_points(one.difference)}" for one in comparisons)


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
