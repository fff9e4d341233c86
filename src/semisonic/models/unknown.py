"""Whether a sound is like anything that a classifier has learned: rules on logits and embeddings.

Energy: Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020. Distance: Lee et
al., "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks", NeurIPS 2018 (class means with one covariance; here on the embedding only). Noise: a rule
between known sounds and made-up noise, in the manner of Hendrycks et al., "Deep anomaly detection
with outlier exposure", ICLR 2019, but fitted to statistics of features.

The tables of each rule; :mod:`semisonic.models.decision_module` applies them, and
:mod:`semisonic.inference.deciding` fits them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.calibration import numbers_of
from semisonic.base.errors import ModelError


@dataclass(frozen=True)
class Limit:
    """Where strangeness becomes too much: at ``value``; ``scale`` says how fast.

    ``scale`` is the spread of known sounds. It makes a strangeness into a value of 0 to 1, 0.5 at
    the limit, that can be averaged over windows.
    """

    value: float
    scale: float

    @classmethod
    def from_list(cls, values: Any, what: str) -> Limit:
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
class Energy:
    """Strange is what no logit is high for."""

    limit: Limit


@dataclass(frozen=True, eq=False)
class Distance:
    """Strange is what lies far from the mean of every class.

    Attributes
    ----------
    means : ndarray of float32, shape (n_classes, dim)
    directions : ndarray of float32, shape (dim, rank)
        Orthonormal; where classes vary most.
    weights : ndarray of float32, shape (rank + 1,)
        One over the variance in each direction, and at the end in all others.
    """

    limit: Limit
    means: NDArray[np.float32]
    directions: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Noise:
    """Strange is what is more like made-up noise and silence than like known sounds.

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

    limit: Limit
    widths: NDArray[np.float32]
    centres: NDArray[np.float32]
    weights: NDArray[np.float32]
    offset: float


Part = Energy | Distance | Noise
NAMES: dict[type, str] = {Energy: "energy", Distance: "distance", Noise: "noise"}


@dataclass(frozen=True)
class Unknown:
    """What a sound must pass to count as known: every part.

    Attributes
    ----------
    parts : tuple of Energy, Distance or Noise
        None at all, and everything is known.
    kept : float
        Share of known sounds that should pass, 0 to 1.
    """

    parts: tuple[Part, ...] = ()
    kept: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """The rules by name."""
        return tuple(NAMES[type(part)] for part in self.parts)

    @property
    def reads_statistics(self) -> bool:
        """Whether a part looks at statistics of features."""
        return any(isinstance(part, Noise) for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the tables are in :meth:`tensors`."""
        rules: dict[str, Any] = {}
        for part in self.parts:
            rules[NAMES[type(part)]] = {"limit": [part.limit.value, part.limit.scale]}
            if isinstance(part, Noise):
                rules["noise"]["offset"] = part.offset
        return {"kept": self.kept, "rules": rules}

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The tables by name, for the model file."""
        found: dict[str, NDArray[np.float32]] = {}
        for part in self.parts:
            if isinstance(part, Distance):
                found["distance.means"] = part.means
                found["distance.directions"] = part.directions
                found["distance.weights"] = part.weights
            elif isinstance(part, Noise):
                found["noise.widths"] = part.widths
                found["noise.centres"] = part.centres
                found["noise.weights"] = part.weights
        return found

    @classmethod
    def from_dict(
        cls,
        table: Any,
        tensors: Mapping[str, NDArray[np.float32]],
        n_classes: int,
        dim: int,
        n_statistics: int = 0,
    ) -> Unknown:
        """Read what :meth:`to_dict` and :meth:`tensors` wrote, wherever it comes from.

        Raises
        ------
        ModelError
            For anything that is no rule for embeddings of ``dim`` numbers and ``n_statistics``.
        """
        if not isinstance(table, Mapping) or not isinstance(table.get("rules"), Mapping):
            raise ModelError("unknown: found no mapping of rules")
        (kept,) = numbers_of([table.get("kept")], "unknown: 'kept'", 1)
        if not 0 < kept <= 1:
            raise ModelError(f"unknown: 'kept' is {kept}, expected above 0 and at most 1")
        parts: list[Part] = []
        for name, rule in table["rules"].items():
            if name not in NAMES.values() or not isinstance(rule, Mapping):
                raise ModelError(f"unknown: found the rule {name!r}, which is none of ours")
            limit = Limit.from_list(rule.get("limit"), f"unknown: the limit of '{name}'")
            if name == "energy":
                parts.append(Energy(limit))
            elif name == "noise":
                parts.append(_noise(limit, rule, tensors, n_statistics))
            else:
                parts.append(_distance(limit, tensors, n_classes, dim))
        found = cls(tuple(parts), kept)
        if left := set(tensors) - set(found.tensors()):
            raise ModelError(f"unknown: the table '{sorted(left)[0]}' belongs to no rule")
        return found


def _distance(
    limit: Limit, tensors: Mapping[str, NDArray[np.float32]], n_classes: int, dim: int
) -> Distance:
    weights = _tensor(tensors, "distance.weights", None)
    if weights.ndim != 1 or not 1 <= len(weights) <= dim + 1 or (weights < 0).any():
        raise ModelError("unknown: 'distance.weights' are not those of a distance")
    return Distance(
        limit,
        _tensor(tensors, "distance.means", (n_classes, dim)),
        _tensor(tensors, "distance.directions", (dim, len(weights) - 1)),
        weights,
    )


def _noise(
    limit: Limit,
    rule: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    n_statistics: int,
) -> Noise:
    (moved,) = numbers_of([rule.get("offset")], "unknown: the offset of 'noise'", 1)
    weights = _tensor(tensors, "noise.weights", None)
    if weights.ndim != 1 or not len(weights):
        raise ModelError("unknown: 'noise.weights' are not those of kernels")
    return Noise(
        limit,
        _tensor(tensors, "noise.widths", (n_statistics,)),
        _tensor(tensors, "noise.centres", (len(weights), n_statistics)),
        weights,
        moved,
    )


def _tensor(
    tensors: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int, ...] | None
) -> NDArray[np.float32]:
    found = tensors.get(name)
    if found is None:
        raise ModelError(f"unknown: the table '{name}' is missing")
    if found.dtype != np.float32 or not np.isfinite(found).all():
        raise ModelError(f"unknown: the table '{name}' does not hold finite float32")
    if shape is not None and found.shape != shape:
        raise ModelError(f"unknown: '{name}' has shape {found.shape}, expected {shape}")
    return found
