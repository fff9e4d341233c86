"""The pieces of a page: each knows its HTML, its place in report.json and its files."""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import soundfile as sf
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image as PIL_Image

from semisonic.core.errors import DataError
from semisonic.core.files import csv_line
from semisonic.core.text import MISSING, percent_text
from semisonic.evaluation.plots.sounds import picture
from semisonic.evaluation.plots.style import SOUND, look

# Text and numbers as HTML. Everything that comes from outside goes through here.


_NEGATIVE = re.compile(r"(?<![\w\-.])-(?=\d)")
_UNIT = re.compile(r"(?<=\d) (?=(?:%|points|s|min|h|Hz|dB|kB|MB)(?![\w]))")
_P_VALUE = re.compile(r"\bp (=|&lt;) (?=\d)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Format = Callable[[Any], str]


class IntervalEstimate(NamedTuple):
    """A number with its interval; in a CSV file it takes three columns."""

    value: float
    low: float
    high: float


def escape(text: object) -> str:
    """Text as it may stand in HTML, in an attribute too; control characters are dropped."""
    return html.escape(_CONTROL.sub("", str(text)), quote=True)


def prose(text: object) -> str:
    """Escaped text with real minus signs, and units that stay beside their number."""
    marked = _NEGATIVE.sub("−", escape(text))
    marked = _P_VALUE.sub("p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", marked)
    return _UNIT.sub("\N{NO-BREAK SPACE}", marked)


def attributes(**values: object) -> str:
    """Attributes of an element; None is left out, ``class_`` stands for ``class``."""
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in values.items()
        if value is not None
    )


def shown(value: Any, form: Format | None = None) -> str:
    """A table's value as text, before escaping."""
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


def cell(value: Any, form: Format | None = None) -> str:
    """A table's value as HTML: a measured number has its interval below."""
    text = prose(shown(value, form))
    if isinstance(value, IntervalEstimate) and math.isfinite(value.low):
        ends = [
            _NEGATIVE.sub(
                "−", (form or percent_text)(end).removesuffix("%").strip().removeprefix("+")
            )
            for end in (value.low, value.high)
        ]
        text += f"<small>{escape(ends[0])} to {escape(ends[1])}</small>"
    return text


def is_number(value: Any) -> bool:
    """Whether a value stands right-aligned."""
    return isinstance(value, (int, float, IntervalEstimate)) and not isinstance(value, bool)


def facts(values: Mapping[str, Any]) -> str:
    """Names and values as a list."""
    rows = "".join(
        f"<dt>{prose(name)}</dt><dd>{prose(shown(value))}</dd>" for name, value in values.items()
    )
    return f'<dl class="facts">{rows}</dl>'


# Pictures and sounds as bytes, and as text that lies inside the page itself.


LONGEST_SOUND = 10.0
"""Seconds of a clip that go into the page; the rest is cut off."""

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LOUDEST = 0.98


class EncodedImage(NamedTuple):
    """A PNG at twice the size at which it is shown (``width`` × ``height`` CSS pixels)."""

    png: bytes
    width: int
    height: int


def figure_png(figure: Figure) -> EncodedImage:
    """Render a figure at 200 dots an inch, to be shown at 100."""
    stream = io.BytesIO()
    with look():
        figure.savefig(stream, format="png", dpi=200, facecolor="white")
    width, height = figure.get_size_inches()
    return EncodedImage(stream.getvalue(), round(100 * width), round(100 * height))


def thumbnail_png(samples: ArrayLike, sample_rate: int) -> EncodedImage:
    """A small spectrogram without axes, as an indexed PNG of a few kilobytes."""
    values = picture(samples, sample_rate, n_bands=72, n_frames=320)
    levels = np.round(255 * (values[::-1] + 70.0) / 70.0).astype(np.uint8)
    image = PIL_Image.fromarray(np.ascontiguousarray(levels)).convert("P")
    palette = (255 * SOUND(np.arange(256))[:, :3]).round().astype(np.uint8)
    image.putpalette(palette.ravel().tolist())
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return EncodedImage(stream.getvalue(), levels.shape[1], levels.shape[0])


