"""The style of all figures: colours, sizes, axes; suitable for colour-blind readers and print."""

from __future__ import annotations

import functools
import logging
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from semisonic.audio.spectrogram import COLOURS

P = ParamSpec("P")

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
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "semisonic-sequential", ["#f8fafb", "#d3e3ee", "#94bdd8", "#4f8fb9", "#1d5f8a", "#0d3553"]
)
SOUND = LinearSegmentedColormap.from_list("semisonic-sound", COLOURS)
DASHED = (0, (4, 3))
_OF_WINDOWS = {"backend", "backend_fallback", "interactive", "toolbar"}
_FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")


@functools.cache
def _settings() -> Any:
    found = mpl.rc_params_from_file(
        str(files(__package__) / "semisonic.mplstyle"), use_default_template=False
    )
    fonts = [name for name in _FONTS if name in set(fontManager.get_font_names())]
    usual = {name: value for name, value in mpl.rcParamsDefault.items() if name not in _OF_WINDOWS}
    return {**usual, **found, "font.family": fonts or ["sans-serif"]}


def look() -> AbstractContextManager[None]:
    """The settings of ``semisonic.mplstyle``, for the time of a ``with`` block.

    Others are as matplotlib comes: a ``matplotlibrc`` that draws all texts with LaTeX is meant for
    the figures of its owner.
    """
    return mpl.rc_context(_settings())


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the look of this package, whatever the caller has set."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with look():
            figure = draw(*args, **kwargs)
            for axes in figure.axes:  # ticks made by the drawing would take the caller's settings
                axes.xaxis.get_major_ticks()
                axes.yaxis.get_major_ticks()
            return figure

    return inside


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, drawn into memory; no window, no global state."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def percent_axis(axis: Any) -> None:
    """Label an axis that runs from 0 to 1 in per cent."""
    axis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")


def bare(axes: Axes) -> None:
    """Take ticks and frame away, for pictures."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def in_lines(name: str, width: int = 30) -> str:
    """A long name on two lines, cut if it is longer."""
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


def colour_bar(figure: Figure, image: Any, axes: Any, label: str, **place: Any) -> None:
    """A plain colour bar beside the axes."""
    bar = figure.colorbar(image, ax=axes, **{"pad": 0.015, "aspect": 18, **place})
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label(label, fontsize=8.5)
