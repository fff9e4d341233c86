"""The section of generated patches: look at them beside clips, and listen."""

from __future__ import annotations

from semisonic.evaluation import plots
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.content import ExperimentContent
from semisonic.evaluation.report.detail_sections import spaced
from semisonic.evaluation.report.page import Page


def add_generated(page: Page, content: ExperimentContent) -> None:
    """What the generators made, where there were any."""
    seen = content.generated
    if seen is None:
        return
    page.section("What the generators made")
    page.figure(
        plots.patches(seen.rows, [spaced(name) for name in seen.names], unit="dB"),
        "Labelled training clips, and patches made after them: a column per class, one colour "
        "scale, low frequencies at the bottom. First fold and draw.",
        name="generated",
        alt="Spectrograms of training clips above generated ones, by " + ", ".join(seen.rows),
    )
    if seen.sounds:
        page.text(
            "All of these are made of spectrograms, the clips as well, so that they can be told "
            "by what was generated alone: the bands are few and the phases are found anew, which "
            "roughens every sound."
        )
        page.players(
            Player(one.samples, one.sample_rate, spaced(one.what), one.how) for one in seen.sounds
        )
