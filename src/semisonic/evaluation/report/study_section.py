"""The section that puts a published study beside what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from semisonic.base.wording import percent
from semisonic.evaluation.published import same_data
from semisonic.evaluation.published_studies import STUDIES
from semisonic.evaluation.report.markup import Measured
from semisonic.evaluation.report.page import Page


def add_study(
    page: Page, study: str, data: str, ours: Sequence[tuple[str, Measured]], protocol: str
) -> None:
    """A table of the study's values, then ours, and the differences of protocol in words.

    Parameters
    ----------
    study : str
        A key of :data:`semisonic.evaluation.published_studies.STUDIES`; nothing is added for "".
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
        formats={found.measure: percent},
        styles=styles,
    )
