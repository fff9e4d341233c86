"""``scan``: a first look at a disk of recordings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.base.errors import OptionError
from semisonic.base.files import write_json
from semisonic.base.options import check
from semisonic.base.result import Result
from semisonic.base.wording import counted
from semisonic.data.scan import Scan, counts, write_tables
from semisonic.data.scan import scan as look_at
from semisonic.data.scan.recording import COLUMNS
from semisonic.inference.scan_options import ScanOptions
from semisonic.inference.verbs.runs import plain
from semisonic.inference.verbs.scan_page import write_scan_page
from semisonic.training import RunFolder

JOURNAL, COUNTS = "journal.jsonl", "scan.json"

FREE = (
    "output", "labels", "group", "silence_db", "near_copies", "near_most", "thumbnails", "json",
    "workers",
)  # fmt: skip
"""A run folder belongs to one folder of recordings. The journal knows what else must be equal for
a file not to be decoded again."""


if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ScanResult(Result):
    """What ``scan`` found.

    Attributes
    ----------
    scan : Scan
    counts : dict
        What stands in ``scan.json``.
    page : Path
        ``scan.html``; the tables lie beside it.
    seconds : float
        Of the whole verb.
    """

    scan: Scan
    counts: dict[str, Any]
    page: Path
    seconds: float

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Files that cannot be used, or not as a whole."""
        return self.scan.bad_files

    def to_frame(self) -> pd.DataFrame:
        """A row per recording, as in recordings.csv."""
        import pandas as pd

        return pd.DataFrame([one.row() for one in self.scan.recordings], columns=list(COLUMNS))

    def summary(self) -> str:
        """What ``data info`` does not say, for a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        found = self.counts
        if found["n_with_time"]:
            first, last = found["first_recorded_at"][:16], found["last_recorded_at"][:16]
            n_timed = counted(found["n_with_time"], "recording")
            yield f"times: {n_timed}, {first} to {last}".replace("T", " ")
        if found["sites"]:
            names = ", ".join(found["sites"][:6]) + (", ..." if len(found["sites"]) > 6 else "")
            yield f"sites: {len(found['sites'])} ({names})"
        odd = ", ".join(f"{name} {n}" for name, n in found["remarks"].items() if n)
        yield f"odd: {odd or 'none'}"
        near = found["n_near_identical_pairs"]
        compared = (
            f", {near} of the same sound"
            if self.scan.near_compared
            else ("; copies cut or encoded anew were not looked for")
        )
        yield f"copies: {counted(found['n_identical_pairs'], 'pair')} of the same bytes{compared}"
        if found["n_different_labels"]:
            yield f"copies with different labels: {counted(found['n_different_labels'], 'pair')}"
        if self.scan.n_decoded:
            speed = self.scan.decoded_duration / max(self.scan.seconds, 1e-9)
            yield (
                f"decoded: {counted(self.scan.n_decoded, 'file')} in {self.scan.seconds:.1f} s, "
                f"{speed:.0f} times as fast as they play; {self.scan.n_reused} were known"
            )
        else:
            yield f"decoded: none, all {self.scan.n_reused} were known"
        yield f"page: {self.page}"


def scan(options: ScanOptions) -> ScanResult:
    """Decode every recording below a folder once, and write tables and a page about them.

    Raises
    ------
    OptionError
        When an option is wrong, or the run folder belongs to another run.
    DataError
        When there is no such folder, or no recording in it.
    """
    check(options)
    if options.data is None:
        raise OptionError("option 'data' is missing: name a folder, as in 'semisonic scan FOLDER'")
    with RunFolder(options.output, "scan", options, free=FREE) as run:
        started = time.perf_counter()
        found = look_at(
            options.data, run.path(JOURNAL), labels=options.labels, group=options.group,
            silence_db=options.silence_db, near_copies=options.near_copies,
            near_most=options.near_most, workers=options.workers,
        )  # fmt: skip
        write_tables(run.folder, found)
        numbers = plain(counts(found))
        write_json(run.path(COUNTS), numbers)
        page = write_scan_page(run.folder, found, options)
        seconds = time.perf_counter() - started
        run.note(n_files=len(found.recordings), n_bad_files=len(found.bad_files))
    return ScanResult(found, numbers, page, seconds)
