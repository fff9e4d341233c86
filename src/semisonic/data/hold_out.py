"""A part of the clips held out, by recording, with all classes as evenly as possible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.data.grouping import Recordings, recordings, shuffled

Rows = NDArray[np.int64]


def hold_out(
    clips: Clips, rows: Rows, share: float, seed: int, purpose: str = "validation"
) -> tuple[Rows, Rows]:
    """Cut a share of the clips off, by recording, with all classes as evenly as possible.

    Recordings are taken in a random order for the class that is furthest from its share. The last
    recording of a class is never taken, and none that has labels nobody checked
    (``label_type`` "uncertain").

    Parameters
    ----------
    clips : Clips
    rows : ndarray of int64
        The rows to divide.
    share : float
        Share of the clips with checked labels to hold out, from 0 to below 1.
    seed : int
    purpose : str
        Names the random stream, so that different cuts are independent.

    Returns
    -------
    kept, held : ndarray of int64
        Row numbers, ascending.
    """
    if not 0 <= share < 1:
        raise OptionError(f"share to hold out: found {share}, expected from 0 to below 1")
    uncertain = clips.group[rows][clips.is_labelled[rows] & ~clips.is_certain[rows]]
    found = recordings(clips, rows[~np.isin(clips.group[rows], uncertain)])
    order = shuffled(found.names, seed, purpose)
    priority = np.argsort(shuffled(clips.classes, seed, purpose, "class"))
    chosen = _choose(found, order, priority, share)
    held = found.take(chosen)
    return np.setdiff1d(rows, held), held


def split(clips: Clips, test_size: float = 0.2, *, seed: int = 0) -> tuple[Clips, Clips]:
    """Divide a table in two by recording, classes as evenly as possible.

    Parameters
    ----------
    clips : Clips
    test_size : float
        Share of the clips with checked labels in the second part, from 0 to below 1.
    seed : int

    Returns
    -------
    train, test : Clips
        No recording stands in both. Clips without labels, or with labels nobody checked, are in
        the first.
    """
    kept, held = hold_out(clips, np.arange(len(clips)), test_size, seed, "split")
    return clips[kept], clips[held]


def _choose(found: Recordings, order: Sequence[int], priority: Rows, share: float) -> list[int]:
    """Which recordings to hold out: serve the class that is furthest from its share, repeatedly.

    ``priority`` decides between classes that are equally far.
    """
    wanted = found.counts.sum(axis=0) * share
    tie = priority * 1e-9
    goal = round(float(found.sizes.sum()) * share)
    held = np.zeros_like(wanted)
    left = (found.counts > 0).sum(axis=0)  # recordings that still train, per class
    waiting = [[g for g in reversed(order) if found.counts[g, c]] for c in range(len(wanted))]
    too_large: list[list[int]] = [[] for _ in wanted]
    chosen: dict[int, None] = {}  # in order
    n_held = 0
    while True:
        missing = np.where([bool(queue) for queue in waiting], wanted - held + tie, -np.inf)
        c = int(missing.argmax()) if len(missing) else 0
        # A class short of a whole clip is served even when others took more than their share.
        short = len(missing) > 0 and missing[c] >= 1
        if not short and (n_held >= goal or not len(missing) or missing[c] <= 1e-6):
            break
        g = waiting[c].pop()
        counts, size = found.counts[g], int(found.sizes[g])
        last = bool(((counts > 0) & (left <= 1)).any())
        retry = g in too_large[c]
        over = float(counts[c] - missing[c])  # how far the class would go past its share
        if g in chosen or last or (not short and n_held + size - goal > goal - n_held):
            continue
        if over > max(1.0, float(missing[c]) * (1.0 if retry else 0.5)):
            if not retry:
                too_large[c].append(g)
                if not waiting[c] and not held[c]:
                    # Better more than its share of a class than nothing of it: the smallest first.
                    waiting[c] = sorted(too_large[c], key=lambda i: -int(found.sizes[i]))
            continue
        chosen[g] = None
        held += counts
        left -= counts > 0
        n_held += size
        if retry:
            waiting[c] = []
    return list(chosen)
