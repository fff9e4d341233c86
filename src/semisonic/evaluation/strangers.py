"""How well known sounds and unknown ones are told apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from semisonic.base.errors import DataError


class Telling(NamedTuple):
    """How well known and unknown are told apart.

    Attributes
    ----------
    auroc : float
        Probability that an unknown sound is stranger than a known one; 0.5 is chance.
    false_alarms : float
        Share of unknown sounds taken for known where ``kept`` of the known ones pass (FPR at
        95 % TPR).
    """

    auroc: float
    false_alarms: float


def tell_apart(known: ArrayLike, unknown: ArrayLike, kept: float = 0.95) -> Telling:
    """Measure a strangeness.

    Parameters
    ----------
    known, unknown : array, shape (n,) and (m,)
        Strangeness of sounds, the larger the stranger.
    kept : float
        Share of known sounds that pass.
    """
    a, b = np.asarray(known, np.float64), np.asarray(unknown, np.float64)
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("known and unknown: expected at least one finite value of each")
    kinds = np.r_[np.zeros(len(a)), np.ones(len(b))]
    limit = limit_for(a, kept)
    return Telling(float(roc_auc_score(kinds, np.r_[a, b])), float((b <= limit).mean()))


def limit_for(known: ArrayLike, kept: float) -> float:
    """The strangeness up to which at least a share of known sounds pass."""
    values = np.sort(np.asarray(known, np.float64))
    if not len(values) or not 0 < kept <= 1:
        raise DataError(f"limit: found {len(values)} values and a share of {kept}")
    return float(values[min(len(values) - 1, int(np.ceil(kept * len(values) - 1e-9)) - 1)])
