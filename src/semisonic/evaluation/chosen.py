"""What the best of several settings is worth, when it was chosen by the same clips.

The highest of many scores is high by luck, too. Here the choice is made again and again on some
recordings, and what was chosen is scored on the others: the bootstrap bias corrected
cross-validation of I. Tsamardinos, E. Greasidou and G. Borboudakis (Machine Learning 107, 2018).
Where we differ: whole recordings are drawn, and a search that let early trials tell it where to
look is taken as if all its settings had been given beforehand, so some luck is left in.
"""

from __future__ import annotations

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
    """

    mean: float
    low: float
    high: float


def chosen_best(
    right: NDArray[np.float64],
    group: NDArray[np.str_],
    *,
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
    sums = np.zeros((len(right), len(names)))
    for row, values in enumerate(right):
        sums[row] = np.bincount(index, values, len(names))
    sizes = np.bincount(index, minlength=len(names)).astype(np.float64)
    rng = generator(seed, "best of several")
    found: list[float] = []
    while len(found) < n_bootstraps:
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        out = times == 0
        if not out.any():
            continue
        best = int((sums @ times).argmax())  # of equal ones the first, as in the search
        found.append(float(sums[best, out].sum() / sizes[out].sum()))
    low, high = np.percentile(found, [2.5, 97.5])
    return ChosenBest(float(np.mean(found)), float(low), float(high))
