"""Label budgets: a few labelled clips per class, as if nobody had labelled the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.recordings import recordings, shuffled


def label_budget(
    clips: Clips,
    rows: NDArray[np.int64],
    labels_per_class: int,
    seed: int,
    *,
    allow_fewer: bool = False,
) -> NDArray[np.int64]:
    """Choose a few labelled clips of each class: verified labels first, then unverified ones.

    Parameters
    ----------
    clips : Clips
    rows : ndarray of int64
        The rows to choose from, as a rule the training rows of a split. Rows without a label are
        passed over.
    labels_per_class : int
        Clips of each class, at least 1. A clip with several labels counts for each of them, so a
        class may get more in a set with several labels per clip.
    seed : int
        Another seed, another draw.
    allow_fewer : bool
        Take all clips of a class that has fewer than asked for, instead of raising an error.

    Returns
    -------
    ndarray of int64
        Row numbers, ascending.

    Raises
    ------
    DataError
        When a class has no clip among the rows, or fewer than asked for.
    OptionError
        When ``labels_per_class`` is below 1.

    Examples
    --------
    >>> rows = [{"file": f"{i}.wav", "labels": ("cat", "dog")[i % 2]} for i in range(10)]
    >>> clips = Clips.from_rows("sounds", rows)
    >>> clips[label_budget(clips, np.arange(10), 2, seed=0)].targets().sum(axis=0).tolist()
    [2.0, 2.0]
    """
    if labels_per_class < 1:
        raise OptionError(f"labels_per_class: found {labels_per_class}, expected at least 1")
    rows = np.asarray(rows, np.int64)
    require_labels(clips[rows], "a label budget")
    found = recordings(clips, rows)
    _check_enough(clips, found.counts.sum(axis=0), labels_per_class, allow_fewer)
    ids, certain, chosen = clips.ids, clips.is_verified, set[int]()
    for label in clips.classes:
        queues = _clips_by_recording(clips, found.rows, label)
        names = list(queues)
        order = shuffled(names, seed, "label budget", label)
        ranked = _round_robin([queues[names[i]] for i in order], ids, seed)
        ranked.sort(key=lambda row: not certain[row])  # stable
        chosen.update(ranked[:labels_per_class])
    return np.array(sorted(chosen), np.int64)


def _clips_by_recording(
    clips: Clips, groups: tuple[NDArray[np.int64], ...], label: str
) -> dict[str, list[int]]:
    """The rows of one class, by recording, in order of clip id."""
    queues: dict[str, list[int]] = {}
    for rows in groups:
        for row in rows.tolist():
            if label in clips.labels[row]:
                queues.setdefault(str(clips.group[row]), []).append(row)
    return queues


def _round_robin(queues: list[list[int]], ids: list[str], seed: int) -> list[int]:
    """One clip of each recording, then a second of each, and so on."""
    mixed = [
        [queue[i] for i in shuffled([ids[row] for row in queue], seed, "clip of a recording")]
        for queue in queues
    ]
    longest = max((len(queue) for queue in mixed), default=0)
    return [queue[i] for i in range(longest) for queue in mixed if i < len(queue)]


def _check_enough(clips: Clips, counts: NDArray[np.int64], wanted: int, allow_fewer: bool) -> None:
    least = 1 if allow_fewer else wanted
    few = [f"{c} {n}" for c, n in zip(clips.classes, counts.tolist(), strict=True) if n < least]
    if few:
        raise DataError(
            f"'{clips.name}': labelled clips to choose from: {', '.join(few[:10])}"
            f"{', ...' if len(few) > 10 else ''}; expected at least {least} of each class. "
            + (
                "Ask for fewer labels per class, allow fewer, or label more clips"
                if all(counts)
                else "Label clips of these classes, or leave the classes out (keep_classes)"
            )
        )
