"""``scan``: a first look at a disk of recordings, and its page."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import decibel
from semisonic.audio.read import read
from semisonic.audio.resample import resample
from semisonic.classifier.run_files import plain
from semisonic.classifier.use_options import ScanOptions
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import write_json
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import MISSING, Result, count_text, duration_text, percent_text
from semisonic.data.scan.recordings import COLUMNS, REMARKS, ScannedRecording, calendar
from semisonic.data.scan.scan import (
    Scan,
    by_group,
    by_label,
    counts,
    share_of,
    shares_by,
    write_tables,
)
from semisonic.data.scan.scan import scan as look_at
from semisonic.evaluation.plots.recordings import histogram, recording_hours
from semisonic.evaluation.report.document import Number, Player, Report, Verdict
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# The contact sheet of a scan: a few recordings to look at and listen to.


SHOWN = 10.0
"""Seconds of a recording that are shown: from its middle, which no hand has touched."""

HIGHEST_RATE = 32000
"""Hz up to which sounds are put into the page; the picture shows all there is."""


def _choose(recordings: Sequence[ScannedRecording], n: int) -> list[ScannedRecording]:
    """At most ``n`` undamaged recordings, spread evenly over groups and times."""
    whole = [one for one in recordings if not one.measured.damage]
    whole.sort(key=lambda one: (one.group, _time_of(one), one.file))
    if len(whole) <= n:
        return whole
    places = np.linspace(0, len(whole), n, endpoint=False) + len(whole) / (2 * n)
    return [whole[int(place)] for place in places]


def _players(root: Path, chosen: Sequence[ScannedRecording]) -> Iterator[Player]:
    """A card for each; recordings that have gone since are left out."""
    for one in track(chosen, "thumbnails", "file"):
        start = max(0.0, (one.measured.duration - SHOWN) / 2)
        try:
            x, rate = read(
                root / one.file,
                start_time=start,
                end_time=min(one.measured.duration, start + SHOWN),
            )
        except AudioError:
            continue
        yield Player(x, rate, one.file.rpartition("/")[2], _said(one), _meta(one), _heard(x, rate))


def _heard(x: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float32], int]:
    """The samples at a rate that players know and that keeps the page small."""
    if rate <= HIGHEST_RATE:
        return x, rate
    y = resample(x, rate, HIGHEST_RATE)
    return (y, HIGHEST_RATE) if len(y) else (x, rate)


def _said(one: ScannedRecording) -> str:
    group = one.group if one.group != one.file else ""
    return ", ".join(filter(None, [";".join(one.labels), group]))


def _meta(one: ScannedRecording) -> str:
    m = one.measured
    parts = [_time_of(one).replace("T", " "), duration_text(m.duration), f"{m.sample_rate} Hz"]
    return ", ".join(filter(None, [*parts, *sorted(one.remarks)]))


def _time_of(one: ScannedRecording) -> str:
    return one.recorded_at.replace(tzinfo=None).isoformat() if one.recorded_at else ""


# The page of ``scan``.


_MOST_ROWS = 100
"""Of a table in the page; the CSV files have all."""

_MEANINGS = {
    "silent": "nothing above −80 dBFS",
    "constant": "nothing but an offset: a broken microphone",
    "clipped": "at least 0.1 % of the samples in flat tops at full scale",
    "over full scale": "samples that are not within ±1",
    "dead channel": "silent in some channels, not in all",
}


def _write_page(folder: Path, scan: Scan, options: ScanOptions) -> Path:
    """Write ``scan.html`` with its figures and tables into a run folder."""
    whole = share_of(scan.recordings)
    n_bad = len(scan.bad_files)
    report = Report(
        "scan.j2",
        f"What is in {scan.root.resolve().name}",
        f"{scan.root}",
        scan=scan,
        options=options,
        whole=whole,
        seconds_shown=SHOWN,
        highest_rate=HIGHEST_RATE,
        captions={},
        remarks=[],
    )
    report.verdict = Verdict(
        f"{count_text(whole.n_files, 'recording')}, {_long(whole.duration)} of sound",
        f"{count_text(n_bad, 'file')} cannot be used, or not as a whole." if n_bad else "",
    )
    silent = sum(one.measured.silent_share * one.measured.duration for one in scan.recordings)
    share = silent / whole.duration if whole.duration else float("nan")
    n_odd = sum(bool(one.remarks) for one in scan.recordings)
    report.numbers = [
        Number(str(whole.n_files), "recordings", f"in {count_text(whole.n_groups, 'group')}"),
        Number(percent_text(share), "of the time silent"),
        Number(str(n_odd), "odd recordings", "silent, clipped, ..."),
        Number(str(len(scan.duplicates)), "pairs of copies"),
        Number(str(n_bad), "bad files"),
    ]
    report.warnings += [f"{note[:1].upper()}{note[1:]}." for note in scan.notes]
    if scan.recordings:
        _add_times(report, scan)
        _add_sizes(report, scan)
        _add_labels_and_groups(report, scan)
        report.players("sheet", _players(scan.root, _choose(scan.recordings, options.thumbnails)))
    _add_faults(report, scan)
    _add_copies(report, scan)
    return report.write(folder, "scan", values=False)


def _add_times(report: Report, scan: Scan) -> None:
    found = calendar(scan.recordings)
    if not found.days:
        return
    timed = [one for one in scan.recordings if one.recorded_at]
    sources = shares_by(timed, lambda one: (one.time_source,))
    told = {
        "guano": "GUANO metadata in the file",
        "comment": "comment in the file",
        "name": "name of the file",
    }
    report.figure("hours", recording_hours(found.days, found.hours))
    report.values |= {
        "n_timed": len(timed),
        "n_zone": sum(
            one.recorded_at is not None and one.recorded_at.tzinfo is not None for one in timed
        ),
        "sources": {f"times from the {told[key]}": s.n_files for key, s in sources.items()},
    }


def _add_sizes(report: Report, scan: Scan) -> None:
    measured = [one.measured for one in scan.recordings]
    report.figure("lengths", histogram([m.duration for m in measured], "length, s"))
    levels = [decibel(m.rms) for m in measured]
    if np.isfinite(levels).any():
        report.figure("levels", histogram(levels, "RMS level, dBFS"))
    kinds = shares_by(
        scan.recordings,
        lambda one: (
            (
                one.measured.sample_rate,
                one.measured.n_channels,
                f"{one.measured.format} {one.measured.subtype}",
            ),
        ),
    )
    ordered = sorted(kinds.items(), key=lambda item: -item[1].n_files)
    report.table(
        "formats",
        ["rate, Hz", "channels", "format", "files", "duration"],
        [(*kind, s.n_files, s.duration) for kind, s in ordered[:_MOST_ROWS]],
        formats={"duration": _long},
    )


def _add_labels_and_groups(report: Report, scan: Scan) -> None:
    report.table(
        "classes",
        ["class", "files", "groups", "duration"],
        [(name, s.n_files, s.n_groups, s.duration) for name, s in by_label(scan).items()],
        formats={"duration": _long},
    )
    groups = by_group(scan)
    if len(groups) == len(scan.recordings):
        return  # each file is its own
    longest = sorted(groups.items(), key=lambda item: -item[1].duration)[:_MOST_ROWS]
    report.table(
        "groups",
        ["group", "files", "duration", "first", "last", "silent", "clipped", "damaged"],
        [
            (
                name,
                s.n_files,
                s.duration,
                _minute(s.first),
                _minute(s.last),
                s.remarks["silent"],
                s.remarks["clipped"],
                s.n_damaged,
            )
            for name, s in longest
        ],
        formats={"duration": _long},
    )
    report.values["n_groups"] = len(groups)


def _add_faults(report: Report, scan: Scan) -> None:
    """Files that cannot be used, and recordings of each kind of remark."""
    captions = report.values["captions"]
    shown = scan.bad_files[:_MOST_ROWS]
    report.table("bad-files", ["file", "reason"], shown)
    captions["bad-files"] = _caption(
        "Cannot be used, or not as a whole", len(shown), len(scan.bad_files)
    )
    for keyword in REMARKS:
        found = [one for one in scan.recordings if keyword in one.remarks]
        if not found:
            continue
        name = keyword.replace(" ", "-")
        rows = sorted(found, key=lambda one: (-one.measured.clipped_share, one.file))[:_MOST_ROWS]
        report.values["remarks"].append(name)
        captions[name] = _caption(
            f"{keyword.capitalize()}: {_MEANINGS[keyword]}", len(rows), len(found)
        )
        report.table(
            name,
            ["file", "length", "peak, dBFS", "RMS, dBFS", "clipped", "silent"],
            [
                (
                    one.file,
                    one.measured.duration,
                    decibel(one.measured.peak),
                    decibel(one.measured.rms),
                    one.measured.clipped_share,
                    one.measured.silent_share,
                )
                for one in rows
            ],
            formats={
                "length": duration_text,
                "peak, dBFS": _level,
                "RMS, dBFS": _level,
                "clipped": percent_text,
                "silent": percent_text,
            },
        )


def _add_copies(report: Report, scan: Scan) -> None:
    shown = scan.duplicates[:_MOST_ROWS]
    rows: list[tuple[object, ...]] = [
        (pair.first, pair.second, pair.kind, pair.score) for pair in shown
    ]
    headers = ["first", "second", "what", "alike"]
    if scan.summary.classes:
        headers.append("labels")
        same = ("same" if pair.same_labels else "different" for pair in shown)
        rows = [(*row, label) for row, label in zip(rows, same, strict=True)]
    report.table(
        "copies",
        headers,
        rows,
        formats={"alike": "{:.2f}".format},
        styles={i: "strong" for i, pair in enumerate(shown) if not pair.same_labels},
    )
    report.values["captions"]["copies"] = _caption("Pairs", len(shown), len(scan.duplicates))


def _caption(text: str, n_shown: int, n: int) -> str:
    return f"{text} ({n})" if n_shown == n else f"{text} ({n_shown} of {n})"


def _minute(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None


def _level(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else MISSING


def _long(seconds: float) -> str:
    """A time that may be days: people count recordings in hours."""
    return duration_text(seconds) if seconds < 36000 else f"{seconds / 3600:.0f} h"


JOURNAL, COUNTS = "journal.jsonl", "scan.json"

FREE = (
    "output",
    "labels",
    "group",
    "silence_db",
    "near_copies",
    "near_most",
    "thumbnails",
    "json",
    "workers",
)
"""A run folder belongs to one folder of recordings. The journal knows what else must be equal for
a file not to be decoded again."""


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
            n_timed = count_text(found["n_with_time"], "recording")
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
        pairs = count_text(found["n_identical_pairs"], "pair")
        yield f"copies: {pairs} of the same bytes{compared}"
        if found["n_different_labels"]:
            yield f"copies with different labels: {count_text(found['n_different_labels'], 'pair')}"
        if self.scan.n_decoded:
            speed = self.scan.decoded_duration / max(self.scan.seconds, 1e-9)
            yield (
                f"decoded: {count_text(self.scan.n_decoded, 'file')} in {self.scan.seconds:.1f} s, "
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
            options.data,
            run.path(JOURNAL),
            labels=options.labels,
            group=options.group,
            silence_db=options.silence_db,
            near_copies=options.near_copies,
            near_most=options.near_most,
            workers=options.workers,
        )
        write_tables(run.folder, found)
        numbers = plain(counts(found))
        write_json(run.path(COUNTS), numbers)
        page = _write_page(run.folder, found, options)
        seconds = time.perf_counter() - started
        run.note(n_files=len(found.recordings), n_bad_files=len(found.bad_files))
    return ScanResult(found, numbers, page, seconds)
