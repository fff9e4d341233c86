"""One self-contained page: give it pieces from top to bottom, then write it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from semisonic.core.errors import DataError
from semisonic.core.files import replacing, write_json, write_text
from semisonic.evaluation.plain import plain
from semisonic.evaluation.report.blocks import (
    Facts,
    Format,
    Heading,
    Image,
    Notes,
    PageBlock,
    PageTable,
    Player,
    Players,
    Text,
    attributes,
    escape,
    figure_png,
    prose,
)

FORMAT = 1
"""Version of report.json."""

_STYLES = ("colours.css", "page.css", "narrow.css")
_BRACKETS = re.compile(r"(\([^()]*\)\.?)")
_POLICY = "default-src 'none'; img-src data:; media-src data:{media}; style-src 'unsafe-inline'"


class Number(NamedTuple):
    """A key number: its text, what it is, a line below, and ``control`` or ``treated``."""

    value: str
    label: str
    note: str = ""
    style: str = ""


class Page:
    """A report under construction.

    Parameters
    ----------
    title : str
        What was done, in a line.
    subtitle : str
        On what, and when.
    """

    def __init__(self, title: str, subtitle: str = "", footer: str = "") -> None:
        self.title, self.subtitle, self.footer = title, subtitle, footer
        self.data: dict[str, Any] = {}
        self._verdict: tuple[str, str, str] | None = None
        self._numbers: list[Number] = []
        self._lead: list[Text] = []
        self._blocks: list[PageBlock] = []
        self._names: set[tuple[str, str]] = set()

    def verdict(self, claim: str, doubt: str = "", outcome: str = "open") -> None:
        """The answer in one plain sentence, at the top; ``doubt`` is what stands against it.

        ``outcome`` is that of a ``Comparison`` and gives the colour.
        """
        self._verdict = (claim, doubt, outcome)

    def numbers(self, numbers: Iterable[Number]) -> None:
        """A compact row of key numbers below the verdict."""
        self._numbers = list(numbers)

    def warning(self, text: str) -> None:
        """Something the reader must know, in a box: at the top until a section has begun."""
        (self._blocks if self._blocks else self._lead).append(Text(text, "warning"))

    def section(self, title: str) -> None:
        """Begin a section; it appears in the list of contents."""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        number = sum(isinstance(b, Heading) and b.anchor.startswith(anchor) for b in self._blocks)
        self._blocks.append(Heading(title, f"{anchor}-{number + 1}" if number else anchor))

    def heading(self, title: str) -> None:
        """A heading inside a section."""
        self._blocks.append(Heading(title, "", level=3))

    def text(self, text: str) -> None:
        """A paragraph."""
        self._blocks.append(Text(text))

    def code(self, text: str) -> None:
        """A command or other text in which each character counts."""
        self._blocks.append(Text(text, "code"))

    def notes(self, items: Iterable[str]) -> None:
        """A list of sentences; nothing when there are none."""
        found = tuple(items)
        if found:
            self._blocks.append(Notes(found))

    def facts(self, values: Mapping[str, Any], summary: str = "") -> None:
        """Names and values; with a ``summary`` they are folded away."""
        if values:
            self._blocks.append(Facts(dict(values), summary))

    def table(
        self,
        headers: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        name: str,
        caption: str = "",
        note: str = "",
        formats: Mapping[str, Format] | None = None,
        styles: Mapping[int, str] | None = None,
        folded: bool = False,
    ) -> None:
        """A table of raw values, also written to ``tables/NAME.csv``.

        ``formats`` says by header how a value is shown; ``styles`` by row number:
        ``strong`` or ``soft``. A ``folded`` table is only its caption until it is opened.
        """
        content = tuple(tuple(row) for row in rows)
        self._blocks.append(
            PageTable(
                self._file_name("tables", name),
                tuple(headers),
                content,
                caption,
                note,
                formats or {},
                styles or {},
                folded,
            )
        )

    def figure(
        self, figure: Figure, caption: str, *, name: str, alt: str = "", wide: bool = True
    ) -> None:
        """A figure, also written to ``figures/NAME.png``; two narrow ones stand side by side."""
        picture = figure_png(figure)
        self._blocks.append(
            Image(self._file_name("figures", name), picture, caption, alt or caption, wide)
        )

    def players(self, players: Iterable[Player]) -> None:
        """Sounds with a spectrogram and a player each."""
        found = tuple(players)
        if found:
            self._blocks.append(Players(found))

    def block(self, block: PageBlock) -> None:
        """A piece of another kind."""
        self._blocks.append(block)

    def html(self) -> str:
        """The whole page as text."""
        css = "".join((files(__package__) / name).read_text(encoding="utf-8") for name in _STYLES)
        css += "".join(_each_once(block.style for block in self._blocks))
        scripts = _each_once(block.script for block in self._blocks)
        policy = escape(self._policy(scripts))
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}" />\n'
            '<meta name="generator" content="Semisonic" />\n'
            f"<title>{escape(self.title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
            '<a class="skip" href="#content">To the content</a>\n<div class="wrap">\n'
            f'{self._top()}\n<main id="content">\n{self._body()}\n</main>\n'
            f"<footer>{prose(self.footer or 'Made by Semisonic.')}</footer>\n"
            f"</div>\n{''.join(f'<script>{text}</script>' for text in scripts)}"
            "</body>\n</html>\n"
        )

    def plain(self) -> dict[str, Any]:
        """The whole page as plain values, as report.json holds them."""
        claim, doubt, outcome = self._verdict or ("", "", "")
        whole = {
            "format": FORMAT,
            "title": self.title,
            "subtitle": self.subtitle,
            "verdict": {"claim": claim, "doubt": doubt, "outcome": outcome},
            "numbers": [number._asdict() for number in self._numbers],
            "blocks": [block.plain() for block in (*self._lead, *self._blocks)],
            "data": self.data,
        }
        result: dict[str, Any] = plain(whole)
        return result

    def write(self, folder: str | Path, name: str = "report", *, values: bool = True) -> Path:
        """Write NAME.html, figures/, tables/ and NAME.json; return the page's path.

        Without ``values`` there is no NAME.json, for pages whose values are written elsewhere.
        """
        root = Path(folder)
        for block in self._blocks:
            if isinstance(block, Image):
                with replacing(root / "figures" / f"{block.name}.png") as part:
                    part.write_bytes(block.picture.png)
            elif isinstance(block, PageTable):
                write_text(root / "tables" / f"{block.name}.csv", block.csv())
        if values:
            write_json(root / f"{name}.json", self.plain())
        write_text(root / f"{name}.html", self.html())
        return root / f"{name}.html"

    def _file_name(self, folder: str, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.\-]+", name):
            raise DataError(f"report: '{name}' is no name for a file; use letters, digits and -")
        if (folder, name) in self._names:
            raise DataError(f"report: two of the {folder} have the name '{name}'")
        self._names.add((folder, name))
        return name

    def _policy(self, scripts: Sequence[str]) -> str:
        """What the browser may load and run: the page's own scripts, told by their hash."""
        media = "".join(f" {text}" for text in _each_once(b.media for b in self._blocks))
        policy = _POLICY.format(media=media)
        if scripts:
            digests = [b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
            policy += "; script-src " + " ".join(f"'sha256-{digest}'" for digest in digests)
        return policy

    def _top(self) -> str:
        parts = [f'<header>\n<p class="kicker">Semisonic report</p>\n<h1>{prose(self.title)}</h1>']
        if self.subtitle:
            parts.append(f'<p class="subtitle">{prose(self.subtitle)}</p>')
        if self._verdict:
            claim, doubt, outcome = self._verdict
            style = f"verdict {outcome.replace(' ', '-')}"
            lighter = _BRACKETS.sub(r'<span class="fine">\1</span>', prose(claim))
            extra = f'<p class="doubt">{prose(doubt)}</p>' if doubt else ""
            parts.append(
                f'<div class="{escape(style)}"><p class="claim">{lighter}</p>{extra}</div>'
            )
        if self._numbers:
            cells = "".join(
                f"<div{attributes(class_=n.style or None)}><dt>{prose(n.label)}</dt>"
                f'<dd class="value">{prose(n.value)}</dd>'
                f'<dd class="note">{prose(n.note)}</dd></div>'
                for n in self._numbers
            )
            parts.append(f'<dl class="numbers">{cells}</dl>')
        parts += [block.html() for block in self._lead]
        links = "".join(
            f'<a href="#{escape(b.anchor)}">{prose(b.title)}</a>'
            for b in self._blocks
            if isinstance(b, Heading) and b.level == 2
        )
        if links:
            parts.append(f'<nav aria-label="Contents">{links}</nav>')
        return "\n".join(parts) + "\n</header>"

    def _body(self) -> str:
        """Blocks in order: sections are wrapped, figures that follow each other share a grid."""
        out: list[str] = []
        in_section = in_figures = False
        for block in self._blocks:
            if in_figures and not isinstance(block, Image):
                out.append("</div>")
                in_figures = False
            if isinstance(block, Heading) and block.level == 2:
                out.append("</section>\n<section>" if in_section else "<section>")
                in_section = True
            if isinstance(block, Image) and not in_figures:
                out.append('<div class="figures">')
                in_figures = True
            out.append(block.html())
        out.append("</div>" if in_figures else "")
        out.append("</section>" if in_section else "")
        return "\n".join(part for part in out if part)


def _each_once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))
