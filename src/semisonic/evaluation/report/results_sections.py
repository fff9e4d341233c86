"""The sections with the answer: settings, published results, folds and draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semisonic.core.text import p_text, p_value, percent_text, points_text
from semisonic.evaluation import published
from semisonic.evaluation.comparison import ArmAccuracy, Comparison, arm_accuracy
from semisonic.evaluation.plots.experiments import comparison_plot, fold_values
from semisonic.evaluation.published import STUDIES, same_data
from semisonic.evaluation.report.blocks import IntervalEstimate
from semisonic.evaluation.report.content import ExperimentContent
from semisonic.evaluation.report.page import Number, Page
from semisonic.evaluation.significance import holm

# The sections with the answer: settings, published results, folds and draws.


def add_answer(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """The verdict and the key numbers."""
    sentence = main.verdict(content.subject)
    claim, stop, doubt = sentence.partition(". ")
    page.verdict(claim + ("." if stop else ""), doubt, main.outcome)
    n_folds = len({pair.fold for pair in main.folds})
    page.numbers(
        [
            Number(percent_text(main.a.mean), main.a.name, _ends(main.a), "control"),
            Number(percent_text(main.b.mean), main.b.name, _ends(main.b), "treated"),
            Number(
                f"{points_text(main.difference, signed=True)} points",
                "difference",
                f"McNemar {p_text(main.p_mcnemar)}, corrected t {p_text(main.p_folds)}",
            ),
            Number(
                f"{main.n_clips} clips",
                f"of {main.n_recordings} recordings",
                f"{n_folds} folds × {_draws(main)}, each clip scored once a draw",
            ),
        ]
    )


def add_settings(
    page: Page, content: ExperimentContent, comparisons: Sequence[Comparison], main: Comparison
) -> None:
    """A row a setting with both arms, and the figure of the differences."""
    page.section("Results")
    if known := published.listeners(content.data):
        page.text(known)
    corrected = dict(
        zip((c.setting for c in comparisons), holm([c.p for c in comparisons]), strict=True)
    )
    several = len(comparisons) > 1
    headers = ["setting", content.control, content.treated, "difference"]
    headers += ["McNemar p", "corrected t p", *(["p, Holm"] if several else []), "outcome"]
    rows: list[list[Any]] = []
    by_name = {c.setting: c for c in comparisons}
    styles: dict[int, str] = {}
    for name in content.predictions.settings:
        one = by_name.get(name)
        row: list[Any] = [name]
        if one is None:
            row += [*_lone(content, name), *[None] * (4 + several)]
        else:
            row += [
                _arm(one.a),
                _arm(one.b),
                IntervalEstimate(one.difference, *one.claimed_interval),
            ]
            row += [one.p_mcnemar, one.p_folds, *([corrected[name]] if several else [])]
            row.append(OUTCOMES[one.outcome])
        if name == main.setting and several:
            styles[len(rows)] = "strong"
        rows.append(row)
    page.table(
        headers,
        rows,
        name="settings",
        caption="Accuracy of both arms in each setting",
        note="Means over draws; below them the 95 % interval over recordings and draws. That of "
        "the difference reaches as far as the corrected t-test's, too, unless the outcome is of "
        "these clips. " + _explanation(several),
        formats={
            "difference": lambda v: points_text(v, signed=True),
            **dict.fromkeys(("McNemar p", "corrected t p", "p, Holm"), p_value),
        },
        styles=styles,
    )
    if several:
        page.figure(
            comparison_plot(comparisons),
            "What each setting gained. Thick: 95 % interval over recordings and draws. Thin: "
            "reaching as far as the corrected t-test allows for other training clips. A filled "
            "dot is shown against both, a coloured ring on these clips only, a grey ring is open. "
            "The p-value is the larger of the two tests'.",
            name="comparison",
            alt=f"Differences in accuracy of {len(comparisons)} settings with their intervals: "
            + "; ".join(
                f"{c.setting} {points_text(c.difference, signed=True)}" for c in comparisons
            ),
        )


def add_published(
    page: Page, content: ExperimentContent, comparisons: Sequence[Comparison], main: Comparison
) -> None:
    """The paper's two tables with ours beside, and what else is known of the data set."""
    page.section("Beside published results")
    _add_table_1(page, content, comparisons)
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
    protocol = protocol_of(main)
    for arm in (main.a, main.b):
        styles[len(table)] = "strong"
        table.append((f"ours, {arm.name}", _data(content), _arm(arm), protocol, main.setting))
    page.table(
        ["system", "data", "accuracy", "protocol", "note"],
        table,
        name="paper-table-2",
        caption="The paper's table 2 and other published accuracies, with ours",
        note="Only rows of the same data and protocol may be compared; other data is grey. "
        + " ".join(published.CAE_NOTES[2:]),
        formats={"accuracy": percent_text},
        styles=styles,
    )


