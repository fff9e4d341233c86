"""What an index knows of its rows, packed for the journal and unpacked for the table."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.store_decode import Key
from semisonic.data.store_index import Stamp
from semisonic.inference.detecting.score_store import packed

Scores = NDArray[np.float64]


def row_type(n_classes: int) -> np.dtype[np.void]:
    """Of each row: seconds in its recording, if it is silent, each class's score as 16 bits."""
    return np.dtype(
        [("start", "<f8"), ("end", "<f8"), ("silent", "?"), ("scores", "<u2", (n_classes,))]
    )


@dataclass(frozen=True)
class Entry:
    """A clip of an index.

    Attributes
    ----------
    key : (file, start, end)
    stamp : (size in bytes, time of change in ns)
        Of the file when it was embedded.
    first, n : int
        Its rows; none when it could not be read.
    packed : str
        What is known of them: an array of :func:`row_type`, in base64.
    reason : str
        Why it could not be read, empty if it could.
    labels, group, fold, label_type
        As in :class:`Clips`.
    """

    key: Key
    stamp: Stamp
    first: int
    n: int
    packed: str
    reason: str
    labels: tuple[str, ...]
    group: str
    fold: int
    label_type: str

    @property
    def rows(self) -> NDArray[np.void]:
        """What is known of the rows, shape (n,) of :func:`row_type`."""
        content = b64decode(self.packed)
        n_classes = (len(content) // self.n - row_type(0).itemsize) // 2 if self.n else 0
        return np.frombuffer(content, row_type(n_classes))

    def record(self) -> list[Any]:
        """The entry as JSON holds it."""
        return [
            *self.key, *self.stamp, self.first, self.n, self.packed, self.reason,
            list(self.labels), self.group, self.fold, self.label_type,
        ]  # fmt: skip

    @classmethod
    def from_record(cls, record: list[Any]) -> Entry:
        """Read what :meth:`record` gave."""
        file, start, end, size, changed, first, n, packed, reason, labels, *rest = record
        return cls(
            (file, start, end), (size, changed), first, n, packed, reason, tuple(labels), *rest
        )

    def told_as(self, clips: Clips, row: int) -> Entry:
        """The entry with labels, recording and fold of a row of a table."""
        return replace(self, **described(clips, row))


def described(clips: Clips, row: int) -> dict[str, Any]:
    """What a table says of a clip besides where it is."""
    return {
        "labels": clips.labels[row],
        "group": str(clips.group[row]),
        "fold": int(clips.fold[row]),
        "label_type": str(clips.label_type[row]),
    }


def pack(times: NDArray[np.float64], scores: Scores, silent: NDArray[np.bool_]) -> str:
    """Start and end, shape (n, 2), scores, (n, n_classes), and silence of rows as text."""
    rows = np.zeros(len(times), row_type(scores.shape[1]))
    rows["start"], rows["end"] = times.T
    rows["scores"], rows["silent"] = packed(scores), silent
    return b64encode(rows.tobytes()).decode("ascii")


def known_entries(journal: Journal, n_rows: int) -> dict[Key, Entry]:
    """The newest entry of each clip, as far as the data file goes."""
    known: dict[Key, Entry] = {}
    for group in journal.records():
        for record in group:
            entry = Entry.from_record(record)
            if entry.first + entry.n <= n_rows:
                known[entry.key] = entry
    return known


def in_order(known: Mapping[Key, Entry]) -> Iterator[Entry]:
    """The entries with rows, in the order of their rows."""
    return iter(sorted((e for e in known.values() if e.n), key=lambda entry: entry.first))
