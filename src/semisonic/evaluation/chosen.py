"""What the best of several settings is worth, when it was chosen by the same clips.

The highest of many scores is high by luck, too. Here the choice is made again and again on some
recordings, and what was chosen is scored on the others: the bootstrap bias corrected
cross-validation of I. Tsamardinos, E. Greasidou and G. Borboudakis (Machine Learning 107, 2018).
Where we differ: whole recordings are drawn, and a search that let early trials tell it where to
look is taken as if all its settings had been given beforehand, so some luck is left in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.seeds import generator

N_BOOTSTRAPS = 1000


@dataclass(frozen=True)
class ChosenBest:
    """The score of the best setting, on clips that did not choose it.

    Attributes
    ----------
    mean : float
        Of all drawings, 0 to 1.
    low, high : float
        The 2.5th and the 97.5th percentile of the drawings.
    gain, gain_low, gain_high : float
        The same of the difference to another setting on the same clips; NaN without one. Each
        drawing scores about a third of the recordings, so the interval is a wide one.
    """

    mean: float
    low: float
    high: float
    gain: float = math.nan
    gain_low: float = math.nan
    gain_high: float = math.nan

    @property
    def is_gain(self) -> bool:
        """Whether the interval of the gain lies above zero."""
        return self.gain_low > 0


def chosen_best(
    right: NDArray[np.float64],
    group: NDArray[np.str_],
    *,
    against: NDArray[np.float64] | None = None,
    seed: int = 0,
    n_bootstraps: int = N_BOOTSTRAPS,
) -> ChosenBest:
    """The score to expect of the best of several settings.

    Parameters
    ----------
    right : ndarray of float, shape (n_settings, n_clips)
        1 where a setting is right about a clip that it was not trained on, else 0; or how often.
    group : ndarray of str, shape (n_clips,)
        The recording of each clip.
    against : ndarray of float, shape (n_clips,), optional
        The answers of a setting that had no part in the choice.
    seed : int
    n_bootstraps : int

    Raises
    ------
    DataError
        With fewer than two recordings, or no setting.
    """
    names, index = np.unique(group, return_inverse=True)
    if right.ndim != 2 or right.shape[1] != len(group) or not len(right) or len(names) < 2:
        raise DataError(
            f"best of several: found answers of shape {right.shape} to clips of {len(names)} "
            "recordings, expected (settings, clips) and at least two recordings"
        )
    rows = right if against is None else np.vstack([right, against])
    sums = np.stack([np.bincount(index, row, len(names)) for row in rows])
    sizes = np.bincount(index, minlength=len(names)).astype(np.float64)
    rng = generator(seed, "best of several")
    found: list[NDArray[np.float64]] = []
    while len(found) < n_bootstraps:
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        out = times == 0
        if not out.any():
            continue
        best = int((sums[: len(right)] @ times).argmax())  # of equal ones the first
        found.append(sums[[best, -1]][:, out].sum(axis=1) / sizes[out].sum())
    scores = np.array(found)
    low, high = np.percentile(scores[:, 0], [2.5, 97.5])
    if against is None:
        return ChosenBest(float(scores[:, 0].mean()), float(low), float(high))
    gains = scores[:, 0] - scores[:, 1]
    ends = np.percentile(gains, [2.5, 97.5])
    return ChosenBest(
        float(scores[:, 0].mean()), float(low), float(high),
        float(gains.mean()), float(ends[0]), float(ends[1]),
    )  # fmt: skip
