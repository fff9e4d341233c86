"""Sound events: stretches of recordings with a name, from people or from a model.

Where :class:`~semisonic.data.Clips` is what one learns from, ``Events`` is what stands in a
label track, a selection table or the output of ``semisonic detect``: several events of one
recording may overlap, carry a score, and be limited to a band of frequencies.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

POSITIVE, NEGATIVE, UNCERTAIN = PRESENCES = ("positive", "negative", "uncertain")
"""The sound is there; somebody listened and it is not there; somebody could not tell."""


@dataclass(frozen=True, eq=False)
class Events:
    """An immutable table of events, one row each.

    Attributes
    ----------
    file : ndarray of str, shape (n,)
        Path of the recording, with forward slashes.
    start_time, end_time : ndarray of float64, shape (n,)
        Seconds in the recording, ``0 <= start <= end``; equal for a point in time.
    label : ndarray of str, shape (n,)
        What it is; may be empty where a person marked a place and named nothing.
    score : ndarray of float64, shape (n,)
        0 to 1; NaN where nothing gave one.
    fmin_hz, fmax_hz : ndarray of float64, shape (n,)
        Limits in frequency, Hz; NaN where none were drawn.
    presence : ndarray of str, shape (n,)
        "positive", "negative" or "uncertain".
    """

    file: NDArray[np.str_]
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]
    label: NDArray[np.str_]
    score: NDArray[np.float64]
    fmin_hz: NDArray[np.float64]
    fmax_hz: NDArray[np.float64]
    presence: NDArray[np.str_]

    def __post_init__(self) -> None:
        n = len(self.file)
        for column in fields(self):
            found = len(getattr(self, column.name))
            if found != n:
                raise DataError(f"events: column '{column.name}' has {found} rows, expected {n}")
        self._check()

    def _check(self) -> None:
        """See that times, scores, bands and presences are possible."""
        start, end = self.start_time, self.end_time
        with np.errstate(invalid="ignore"):
            rules = (
                (~(np.isfinite(start) & np.isfinite(end) & (start >= 0) & (end >= start)),
                 "start and end", "0 <= start <= end", (start, end)),
                ((self.score < 0) | (self.score > 1), "score", "0 to 1, or none", (self.score,)),
                ((self.fmin_hz < 0) | (self.fmax_hz < self.fmin_hz),
                 "frequencies", "0 <= lowest <= highest", (self.fmin_hz, self.fmax_hz)),
            )  # fmt: skip
        for bad, what, expected, columns in rules:
            for row in np.flatnonzero(bad)[:1]:
                found = ", ".join(f"{column[row]:g}" for column in columns)
                raise DataError(
                    f"events, row {row} ({self.file[row]}): found {what} {found}; "
                    f"expected {expected}"
                )
        for found in sorted(set(self.presence.tolist()) - set(PRESENCES)):
            raise DataError(
                f"events: found presence '{found}', expected one of {', '.join(PRESENCES)}"
            )

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> Events:
        """Build a table from mappings with ``file``, ``start_time``, ``end_time``, ``label``.

        ``score``, ``fmin_hz``, ``fmax_hz`` (NaN or None for none) and ``presence`` may be left
        out. The order is kept.
        """
        table = list(rows)

        def number(name: str) -> NDArray[np.float64]:
            found = (row.get(name) for row in table)
            return np.array([np.nan if v is None else float(v) for v in found], np.float64)

        return cls(
            file=np.array([str(row["file"]).replace("\\", "/") for row in table], np.str_),
            start_time=number("start_time"),
            end_time=number("end_time"),
            label=np.array([str(row["label"]) for row in table], np.str_),
            score=number("score"),
            fmin_hz=number("fmin_hz"),
            fmax_hz=number("fmax_hz"),
            presence=np.array([row.get("presence", POSITIVE) for row in table], np.str_),
        )

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows: Any) -> Events:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        return replace(self, **{c.name: getattr(self, c.name)[index] for c in fields(self)})

    def __repr__(self) -> str:
        n_files, n_labels = len(set(self.file.tolist())), len(set(self.label.tolist()))
        return f"Events({len(self)} events, {n_labels} labels, {n_files} files)"

    def sorted(self) -> Events:
        """By file, start, end and label."""
        return self[np.lexsort((self.label, self.end_time, self.start_time, self.file))]

    def to_frame(self) -> pd.DataFrame:
        """The table for pandas, one column an attribute."""
        import pandas as pd

        return pd.DataFrame(
            {
                column.name: values.astype(object) if values.dtype.kind == "U" else values
                for column in fields(self)
                for values in [getattr(self, column.name)]
            }
        )
