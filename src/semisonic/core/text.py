"""Results as text: counts, percentages and durations in sentences, and the base of all results.

A value is rounded once, at the end.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


MISSING = "–"


def count_text(n: int, one: str, many: str = "") -> str:
    """A number of things, as "1 recording", "2 recordings" or, with ``many``, "2 copies".

    Parameters
    ----------
    n : int
    one, many : str
        The word for one thing, and for several if it does not end in "s".

    Returns
    -------
    str

    Examples
    --------
    >>> count_text(2, "copy", "copies")
    '2 copies'
    """
    return f"{n} {one}" if n == 1 else f"{n} {many or one + 's'}"


def visible(text: str) -> str:
    """A text for a terminal: what would steer it is shown instead.

    Names of files and classes may hold anything, also what clears a screen.

    Examples
    --------
    >>> print(visible("dog" + chr(27) + "[2J"))
    dog\\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c
        for c in text
    )


def first_few(names: Sequence[str], n: int = 5, mark: str = ", ") -> str:
    """The first names of a list, followed by dots if there are more.

    Parameters
    ----------
    names : sequence of str
    n : int
    mark : str
        Separator.

    Examples
    --------
    >>> first_few(["a.wav", "b.wav", "c.wav"], 2)
    'a.wav, b.wav, ...'
    """
    return mark.join([*names[:n], *["..."] * (len(names) > n)])


def percent_text(share: float, digits: int = 1) -> str:
    """A share of 0 to 1 as "74.3 %"; a dash when there is none.

    Parameters
    ----------
    share : float
        0 to 1.
    digits : int

    Returns
    -------
    str

    Examples
    --------
    >>> percent_text(0.7426)
    '74.3 %'
    """
    return f"{_rounded(100 * share, digits)} %" if math.isfinite(share) else MISSING


def points_text(share: float, digits: int = 1, *, signed: bool = False) -> str:
    """A difference of shares in percentage points, as "+3.1" (signed) or "-0.4".

    Parameters
    ----------
    share : float
        -1 to 1.
    digits : int
    signed : bool
        Whether a gain gets a plus.

    Returns
    -------
    str

    Examples
    --------
    >>> points_text(0.031, signed=True)
    '+3.1'
    """
    if not math.isfinite(share):
        return MISSING
    text = _rounded(100 * share, digits)
    return f"+{text}" if signed and not text.startswith("-") and float(text) != 0 else text


def p_text(p: float) -> str:
    """A p-value as "p = 0.012" or "p < 0.001"; "p not available" when there is none."""
    return f"p {p_value(p, equals=True)}" if math.isfinite(p) else "p not available"


def p_value(p: float, *, equals: bool = False) -> str:
    """A p-value as "0.012" or "< 0.001"; a dash when there is none.

    Parameters
    ----------
    p : float
    equals : bool
        Whether to put "=" before the number.

    Returns
    -------
    str

    Examples
    --------
    >>> p_value(0.012), p_value(0.0001)
    ('0.012', '< 0.001')
    """
    if not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "< 0.001"
    text = f"{p:.2f}" if p >= 0.0995 else f"{p:.2g}"
    return f"= {text}" if equals else text


def duration_text(seconds: float) -> str:
    """A time as "0.8 s", "42 s", "6 min 5 s" or "3 h 20 min".

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str

    Examples
    --------
    >>> duration_text(365)
    '6 min 5 s'
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def rough_duration(seconds: float) -> str:
    """An estimated time, in minutes, as "14 min" or "2 h 5 min"."""
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def bytes_text(n_bytes: float) -> str:
    """A size as "1.2 MB", "120 MB" or "6.5 GB"."""
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"


def text_table(
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    indent: str = "",
    *,
    ruled: bool = False,
) -> str:
    """Columns aligned for a terminal; numbers are right-aligned.

    Parameters
    ----------
    headers : sequence of str
    rows : iterable of sequences
        Cells, formatted.
    indent : str
        Start of each line.
    ruled : bool
        Whether to put a line of dashes below the headers.

    Examples
    --------
    >>> print(text_table(["class", "clips"], [["dog", 12], ["rain", 5]]))
    class  clips
    dog       12
    rain       5
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    right = [all(_is_number(row[i]) for row in cells) for i in range(len(headers))]
    lines = []
    for row in [list(headers), *cells]:
        aligned = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append((indent + "  ".join(aligned)).rstrip())
    if ruled:
        lines.insert(1, indent + "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("%", "").strip().lstrip("-").isdigit()


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text
