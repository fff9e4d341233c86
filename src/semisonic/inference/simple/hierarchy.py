"""Groups of classes first: which group is it, then which class of the group.

The score of a class is the probability of its group, times that of the class by a model which
has learned from this group's clips alone. Piczak (2015) proposed it for ESC-50 with its five
groups. A wrong group cannot be made good by the second model, which is the price of its
knowing less to tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.simple.classifiers import fit_scores
from semisonic.inference.simple.fitting import Scores


def fit_hierarchy(
    name: str,
    learn_from: NDArray[Any],
    target: NDArray[np.int64],
    to_score: NDArray[Any],
    *,
    group_of: Sequence[int],
    seed: int,
) -> Scores:
    """Learn groups, and the classes within each, and score others.

    Parameters
    ----------
    name : str
        The classifier of both steps.
    group_of : sequence of int, length n_classes
        The number of each class's group.

    Returns
    -------
    ndarray of float64, shape (m, n_classes)
        P(group) times P(class given the group). The rest as for
        :func:`semisonic.inference.simple.classifiers.fit_scores`.
    """
    groups = np.asarray(group_of, np.int64)
    n_groups = int(groups.max()) + 1
    of_group = fit_scores(
        name, learn_from, groups[target], to_score, n_classes=n_groups, seed=seed
    )  # fmt: skip
    scores = np.zeros((len(to_score), len(groups)))
    for group in np.unique(groups[target]):
        inside = groups[target] == group
        within = fit_scores(
            name, learn_from[inside], target[inside], to_score, n_classes=len(groups), seed=seed
        )
        scores += of_group[:, [group]] * within
    return scores
