"""The numbers by which a classifier makes scores of what its network computes.

They are fitted after training, on clips that were not trained on, and lie in the model file.
:class:`semisonic.models.decision_module.DecisionModule` applies them, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.calibration import Calibration, numbers_of
from semisonic.base.errors import ModelError
from semisonic.base.files import digest
from semisonic.models.unknown import Unknown

KNOWN_FROM = 0.5
"""Sounds are unknown whose value of ``known`` is below this."""
MOST_LEFT = KNOWN_FROM / 2
"""Share of a score's way from nothing that is left to what seems noise, at most."""


@dataclass(frozen=True)
class Decision:
    """From logits and embeddings to scores and answers.

    Attributes
    ----------
    calibration : Calibration
    thresholds : mapping of str to float
        The score from which on a class is named; of all classes, or empty.
    unknown : Unknown
        Which sounds are like nothing that was learned.
    note : mapping
        How it was fitted: on how many clips, and what was reached; text and numbers.
    """

    calibration: Calibration = field(default_factory=Calibration)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unknown: Unknown = field(default_factory=Unknown)
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
        return nothing + (1.0 - nothing) * MOST_LEFT if self.unknown.parts else nothing

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
        dim: int,
        n_statistics: int = 0,
    ) -> Decision:
        """Read what :meth:`to_dict` and :meth:`tensors` wrote, wherever it comes from.

        Raises
        ------
        ModelError
            For anything that is no decision of a model with these classes, embeddings of ``dim``
            numbers and ``n_statistics`` statistics of features.
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
            Unknown.from_dict(table.get("unknown"), tensors, len(classes), dim, n_statistics),
            dict(note),
        )
