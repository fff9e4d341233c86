"""The section of an evaluation page that tells how good a model is on each part of the clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semisonic.evaluation.report.markup import Measured
from semisonic.evaluation.report.page import Page
from semisonic.inference.by_part import Part

MOST_PARTS = 60
"""Rows of a table on the page; parts.csv has all."""

CELLS = ("by", "part", "clips", "recordings", "value", "low", "high")


def add_parts(page: Page, parts: Mapping[str, Sequence[Part]], measure: str) -> None:
    """A table a way of parting, the worst part first."""
    if not parts:
        return
    page.section("Part by part")
    for by, found in parts.items():
        worst = sorted(found, key=lambda part: part.value)
        page.table(
            [by, "clips", "recordings", measure],
            [
                (part.name, part.n_clips, part.n_recordings, Measured(part.value, *part.interval))
                for part in worst[:MOST_PARTS]
            ],
            name=f"by-{by}",
            caption=f"By {by}, the worst first",
            note="Below each value its interval over recordings; where all clips of a part agree, "
            "Wilson's."
            + (f" The worst {MOST_PARTS} of {len(worst)}." if len(worst) > MOST_PARTS else ""),
        )


def rows_of(parts: Mapping[str, Sequence[Part]]) -> list[list[str]]:
    """The parts as rows of a table with :data:`CELLS`."""
    return [
        [by, p.name, str(p.n_clips), str(p.n_recordings),
         *(f"{value:.5f}" for value in (p.value, *p.interval))]
        for by, found in parts.items()
        for p in found
    ]  # fmt: skip
