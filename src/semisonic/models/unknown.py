"""Whether a sound is like anything that a classifier has learned: rules on logits and embeddings.

Energy: Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020. Distance: Lee et
al., "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks", NeurIPS 2018 (class means with one covariance; here on the embedding only). Noise: a rule
between known sounds and made-up noise, in the manner of Hendrycks et al., "Deep anomaly detection
with outlier exposure", ICLR 2019, but fitted to finished embeddings.

Numbers only, no torch; :mod:`semisonic.inference.deciding` fits them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.calibration import numbers_of, probabilities
from semisonic.base.errors import ModelError

EMBEDDING, STATISTICS = "embedding", "statistics"
"""What a rule against noise is of."""
Table = NDArray[np.float64]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Limit:
    """Where strangeness becomes too much: at ``value``; ``scale`` says how fast.

    ``scale`` is the spread of known sounds. It makes a strangeness into a value of 0 to 1, 0.5 at
    the limit, that can be averaged over windows.
    """

    value: float
    scale: float

    def known(self, strangeness: Vector) -> Vector:
        """How known sounds of this strangeness are, shape (n,)."""
        steps = np.clip((self.value - strangeness) / self.scale, -10.0, 10.0)
        return probabilities(steps, multi_label=True)

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

    def strangeness(self, logits: Table, embedding: Table | None) -> Vector:
        """Shape (n,); the embedding is not looked at."""
        logits = np.asarray(logits, np.float64)
        top = logits.max(axis=1)
        energy: Vector = -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))
        return energy


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

    def strangeness(self, logits: Table, embedding: Table | None) -> Vector:
        """Mahalanobis distance to the nearest class, shape (n,); 1 is usual of known sounds."""
        if embedding is None:
            raise ModelError("the distance rule of this model needs embeddings beside the logits")
        x = np.asarray(embedding, np.float64)[:, : self.means.shape[1]]
        inside, outside = self.weights[:-1].astype(np.float64), float(self.weights[-1])
        directions = self.directions.astype(np.float64)
        nearest = np.full(len(x), np.inf)
        for mean in self.means.astype(np.float64):
            step = x - mean
            along = (step @ directions) ** 2
            rest = np.maximum((step * step).sum(axis=1) - along.sum(axis=1), 0.0)
            nearest = np.minimum(nearest, along @ inside + outside * rest)
        return np.asarray(np.sqrt(nearest / x.shape[1]))


@dataclass(frozen=True, eq=False)
class Noise:
    """Strange is what is more like made-up noise and silence than like known sounds.

    A support vector machine with Gaussian kernels (Cortes and Vapnik, 1995), on statistics of
    features: see :class:`semisonic.models.moments.Moments`. That of earlier files is on embeddings.

    Attributes
    ----------
    widths : ndarray of float32, shape (dim,)
        What statistics are multiplied by.
    centres : ndarray of float32, shape (n, dim)
        Of the kernels, multiplied already.
    weights : ndarray of float32, shape (n,)
        Above 0 where a centre is noise.
    offset : float
    behind : int or None
        How many numbers of the embedding stand before the statistics; None for a rule on the
        embedding itself.
    """

    limit: Limit
    widths: NDArray[np.float32]
    centres: NDArray[np.float32]
    weights: NDArray[np.float32]
    offset: float
    behind: int | None = None

    def seen(self, embedding: Any) -> Any:
        """The columns that it looks at, of an array or a tensor."""
        first = self.behind or 0
        if embedding.shape[1] < first + len(self.widths):
            raise ModelError(
                f"the noise rule of this model needs {len(self.widths)} statistics behind the "
                f"{first} numbers of the embedding, found {embedding.shape[1]} numbers in all; "
                "compute_rows() gives them"
            )
        return embedding[:, first : first + len(self.widths)]

    def strangeness(self, logits: Table, embedding: Table | None) -> Vector:
        """Shape (n,); the logits are not looked at."""
        if embedding is None:
            raise ModelError("the noise rule of this model needs more than the logits")
        x = self.seen(np.asarray(embedding, np.float64)) * self.widths.astype(np.float64)
        centres = self.centres.astype(np.float64)
        squares = (x * x).sum(axis=1)[:, None] + (centres * centres).sum(axis=1)
        kernels = np.exp(-np.maximum(squares - 2.0 * x @ centres.T, 0.0))
        found: Vector = kernels @ self.weights.astype(np.float64) + self.offset
        return found


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
    def reads_embedding(self) -> bool:
        """Whether a part looks at embeddings."""
        return any(not isinstance(part, Energy) for part in self.parts)

    @property
    def reads_statistics(self) -> bool:
        """Whether a part looks at statistics of features."""
        return any(isinstance(part, Noise) and part.behind is not None for part in self.parts)

    def known(self, logits: Table, embedding: Table | None) -> tuple[Vector, Vector]:
        """How known sounds are, 0 to 1: below 0.5 is unknown. No probability.

        Parameters
        ----------
        logits : ndarray, shape (n, n_classes)
        embedding : ndarray, shape (n, dim), optional
            With the statistics behind it, (n, dim + n_statistics), where a rule reads them.

        Returns
        -------
        known : ndarray, shape (n,)
            By all parts: the least of them.
        no_noise : ndarray, shape (n,)
            By the rule against noise alone.
        """
        found, no_noise = np.ones(len(logits)), np.ones(len(logits))
        for part in self.parts:
            one = part.limit.known(part.strangeness(logits, embedding))
            found = np.minimum(found, one)
            if isinstance(part, Noise):
                no_noise = one
        return found, no_noise

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the tables are in :meth:`tensors`."""
        rules: dict[str, Any] = {}
        for part in self.parts:
            rules[NAMES[type(part)]] = {"limit": [part.limit.value, part.limit.scale]}
            if isinstance(part, Noise):
                rules["noise"]["offset"] = part.offset
                if part.behind is not None:
                    rules["noise"]["of"] = STATISTICS
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
                parts.append(_noise(limit, rule, tensors, dim, n_statistics))
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
    dim: int,
    n_statistics: int,
) -> Noise:
    (moved,) = numbers_of([rule.get("offset")], "unknown: the offset of 'noise'", 1)
    of = rule.get("of", EMBEDDING)
    if of not in (EMBEDDING, STATISTICS):
        raise ModelError(f"unknown: 'noise' is of {of!r}, expected {EMBEDDING} or {STATISTICS}")
    behind = dim if of == STATISTICS else None
    if of == STATISTICS:
        dim = n_statistics
    weights = _tensor(tensors, "noise.weights", None)
    if weights.ndim != 1 or not len(weights):
        raise ModelError("unknown: 'noise.weights' are not those of kernels")
    return Noise(
        limit,
        _tensor(tensors, "noise.widths", (dim,)),
        _tensor(tensors, "noise.centres", (len(weights), dim)),
        weights,
        moved,
        behind,
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
