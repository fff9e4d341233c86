"""From a network's logits to calibrated probabilities: plain numbers, no torch.

A model file carries the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semisonic.core.errors import ModelError

Knots = tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

NONE, TEMPERATURE, VECTOR, ISOTONIC = "none", "temperature", "vector", "isotonic"
METHODS = (TEMPERATURE, VECTOR, ISOTONIC)
"""The simplest first."""
MOST_KNOTS = 4096


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities.

    Attributes
    ----------
    method : {"none", "temperature", "vector", "isotonic"}
    scale, offset : tuple of float
        Logits are multiplied and then moved by these: one of each for all classes
        (temperature; the scale is one over it) or one for each class (vector). Empty for the
        others.
    knots : tuple of (x, y)
        Isotonic, one per class: probabilities before, rising, and after, not falling; straight
        lines lie between them. With one label per clip the results are divided by their sum.
    """

    method: str = NONE
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    knots: Knots = ()

    @property
    def temperature(self) -> float:
        """What logits are divided by, where that is all that is done."""
        return 1.0 / self.scale[0] if self.method == TEMPERATURE else 1.0

    def text(self) -> str:
        """A few words for people."""
        if self.method == TEMPERATURE:
            return f"temperature {self.temperature:.3g}"
        return {VECTOR: "vector scaling", ISOTONIC: "isotonic, class by class"}.get(
            self.method, "none"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        numbers: dict[str, Any] = {"method": self.method}
        if self.scale:
            numbers |= {"scale": list(self.scale), "offset": list(self.offset)}
        if self.knots:
            numbers["knots"] = [[list(x), list(y)] for x, y in self.knots]
        return numbers

    @classmethod
    def from_dict(cls, table: Any, n_classes: int) -> Calibration:
        """Read what :meth:`to_dict` wrote, wherever it comes from.

        Raises
        ------
        ModelError
            For anything that is not a calibration of so many classes.
        """
        if not isinstance(table, Mapping):
            raise ModelError(f"calibration: found {type(table).__name__}, expected a mapping")
        method = table.get("method")
        if method == NONE:
            return cls()
        if method in (TEMPERATURE, VECTOR):
            n = 1 if method == TEMPERATURE else n_classes
            scale = numbers_of(table.get("scale"), "calibration: 'scale'", n)
            offset = numbers_of(table.get("offset"), "calibration: 'offset'", n)
            if min(scale) <= 0:
                raise ModelError("calibration: 'scale' holds a value that is not above 0")
            return cls(method, scale, offset)
        if method != ISOTONIC:
            raise ModelError(f"calibration: found the method {method!r}, which is none of ours")
        knots = table.get("knots")
        if not isinstance(knots, list) or len(knots) != n_classes:
            raise ModelError(f"calibration: 'knots' are not those of {n_classes} classes")
        return cls(method, knots=tuple(_knots(pair) for pair in knots))


def numbers_of(values: Any, what: str, n: int | None = None) -> tuple[float, ...]:
    """Finite numbers, so many of them, from what stands in a file.

    Raises
    ------
    ModelError
    """
    if not isinstance(values, (list, tuple)) or not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    ):
        raise ModelError(f"{what} is no list of numbers")
    if n is not None and len(values) != n:
        raise ModelError(f"{what}: found {len(values)} numbers, expected {n}")
    try:
        found = tuple(float(value) for value in values)
    except OverflowError:
        found = (float("inf"),)
    if not np.isfinite(found).all():
        raise ModelError(f"{what} holds a number that is not finite")
    return found


def _knots(pair: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ModelError("calibration: 'knots' of a class are not two lists")
    x, y = (numbers_of(part, "calibration: 'knots'") for part in pair)
    if not 1 <= len(x) == len(y) <= MOST_KNOTS:
        raise ModelError("calibration: 'knots' of a class are not two lists of one length")
    if (np.diff(x) <= 0).any() or (np.diff(y) < 0).any() or min(y) < 0 or max(y) > 1:
        raise ModelError("calibration: 'knots' do not rise from 0 to 1")
    return x, y