def sound_bytes(samples: ArrayLike, sample_rate: int) -> tuple[bytes, str]:
    """A clip as MP3, or Ogg Vorbis at a rate that MP3 does not know, and its media type.

    Every browser plays MP3; Ogg Vorbis is silent on older telephones. At most
    ``LONGEST_SOUND`` seconds are kept. Samples beyond full scale are turned down, not cut.
    """
    wave = np.nan_to_num(np.asarray(samples, dtype=np.float32).ravel())
    if not len(wave) or sample_rate <= 0:
        raise DataError(f"player: found {len(wave)} samples at {sample_rate} Hz, expected a sound")
    wave = wave[: int(LONGEST_SOUND * sample_rate)]
    peak = float(np.abs(wave).max())
    if peak > _LOUDEST:
        wave = wave * np.float32(_LOUDEST / peak)
    if sample_rate in _MP3_RATES and "MP3" in sf.available_formats():
        return _encoded(wave, sample_rate, "MP3", "MPEG_LAYER_III"), "audio/mpeg"
    return _encoded(wave, sample_rate, "OGG", "VORBIS"), "audio/ogg"


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that needs no file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _encoded(wave: NDArray[np.float32], sample_rate: int, kind: str, subtype: str) -> bytes:
    stream = io.BytesIO()
    with sf.SoundFile(stream, "w", sample_rate, 1, subtype, format=kind) as out:
        for start in range(0, len(wave), 65536):
            out.write(wave[start : start + 65536])
    return stream.getvalue()


# The pieces of a page: each knows its HTML, its place in report.json and its files.


_LEAVES_ROOM = 640
"""Up to this width (CSS pixels) a figure has its caption at its side."""
_SHORT = 16
_LONGEST_WORD = 48  # letters of a name, such as a network's, that is not broken


class PageBlock:
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
class Heading(PageBlock):
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
class Text(PageBlock):
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
class Notes(PageBlock):
    """A list of sentences."""

    items: tuple[str, ...]

    def html(self) -> str:
        """A bullet list."""
        return '<ul class="notes">' + "".join(f"<li>{prose(i)}</li>" for i in self.items) + "</ul>"

    def plain(self) -> dict[str, Any]:
        """The sentences."""
        return {"kind": "notes", "items": list(self.items)}


@dataclass(frozen=True)
class Facts(PageBlock):
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
class PageTable(PageBlock):
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
            any(isinstance(row[i], IntervalEstimate) for row in self.rows)
            for i in range(len(self.headers))
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
                flat += list(value) if isinstance(value, IntervalEstimate) else many
            lines.append(csv_line(flat))
        return "".join(lines).encode("utf-8", "replace").decode("utf-8")

    def plain(self) -> dict[str, Any]:
        """Headers and raw rows."""
        rows = [
            [v._asdict() if isinstance(v, IntervalEstimate) else v for v in row]
            for row in self.rows
        ]
        return {
            "kind": "table",
            "name": self.name,
            "caption": self.caption,
            "note": self.note,
            "headers": list(self.headers),
            "rows": rows,
        }


@dataclass(frozen=True)
class Image(PageBlock):
    """A figure with its caption; ``alt`` says in words what is to be seen."""

    name: str
    picture: EncodedImage
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
class Players(PageBlock):
    """A grid of sounds."""

    players: tuple[Player, ...]

    def html(self) -> str:
        """A list of cards."""
        return '<ul class="players">' + "".join(p.html() for p in self.players) + "</ul>"

    def plain(self) -> dict[str, Any]:
        """What stands on each card, without the sound."""
        items = [{"truth": p.truth, "said": p.said, "meta": p.meta} for p in self.players]
        return {"kind": "players", "players": items}
