"""The base of results, and the HTML that shows them and other objects in a notebook.

Text, lines and backgrounds use the colours of the notebook, so they can be read on light and dark
pages. Nothing is loaded from elsewhere. All text is escaped.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from semisonic.core.text import MISSING, count_text

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 8
"""Number of table rows shown; the rest are counted."""
FIGURE_DPI = 120
"""Resolution of figures; a notebook keeps all of them."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_TEXT = 160  # letters of a cell
_LINE = "rgba(128,128,128,.35)"
_CARD = Markup(
    f'<div style="border:1px solid {_LINE};border-radius:6px;padding:10px 14px;margin:4px 0;'
    'max-width:960px;line-height:1.4">'
    '<div style="font-weight:600;margin-bottom:4px">{}</div>{}</div>'
)
_TABLE = Markup(
    '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:6px 0">'
    "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}"
)
_CELL = Markup(
    f'<{{0}} style="padding:3px 10px;text-align:{{1}};border-bottom:1px solid {_LINE}">'
    "{2}</{0}>"
)
_FACTS = Markup(
    '<div style="display:grid;grid-template-columns:max-content auto;gap:2px 14px;margin:4px 0">'
    "{}</div>"
)
_FACT = Markup('<div style="opacity:.7">{}</div><div style="overflow-wrap:anywhere">{}</div>')
_NOTE = Markup('<div style="opacity:.7;margin:2px 0;overflow-wrap:anywhere">{}</div>')
_IMAGE = Markup(
    '<img src="{}" alt="{}" width="{}" style="max-width:100%;height:auto;background:white;'
    'border-radius:4px;margin:4px 0">'
)


class EncodedImage(NamedTuple):
    """A PNG at twice the size at which it is shown (``width`` × ``height`` CSS pixels)."""

    png: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return data_uri(self.png, "image/png")


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as a data URI."""
    return f"data:{media_type};base64,{b64encode(content).decode('ascii')}"


def printable(text: str) -> str:
    """Text without the control characters that HTML may not hold.

    Examples
    --------
    >>> printable("owl\\x00.wav")
    'owl.wav'
    """
    return _CONTROL.sub("", text)


def fill(template: Markup, *values: Any) -> Markup:
    """Fill a template as ``str.format`` does; everything but Markup is escaped."""
    return template.format(
        *(v if isinstance(v, Markup) or not isinstance(v, str) else printable(v) for v in values)
    )


def card(title: str, *parts: Markup) -> Markup:
    """A frame with a title and parts below each other."""
    return fill(_CARD, title, Markup().join(parts))


def note(text: str) -> Markup:
    """A line in a lighter colour."""
    return fill(_NOTE, text)


def lines(text: str) -> Markup:
    """Text with its line breaks, in a fixed-width font."""
    return fill(Markup('<pre style="overflow-x:auto;margin:4px 0">{}</pre>'), text)


def facts(values: Mapping[str, Any]) -> Markup:
    """Names and values below each other; empty values are left out.

    Parameters
    ----------
    values : mapping of str to Any
    """
    shown = {name: cell_text(value) for name, value in values.items()}
    pairs = (fill(_FACT, name, text) for name, text in shown.items() if text)
    return fill(_FACTS, Markup().join(pairs))


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], n_rows: int | None = None
) -> Markup:
    """A table of the rows given; numbers are right-aligned.

    Parameters
    ----------
    headers : sequence of str
    rows : iterable of sequences
        As many values per row as there are headers.
    n_rows : int, optional
        Total number of rows, if not all are given.
    """
    content = list(rows)
    sides = [
        "right" if content and all(_is_number(row[i]) for row in content) else "left"
        for i in range(len(headers))
    ]
    head = [fill(_CELL, "th", *pair) for pair in zip(sides, headers, strict=True)]
    body = [
        [fill(_CELL, "td", side, cell_text(value)) for side, value in zip(sides, row, strict=True)]
        for row in content
    ]
    n_more = 0 if n_rows is None else n_rows - len(content)
    more = note(f"... and {count_text(n_more, 'more row')}") if n_more > 0 else Markup()
    made = (Markup("<tr>{}</tr>").format(Markup().join(row)) for row in body)
    return fill(_TABLE, Markup().join(head), Markup().join(made), more)


def frame_table(frame: pd.DataFrame, n_rows: int | None = None, most: int = MOST_ROWS) -> Markup:
    """The first rows of a data frame; underscores in its columns become spaces.

    Parameters
    ----------
    frame : DataFrame
    n_rows : int, optional
        Total number of rows, if the frame does not contain all.
    most : int
        Number of rows shown.
    """
    rows = frame.head(most).astype(object).to_numpy().tolist()
    headers = [str(name).replace("_", " ") for name in frame]
    return table(headers, rows, len(frame) if n_rows is None else n_rows)


def problems(failures: Sequence[tuple[str, str]], most: int = 3) -> Markup:
    """What could not be read, and why: the first few, and the total number."""
    if not failures:
        return Markup()
    named = "; ".join(f"{name}: {reason}" for name, reason in failures[:most])
    more = "; ..." if len(failures) > most else ""
    return note(f"{len(failures)} could not be read: {named}{more}")


def picture(image: EncodedImage, alt: str) -> Markup:
    """A picture on white, never wider than the page."""
    return fill(_IMAGE, image.uri, alt, image.width)


def cell_text(value: Any) -> str:
    """A value as text; numbers are rounded, long text is cut.

    Examples
    --------
    >>> cell_text(0.12345), cell_text(1200.0), cell_text(float("nan")), cell_text(True)
    ('0.123', '1200', '–', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return MISSING if math.isnan(value) else str(value)
        small = 0 < abs(value) < 0.001
        return f"{value:.2g}" if small else f"{value:.3f}".rstrip("0").rstrip(".")
    if value is None or str(value) == "<NA>":
        return MISSING
    text = str(value)
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


class Result:
    """Base of the results of verbs, which are frozen dataclasses."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            # In the class itself, so that a dataclass does not make one that prints every array.
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def _repr_html_(self) -> str:
        return card(type(self).__name__, *self._html_parts())

    def _html_parts(self) -> Iterable[Markup]:
        """The content in a notebook; by default the text for a terminal."""
        return [lines(self.summary())]

    def __repr__(self) -> str:
        first = self.summary().strip().splitlines()
        return f"<{type(self).__name__}: {first[0] if first else 'nothing'}>"

    def summary(self) -> str:
        """The main results as text for a terminal."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """The main table as a data frame."""
        raise NotImplementedError
