"""What ``search`` found, as a table and in words."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.inference.tables import plain_table
from semisonic.labeling.hits import Hit
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.search_options import COSINE, SearchOptions

HITS = "hits.csv"
SHOWN = 40


@dataclass(frozen=True)
class SearchResult:
    """What ``search`` found.

    Attributes
    ----------
    index : EmbeddingIndex
    examples : Clips
        What was looked for, the rows of the index last.
    hits : tuple of Hit
        The nearest first.
    options : SearchOptions
    seconds : float
        Of the search alone.
    report : Path or None
    """

    index: EmbeddingIndex
    examples: Clips
    hits: tuple[Hit, ...]
    options: SearchOptions
    seconds: float
    report: Path | None = None

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Nothing can fail in part."""
        return ()

    @property
    def measure(self) -> str:
        """What a hit's value is called."""
        return "similarity" if self.options.by == COSINE else "distance"

    def told(self, hit: Hit) -> tuple[str, str]:
        """The label and the best class of a hit's nearest row; empty where unknown."""
        label = LABEL_SEPARATOR.join(self.index.clips.labels[hit.row])
        return label, str(self.index.predicted[hit.row])

    def rows(self) -> list[list[object]]:
        """The table, a row a hit."""
        table: list[list[object]] = []
        for rank, hit in enumerate(self.hits, start=1):
            path = _from_here(self.index.clips.root / hit.file)
            times = [f"{hit.start_time:.3f}", f"{hit.end_time:.3f}"]
            value = f"{hit.value:.4f}"
            table.append([rank, path, *times, value, hit.n_windows, hit.row, *self.told(hit)])
        return table

    def headers(self) -> list[str]:
        """The names of the table's columns."""
        return [
            "rank", "file", "start_time", "end_time", self.measure, "windows", "row", "label",
            "predicted",
        ]  # fmt: skip

    def summary(self) -> str:
        """For a terminal."""
        if not self.hits:
            return "nothing found: all rows of the index are left out"
        lines = [plain_table(self.headers(), self.rows()[:SHOWN])]
        if len(self.hits) > SHOWN:
            lines.append(f"... and {len(self.hits) - SHOWN} hits more")
        if self.report is not None:
            lines += [f"table: {self.report.parent / HITS}", f"report: {self.report}"]
        return "\n".join(lines)


def _from_here(path: Path) -> str:
    """A path as one would type it here."""
    whole = os.path.normpath(path)
    short = os.path.relpath(whole)
    return whole if short.startswith("..") else short
