"""Whether probabilities mean what they say, as a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from semisonic.base.errors import DataError
from semisonic.evaluation.calibration import Reliability
from semisonic.evaluation.plots.style import (
    ARM_COLOURS,
    ARM_MARKERS,
    LINE,
    MUTED,
    PAPER,
    new_figure,
    percent_axis,
    styled,
)


@styled
def reliability_diagram(found: Mapping[str, Reliability], title: str = "") -> Figure:
    """How often clips are right, by how sure the model is, and below it how many clips those are.

    Paper: DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983.

    Parameters
    ----------
    found : mapping of str to Reliability
        One or two, such as before and after a calibration.
    """
    if not 1 <= len(found) <= 2:
        raise DataError(f"reliability diagram: found {len(found)} curves, expected 1 or 2")
    figure = new_figure(4.8, 5.0)
    axes, below = figure.subplots(2, sharex=True, height_ratios=(3.4, 1))
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "as right as sure", (0.1, 0.02), rotation=41, color=MUTED, fontsize=9,
        transform_rotates_text=True, rotation_mode="anchor",
    )  # fmt: skip
    colours = ARM_COLOURS if len(found) == 2 else ARM_COLOURS[1:]
    for number, (name, curve) in enumerate(found.items()):
        used = curve.n_clips > 0
        colour = colours[number]
        axes.plot(
            curve.confidence[used], curve.accuracy[used], color=colour, zorder=3 + number,
            marker=ARM_MARKERS[number], markersize=7, markeredgecolor=PAPER,
            label=f"{name}: {100 * curve.error:.1f} % apart",
        )  # fmt: skip
        n_bins, width = len(curve.n_clips), 0.86 / len(found)
        left = (np.arange(n_bins) + 0.07 + number * width) / n_bins
        below.bar(left, curve.n_clips, width / n_bins, align="edge", color=colour)
    axes.set_ylabel("right")
    axes.set_ylim(-0.03, 1.03)
    axes.set_aspect("auto")
    axes.grid(axis="both")
    below.set_xlim(-0.02, 1.02)
    below.set_ylabel("clips")
    below.set_xlabel("score")
    below.axhline(0, color=LINE, linewidth=0.8)
    percent_axis(axes.yaxis)
    percent_axis(below.xaxis)
    axes.set_title(title)
    figure.legend(loc="outside upper right", ncols=1, handletextpad=0.5)
    return figure
