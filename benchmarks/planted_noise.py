"""Planted label noise: wrong labels of a known kind and number, to measure what copes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import require_labels
from semisonic.data.recordings import shuffled

KINDS = ("symmetric", "pair")
UNITS = ("clip", "recording")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LabelNoise:
    """A table with wrong labels in it.

    Attributes
    ----------
    clips : Clips
        The table given, some labels replaced.
    changed : ndarray of int64
        The rows whose label is wrong now, ascending.
    """

    clips: Clips
    changed: Rows

    @property
    def is_changed(self) -> NDArray[np.bool_]:
        """For each row whether its label was replaced, shape (n,)."""
        mask = np.zeros(len(self.clips), np.bool_)
        mask[self.changed] = True
        return mask


@dataclass(frozen=True)
class _Unit:
    """Clips that are changed together: a clip, or the clips of one class in one recording."""

    name: str
    rows: tuple[int, ...]
    old: str
    new: str


def plant_label_noise(
    clips: Clips,
    share: float,
    *,
    kind: Literal["symmetric", "pair"] = "symmetric",
    by: Literal["clip", "recording"] = "clip",
    seed: int = 0,
    rows: ArrayLike | None = None,
    confused: Mapping[str, str] | None = None,
) -> LabelNoise:
    """Replace a share of the labels by wrong ones.

    Parameters
    ----------
    clips : Clips
        Rows without a label stay so. A clip with several labels has one of them replaced by a
        class that it does not carry.
    share : float
        Of the labelled clips that can be changed, 0 to 1. With ``by="clip"`` exactly
        ``round(share * n)`` are changed. With ``by="recording"`` as many as whole recordings
        allow without going beyond that number.
    kind : {"symmetric", "pair"}
    by : {"clip", "recording"}
    seed : int
    rows : array of int, optional
        Only these rows may be changed; all by default.
    confused : mapping of str to str, optional
        For ``pair``: what a class is taken for. Classes that are not named stay right, and
        the share is one of the clips of the classes that are.

    Returns
    -------
    LabelNoise

    Raises
    ------
    DataError
        When there are no labels or fewer than two classes, or ``confused`` names another class.
    OptionError
        When an option is out of range.
    """
    _check(share, kind, by, confused)
    allowed = np.arange(len(clips)) if rows is None else np.asarray(rows, np.int64)
    require_labels(clips[allowed], "planted label noise")
    if len(clips.classes) < 2:
        raise DataError(
            f"'{clips.name}': found one class, expected at least 2 to confuse with each other"
        )
    follower = _followers(clips, confused) if kind == "pair" else None
    units = _units(clips, allowed, by, follower, seed)
    n_wanted = round(share * sum(len(unit.rows) for unit in units))
    labels = list(clips.labels)
    changed = []
    for unit in _chosen(units, n_wanted, seed):
        for row in unit.rows:
            labels[row] = tuple(unit.new if name == unit.old else name for name in labels[row])
            changed.append(row)
    return LabelNoise(
        clips.with_columns(labels=tuple(labels)), np.array(sorted(changed), dtype=np.int64)
    )


def _units(
    clips: Clips, rows: Rows, by: str, follower: Mapping[str, str] | None, seed: int
) -> list[_Unit]:
    """What can be changed, in an order that depends on names only."""
    ids = clips.ids
    members: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for row in sorted(rows.tolist(), key=lambda row: ids[row]):
        if clips.labels[row]:
            place = str(clips.group[row]) if by == "recording" else ids[row]
            members.setdefault((place, clips.labels[row]), []).append(row)
    units = []
    for (place, labels), found in members.items():
        rng = generator(seed, "label noise", place, *labels)
        pair = _replacement(clips.classes, labels, follower, rng)
        if pair is not None:
            units.append(_Unit("\x1f".join((place, *labels)), tuple(found), *pair))
    return units


def _replacement(
    classes: tuple[str, ...],
    labels: tuple[str, ...],
    follower: Mapping[str, str] | None,
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """Which label goes and which wrong one comes; None where nothing can be made wrong."""
    if follower is None:
        absent = [name for name in classes if name not in labels]
        options = [(old, new) for old in labels for new in absent]
    else:
        pairs = [(old, follower[old]) for old in labels if old in follower]
        options = [(old, new) for old, new in pairs if new not in labels]
    return options[int(rng.integers(len(options)))] if options else None


def _chosen(units: list[_Unit], n_wanted: int, seed: int) -> list[_Unit]:
    """Units of ``n_wanted`` clips together or a little fewer, evenly over the classes."""
    order = [units[i] for i in shuffled([unit.name for unit in units], seed, "label noise order")]
    queues: dict[str, list[_Unit]] = {}
    for unit in order:
        queues.setdefault(unit.old, []).append(unit)
    sizes = {name: sum(len(unit.rows) for unit in queue) for name, queue in queues.items()}
    chosen: list[_Unit] = []
    for name, quota in _quotas(sizes, n_wanted, seed).items():
        chosen += _fill(queues[name], quota)
    # Recordings that did not fit into the quota of their class may fit into what is left.
    taken = {unit.name for unit in chosen}
    left = n_wanted - sum(len(unit.rows) for unit in chosen)
    return chosen + _fill([unit for unit in order if unit.name not in taken], left)


def _fill(queue: Iterable[_Unit], n_wanted: int) -> list[_Unit]:
    """The first units of a queue that fit, never more clips than wanted."""
    chosen = []
    for unit in queue:
        if len(unit.rows) <= n_wanted:
            chosen.append(unit)
            n_wanted -= len(unit.rows)
    return chosen


def _quotas(sizes: Mapping[str, int], n_wanted: int, seed: int) -> dict[str, int]:
    """Whole numbers near the same share of each size, with the sum wanted."""
    names = sorted(sizes)
    total = max(1, sum(sizes.values()))
    exact = {name: n_wanted * sizes[name] / total for name in names}
    quotas = {name: int(exact[name]) for name in names}
    by_chance = [names[i] for i in shuffled(names, seed, "label noise rest")]
    by_rest = sorted(by_chance, key=lambda name: quotas[name] - exact[name])
    for name in by_rest[: n_wanted - sum(quotas.values())]:
        quotas[name] += 1
    return quotas


def _followers(clips: Clips, confused: Mapping[str, str] | None) -> dict[str, str]:
    """What each class is taken for."""
    classes = clips.classes
    if confused is None:
        return dict(zip(classes, classes[1:] + classes[:1], strict=True))
    for name in (*confused, *confused.values()):
        if name not in classes:
            raise DataError(f"'{clips.name}' has no class '{name}'; {nearest(name, classes)}")
    same = [name for name, other in confused.items() if name == other]
    if same:
        raise DataError(f"label noise: found '{same[0]}' to be taken for itself")
    return dict(confused)


def _check(share: float, kind: str, by: str, confused: Mapping[str, str] | None) -> None:
    if not 0 <= share <= 1:
        raise OptionError(f"share of wrong labels: found {share}, expected from 0 to 1")
    if kind not in KINDS:
        raise OptionError(f"kind of label noise: found '{kind}'; {nearest(kind, KINDS)}")
    if by not in UNITS:
        raise OptionError(f"unit of label noise: found '{by}'; {nearest(by, UNITS)}")
    if confused is not None and kind != "pair":
        raise OptionError(f"label noise: found 'confused' with kind '{kind}', expected kind 'pair'")
