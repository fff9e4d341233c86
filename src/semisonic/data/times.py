"""Times in tables: their names, units and values.

A name is taken apart into its words: one for the bound (``start``, ``onset``, ``duration``), at
most one unit, and words that change nothing. Anything else makes it a name that is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from semisonic.data.tables import EXACT, normalise, number

_START = {"start", "starts", "begin", "begins", "beg", "onset", "onsets", "from"}
_END = {"end", "ends", "stop", "stops", "finish", "fin", "to", "until"}
_DURATION = {"duration", "durations", "dur", "length", "len", "delta"}
_OFFSET = {"offset", "offsets"}
_FILLER = {
    *("time", "times", "t", "at", "of", "in", "the", "clip", "segment", "seg", "event", "window"),
    *("call", "sound", "annotation", "audio", "box", "detection", "relative", "rel"),
    *("selection", "position", "point", "timestamp", "hh", "mm", "ss"),
}
NUMBERED = (("x1", "x2"), ("t1", "t2"))
"""Start and end of a box, as Arbimon and seewave name them."""
_COUNTS = ("num_samples", "n_samples", "nsamples", "number_of_samples")
_WHOLE = {
    **dict.fromkeys(("tmin", "xmin", "t_min", "x_min", "time_min", "min_time", "min_t"), "start"),
    **dict.fromkeys(("tmax", "xmax", "t_max", "x_max", "time_max", "max_time", "max_t"), "end"),
    **dict.fromkeys(("x1", "t1"), "start"),
    **dict.fromkeys(("x2", "t2"), "end"),
}
"""Names of times that are no sum of their words."""
SAMPLES = Decimal(0)
"""The unit of times that count samples: seconds by the rate of the recording."""
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), Decimal(1)),
    **dict.fromkeys(
        ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), Decimal("1e-3")
    ),
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds"), Decimal("1e-6")),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), Decimal("1e-9")),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), Decimal(3600)),
    **dict.fromkeys(("sample", "samples", "ind", "idx"), SAMPLES),
    **dict.fromkeys(("td", "timedelta", "hms", "hhmmss", "mmss"), Decimal(1)),
}
_BOUNDS = {
    **dict.fromkeys(_START, "start"),
    **dict.fromkeys(_END, "end"),
    **dict.fromkeys(_DURATION, "duration"),
}
_CALENDAR = {
    *("date", "dates", "datetime", "clock", "year", "month", "day", "utc", "local", "week"),
    *("created", "updated", "modified", "recorded", "lead", "timezone", "deployment"),
}
_OTHER = {"freq", "frequency", "hz", "khz", "file", "path", "name", "filename"}
_TIME_WORDS = {
    *("start", "begin", "onset", "end", "stop", "offset", "time", "times", "timestamp", "t"),
    *("sec", "secs", "second", "seconds", "ms", "millisecond", "milliseconds", "frame", "frames"),
    *("center", "centre", "middle", "ts", "te"),
}
"""Words that make a column of numbers look like a time, whatever stands beside them."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_CLOCK = re.compile(
    r"(?:(?P<d>\d+) days? ?(?:\+)?)?(?:(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:[.,]\d+)?))?"
)
_MEASURED = re.compile(r"(?P<n>[+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*(?P<unit>[a-zA-Z]+)")


