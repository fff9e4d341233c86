"""Recordings that stand in several official folds: find them, move them."""

from __future__ import annotations

import numpy as np

from semisonic.data.clips import Clips
from semisonic.data.grouping import natural


def straddling_groups(clips: Clips) -> list[str]:
    """The recordings whose clips stand in more than one official fold, sorted."""
    folds: dict[str, set[int]] = {}
    for group, fold in zip(clips.group.tolist(), clips.fold.tolist(), strict=True):
        if fold:
            folds.setdefault(group, set()).add(fold)
    return sorted((g for g, found in folds.items() if len(found) > 1), key=natural)


def move_straddling(clips: Clips) -> Clips:
    """Put each straddling recording into the fold that holds most of it (the first on a tie)."""
    fold = clips.fold.copy()
    for group in straddling_groups(clips):
        member = (clips.group == group) & (fold > 0)
        fold[member] = np.bincount(fold[member]).argmax()
    return clips.with_columns(fold=fold)
