"""When each sound was heard in a recording: a row per class, a bar per event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from semisonic.data.events import Events
from semisonic.evaluation.plots.style import CLASS_COLOURS, GRID, new_figure, short, styled

_LEAST_WIDTH = 1 / 500  # of the axis, so that a short event can be seen
_HOUR, _MOST_TICKS = 3600.0, 12
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    86400,
)


@styled
def timeline(events: Events, labels: Sequence[str], duration: float) -> Figure:
    """Events of one recording along its time; the surer, the darker.

    Parameters
    ----------
    events : Events
    labels : sequence of str
        A row each, from the top; events of other labels are left out.
    duration : float
        Of the recording, s.
    """
    rows = max(len(labels), 1)
    figure = new_figure(9.0, 0.75 + 0.3 * rows)
    axes = figure.add_subplot()
    least = _LEAST_WIDTH * duration
    for row, label in enumerate(labels):
        mine = events[events.label == label]
        width = np.maximum(mine.end_time - mine.start_time, least)
        surety = 0.35 + 0.65 * np.nan_to_num(mine.score, nan=1.0)
        axes.barh(
            np.full(len(mine), row), width, left=mine.start_time, height=0.72,
            color=[(CLASS_COLOURS[row % len(CLASS_COLOURS)], a) for a in surety],
        )  # fmt: skip
    axes.set_yticks(range(len(labels)), short(labels))
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, duration)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(np.arange(rows) + 0.5, 0, duration, color=GRID, linewidth=0.8, zorder=0)
    step = next((step for step in _STEPS if duration / step <= _MOST_TICKS), _STEPS[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
    axes.set_xlabel("time, h:min:s" if duration >= _HOUR else "time, min:s")
    return figure


def clock(seconds: float) -> str:
    """A time in a recording, as 1:02:03 or 2:03; with tenths where there are some."""
    tenths = round(10 * seconds)
    whole, tenth = divmod(tenths, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenth else text
