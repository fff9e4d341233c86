"""Text and numbers as HTML. Everything that comes from outside goes through here."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from semisonic.base.wording import MISSING, percent

_NEGATIVE = re.compile(r"(?<![\w\-.])-(?=\d)")
_UNIT = re.compile(r"(?<=\d) (?=(?:%|points|s|min|h|Hz|dB|kB|MB)(?![\w]))")
_P_VALUE = re.compile(r"\bp (=|&lt;) (?=\d)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Format = Callable[[Any], str]


class Measured(NamedTuple):
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
    if isinstance(value, Measured):
        return (form or percent)(value.value)
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
    if isinstance(value, Measured) and math.isfinite(value.low):
        ends = [
            _NEGATIVE.sub("−", (form or percent)(end).removesuffix("%").strip().removeprefix("+"))
            for end in (value.low, value.high)
        ]
        text += f"<small>{escape(ends[0])} to {escape(ends[1])}</small>"
    return text


def is_number(value: Any) -> bool:
    """Whether a value stands right-aligned."""
    return isinstance(value, (int, float, Measured)) and not isinstance(value, bool)


def facts(values: Mapping[str, Any]) -> str:
    """Names and values as a list."""
    rows = "".join(
        f"<dt>{prose(name)}</dt><dd>{prose(shown(value))}</dd>" for name, value in values.items()
    )
    return f'<dl class="facts">{rows}</dl>'
