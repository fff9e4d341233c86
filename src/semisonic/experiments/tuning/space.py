"""What is searched: ranges and lists of values, by the dotted names of a recipe's options.

A range is written ``"1e-4..1e-2 log"``, ``"0..0.5"`` or ``"0..0.5 step 0.1"``; of an option
that is a whole number it is one of whole numbers. Anything else is a list of values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.experiments.options import parse_change

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(
    rf"\s*(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER})"
    rf"(?:\s+(?:(?P<log>log)|step\s+(?P<step>{_NUMBER})))?\s*"
)
EXPECTED = "a range such as '1e-4..1e-2 log' or '0..0.5 step 0.1', or a list of values"

Point = Mapping[str, Any]
"""A value for each name that is searched."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes
    ----------
    name : str
        As ``setting.train.learning_rate``.
    low, high : float
    log : bool
        Whether equal ratios count alike, and not equal differences.
    step : float
        From one value to the next; 0 for any value between the ends.
    whole : bool
        Whether the values are whole numbers.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float = 0.0
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """The lowest and the highest value."""
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def __str__(self) -> str:
        more = " log" * self.log + (f" step {self.step:g}" if self.step else "")
        return f"{self.low:g}..{self.high:g}{more}"


@dataclass(frozen=True)
class Choice:
    """One of several values, which stand in no order."""

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text, each its own."""
        return tuple(map(label_of, self.values))

    def __str__(self) -> str:
        return ", ".join(self.labels)


Dimension = Range | Choice
Space = tuple[Dimension, ...]


def label_of(value: Any) -> str:
    """A value as text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def dimension(name: str, spec: Any, kind: type) -> Dimension:
    """A range or a choice from what a TOML file or the command line says.

    Parameters
    ----------
    name : str
    spec : str or list
        A range as text, or values.
    kind : type
        Of the option: int and float have ranges.

    Raises
    ------
    OptionError
        For anything else, a range that is empty, or the same value twice.
    """
    where = f"search over '{name}': "
    if isinstance(spec, str) and (found := _RANGE.fullmatch(spec)):
        return _range(name, found, kind, where)
    if not isinstance(spec, (list, tuple)) or not spec:
        raise OptionError(f"{where}found {spec!r}, expected {EXPECTED}")
    one = Choice(name, tuple(spec))
    if len(spec) < 2:
        raise OptionError(
            f"{where}found one value, {one.labels[0]}, expected several; to set it use "
            f"--change {name}={one.labels[0]}"
        )
    if len(set(one.labels)) < len(one.labels):
        raise OptionError(f"{where}found a value twice in {list(one.labels)}")
    return one


def _range(name: str, found: re.Match[str], kind: type, where: str) -> Range:
    low, high, step = float(found["low"]), float(found["high"]), float(found["step"] or 0)
    text = found[0].strip()
    if kind not in (int, float):
        raise OptionError(f"{where}found the range '{text}', expected a list of values")
    if not low < high:
        raise OptionError(f"{where}found '{text}', expected the lower end first")
    if found["log"] and low <= 0:
        raise OptionError(f"{where}found '{text}', expected ends above 0 for log")
    if found["step"] and not 0 < step <= high - low:
        raise OptionError(f"{where}found '{text}', expected a step above 0 and within the range")
    if kind is int and not all(number.is_integer() for number in (low, high, step)):
        raise OptionError(f"{where}found '{text}', expected whole numbers")
    return Range(name, low, high, bool(found["log"]), step, kind is int)


def parse_search(text: str) -> tuple[str, Any]:
    """``"a.b=1..3"`` as ``("a.b", "1..3")`` and ``"a.b=x,y"`` as ``("a.b", ["x", "y"])``.

    Raises
    ------
    OptionError
        Without an equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise OptionError(f"option 'search': found '{text}', expected NAME=RANGE or NAME=A,B,C")
    if _RANGE.fullmatch(value):
        return key.strip(), value.strip()
    whole = parse_change(text)[1]
    if isinstance(whole, list):
        return key.strip(), whole
    return key.strip(), [parse_change(f"x={part}")[1] for part in value.split(",") if part.strip()]


def flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Tables within tables as one, by dotted names; of a name that stands twice the last counts."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{str(key).replace('-', '_')}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        else:
            found[name] = value
    return found


def grid_points(space: Space) -> list[dict[str, Any]]:
    """Every combination of the values, the last name changing fastest.

    Raises
    ------
    OptionError
        For a range: a grid is made of lists.
    """
    for one in space:
        if isinstance(one, Range):
            raise OptionError(
                f"option 'sampler': a grid needs lists, but '{one.name}' is the range '{one}'; "
                f'give its values, as in "{one.name}={_spread(one)}", or use --sampler tpe'
            )
    names = [one.name for one in space]
    return [dict(zip(names, p, strict=True)) for p in product(*_values(space))]


def _values(space: Iterable[Dimension]) -> list[tuple[Any, ...]]:
    return [one.values for one in space if isinstance(one, Choice)]


def _spread(one: Range) -> str:
    """Three values of a range, as an example."""
    middle = math.sqrt(one.low * one.high) if one.log else (one.low + one.high) / 2
    middle = round(middle) if one.whole else middle
    return f"{one.low:g},{middle:.2g},{one.high:g}"