def _add_table_1(page: Page, content: ExperimentContent, comparisons: Sequence[Comparison]) -> None:
    by_name = {c.setting: c for c in comparisons}
    ours = [by_name.get(content.paper_cells.get(c.batch_size, "")) for c in published.CAE_TABLE_1]
    headers = ["batch size", "paper, supervised", "paper, pre-trained"]
    caption = "The paper's table 1 (ESC-50)"
    rows: list[list[Any]] = [
        [one.batch_size, one.supervised, one.pretrained] for one in published.CAE_TABLE_1
    ]
    if any(ours):
        headers += [f"ours, {content.control}", f"ours, {content.treated}"]
        caption += f", ours on {_data(content)} beside it"
        for row, mine in zip(rows, ours, strict=True):
            row += [_arm(mine.a), _arm(mine.b)] if mine else [None, None]
    page.table(
        headers,
        rows,
        name="paper-table-1",
        caption=caption,
        note="Paper: " + published.SOURCES["CAE"] + ". " + " ".join(published.CAE_NOTES[:2]),
        formats=dict.fromkeys(headers[1:3], percent_text),
    )


def add_folds(page: Page, content: ExperimentContent, main: Comparison) -> None:
    """Every fold and draw of the main setting."""
    page.section("Fold by fold")
    page.text(
        f"Setting {main.setting}. Each line joins the two arms in one fold of one draw: same "
        "clips, same split, same labels, same seed."
    )
    page.figure(
        fold_values(main),
        "Accuracy by test fold, one dot per draw; bars are means.",
        name="folds",
        alt="Accuracy of both arms by fold; means "
        f"{percent_text(main.a.mean)} and {percent_text(main.b.mean)}",
    )
    numbers = sorted({pair.fold for pair in main.folds})
    by_fold = [[pair for pair in main.folds if pair.fold == number] for number in numbers]
    page.table(
        ["fold", "clips", main.a.name, main.b.name, "difference", "gained in"],
        [
            [
                number,
                pairs[0].n_clips,
                float(np.mean([pair.accuracy_a for pair in pairs])),
                float(np.mean([pair.accuracy_b for pair in pairs])),
                float(np.mean([pair.difference for pair in pairs])),
                f"{sum(pair.difference > 0 for pair in pairs)} of {len(pairs)}",
            ]
            for number, pairs in zip(numbers, by_fold, strict=True)
        ],
        name="fold-means",
        caption="By fold, mean over draws",
        formats={
            main.a.name: percent_text,
            main.b.name: percent_text,
            "difference": lambda v: points_text(v, signed=True),
        },
    )
    gained = sum(pair.difference > 0 for pair in main.folds)
    lost = sum(pair.difference < 0 for pair in main.folds)
    page.table(
        ["draw", "seed", "fold", "clips", main.a.name, main.b.name, "difference"],
        [
            [f.draw, f.seed, f.fold, f.n_clips, f.accuracy_a, f.accuracy_b, f.difference]
            for f in main.folds
        ],
        name="folds",
        caption=f"Every fold and draw: {gained} gained, {lost} lost, "
        f"{len(main.folds) - gained - lost} equal",
        formats={
            main.a.name: percent_text,
            main.b.name: percent_text,
            "difference": lambda v: points_text(v, signed=True),
        },
        folded=True,
    )
    page.table(
        [
            "draw",
            "seed",
            main.a.name,
            main.b.name,
            f"only {main.a.name} right",
            f"only {main.b.name} right",
            "McNemar p",
        ],
        [
            [
                d.draw,
                d.seed,
                d.accuracy_a,
                d.accuracy_b,
                d.mcnemar.n_only_a,
                d.mcnemar.n_only_b,
                d.mcnemar.p,
            ]
            for d in main.draws
        ],
        name="draws",
        caption="Every draw over all clips, with McNemar's exact test",
        note=f"Pooled over recordings and draws: {p_text(main.p_mcnemar)}. Paired bootstrap: "
        f"{p_text(main.p_bootstrap)}. Corrected resampled t-test: {p_text(main.p_folds)}.",
        formats={main.a.name: percent_text, main.b.name: percent_text, "McNemar p": p_value},
    )


