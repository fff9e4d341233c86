"""One self-contained page: tables, figures and sounds from Python, text from a template.

The page needs no other file and no network. Beside it are written each figure as PNG, each table
as CSV, and everything as ``report.json``, all from the same values. Templates are in
``templates/``: ``page.j2`` is the frame, ``parts.j2`` has the parts (section, table, figure,
players, notes, facts) that the template of a page calls by the names given here.
"""

from __future__ import annotations

import io
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from semisonic.audio.player import Player
from semisonic.core.errors import DataError
from semisonic.core.files import csv_line, json_ready, replacing, write_json, write_text
from semisonic.core.html import EncodedImage, printable
from semisonic.core.text import (
    MISSING,
    count_text,
    duration_text,
    p_text,
    p_value,
    percent_text,
    points_text,
)
from semisonic.evaluation.plots.style import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 2
"""Version of report.json."""

Format = Callable[[Any], str]

_STYLES = ("colours.css", "page.css", "narrow.css")
_POLICY = "default-src 'none'; img-src data:; media-src data:{media}; style-src 'unsafe-inline'"
_BRACKETS = re.compile(r"(\([^()]*\)\.?)")
_PIECE = re.compile(r"(<(pre|script|style)\b.*?</\2>|<[^>]*>)|[^<]+", re.DOTALL)
_NEGATIVE = re.compile(r"(?<![\w\-.])-(?=\d)")
_UNIT = re.compile(r"(?<=\d)\s(?=(?:%|points|s|min|h|Hz|dB|kB|MB)(?![\w]))")
_P_VALUE = re.compile(r"\bp\s(=|&lt;)\s(?=\d)")
_SHORT = 16
_LONGEST_WORD = 48  # letters of a name, such as a network's, that is not broken


class IntervalEstimate(NamedTuple):
    """A number with its interval; in a CSV file it takes three columns."""

    value: float
    low: float
    high: float


class Number(NamedTuple):
    """A key number: its text, its name, a line below, and ``control`` or ``treated``."""

    value: str
    label: str
    note: str = ""
    style: str = ""


class Verdict(NamedTuple):
    """The answer in one sentence, and what limits it.

    ``outcome`` is that of a :class:`~semisonic.evaluation.comparison.Comparison` and gives the
    colour.
    """

    claim: str
    caveat: str = ""
    outcome: str = "open"


def figure_png(figure: Figure, dpi: int = 200) -> EncodedImage:
    """Render a figure at 200 dots an inch, to be shown at 100; for notebooks at fewer."""
    stream = io.BytesIO()
    with look():
        figure.savefig(stream, format="png", dpi=dpi, facecolor="white")
    width, height = figure.get_size_inches()
    return EncodedImage(stream.getvalue(), round(100 * width), round(100 * height))


class ReportTable(NamedTuple):
    """Headers and rows of raw values; ``formats`` says by header how to show them."""

    headers: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    formats: Mapping[str, Format]
    styles: Mapping[int, str]

    def columns(self) -> list[tuple[str, bool]]:
        """Each header, and whether its values are right-aligned; the first names the rows."""
        columns = zip(*self.rows, strict=True)
        return [
            (header, i > 0 and all(value is None or _is_number(value) for value in column))
            for i, (header, column) in enumerate(zip(self.headers, columns, strict=True))
        ]

    def lines(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """For each row its style and its cells, as the page shows them: see :func:`_cell`."""
        columns = self.columns()
        for number, row in enumerate(self.rows):
            cells = zip(row, columns, strict=True)
            yield (
                self.styles.get(number, ""),
                [_cell(value, self.formats.get(header), right) for value, (header, right) in cells],
            )

    def csv(self) -> str:
        """The raw values; a number with an interval as value, low end and high end."""
        names, columns = list[str](), list[Sequence[Any]]()
        for header, column in zip(self.headers, zip(*self.rows, strict=True), strict=True):
            if any(isinstance(value, IntervalEstimate) for value in column):
                names += [header, f"{header} low", f"{header} high"]
                wide = [x if isinstance(x, IntervalEstimate) else (x, None, None) for x in column]
                columns += zip(*wide, strict=True)
            else:
                names.append(header)
                columns.append(column)
        lines = [csv_line(names), *map(csv_line, zip(*columns, strict=True))]
        return "".join(lines).encode("utf-8", "replace").decode("utf-8")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, IntervalEstimate)) and not isinstance(value, bool)


