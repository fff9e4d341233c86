"""Splits by recording: folds, a validation part, and a few labelled clips per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import LEAVE_OUT, Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.recordings import (
    RecordingRows,
    recordings,
    shuffled,
)

Rows = NDArray[np.int64]


def make_folds(clips: Clips, n_folds: int, seed: int) -> Rows:
    """Make folds for a set without folds: by recording, with balanced classes and sizes.

    Recordings are assigned from the largest to the smallest, each to the fold with the smallest
    share of its classes so far.

    Parameters
    ----------
    clips : Clips
    n_folds : int
        At least 2.
    seed : int
        Seed of the order of recordings of equal size.

    Returns
    -------
    ndarray of int64, shape (n,)
        The fold of each row, from 1; 0 for a row without a verified label.

    Raises
    ------
    DataError
        When there are fewer recordings than folds, or a class has only one recording.

    Examples
    --------
    >>> rows = [{"file": f"{i}.wav", "labels": "dog"} for i in range(4)]
    >>> sorted(make_folds(Clips.from_rows("sounds", rows), 2, seed=0).tolist())
    [1, 1, 2, 2]
    """
    if n_folds < 2:
        raise OptionError(f"n_folds: found {n_folds}, expected at least 2")
    require_labels(clips, "a division into folds")
    found = recordings(clips, np.flatnonzero(clips.is_verified))
    if len(found.names) < n_folds:
        raise DataError(
            f"'{clips.name}': {len(found.names)} labelled recordings, expected at least "
            f"{n_folds}, one for each fold; use fewer folds, or define recordings with the "
            "option 'group' ('file': copies of one sound do not count as one recording)"
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


def _check_recordings(clips: Clips, found: RecordingRows) -> None:
    n_recordings = (found.counts > 0).sum(axis=0)
    single = [c for c, n in zip(clips.classes, n_recordings, strict=True) if n == 1]
    if single:
        raise DataError(
            f"'{clips.name}': {len(single)} classes have only one recording: "
            f"{first_few(single, 10)}. Expected at least 2, one for training and one for "
            "testing; add recordings, define recordings with the option 'group' ('file': copies "
            f"of one sound do not count as one recording), or {LEAVE_OUT}"
        )


# A part of the clips held out, by recording, with all classes as evenly as possible.


def hold_out(
    clips: Clips, rows: Rows, share: float, seed: int, purpose: str = "validation"
) -> tuple[Rows, Rows]:
    """Hold out a share of the clips, by recording, with all classes as evenly as possible.

    Recordings are taken in random order for the class that is furthest from its share. The last
    recording of a class, and recordings with unverified labels (``label_type`` "uncertain"), are
    never taken.

    Parameters
    ----------
    clips : Clips
    rows : ndarray of int64
        The rows to divide.
    share : float
        Share of the clips with verified labels to hold out, at least 0 and less than 1.
    seed : int
    purpose : str
        Name of the random stream, so that different cuts are independent.

    Returns
    -------
    kept, held : ndarray of int64
        Row numbers, ascending.

    Raises
    ------
    OptionError
        When the share is out of range.
    """
    if not 0 <= share < 1:
        raise OptionError(f"share to hold out: found {share}, expected at least 0 and less than 1")
    uncertain = clips.group[rows][clips.is_labelled[rows] & ~clips.is_verified[rows]]
    found = recordings(clips, rows[~np.isin(clips.group[rows], uncertain)])
    order = shuffled(found.names, seed, purpose)
    priority = np.argsort(shuffled(clips.classes, seed, purpose, "class"))
    chosen = _choose(found, order, priority, share)
    held = found.take(chosen)
    return np.setdiff1d(rows, held), held


def split(clips: Clips, test_size: float = 0.2, *, seed: int = 0) -> tuple[Clips, Clips]:
    """Divide a table in two by recording, with all classes as evenly as possible.

    Parameters
    ----------
    clips : Clips
    test_size : float
        Share of the clips with verified labels in the second part, at least 0 and less than 1.
    seed : int

    Returns
    -------
    train, test : Clips
        No recording is in both. Clips without verified labels are in the first.

    Examples
    --------
    >>> rows = [{"file": f"{i}.wav", "labels": "dog"} for i in range(10)]
    >>> train, test = split(Clips.from_rows("sounds", rows), 0.2)
    >>> len(train), len(test)
    (8, 2)
    """
    kept, held = hold_out(clips, np.arange(len(clips)), test_size, seed, "split")
    return clips[kept], clips[held]


def _choose(found: RecordingRows, order: Sequence[int], priority: Rows, share: float) -> list[int]:
    """Which recordings to hold out: repeatedly one of the class that is furthest from its share.

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


# Splits by recording: official folds or folds of our own, with an inner validation part.
#
# A recording (``Clips.group``) never stands on two sides of a split. Which clip goes where depends
# on the names of the recordings and on the seed, never on the order of files.


VALIDATION_FOLDS = ("inner", "previous")


@dataclass(frozen=True)
class Split:
    """A division of a table: ascending row numbers, each at most once.

    Attributes
    ----------
    fold : int
        The test fold.
    train, validation, test : ndarray of int64
        Row numbers of labelled clips.
    dropped : ndarray of int64
        Unused rows, because their recording is also in the test fold (or, with the previous fold
        as validation, in the validation fold).
    """

    fold: int
    train: Rows
    validation: Rows
    test: Rows
    dropped: Rows = field(default_factory=lambda: np.empty(0, np.int64))