OUTCOMES = {
    "better": "better",
    "worse": "worse",
    "better here": "better on these clips",
    "worse here": "worse on these clips",
    "open": "may be chance",
}


def _data(content: ExperimentContent) -> str:
    return content.data or "our data"


def protocol_of(main: Comparison) -> str:
    """How many folds and draws a comparison has, in words."""
    n_folds = len({pair.fold for pair in main.folds})
    return f"{n_folds} {'fold' if n_folds == 1 else 'folds'}, {_draws(main)}"


def _draws(main: Comparison) -> str:
    return "1 draw" if len(main.draws) == 1 else f"{len(main.draws)} draws"


def _ends(arm: ArmAccuracy) -> str:
    return f"95 % interval {points_text(arm.interval.low)} to {points_text(arm.interval.high)}"


def _arm(arm: ArmAccuracy) -> IntervalEstimate:
    return IntervalEstimate(arm.mean, *arm.interval)


def _lone(content: ExperimentContent, setting: str) -> list[IntervalEstimate | None]:
    rows = content.predictions.select(setting=setting)
    return [
        _arm(arm_accuracy(rows.select(arm=arm))) if arm in rows.arms else None
        for arm in (content.control, content.treated)
    ]


def _explanation(several: bool) -> str:
    text = (
        "McNemar: exact, pooled over recordings and draws; asks about other test clips. "
        "Corrected t: Nadeau and Bengio's, over folds and draws; asks about other training clips."
    )
    if several:
        text += " Holm: the larger of the two, corrected for asking in several settings."
    return text


# The section that holds settings against each other.


def add_setting_pairs(page: Page, content: ExperimentContent) -> None:
    """A row a pair of settings: both accuracies, their difference, and whether it is shown."""
    pairs = content.setting_pairs
    if not pairs:
        return
    page.section("Setting against setting")
    corrected = holm([one.p for one in pairs])
    page.table(
        ["what is asked", "first", "second", "difference", "p", "p, Holm", "outcome"],
        [
            (
                one.setting,
                IntervalEstimate(one.a.mean, *one.a.interval),
                IntervalEstimate(one.b.mean, *one.b.interval),
                IntervalEstimate(one.difference, *one.claimed_interval),
                one.p,
                p,
                OUTCOMES[one.outcome],
            )
            for one, p in zip(pairs, corrected, strict=True)
        ],
        name="setting-pairs",
        caption="Settings on the same test clips",
        note="First is what stands behind 'against'. p: the larger of McNemar's exact test and "
        "the corrected resampled t-test. Holm: corrected for asking of several pairs.",
        formats={
            "difference": lambda v: points_text(v, signed=True),
            **dict.fromkeys(("p", "p, Holm"), p_value),
        },
    )
    page.figure(
        comparison_plot(pairs),
        "By how much the setting named first is better than the one it stands against.",
        name="setting-pairs",
        alt="; ".join(f"{one.setting} {points_text(one.difference, signed=True)}" for one in pairs),
    )


# The section that puts a published study beside what was measured here.


def add_study(
    page: Page, study: str, data: str, ours: Sequence[tuple[str, IntervalEstimate]], protocol: str
) -> None:
    """A table of the study's values, then ours, and the differences of protocol in words.

    Parameters
    ----------
    study : str
        A key of :data:`semisonic.evaluation.published.STUDIES`; nothing is added for "".
    data : str
        The data set that was measured on; rows of other data are grey.
    ours : sequence of (what, value)
    protocol : str
        How ours were measured, in a few words.
    """
    if not study:
        return
    found = STUDIES[study]
    page.section("Beside what was published")
    page.text(f"{found.source}.")
    rows: list[tuple[Any, ...]] = [
        (row.system, row.data, row.accuracy, row.protocol, row.note) for row in found.rows
    ]
    styles = {i: "soft" for i, row in enumerate(found.rows) if not same_data(row.data, data)}
    for name, value in ours:
        styles[len(rows)] = "strong"
        rows.append((f"ours: {name}", data, value, protocol, ""))
    page.table(
        ["system", "data", found.measure, "protocol", "note"],
        rows,
        name="published-study",
        caption="What they found, and what we find",
        note="Rows on other data are grey: they cannot be compared. " + " ".join(found.notes),
        formats={found.measure: percent_text},
        styles=styles,
    )
