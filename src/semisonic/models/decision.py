"""The numbers by which a classifier makes scores of what its network computes, without torch.

They are fitted after training by :mod:`semisonic.classifier.calibration` and
:mod:`semisonic.classifier.unknown`, on clips that were not trained on, and lie in the model file.
:class:`semisonic.models.decision_module.DecisionModule` applies them, and nothing else does.

Whether a sound is like anything that was learned is told by two rules. Energy: Liu et al.,
"Energy-based out-of-distribution detection", NeurIPS 2020. Noise: a rule between known sounds and
synthetic noise, in the manner of Hendrycks et al., "Deep anomaly detection with outlier exposure",
ICLR 2019, but fitted to statistics of features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import ModelError
from semisonic.core.files import digest

NONE, TEMPERATURE, VECTOR = "none", "temperature", "vector"
METHODS = (TEMPERATURE, VECTOR)
"""The simplest first."""


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities.

    Attributes
    ----------
    method : {"none", "temperature", "vector"}
    scale, offset : tuple of float
        Logits are multiplied and then moved by these: one of each for all classes
        (temperature; the scale is one over it) or one for each class (vector). Empty for "none".
    """

    method: str = NONE
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()

    @property
    def temperature(self) -> float:
        """What logits are divided by, where that is all that is done."""
        return 1.0 / self.scale[0] if self.method == TEMPERATURE else 1.0

    def text(self) -> str:
        """A few words for people."""
        if self.method == TEMPERATURE:
            return f"temperature {self.temperature:.3g}"
        return "vector scaling" if self.method == VECTOR else "none"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        numbers: dict[str, Any] = {"method": self.method}
        if self.scale:
            numbers |= {"scale": list(self.scale), "offset": list(self.offset)}
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
        if method not in METHODS:
            raise ModelError(f"calibration: found the method {method!r}, which is none of ours")
        n = 1 if method == TEMPERATURE else n_classes
        scale = numbers_of(table.get("scale"), "calibration: 'scale'", n)
        offset = numbers_of(table.get("offset"), "calibration: 'offset'", n)
        if min(scale) <= 0:
            raise ModelError("calibration: 'scale' holds a value that is not above 0")
        return cls(method, scale, offset)


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
        numbers = tuple(float(value) for value in values)
    except OverflowError:
        numbers = (float("inf"),)
    if not np.isfinite(numbers).all():
        raise ModelError(f"{what} holds a number that is not finite")
    return numbers


@dataclass(frozen=True)
class OodLimit:
    """Where an OOD score becomes too high: at ``value``; ``scale`` says how fast.

    ``scale`` is the spread of known sounds. It makes an OOD score into a value of 0 to 1, 0.5
    at the limit, that can be averaged over windows.
    """

    value: float
    scale: float

    @classmethod
    def from_list(cls, values: Any, what: str) -> OodLimit:
        """Read a pair of numbers.

        Raises
        ------
        ModelError
        """
        value, scale = numbers_of(values, what, 2)
        if scale <= 0:
            raise ModelError(f"{what}: found the spread {scale}, expected above 0")
        return cls(value, scale)


@dataclass(frozen=True)
class EnergyRule:
    """High for sounds that no logit is high for."""

    limit: OodLimit


@dataclass(frozen=True, eq=False)
class NoiseRule:
    """High for sounds that are more like generated noise and silence than like known ones.

    A support vector machine with Gaussian kernels (Cortes and Vapnik, 1995), on statistics of
    features: see :class:`semisonic.models.moments.Moments`.

    Attributes
    ----------
    widths : ndarray of float32, shape (dim,)
        What statistics are multiplied by.
    centres : ndarray of float32, shape (n, dim)
        Of the kernels, multiplied already.
    weights : ndarray of float32, shape (n,)
        Above 0 where a centre is noise.
    offset : float
    """

    limit: OodLimit
    widths: NDArray[np.float32]
    centres: NDArray[np.float32]
    weights: NDArray[np.float32]
    offset: float


