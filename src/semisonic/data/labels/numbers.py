"""Numbers as label files write them: read exactly, written without loss.

A time must come back as it was. So numbers are written with all their digits, and sums and
differences (a duration, a time over several recordings) are made in decimals, which do not round.
"""

from __future__ import annotations

import math
import re
from decimal import Context, Decimal, InvalidOperation

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "-"})
_DIGITS_AT_MOST = 400  # the smallest float has 325 decimals
_EXACT = Context(prec=1000)  # digits; the usual 28 would round sums


def number(text: str, what: str) -> Decimal | None:
    """The number in a cell; None where the cell holds none. A decimal comma is understood.

    Raises
    ------
    ValueError
        With ``what`` it should be, when it is no finite number.
    """
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return None
    if _DECIMAL_COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_AT_MOST:
        raise ValueError(f"found '{text}' as {what}, expected a number such as 2.5")
    return value


def to_float(value: Decimal | None) -> float:
    """As a float; NaN for none."""
    return math.nan if value is None else float(value)


def exact(value: float) -> Decimal:
    """The decimal that a float is written as."""
    return Decimal(repr(float(value)))


def written(value: float | Decimal) -> str:
    """All digits of a number, without an exponent; nothing for NaN."""
    if value != value:
        return ""
    return format(value if isinstance(value, Decimal) else exact(value), "f")


def plus(a: Decimal, b: Decimal) -> Decimal:
    """The exact sum."""
    return _EXACT.add(a, b)


def minus(a: Decimal, b: Decimal) -> Decimal:
    """The exact difference."""
    return _EXACT.subtract(a, b)
