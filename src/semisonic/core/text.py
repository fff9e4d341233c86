"""Results as text: counts, percentages and durations in sentences, and the base of all results.

A value is rounded once, at the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


MISSING = "–"


def count_text(n: int, one: str, many: str = "") -> str:
    """A number of things, as "1 recording", "2 recordings" or, with ``many``, "2 copies"."""
    return f"{n} {one}" if n == 1 else f"{n} {many or one + 's'}"


def percent_text(share: float, digits: int = 1) -> str:
    """A share of 0 to 1 as "74.3 %"; a dash when there is none."""
    return f"{_rounded(100 * share, digits)} %" if math.isfinite(share) else MISSING


def points_text(share: float, digits: int = 1, *, signed: bool = False) -> str:
    """A difference of shares in percentage points, as "+3.1" (signed) or "-0.4"."""
    if not math.isfinite(share):
        return MISSING
    text = _rounded(100 * share, digits)
    return f"+{text}" if signed and not text.startswith("-") and float(text) != 0 else text


def p_text(p: float) -> str:
    """A p-value as "p = 0.012" or "p < 0.001"; "p not available" when there is none."""
    return f"p {p_value(p, equals=True)}" if math.isfinite(p) else "p not available"


def p_value(p: float, *, equals: bool = False) -> str:
    """A p-value as "0.012" or "< 0.001"; a dash when there is none."""
    if not math.isfinite(p):
        return MISSING
    if p < 0.001:
        return "< 0.001"
    text = f"{p:.2f}" if p >= 0.0995 else f"{p:.2g}"
    return f"= {text}" if equals else text


def duration_text(seconds: float) -> str:
    """A time as "0.8 s", "42 s", "6 min 5 s" or "3 h 20 min"."""
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


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and float(text) == 0 else text


class Result:
    """Base of the results of verbs, which are frozen dataclasses."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            # In the class itself, so that a dataclass does not make one that prints every array.
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        first = self.summary().strip().splitlines()
        return f"<{type(self).__name__}: {first[0] if first else 'nothing'}>"

    def summary(self) -> str:
        """What a person wants to know, for a terminal."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """The main table, for pandas."""
        raise NotImplementedError