OodRule = EnergyRule | NoiseRule
NAMES: dict[type, str] = {EnergyRule: "energy", NoiseRule: "noise"}


@dataclass(frozen=True)
class OodRules:
    """What a sound must pass to count as known: every part.

    Attributes
    ----------
    parts : tuple of EnergyRule or NoiseRule
        None at all, and everything is known.
    kept : float
        Share of known sounds that should pass, 0 to 1.
    """

    parts: tuple[OodRule, ...] = ()
    kept: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """The rules by name."""
        return tuple(NAMES[type(part)] for part in self.parts)

    @property
    def reads_statistics(self) -> bool:
        """Whether a part looks at statistics of features."""
        return any(isinstance(part, NoiseRule) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the tables are in :meth:`tensors`."""
        rules: dict[str, Any] = {}
        for part in self.parts:
            rules[NAMES[type(part)]] = {"limit": [part.limit.value, part.limit.scale]}
            if isinstance(part, NoiseRule):
                rules["noise"]["offset"] = part.offset
        return {"kept": self.kept, "rules": rules}

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The tables by name, for the model file."""
        tables: dict[str, NDArray[np.float32]] = {}
        for part in self.parts:
            if isinstance(part, NoiseRule):
                tables["noise.widths"] = part.widths
                tables["noise.centres"] = part.centres
                tables["noise.weights"] = part.weights
        return tables

    @classmethod
    def from_dict(
        cls,
        table: Any,
        tensors: Mapping[str, NDArray[np.float32]],
        n_statistics: int = 0,
    ) -> OodRules:
        """Read what :meth:`to_dict` and :meth:`tensors` wrote, wherever it comes from.

        Raises
        ------
        ModelError
            For anything that is no rule for so many statistics of features.
        """
        if not isinstance(table, Mapping) or not isinstance(table.get("rules"), Mapping):
            raise ModelError("unknown: found no mapping of rules")
        (kept,) = numbers_of([table.get("kept")], "unknown: 'kept'", 1)
        if not 0 < kept <= 1:
            raise ModelError(f"unknown: 'kept' is {kept}, expected above 0 and at most 1")
        parts: list[OodRule] = []
        for name, rule in table["rules"].items():
            if name not in NAMES.values() or not isinstance(rule, Mapping):
                raise ModelError(f"unknown: found the rule {name!r}, which is none of ours")
            limit = OodLimit.from_list(rule.get("limit"), f"unknown: the limit of '{name}'")
            if name == "energy":
                parts.append(EnergyRule(limit))
            else:
                parts.append(_noise_rule(limit, rule, tensors, n_statistics))
        rules_read = cls(tuple(parts), kept)
        if left := set(tensors) - set(rules_read.tensors()):
            raise ModelError(f"unknown: the table '{sorted(left)[0]}' belongs to no rule")
        return rules_read


def _noise_rule(
    limit: OodLimit,
    rule: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    n_statistics: int,
) -> NoiseRule:
    (moved,) = numbers_of([rule.get("offset")], "unknown: the offset of 'noise'", 1)
    weights = _tensor(tensors, "noise.weights", None)
    if weights.ndim != 1 or not len(weights):
        raise ModelError("unknown: 'noise.weights' are not those of kernels")
    return NoiseRule(
        limit,
        _tensor(tensors, "noise.widths", (n_statistics,)),
        _tensor(tensors, "noise.centres", (len(weights), n_statistics)),
        weights,
        moved,
    )


def _tensor(
    tensors: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int, ...] | None
) -> NDArray[np.float32]:
    table = tensors.get(name)
    if table is None:
        raise ModelError(f"unknown: the table '{name}' is missing")
    if table.dtype != np.float32 or not np.isfinite(table).all():
        raise ModelError(f"unknown: the table '{name}' does not hold finite float32")
    if shape is not None and table.shape != shape:
        raise ModelError(f"unknown: '{name}' has shape {table.shape}, expected {shape}")
    return table


