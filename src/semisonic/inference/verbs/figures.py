"""Figures that the verbs put into their run folders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from semisonic.base.files import replacing
from semisonic.evaluation.plots import training_curves
from semisonic.evaluation.report.media import figure_png

_MEASURES = ("accuracy", "lwlrap", "loss")


def write_curves(folder: Path, history: Sequence[Mapping[str, float]], title: str) -> Path | None:
    """Draw loss and, where there is one, accuracy over epochs: ``curves.png`` in the folder.

    The first of accuracy, lwlrap and loss that the history holds is drawn, for training and
    validation where both have it.
    """
    for measure in _MEASURES:
        names = {"training": measure, "validation": f"val_{measure}"}
        curves = {
            name: [[row[column] for row in history]]
            for name, column in names.items()
            if history and all(math.isfinite(row.get(column, math.nan)) for row in history)
        }
        if curves:
            break
    else:
        return None
    figure = training_curves(curves, measure=measure, is_share=measure != "loss", title=title)
    with replacing(folder / "curves.png") as part:
        part.write_bytes(figure_png(figure).png)
    return folder / "curves.png"
