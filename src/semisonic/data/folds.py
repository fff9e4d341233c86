"""Folds for a set that has none: by recording, classes and sizes balanced."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.data.grouping import Recordings, recordings, shuffled
from semisonic.data.readers.load import require_labels

Rows = NDArray[np.int64]


def make_folds(clips: Clips, n_folds: int, seed: int) -> Rows:
    """Folds for a set that has none: by recording, classes and sizes balanced.

    Recordings are dealt out from the largest to the smallest, each to the fold that has the
    smallest part of its classes so far.

    Returns
    -------
    ndarray of int64, shape (n,)
        The fold of each row, from 1; 0 for a row without a label, or with one nobody checked.

    Raises
    ------
    DataError
        When there are fewer recordings than folds, or a class has one recording only.
    """
    if n_folds < 2:
        raise OptionError(f"n_folds: found {n_folds}, expected at least 2")
    require_labels(clips, "a division into folds")
    found = recordings(clips, np.flatnonzero(clips.is_certain))
    if len(found.names) < n_folds:
        raise DataError(
            f"'{clips.name}': {len(found.names)} labelled recordings, expected at least {n_folds}, "
            "one for each fold; ask for fewer folds, or say with --group what a recording is "
            "('file': copies of one sound do not count as one)"
        )
    _check_recordings(clips, found)
    order = shuffled(found.names, seed, "folds")
    order.sort(key=lambda g: -int(found.sizes[g]))  # stable: equal sizes stay shuffled
    weight = found.counts / np.maximum(found.counts.sum(axis=0), 1)
    held = np.zeros((n_folds, len(clips.classes)))
    size = np.zeros(n_folds)
    fold = np.zeros(len(clips), np.int64)
    for g in order:
        present = found.counts[g] > 0
        load = held[:, present] @ weight[g, present]
        k = min(range(n_folds), key=lambda f: (round(float(load[f]), 12), size[f]))
        held[k] += weight[g]
        size[k] += len(found.rows[g])
        fold[found.rows[g]] = k + 1
    return fold


def _check_recordings(clips: Clips, found: Recordings) -> None:
    n_recordings = (found.counts > 0).sum(axis=0)
    single = [c for c, n in zip(clips.classes, n_recordings, strict=True) if n == 1]
    if single:
        raise DataError(
            f"'{clips.name}': {len(single)} classes have one recording only: "
            f"{', '.join(single[:10])}{', ...' if len(single) > 10 else ''}. Expected at least 2, "
            "one to learn from and one to test; add recordings, say with --group what a recording "
            "is ('file': copies of one sound do not count as one), or leave these classes out "
            "(keep_classes)"
        )