KNOWN_THRESHOLD = 0.5
"""Sounds are unknown whose value of ``known`` is below this."""
MAX_NOISE_SHARE = KNOWN_THRESHOLD / 2
"""Share of a score's way from nothing that is left to what seems noise, at most."""


@dataclass(frozen=True)
class Decision:
    """From logits to scores and answers.

    Attributes
    ----------
    calibration : Calibration
    thresholds : mapping of str to float
        The score from which on a class is named; of all classes, or empty.
    unknown : OodRules
        Which sounds are like nothing that was learned.
    note : mapping
        How it was fitted: on how many clips, and what was reached; text and numbers.
    """

    calibration: Calibration = field(default_factory=Calibration)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unknown: OodRules = field(default_factory=OodRules)
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether scores are those that the network learned to give."""
        return self.calibration == Calibration() and not self.thresholds and not self.unknown.parts

    @property
    def key(self) -> str:
        """A hash of what scores depend on beside the network; empty without a decision."""
        if self.is_empty:
            return ""
        tables = [(name, table.tobytes().hex()) for name, table in sorted(self.tensors().items())]
        return digest(self.calibration.to_dict(), self.unknown.to_dict(), tables)

    def least_threshold(self, n_classes: int, *, multi_label: bool) -> float:
        """What thresholds must be above, so that nothing that seems noise reaches one.

        Without rules for unknown sounds this is what nothing at all says: one over the number
        of classes or, with several labels per clip, 0.
        """
        nothing = 0.0 if multi_label else 1.0 / n_classes
        return nothing + (1.0 - nothing) * MAX_NOISE_SHARE if self.unknown.parts else nothing

    def limits(self, classes: Sequence[str], threshold: float | None = None) -> NDArray[np.float64]:
        """The threshold of each class, shape (n_classes,): its own, or one for all.

        Raises
        ------
        ModelError
            Without either.
        """
        if threshold is not None:
            return np.full(len(classes), threshold)
        if not self.thresholds:
            raise ModelError(
                "the model has no thresholds; make them with 'semisonic calibrate', or give one"
            )
        return np.array([self.thresholds[name] for name in classes])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the tables are in :meth:`tensors`."""
        return {
            "calibration": self.calibration.to_dict(),
            "thresholds": dict(self.thresholds),
            "unknown": self.unknown.to_dict(),
            "note": dict(self.note),
        }

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The tables by name, for the model file."""
        return self.unknown.tensors()

    @classmethod
    def from_dict(
        cls,
        table: Any,
        tensors: Mapping[str, NDArray[np.float32]],
        classes: Sequence[str],
        n_statistics: int = 0,
    ) -> Decision:
        """Read what :meth:`to_dict` and :meth:`tensors` wrote, wherever it comes from.

        Raises
        ------
        ModelError
            For anything that is no decision of a model with these classes and so many statistics of
            features.
        """
        if not isinstance(table, Mapping):
            raise ModelError(f"decision: found {type(table).__name__}, expected a mapping")
        note = table.get("note", {})
        thresholds = table.get("thresholds", {})
        if not isinstance(note, Mapping) or not isinstance(thresholds, Mapping):
            raise ModelError("decision: 'note' or 'thresholds' is no mapping")
        if thresholds and set(thresholds) != set(classes):
            raise ModelError("decision: 'thresholds' are not those of the model's classes")
        values = numbers_of([thresholds[name] for name in classes if thresholds], "thresholds")
        if values and not 0 <= min(values) <= max(values) <= 1:
            raise ModelError("decision: found a threshold outside 0 to 1")
        return cls(
            Calibration.from_dict(table.get("calibration"), len(classes)),
            dict(zip(classes, values, strict=True)) if values else {},
            OodRules.from_dict(table.get("unknown"), tensors, n_statistics),
            dict(note),
        )
