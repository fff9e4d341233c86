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

from semisonic.audio.checks import decibel
from semisonic.audio.read import read
from semisonic.audio.resample import resample
from semisonic.classifier.use_options import ScanOptions
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import json_ready, write_json
from semisonic.core.options import check
from semisonic.core.progress import track
from semisonic.core.text import MISSING, Result, count_text, duration_text, percent_text
from semisonic.data.scan.recordings import COLUMNS, ScannedRecording, calendar
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

SHOWN = 10.0
"""Seconds of a recording that are shown: from its middle, where no hand is at the recorder."""

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
        sound = x, rate
        if rate > HIGHEST_RATE and len(y := resample(x, rate, HIGHEST_RATE)):
            sound = y, HIGHEST_RATE
        group = one.group if one.group != one.file else ""
        about = ", ".join(filter(None, [";".join(one.labels), group]))
        m, time = one.measured, _time_of(one).replace("T", " ")
        facts = [time, duration_text(m.duration), f"{m.sample_rate} Hz", *sorted(one.remarks)]
        details = ", ".join(filter(None, facts))
        yield Player(x, rate, one.file.rpartition("/")[2], about, details, sound)


def _time_of(one: ScannedRecording) -> str:
    return one.recorded_at.replace(tzinfo=None).isoformat() if one.recorded_at else ""


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
        most_rows=_MOST_ROWS,
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
    return report.write(folder, "scan", values=False)


def _add_times(report: Report, scan: Scan) -> None:
    days = calendar(scan.recordings)
    if not days.days:
        return
    timed = [one for one in scan.recordings if one.recorded_at]
    sources = shares_by(timed, lambda one: (one.time_source,))
    names = {
        "guano": "GUANO metadata in the file",
        "comment": "comment in the file",
        "name": "name of the file",
    }
    report.figure("hours", recording_hours(days.days, days.hours))
    report.values |= {
        "n_timed": len(timed),
        "n_zone": sum(
            one.recorded_at is not None and one.recorded_at.tzinfo is not None for one in timed
        ),
        "sources": {f"times from the {names[key]}": s.n_files for key, s in sources.items()},
    }


def _add_sizes(report: Report, scan: Scan) -> None:
    measured = [one.measured for one in scan.recordings]
    report.figure("lengths", histogram([m.duration for m in measured], "length, s"))
    levels = [decibel(m.rms) for m in measured]
    if np.isfinite(levels).any():
        report.figure("levels", histogram(levels, "RMS level, dBFS"))

    def kind(one: ScannedRecording) -> tuple[tuple[int, int, str]]:
        m = one.measured
        return ((m.sample_rate, m.n_channels, f"{m.format} {m.subtype}"),)

    kinds = shares_by(scan.recordings, kind)
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
    """Files that cannot be used, recordings with remarks, and copies."""
    report.table("bad-files", ["file", "reason"], scan.bad_files[:_MOST_ROWS])
    odd = [one for one in scan.recordings if one.remarks]
    odd.sort(key=lambda one: (sorted(one.remarks), -one.measured.clipped_share, one.file))
    columns = ["file", "what", "length", "peak, dBFS", "RMS, dBFS", "clipped", "silent"]
    report.table(
        "odd",
        columns,
        [
            (
                one.file,
                ", ".join(sorted(one.remarks)),
                one.measured.duration,
                decibel(one.measured.peak),
                decibel(one.measured.rms),
                one.measured.clipped_share,
                one.measured.silent_share,
            )
            for one in odd[:_MOST_ROWS]
        ],
        formats=dict(
            zip(
                columns[2:],
                [duration_text, _level, _level, percent_text, percent_text],
                strict=True,
            )
        ),
    )
    report.values |= {"n_odd": len(odd), "meanings": _MEANINGS}
    shown = scan.duplicates[:_MOST_ROWS]
    labels = [("same" if pair.same_labels else "different",) for pair in shown]
    with_labels = bool(scan.summary.classes)
    report.table(
        "copies",
        ["first", "second", "what", "alike", *(["labels"] if with_labels else [])],
        [
            (pair.first, pair.second, pair.kind, pair.score, *(label if with_labels else ()))
            for pair, label in zip(shown, labels, strict=True)
        ],
        formats={"alike": "{:.2f}".format},
        styles={i: "strong" for i, pair in enumerate(shown) if not pair.same_labels},
    )


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
    """The result of ``scan``.

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
        counts, lines = self.counts, []
        if counts["n_with_time"]:
            first, last = counts["first_recorded_at"][:16], counts["last_recorded_at"][:16]
            timed = count_text(counts["n_with_time"], "recording")
            lines.append(f"times: {timed}, {first} to {last}".replace("T", " "))
        if counts["sites"]:
            names = ", ".join(counts["sites"][:6]) + (", ..." if len(counts["sites"]) > 6 else "")
            lines.append(f"sites: {len(counts['sites'])} ({names})")
        odd = ", ".join(f"{name} {n}" for name, n in counts["remarks"].items() if n)
        lines.append(f"odd: {odd or 'none'}")
        near = f", {counts['n_near_identical_pairs']} of the same sound"
        if not self.scan.near_compared:
            near = "; copies cut or encoded anew were not looked for"
        identical = count_text(counts["n_identical_pairs"], "pair")
        lines.append(f"copies: {identical} of the same bytes{near}")
        if counts["n_different_labels"]:
            different = count_text(counts["n_different_labels"], "pair")
            lines.append(f"copies with different labels: {different}")
        decoded = f"none, all {self.scan.n_reused} were known"
        if self.scan.n_decoded:
            speed = self.scan.decoded_duration / max(self.scan.seconds, 1e-9)
            decoded = (
                f"{count_text(self.scan.n_decoded, 'file')} in {self.scan.seconds:.1f} s, "
                f"{speed:.0f} times as fast as they play; {self.scan.n_reused} were known"
            )
        return "\n".join([*lines, f"decoded: {decoded}", f"page: {self.page}"])


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
        numbers = json_ready(counts(found))
        write_json(run.path(COUNTS), numbers)
        page = _write_page(run.folder, found, options)
        seconds = time.perf_counter() - started
        run.note(n_files=len(found.recordings), n_bad_files=len(found.bad_files))
    return ScanResult(found, numbers, page, seconds)
