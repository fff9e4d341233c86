"""From scores to answers: when a class is named, and when it is better to say "unknown"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import ModelError, OptionError
from semisonic.models import SoundModel
from semisonic.models.decision import KNOWN_FROM

UNKNOWN, SILENCE = "unknown", "silence"
AUTO = "auto"
STRANGE, UNSURE = "like nothing learned", "below threshold"
NOTHING = "digital silence"


@dataclass(frozen=True)
class Rule:
    """When "unknown" is answered.

    Attributes
    ----------
    unknown : bool
        Whether the model's rule for unknown sounds is heeded.
    limits : ndarray, shape (n_classes,), or None
        The score from which on each class is named; None: the best class always.
    """

    unknown: bool = False
    limits: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, model: SoundModel, unknown: bool, threshold: str | float | None) -> Rule:
        """What was asked for.

        Parameters
        ----------
        threshold : "auto", number or None
            The model's own thresholds, one for all classes, or none.

        Raises
        ------
        ModelError
            When the model has no rule for unknown sounds, or no thresholds, but was asked for it.
        OptionError
            For a threshold that is neither "auto" nor from 0 to 1.
        """
        if unknown and not model.decision.unknown.parts:
            raise ModelError(
                "the model has no rule for unknown sounds; make one with 'semisonic calibrate'"
            )
        if threshold is None:
            return cls(unknown)
        value = None if threshold == AUTO else as_share(threshold)
        return cls(unknown, model.decision.limits(model.classes, value))

    @property
    def is_asked(self) -> bool:
        """Whether "unknown" can be an answer at all."""
        return self.unknown or self.limits is not None

    def reason(self, scores: NDArray[np.float64], known: float, *, multi_label: bool) -> str:
        """Why no class is named for a sound with these scores; empty if one is."""
        if self.unknown and known < KNOWN_FROM:
            return STRANGE
        if self.limits is None:
            return ""
        reached = scores >= self.limits
        return "" if (reached.any() if multi_label else reached[scores.argmax()]) else UNSURE

    def order(self, scores: NDArray[np.float64], *, multi_label: bool) -> NDArray[np.int64]:
        """Classes, best first; with several labels per clip those that reach their threshold."""
        best: NDArray[np.int64] = np.argsort(-scores, kind="stable")
        if self.limits is None or not multi_label:
            return best
        reached = (scores >= self.limits)[best]
        return np.concatenate([best[reached], best[~reached]])


def as_share(text: str | float) -> float:
    """A threshold as a number.

    Raises
    ------
    OptionError
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise OptionError(f"option 'threshold': found {text!r}, expected auto, or 0 to 1")
    return value