class Report:
    """A report under construction.

    Parameters
    ----------
    template : str
        A file of ``templates/`` that writes the body.
    title : str
        The title: what was done, in one line.
    subtitle : str
        The data, in one line.
    **values
        The values that the template uses by name, besides ``report`` and the parts.

    Attributes
    ----------
    verdict : Verdict or None
        The answer, at the top.
    numbers : list of Number
        A compact row of key numbers below the verdict.
    warnings : list of str
        What the reader must know first.
    values : dict
        What the template reads.
    data : dict
        Plain values for report.json.
    styles, scripts, media : list of str
        Rules, programs and sources of sounds of a page that moves.

    Examples
    --------
    >>> report = Report("plain.j2", "Two numbers")
    >>> report.table("numbers", ["name", "value"], [["a", 1], ["b", -2]])
    >>> "<td class=\\"n\\">−2</td>" in report.html()
    True
    """

    def __init__(self, template: str, title: str, subtitle: str = "", **values: Any) -> None:
        self.template = template
        self.title = title
        self.subtitle = subtitle
        self.values = values
        self.verdict: Verdict | None = None
        self.numbers: list[Number] = []
        self.warnings: list[str] = []
        self.data: dict[str, Any] = {}
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.media: list[str] = []
        self.tables: dict[str, ReportTable] = {}
        self.figures: dict[str, EncodedImage] = {}
        self.sounds: dict[str, tuple[Player, ...]] = {}
        self._sections: dict[str, str] = {}
        self._shown: set[str] = set()

    def table(
        self,
        name: str,
        headers: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        formats: Mapping[str, Format] | None = None,
        styles: Mapping[int, str] | None = None,
    ) -> None:
        """Add a table of raw values, also written to ``tables/NAME.csv``; not one without rows.

        Parameters
        ----------
        name : str
            The name that the template uses.
        headers : sequence of str
        rows : iterable of sequences
            The first column names the rows.
        formats : mapping of str to callable
            By header, how a value is shown.
        styles : mapping of int to str
            By row number: ``strong`` or ``soft``.
        """
        content = list(map(tuple, rows))
        if content:
            self.tables[name] = ReportTable(tuple(headers), content, formats or {}, styles or {})

    def frame(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        formats: Mapping[str, Format] | None = None,
        styles: Mapping[int, str] | None = None,
    ) -> None:
        """Add a data frame, as :meth:`table` does; underscores in its columns become spaces."""
        headers = [spaced(str(column)) for column in frame]
        rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
        shown = {spaced(column): form for column, form in (formats or {}).items()}
        self.table(name, headers, rows, formats=shown, styles=styles)

    def figure(self, name: str, figure: Figure) -> None:
        """Add a figure, also written to ``figures/NAME.png``."""
        self.figures[name] = figure_png(figure)

    def players(self, name: str, players: Iterable[Player | None]) -> None:
        """Add sounds, each with a spectrogram and a player; None, an unreadable sound, is left
        out.
        """
        self.sounds[name] = tuple(one for one in players if one is not None)

    def anchor(self, title: str) -> str:
        """Add a section to the contents, and return the anchor of its link."""
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        places = (plain, *(f"{plain}-{number}" for number in range(2, len(self._sections) + 3)))
        anchor = next(place for place in places if place not in self._sections)
        self._sections[anchor] = title
        return anchor

    def shown(self, kind: str, name: str) -> Any:
        """The table, figure or sounds of a name for the page; None if there are none."""
        self._shown.add(f"{kind}/{name}")
        return getattr(self, kind).get(name)

    @property
    def sections(self) -> list[str]:
        """Titles of the sections, once the page was written."""
        return list(self._sections.values())

    def html(self) -> str:
        """The whole page as text."""
        self._sections.clear()
        self._shown.clear()
        environment = _environment()
        module = environment.get_template("parts.j2").make_module({"report": self})
        parts = {name: part for name, part in vars(module).items() if not name.startswith("_")}
        body = environment.get_template(self.template).render(
            {**parts, **self.values, "report": self}
        )
        given = {f"tables/{n}" for n in self.tables} | {f"figures/{n}" for n in self.figures}
        if forgotten := sorted(given - self._shown):  # a mistake of ours
            raise DataError(f"{self.template} does not show {', '.join(forgotten)}")
        css = "".join(_resource(name) for name in _STYLES) + "".join(dict.fromkeys(self.styles))
        scripts = list(dict.fromkeys(self.scripts))
        policy = _POLICY.format(media="".join(f" {text}" for text in dict.fromkeys(self.media)))
        if scripts:  # only the page's own, told by their hash
            digests = [b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
            policy += "; script-src " + " ".join(f"'sha256-{digest}'" for digest in digests)
        page = environment.get_template("page.j2").render(
            **parts,
            report=self,
            body=Markup(body),
            sections=self._sections,
            css=Markup(css),
            scripts=[Markup(text) for text in scripts],
            policy=policy,
        )
        return typeset(page)

    def to_dict(self) -> dict[str, Any]:
        """The whole report as the plain values of report.json."""
        whole = {
            "format": FORMAT,
            "title": self.title,
            "subtitle": self.subtitle,
            "verdict": self.verdict or Verdict("", "", ""),
            "numbers": self.numbers,
            "warnings": self.warnings,
            "tables": {
                name: {"headers": table.headers, "rows": table.rows}
                for name, table in self.tables.items()
            },
            "figures": [f"figures/{name}.png" for name in self.figures],
            "sounds": {
                name: [{"truth": p.truth, "said": p.said, "meta": p.meta} for p in cards]
                for name, cards in self.sounds.items()
            },
            "data": self.data,
        }
        result: dict[str, Any] = json_ready(whole)
        return result

    def write(self, folder: str | Path, name: str = "report", *, values: bool = True) -> Path:
        """Write NAME.html, figures/, tables/ and NAME.json.

        Parameters
        ----------
        folder : path
            Made if needed.
        name : str
        values : bool
            Whether to write NAME.json; not for pages whose values are written elsewhere.

        Returns
        -------
        Path
            The page.
        """
        root = Path(folder)
        page = self.html()
        for title, image in self.figures.items():
            with replacing(root / "figures" / f"{title}.png") as part:
                part.write_bytes(image.png)
        for title, table in self.tables.items():
            write_text(root / "tables" / f"{title}.csv", table.csv())
        if values:
            write_json(root / f"{name}.json", self.to_dict())
        write_text(root / f"{name}.html", page)
        return root / f"{name}.html"


def typeset(html: str) -> str:
    """Put real minus signs into the text between tags, and keep units beside their numbers.

    Examples
    --------
    >>> typeset("<p>-0.5</p><pre>-0.5</pre>")
    '<p>−0.5</p><pre>-0.5</pre>'
    """
    return _PIECE.sub(lambda piece: piece[0] if piece[1] else _typeset_text(piece[0]), html)


def spaced(name: str) -> str:
    """A class name with spaces for underscores."""
    return name.replace("_", " ")


def file_name(name: str) -> str:
    """A name as part of a file's: small letters, digits and hyphens."""
    text = "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
    return text.strip("-") or "arm"


def shown(value: Any, form: Format | None = None) -> str:
    """A raw value as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, IntervalEstimate):
        return (form or percent_text)(value.value)
    if form is not None:
        return form(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _cell(value: Any, form: Format | None, is_number: bool) -> tuple[str, str, str]:
    """The content of a cell: the text, the interval below it, and the style."""
    interval, look = "", "n" if is_number else ""
    if isinstance(value, IntervalEstimate) and math.isfinite(value.low):
        ends = ((form or percent_text)(end) for end in (value.low, value.high))
        interval = " to ".join(end.removesuffix("%").strip().removeprefix("+") for end in ends)
    if not is_number and isinstance(value, str) and value:
        is_word = " " not in value and len(value) <= _LONGEST_WORD
        look = "k" if len(value) <= _SHORT or is_word else ""
    return shown(value, form), interval, look


def _typeset_text(text: str) -> str:
    text = _P_VALUE.sub("p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", _NEGATIVE.sub("−", text))
    return _UNIT.sub("\N{NO-BREAK SPACE}", text)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("semisonic.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    made.filters |= {
        "counted": count_text,
        "duration": duration_text,
        "file_name": file_name,
        "lighter_brackets": lambda text: Markup(
            _BRACKETS.sub(r'<span class="fine">\1</span>', str(escape(_printable(text))))
        ),
        "p_text": p_text,
        "p_value": p_value,
        "percent": percent_text,
        "points": points_text,
        "shown": shown,
        "spaced": spaced,
    }
    return made


def _printable(value: Any) -> Any:
    """Text without the control characters that HTML may not hold."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
