"""By hour of the day: when was recorded, day by day, and when events began, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.plots.style import LINE, SEQUENTIAL, new_figure, short, styled

MOST_ROWS = 92
"""Days that have a row each; more are put together."""

_N_LABELS = 16


@styled
def recording_hours(days: Sequence[date], hours: ArrayLike, title: str = "") -> Figure:
    """Days from top to bottom, hours of the day from left to right; the darker, the more.

    Days without a recording between the first and the last have an empty row, so that gaps are
    seen. Of more than 92 days, as many as needed share a row.

    Parameters
    ----------
    days : sequence of date
        In order, each once.
    hours : array of float, shape (day, 24)
        Hours of sound.
    """
    table = np.asarray(hours, np.float64)
    if table.shape != (len(days), 24) or not len(days):
        raise DataError(f"recording hours: {len(days)} days and a table of shape {table.shape}")
    first = days[0].toordinal()
    n_days = days[-1].toordinal() - first + 1
    step = -(-n_days // MOST_ROWS)
    n_rows = -(-n_days // step)
    rows = np.zeros((n_rows, 24))
    for day, row in zip(days, table, strict=True):
        rows[(day.toordinal() - first) // step] += row
    unit = "hours"
    if rows.max() < 1.0:
        rows, unit = 60 * rows, "minutes"
    shown = range(0, n_rows, max(1, -(-n_rows // _N_LABELS)))
    names = {row: date.fromordinal(first + row * step).isoformat() for row in shown}
    return _by_hour(
        rows, names, f"{unit} of sound" + (f" in {step} days" if step > 1 else ""), title
    )


@styled
def hour_counts(labels: Sequence[str], counts: ArrayLike, title: str = "") -> Figure:
    """Classes from top to bottom, hours of the day from left to right; the darker, the more.

    Parameters
    ----------
    labels : sequence of str
    counts : array, shape (label, 24)
        Events that began in each hour.
    """
    table = np.asarray(counts, np.float64)
    if table.shape != (len(labels), 24) or not len(labels):
        raise DataError(f"hour counts: {len(labels)} labels and a table of shape {table.shape}")
    return _by_hour(table, dict(enumerate(short(labels))), "events", title)


def _by_hour(rows: NDArray[np.float64], names: Mapping[int, str], what: str, title: str) -> Figure:
    """A field for each row and hour; ``names`` are those of some rows."""
    n_rows = len(rows)
    figure = new_figure(7.6, 1.3 + max(0.8, min(0.2 * n_rows, 9.0)))
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        np.arange(25), np.arange(n_rows + 1), np.ma.masked_equal(rows, 0.0), cmap=SEQUENTIAL,
        vmin=0.0, vmax=max(float(rows.max()), 1e-9), linewidth=0.4 if n_rows <= 40 else 0.0,
        edgecolor=LINE,
    )  # fmt: skip
    axes.set_ylim(n_rows, 0)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3), [f"{hour}" for hour in range(0, 25, 3)])
    axes.set_yticks([row + 0.5 for row in names], list(names.values()))
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("hour of the day")
    axes.set_title(title)
    bar = figure.colorbar(image, ax=axes, pad=0.015, aspect=18)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label(what, fontsize=8.5)
    return figure
