"""The pieces of a page: each knows its HTML, its place in report.json and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semisonic.base.errors import DataError
from semisonic.base.files import csv_line
from semisonic.evaluation.report.markup import (
    Format,
    Measured,
    attributes,
    cell,
    escape,
    facts,
    is_number,
    prose,
)
from semisonic.evaluation.report.media import Picture, data_uri, sound_bytes, thumbnail_png

_LEAVES_ROOM = 640
"""Up to this width (CSS pixels) a figure has its caption at its side."""
_SHORT = 16
_LONGEST_WORD = 48  # letters of a name, such as a network's, that is not broken


class Block:
    """A piece of a page.

    One that moves brings its own ``style`` and ``script``, each put into the page once, and says
    in ``media`` where sounds may come from besides the page itself, as a content policy does.
    """

    @property
    def style(self) -> str:
        """Rules for the page."""
        return ""

    @property
    def script(self) -> str:
        """What the page runs."""
        return ""

    @property
    def media(self) -> str:
        """Sources of sounds."""
        return ""

    def html(self) -> str:
        """The piece as HTML."""
        raise NotImplementedError

    def plain(self) -> dict[str, Any]:
        """The piece as plain values for report.json."""
        raise NotImplementedError


@dataclass(frozen=True)
class Heading(Block):
    """The start of a section (level 2) or a heading inside one (level 3)."""

    title: str
    anchor: str
    level: int = 2

    def html(self) -> str:
        """An ``h2`` or ``h3``."""
        if self.level == 2:
            return f'<h2 id="{escape(self.anchor)}">{prose(self.title)}</h2>'
        return f"<h3>{prose(self.title)}</h3>"

    def plain(self) -> dict[str, Any]:
        """Title and level."""
        return {"kind": "heading", "title": self.title, "level": self.level}


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; ``style`` is ``plain``, ``warning`` or ``code``."""

    text: str
    style: str = "plain"

    def html(self) -> str:
        """A paragraph, a box or preformatted text."""
        if self.style == "code":
            return f'<pre tabindex="0">{escape(self.text)}</pre>'
        if self.style == "warning":
            return f'<p class="warning"><b>Note.</b> {prose(self.text)}</p>'
        return f"<p>{prose(self.text)}</p>"

    def plain(self) -> dict[str, Any]:
        """Text and style."""
        return {"kind": "text", "style": self.style, "text": self.text}


@dataclass(frozen=True)
class Notes(Block):
    """A list of sentences."""

    items: tuple[str, ...]

    def html(self) -> str:
        """A bullet list."""
        return '<ul class="notes">' + "".join(f"<li>{prose(i)}</li>" for i in self.items) + "</ul>"

    def plain(self) -> dict[str, Any]:
        """The sentences."""
        return {"kind": "notes", "items": list(self.items)}


@dataclass(frozen=True)
class Facts(Block):
    """Names and values; ``summary`` folds them away under a line of text."""

    values: Mapping[str, Any]
    summary: str = ""

    def html(self) -> str:
        """A list, or a list that unfolds."""
        if not self.summary:
            return facts(self.values)
        return f"<details><summary>{prose(self.summary)}</summary>{facts(self.values)}</details>"

    def plain(self) -> dict[str, Any]:
        """The values by name."""
        return {"kind": "facts", "title": self.summary, "values": dict(self.values)}


