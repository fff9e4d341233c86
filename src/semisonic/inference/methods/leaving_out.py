"""Probe or prototype: the class layer that names recordings better when they are left out.

Both leave the encoder as it is and take no time, so a few labels are enough to compare them:
each recording is left out in turn (of many, a tenth at once), a class layer is made of the rest,
and asked. Scores of so few answers are rough, so the prototype must be ahead by more than one
standard error of the difference; otherwise the probe stays, as it was better on average in
``docs/few-labels.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from semisonic.inference.methods.class_line import Array, ClassLine
from semisonic.inference.methods.options import PROBE, PROTOTYPE
from semisonic.inference.methods.prototypes import nearest_means

MOST_PARTS = 50
"""Recordings up to which each is left out by itself."""
PARTS = 10
"""Parts of equal size otherwise."""


@dataclass(frozen=True)
class LeftOut:
    """How often each class layer named what was left out.

    Attributes
    ----------
    n : int
        Answers: clips of which another recording of the class was there to learn from.
    probe, prototype : int
        Right ones.
    method : {"probe", "prototype"}
        The better one.
    """

    n: int
    probe: int
    prototype: int
    method: str

    def text(self) -> str:
        """One sentence for people."""
        if not self.n:
            return "probe: no class has a second recording to compare it with prototypes by"
        return (
            f"{self.method}: of {self.n} labelled clips, each named by the other recordings, "
            f"{self.probe} were right by probe and {self.prototype} by prototype"
        )


def compare(x: Array, shares: NDArray[Any], groups: NDArray[np.str_]) -> LeftOut:
    """Leave recordings out, name them by the rest, and count.

    Parameters
    ----------
    x : ndarray, shape (n, dim)
        Embeddings.
    shares : ndarray, shape (n, n_classes)
        One for the clip's class, else zero.
    groups : ndarray of str, shape (n,)
        The recording of each clip.
    """
    owner = shares.argmax(axis=1)
    asked = np.zeros(len(x), np.bool_)
    right = {PROBE: np.zeros(len(x), np.bool_), PROTOTYPE: np.zeros(len(x), np.bool_)}
    for rest, part in _parts(groups):
        known = set(owner[rest].tolist())
        if len(known) < 2:
            continue
        scale = StandardScaler().fit(x[rest])
        near, far = scale.transform(x[rest]), scale.transform(x[part])
        lines = {
            PROBE: ClassLine.learn(near, shares[rest], np.ones(len(rest))),
            PROTOTYPE: nearest_means(near, shares[rest]),
        }
        asked[part] = [one in known for one in owner[part].tolist()]
        for name, line in lines.items():
            right[name][part] = line.scores(far).argmax(axis=1) == owner[part]
    probe, prototype = right[PROBE] & asked, right[PROTOTYPE] & asked
    ahead = int(prototype.sum()) - int(probe.sum())
    better = ahead > np.sqrt(np.sum(probe != prototype))
    return LeftOut(
        int(asked.sum()), int(probe.sum()), int(prototype.sum()), PROTOTYPE if better else PROBE
    )


def _parts(groups: NDArray[np.str_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to learn from and rows to name, recordings whole."""
    n = len(np.unique(groups))
    if n < 2:
        return []
    split = GroupKFold(n if n <= MOST_PARTS else PARTS)
    return list(split.split(np.zeros(len(groups)), groups=groups))