def seconds(text: str, what: str, unit: Decimal = Decimal(1)) -> Decimal:
    """A time as tables write it, in seconds; NaN if the cell is empty.

    Parameters
    ----------
    text : str
        A number, with or without a unit; or ``m:s``, ``h:m:s``, ``0 days 00:00:02``.
    what : str
        Meaning of the time, for the message.
    unit : Decimal
        Seconds in the unit of a bare number; ``SAMPLES`` leaves it as it is.

    Raises
    ------
    ValueError
        When it is none of these.

    Examples
    --------
    >>> seconds("1:30", "start"), seconds("250 ms", "start"), seconds("1.5", "start", Decimal(60))
    (Decimal('90'), Decimal('0.250'), Decimal('90.0'))
    """
    plain = text.strip()
    found = _CLOCK.fullmatch(plain) if unit != SAMPLES else None
    if found and plain:
        days, hours, minutes, rest = (Decimal((g or "0").replace(",", ".")) for g in found.groups())
        if rest < 60 and (minutes < 60 or found["h"] is None):
            return EXACT.add(((days * 24 + hours) * 60 + minutes) * 60, rest)
    measured = _MEASURED.fullmatch(plain)
    own = _UNITS.get(measured["unit"].lower(), SAMPLES) if measured else SAMPLES
    if measured and SAMPLES not in (unit, own):
        unit, plain = own, measured["n"]
    try:
        value = number(plain, what)
    except ValueError:
        expected = "a number of samples" if unit == SAMPLES else "a number such as 2.5, or h:m:s"
        raise ValueError(f"found '{text}' as {what}, expected {expected}") from None
    return value if unit in (SAMPLES, 1) or value.is_nan() else EXACT.multiply(value, unit)


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name: ``startTime (s)`` is start, time, s."""
    words: list[str] = []
    for word in map(str.lower, _WORD.findall(name)):
        words += _parts(word) or [word]
    return tuple(words)


def _parts(word: str) -> list[str]:
    """A word as the known words that it is put together from; nothing if it is not."""
    known = (*_BOUNDS, *_OFFSET, *_FILLER, *_UNITS)
    if word in known:
        return [word]
    for i in range(1, len(word)):
        head, tail = word[:i], word[i:]
        if (len(head) > 2 or head == "t") and head in known and (len(tail) > 2 or tail == "ms"):
            more = _parts(tail)
            if more:
                return [head, *more]
    return []


@lru_cache(maxsize=4096)
def time_of(name: str) -> tuple[str, Decimal] | None:
    """The role ("start", "end", "duration", "offset") and the unit of a name, or None."""
    plain = normalise(name)
    unit = Decimal(1)
    if "%" in name:
        return None
    if plain in _COUNTS:
        return "duration", SAMPLES
    *front, last = plain.split("_") if "_" in plain else ("", plain)
    for whole, tail in ((plain, ""), ("_".join(front), last)):
        if whole in _WHOLE and (not tail or tail in _UNITS):
            return _WHOLE[whole], _UNITS.get(tail, unit)
    roles, units = [], []
    for word in words_of(name):
        if word in _BOUNDS:
            roles.append(_BOUNDS[word])
        elif word in _OFFSET:
            roles.append("offset")
        elif word in _UNITS:
            units.append(_UNITS[word])
        elif word not in _FILLER:
            return None
    bounds = set(roles) - {"offset"}
    if "mm" in words_of(name) and "ss" not in words_of(name):
        return None
    if not roles or len(bounds) > 1 or len(units) > 1:
        return None
    if bounds == {"duration"} and "audio" in words_of(name):
        return None  # of the whole recording
    return next(iter(bounds), "offset"), units[0] if units else unit


def looks_like_time(name: str) -> bool:
    """Whether a name is that of a time, or has a word of one and nothing that explains it."""
    words = set(words_of(name))
    return bool(time_of(name)) or bool(words & _TIME_WORDS and not words & (_CALENDAR | _OTHER))


def is_unit_of_others(name: str, cells: Iterable[str]) -> bool:
    """Whether a column says that the times of its rows are in another unit than seconds."""
    words = words_of(name)
    is_unit = words[-1:] in (("unit",), ("units",)) and not set(words) & _OTHER
    named = {cell.strip().lower() for cell in cells} - {""}
    return is_unit and named <= _UNITS.keys() and any(_UNITS[unit] != 1 for unit in named)


def is_time(text: str) -> bool:
    """Whether a cell is a time, or a number."""
    try:
        return not seconds(text, "time").is_nan()
    except ValueError:
        return False