@dataclass(frozen=True)
class Table(Block):
    """Headers and rows of raw values; ``formats`` says by header how to show them."""

    name: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    note: str = ""
    formats: Mapping[str, Format] = field(default_factory=dict)
    styles: Mapping[int, str] = field(default_factory=dict)
    folded: bool = False

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.headers):
                raise DataError(
                    f"table '{self.name}': row {number} has {len(row)} values, "
                    f"expected {len(self.headers)}"
                )
        if len(set(self.headers)) != len(self.headers):
            raise DataError(f"table '{self.name}': a header stands twice")

    def html(self) -> str:
        """A table in a box that scrolls sideways when it must."""
        right = {i for i in range(1, len(self.headers)) if self._is_numeric(i)}
        head = "".join(
            f'<th scope="col"{attributes(class_="n" if i in right else None)}>{prose(h)}</th>'
            for i, h in enumerate(self.headers)
        )
        body = "".join(self._row(i, row, right) for i, row in enumerate(self.rows))
        note = f'<p class="under">{prose(self.note)}</p>' if self.note else ""
        label = self.caption or self.name.replace("-", " ")
        scroll = (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
        if self.folded:
            return f"<details><summary>{prose(label)}</summary>{scroll}{note}</details>"
        title = f'<p class="caption">{prose(self.caption)}</p>' if self.caption else ""
        return f'<div class="sheet">{title}{scroll}</div>{note}'

    def _is_numeric(self, column: int) -> bool:
        values = [row[column] for row in self.rows if row[column] is not None]
        return bool(values) and all(map(is_number, values))

    def _row(self, number: int, row: tuple[Any, ...], right: set[int]) -> str:
        forms = [self.formats.get(header) for header in self.headers]
        first = f'<th scope="row">{cell(row[0], forms[0])}</th>' if row else ""
        rest = "".join(
            f"<td{attributes(class_=self._look(row[i], i in right))}>{cell(row[i], forms[i])}</td>"
            for i in range(1, len(row))
        )
        return f"<tr{attributes(class_=self.styles.get(number))}>{first}{rest}</tr>"

    def _look(self, value: Any, is_right: bool) -> str | None:
        if is_right:
            return "n"
        if not isinstance(value, str) or not value:
            return None
        one_word = " " not in value and len(value) <= _LONGEST_WORD
        return "k" if len(value) <= _SHORT or one_word else None

    def csv(self) -> str:
        """The raw values; a measured number as value, low end and high end."""
        wide = [
            any(isinstance(row[i], Measured) for row in self.rows) for i in range(len(self.headers))
        ]
        lines = [
            csv_line(
                name
                for header, three in zip(self.headers, wide, strict=True)
                for name in ([header, f"{header} low", f"{header} high"] if three else [header])
            )
        ]
        for row in self.rows:
            flat: list[Any] = []
            for value, three in zip(row, wide, strict=True):
                many = [value, None, None] if three else [value]
                flat += list(value) if isinstance(value, Measured) else many
            lines.append(csv_line(flat))
        return "".join(lines).encode("utf-8", "replace").decode("utf-8")

    def plain(self) -> dict[str, Any]:
        """Headers and raw rows."""
        rows = [[v._asdict() if isinstance(v, Measured) else v for v in row] for row in self.rows]
        return {
            "kind": "table",
            "name": self.name,
            "caption": self.caption,
            "note": self.note,
            "headers": list(self.headers),
            "rows": rows,
        }


@dataclass(frozen=True)
class Image(Block):
    """A figure with its caption; ``alt`` says in words what is to be seen."""

    name: str
    picture: Picture
    caption: str
    alt: str
    wide: bool = True

    def html(self) -> str:
        """A figure on a light card."""
        source = data_uri(self.picture.png, "image/png")
        size = attributes(width=self.picture.width, height=self.picture.height)
        return (
            f"<figure{attributes(class_=self._place())}>"
            f'<div class="plate"><img src="{source}" alt="{escape(self.alt)}"{size} /></div>'
            f"<figcaption>{prose(self.caption)}</figcaption></figure>"
        )

    def _place(self) -> str | None:
        """Half of the page's width, or all of it, with the caption beside a small figure."""
        if not self.wide:
            return None
        return "side" if self.picture.width <= _LEAVES_ROOM else "wide"

    def plain(self) -> dict[str, Any]:
        """Caption and file."""
        return {
            "kind": "figure",
            "name": self.name,
            "file": f"figures/{self.name}.png",
            "caption": self.caption,
            "alt": self.alt,
        }


@dataclass(frozen=True)
class Player:
    """A sound to listen to: what it is, what was said of it, and a line below.

    ``heard`` are samples and their rate to be played instead, where the picture is to show more
    than a player plays, such as ultrasound.
    """

    samples: Any
    sample_rate: int
    truth: str
    said: str = ""
    meta: str = ""
    heard: tuple[Any, int] | None = None

    def html(self) -> str:
        """A card with spectrogram, words and player."""
        thumb = data_uri(thumbnail_png(self.samples, self.sample_rate).png, "image/png")
        content, media_type = sound_bytes(*(self.heard or (self.samples, self.sample_rate)))
        said = f'<span class="said">{prose(self.said)}</span>' if self.said else ""
        meta = f'<div class="meta">{prose(self.meta)}</div>' if self.meta else ""
        return (
            f'<li><img src="{thumb}" alt="Spectrogram of a clip of {escape(self.truth)}" />'
            f'<div class="body"><div class="pair"><b>{prose(self.truth)}</b>{said}</div>{meta}'
            f'<audio controls="controls" preload="metadata" '
            f'aria-label="Play: {escape(self.truth)}" '
            f'src="{data_uri(content, media_type)}"></audio></div></li>'
        )


@dataclass(frozen=True)
class Players(Block):
    """A grid of sounds."""

    players: tuple[Player, ...]

    def html(self) -> str:
        """A list of cards."""
        return '<ul class="players">' + "".join(p.html() for p in self.players) + "</ul>"

    def plain(self) -> dict[str, Any]:
        """What stands on each card, without the sound."""
        items = [{"truth": p.truth, "said": p.said, "meta": p.meta} for p in self.players]
        return {"kind": "players", "players": items}
