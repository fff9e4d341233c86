"""The section that holds settings against each other."""

from __future__ import annotations

from semisonic.base.wording import p_value, points
from semisonic.evaluation import plots
from semisonic.evaluation.report.content import ExperimentContent
from semisonic.evaluation.report.markup import Measured
from semisonic.evaluation.report.page import Page
from semisonic.evaluation.report.results_sections import OUTCOMES
from semisonic.evaluation.significance import holm


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
                Measured(one.a.mean, *one.a.interval),
                Measured(one.b.mean, *one.b.interval),
                Measured(one.difference, *one.claimed_interval),
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
            "difference": lambda v: points(v, signed=True),
            **dict.fromkeys(("p", "p, Holm"), p_value),
        },
    )
    page.figure(
        plots.comparison(pairs),
        "By how much the setting named first is better than the one it stands against.",
        name="setting-pairs",
        alt="; ".join(f"{one.setting} {points(one.difference, signed=True)}" for one in pairs),
    )
