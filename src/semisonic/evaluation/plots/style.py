"""One look for all figures: fonts, colours, sizes. Safe for colour-blind eyes and for print."""

from __future__ import annotations

import functools
import logging
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import FuncFormatter

P = ParamSpec("P")
R = TypeVar("R")

INK = "#1f2a33"
MUTED = "#66737f"
LINE = "#c9d1d8"
GRID = "#e9edf0"
PAPER = "#ffffff"

CONTROL = "#c7792b"
TREATED = "#1d5f8a"
ARM_COLOURS = (CONTROL, TREATED)
ARM_MARKERS = ("s", "o")
OPEN = "#8a96a1"
"""For an outcome that is not shown."""

CLASS_COLOURS = (
    "#2f6f9f",
    "#d08a3e",
    "#3f8f6b",
    "#b1485c",
    "#7d62a8",
    "#8a6d4b",
    "#3aa3b5",
    "#a8a03a",
    "#c77fb0",
    "#59656f",
)
CLASS_MARKERS = ("o", "s", "^", "D", "v")

SEQUENTIAL = LinearSegmentedColormap.from_list(
    "semisonic-sequential", ["#f8fafb", "#d3e3ee", "#94bdd8", "#4f8fb9", "#1d5f8a", "#0d3553"]
)
SOUND = LinearSegmentedColormap.from_list(
    "semisonic-sound", ["#0c1826", "#123a56", "#1d6a86", "#4aa19f", "#a9d1ab", "#fbf3cf"]
)
DASHED = (0, (4, 3))

DIVERGING = LinearSegmentedColormap.from_list(
    "semisonic-diverging", ["#8f4d12", CONTROL, "#e9c79f", "#f7f7f5", "#9fc3da", TREATED, "#0d3553"]
)

_FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
_FIXED = {
    "figure.facecolor": PAPER,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "savefig.facecolor": PAPER,
    "font.size": 10,
    "text.color": INK,
    "axes.facecolor": PAPER,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "image.interpolation": "nearest",
    "svg.fonttype": "none",
}


@functools.cache
def _settings() -> Any:
    known = set(fontManager.get_font_names())
    fonts = [name for name in _FONTS if name in known]
    return {**_FIXED, "font.family": fonts or ["sans-serif"]}


def look() -> AbstractContextManager[None]:
    """The settings of this file, for the time of a ``with`` block."""
    return mpl.rc_context(_settings())


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw with the settings of this file, whatever the caller has set."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with look():
            result = draw(*args, **kwargs)
            if isinstance(result, Figure):
                _make_ticks(result)
            return result

    return inside


def _make_ticks(figure: Figure) -> None:
    """Make the ticks now: left to the drawing, they would take the caller's settings."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_ticks()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, laid out by itself; no window, no global state."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    return Figure(figsize=(width, height), layout="constrained")


def percent_axis(axis: Any) -> None:
    """Label an axis that runs from 0 to 1 in per cent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def points_axis(axis: Any) -> None:
    """Label an axis of differences of shares in percentage points."""

    def label(value: float, _: Any) -> str:
        text = f"{abs(100 * value):.3g}"
        return "0" if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"

    axis.set_major_formatter(FuncFormatter(label))


def bare(axes: Axes) -> None:
    """Take ticks and frame away, for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def in_lines(name: str, width: int = 30) -> str:
    """A long name on two lines, cut where these do not hold it."""
    plain = name.replace("_", " ")
    return "\n".join(textwrap.wrap(plain, width, max_lines=2, placeholder="…"))


def short(names: Sequence[str], length: int = 18) -> list[str]:
    """Class names for tick labels: underscores become spaces, long ones are cut."""
    plain = [name.replace("_", " ") for name in names]
    return [name if len(name) <= length else name[: length - 1].rstrip() + "…" for name in plain]


def named_rows(axes: Axes, names: Sequence[str], **text: Any) -> None:
    """Give each row a name, the first at the top, without a line at the side."""
    axes.set_yticks(range(len(names)), names, **text)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def cell_grid(axes: Axes, n_rows: int, n_columns: int, linewidth: float = 1.5) -> None:
    """Part the cells of a matrix by thin gaps instead of a frame."""
    axes.tick_params(length=0, colors=INK)
    axes.set_xticks(np.arange(n_columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n_rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=linewidth)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


def colour_bar(figure: Figure, image: Any, axes: Any, label: str, **place: Any) -> None:
    """A plain colour bar beside the axes."""
    bar = figure.colorbar(image, ax=axes, **{"pad": 0.015, "aspect": 18, **place})
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label(label, fontsize=8.5)
