"""Part of a table by class or by who checked the labels, and classes too rare to work with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.options import nearest
from semisonic.data.clips import Clips


def keep_classes(clips: Clips, classes: Iterable[str]) -> Clips:
    """Only these classes, in the table's order; other clips go, unlabelled ones stay.

    A clip with several labels keeps those that are kept, and goes when none is.

    Raises
    ------
    DataError
        When a class is not in the table.
    """
    wanted = set(classes)
    for name in sorted(wanted - set(clips.classes)):
        raise DataError(f"'{clips.name}' has no class '{name}'; {nearest(name, clips.classes)}")
    labels = [tuple(label for label in row if label in wanted) for row in clips.labels]
    stays = np.array([bool(new) or not old for new, old in zip(labels, clips.labels, strict=True)])
    kept = clips.with_columns(labels=tuple(labels), classes=_in_order(clips, wanted))
    return kept[stays] if len(kept) else kept


def certain_labels(clips: Clips, purpose: str = "this") -> Clips:
    """The table without the clips whose labels nobody checked; unlabelled ones stay.

    Raises
    ------
    DataError
        When no checked label is left of those there were.
    """
    uncertain = clips.is_labelled & ~clips.is_certain
    if uncertain.any() and not clips.is_certain.any():
        raise DataError(
            f"'{clips.name}': nobody checked the labels of its {len(clips)} clips (label type "
            f"uncertain), and {purpose} needs checked ones; give another part of the data set"
        )
    return clips[~uncertain]


def rare_classes(clips: Clips, n_recordings: int = 2) -> list[str]:
    """The classes with fewer recordings than this, in the table's order."""
    groups: dict[str, set[str]] = {label: set() for label in clips.classes}
    for row, group in zip(clips.labels, clips.group.tolist(), strict=True):
        for label in row:
            groups[label].add(group)
    return [label for label in clips.classes if len(groups[label]) < n_recordings]


def _in_order(clips: Clips, wanted: set[str]) -> tuple[str, ...]:
    return tuple(label for label in clips.classes if label in wanted)