def fold_splits(
    clips: Clips,
    *,
    validation: float = 0.15,
    seed: int = 0,
    n_folds: int = 5,
    validation_fold: Literal["inner", "previous"] = "inner",
) -> list[Split]:
    """One split for each fold, which is its test part; the others are for training and validation.

    A set with one fold, and other clips without a fold, has an official test part (fold 1) and
    gives one split. Unverified labels (``label_type`` "uncertain") are used for training only.

    Parameters
    ----------
    clips : Clips
        Rows without a label are in no part of any split. In a set with folds, labelled rows
        without a fold are used for training and validation only.
    validation : float
        Share of the training clips held out for validation, at least 0 and less than 1.
    seed : int
        Seed of the validation recordings, and of the folds if the set has none.
    n_folds : int
        Number of folds to make if the set has none; official folds are kept.
    validation_fold : {"inner", "previous"}
        "inner" takes the validation part from the training folds, by recording. "previous" takes
        the fold before the test fold, cyclic (K. J. Piczak, MLSP 2015); ``validation`` is unused.
    Notes
    -----
    If a recording is in several official folds (ESC-50 has 4 of these), its clips are left out of
    training and validation while it is tested, so every test fold stays as published.

    Raises
    ------
    DataError
        When there are no labels, too few recordings, or a class is left without training clips.
    OptionError
        When an option is out of range.

    Examples
    --------
    >>> parts = fold_splits(load_clips("labelled"), n_folds=2)
    >>> len(parts), sum(len(part.test) for part in parts)
    (2, 28)
    """
    if validation_fold not in VALIDATION_FOLDS:
        hint = nearest(validation_fold, VALIDATION_FOLDS)
        raise OptionError(f"validation_fold: found '{validation_fold}'; {hint}")
    require_labels(clips, "a split")
    fold = clips.fold
    if not clips.folds:
        fold = make_folds(clips, n_folds, seed)
    labelled = clips.is_labelled
    folds = sorted({int(f) for f in fold[labelled]} - {0})
    official_test = len(folds) == 1 and bool((labelled & (fold == 0)).any())
    least = 3 if validation_fold == "previous" else 1 if official_test else 2
    if len(folds) < least:
        raise DataError(
            f"'{clips.name}': labelled clips in {count_text(len(folds), 'fold')}, expected at "
            f"least {least}; without a fold column, folds are made"
        )
    splits = []
    for i, k in enumerate(folds):
        test = np.flatnonzero(clips.is_verified & (fold == k))
        rest = np.flatnonzero(labelled & (fold != k))
        rest, dropped = _without_groups_of(clips, rest, test)
        if validation_fold == "previous":
            before = fold[rest] == folds[i - 1]
            held, train = rest[before & clips.is_verified[rest]], rest[~before]
            train, more = _without_groups_of(clips, train, held)
            dropped = np.sort(np.concatenate([dropped, more]))
        else:
            train, held = hold_out(clips, rest, validation, seed, f"validation of fold {k}")
        _check_classes(clips, train, test, k)
        splits.append(Split(k, train, held, test, dropped))
    return splits


def _without_groups_of(clips: Clips, rows: Rows, others: Rows) -> tuple[Rows, Rows]:
    """Rows whose recording is not among ``others``, and the rest."""
    shared = np.isin(clips.group[rows], clips.group[others])
    return rows[~shared], rows[shared]


def _check_classes(clips: Clips, train: Rows, test: Rows, fold: int) -> None:
    trained = {label for row in train for label in clips.labels[row]}
    lost = sorted({label for row in test for label in clips.labels[row]} - trained)
    if lost or not len(train):
        raise DataError(
            f"'{clips.name}', fold {fold}: {', '.join(lost[:10]) or 'all clips'} would be tested, "
            "but no training clip is left. Each class needs recordings in at least two folds; "
            f"add recordings, or {LEAVE_OUT}"
        )


# Label budgets: a few labelled clips per class, as if nobody had labelled the rest.


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
        The rows to choose from, usually the training rows of a split. Rows without a label are
        ignored.
    labels_per_class : int
        Number of clips per class, at least 1. A clip with several labels counts for each of them,
        so a class may get more clips.
    seed : int
        Seed of the draw.
    allow_fewer : bool
        Take all clips of a class that has too few, instead of raising an error.

    Returns
    -------
    ndarray of int64
        Row numbers, ascending.

    Raises
    ------
    DataError
        When a class has no clip among the rows, or too few.
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
    least = 1 if allow_fewer else labels_per_class
    counts = dict(zip(clips.classes, found.counts.sum(axis=0).tolist(), strict=True))
    few = [f"{label} {n}" for label, n in counts.items() if n < least]
    if few:
        raise DataError(
            f"'{clips.name}': found labelled clips: {first_few(few, 10)}; expected at least "
            f"{least} of each class. "
            + (
                "Use fewer labels per class, allow fewer, or label more clips"
                if all(counts.values())
                else f"Label clips of these classes, or {LEAVE_OUT}"
            )
        )
    ids, certain, chosen = clips.ids, clips.is_verified, set[int]()
    for label in clips.classes:
        own = ([row for row in rows.tolist() if label in clips.labels[row]] for rows in found.rows)
        queues = [queue for queue in own if queue]
        names = [str(clips.group[queue[0]]) for queue in queues]
        ranked: list[tuple[bool, int, int, int]] = []  # one clip of each recording, then a second
        for place, i in enumerate(shuffled(names, seed, "label budget", label)):
            order = shuffled([ids[row] for row in queues[i]], seed, "clip of a recording")
            ranked += [
                (not certain[queues[i][k]], n, place, queues[i][k]) for n, k in enumerate(order)
            ]
        chosen.update(row for *_, row in sorted(ranked)[:labels_per_class])
    return np.array(sorted(chosen), np.int64)
