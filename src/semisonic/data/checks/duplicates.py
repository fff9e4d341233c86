"""Clips that are the same sound: byte for byte, or after another encoding, level or cut.

A copy that stands in training and in test makes any result look better than it is. Folders of
downloaded sounds hold many: the same file under two names, a louder version, a shorter cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.checks.identical import identical
from semisonic.data.checks.near_identical import MAX_DURATION, near_identical
from semisonic.data.checks.pair import Duplicate, Sound
from semisonic.data.clips import Clips

THRESHOLD = 0.6
MAX_OFFSET = 2.5  # seconds
NEAR_MOST = 5000
"""Clips above which comparing all with all takes so long that it has to be asked for."""


@dataclass(frozen=True)
class Found:
    """Duplicates, worst first, and the clips that could not be read: (id, reason)."""

    duplicates: tuple[Duplicate, ...]
    failures: tuple[tuple[str, str], ...]


def find_duplicates(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
) -> list[Duplicate]:
    """Find clips that are the same sound.

    Parameters
    ----------
    clips : Clips
    against : Clips, optional
        Another table, such as an unlabelled pool. Pairs of one clip from each are then looked
        for, and pairs within ``clips``, but none within ``against``.
    near : bool
        Look for near-identical clips too, which decodes every file. Otherwise bytes only.
    threshold : float
        Smallest correlation, above 0 to 1. Copies score over 0.8, different recordings of the same
        kind of sound under 0.25. Clips that share a second of sound are reported at any score.
    max_offset : float
        Seconds by which one copy may begin later than the other.
    workers : int, optional
        Threads for decoding; the number of processors by default.

    Returns
    -------
    list of Duplicate
        Those across splits first. Several identical clips are each paired with the first of them.
        Windows of one file in one group are never paired: splits keep them together.
        Silent clips are not compared, except byte by byte. Of a clip longer than 30 s the first
        30 s are looked at; cut long recordings with ``windows`` first to look at all of them.
    """
    found = search(
        clips, against, near=near, threshold=threshold, max_offset=max_offset, workers=workers
    )
    return list(found.duplicates)


def search(
    clips: Clips,
    against: Clips | None = None,
    *,
    near: bool = True,
    threshold: float = THRESHOLD,
    max_offset: float = MAX_OFFSET,
    workers: int | None = None,
    prints: Mapping[int, NDArray[np.int8]] | None = None,
) -> Found:
    """As :func:`find_duplicates`, with the clips that could not be read.

    ``prints`` are fingerprints of the first 30 s by row of ``clips``, where they are known; rows
    without one are then compared by their bytes only.
    """
    if not 0 < threshold <= 1:
        raise OptionError(f"threshold: found {threshold}, expected above 0 to 1")
    if not 0 <= max_offset <= MAX_DURATION:
        raise OptionError(f"max_offset: found {max_offset} s, expected 0 to {MAX_DURATION:g} s")
    tables = [clips] if against is None else [clips, against]
    sounds = [Sound(t, row) for t, table in enumerate(tables) for row in range(len(table))]
    pairs, copies_of = identical(tables, sounds)
    failures: list[tuple[str, str]] = []
    if near:
        known = None if prints is None else {Sound(0, row): signs for row, signs in prints.items()}
        pairs += near_identical(tables, copies_of, threshold, max_offset, workers, failures, known)
    ordered = sorted(pairs, key=lambda d: (not d.across, d.kind, -d.score, d.first, d.second))
    return Found(tuple(ordered), tuple(failures))


def group_duplicates(clips: Clips, duplicates: Iterable[Duplicate]) -> Clips:
    """Put duplicates within a table into one group, so that no split of ours parts them.

    All clips of the groups concerned come together, under the name that sorts first. Official
    folds stay; see ``move_straddling`` for those.
    """
    parent = {group: group for group in clips.group.tolist()}

    def top(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for pair in duplicates:
        first, second = (top(str(clips.group[row])) for row in (pair.first_row, pair.second_row))
        parent[max(first, second)] = min(first, second)
    merged = [top(group) for group in clips.group.tolist()]
    return clips.with_columns(group=np.array(merged, dtype=np.str_))
