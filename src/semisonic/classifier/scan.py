"""``scan``: check a disk of recordings, and write its page."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.audio.player import Player
from semisonic.audio.read import read
from semisonic.audio.resample import resample
from semisonic.core.errors import AudioError
from semisonic.core.files import json_ready, write_json
from semisonic.core.html import Result
from semisonic.core.progress import track
from semisonic.core.text import MISSING, count_text, duration_text, percent_text
from semisonic.data.scan import (
    SILENCE_DB,
    Scan,
    hours_by_day,
    recordings_table,
    write_tables,
)
from semisonic.data.scan import scan as look_at
from semisonic.evaluation.plots.recordings import histogram, recording_hours
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10.0
"""Seconds of a recording that are shown, from its middle, where nobody handles the recorder."""

HIGHEST_RATE = 32000
"""Hz up to which sounds are put into the page; the picture shows all there is."""


def _players(root: Path, recordings: pd.DataFrame, n: int) -> Iterator[Player]:
    """Cards of ``n`` undamaged recordings, spread evenly over groups and times; those that have
    gone since are left out."""
    whole = recordings[recordings["damage"] == ""]
    order = sorted(whole.index, key=lambda i: (whole["group"][i], str(whole["clock"][i] or "")))
    if len(order) > n:
        places = np.linspace(0, len(order), n, endpoint=False) + len(order) / (2 * n)
        order = [order[int(place)] for place in places]
    rows: list[Any] = list(whole.loc[order].itertuples())
    for one in track(rows, "thumbnails", "file"):
        start = max(0.0, (one.duration - SHOWN) / 2)
        end = min(one.duration, start + SHOWN)
        try:
            x, rate = read(root / one.file, start_time=start, end_time=end)
        except AudioError:
            continue
        sound = x, rate
        if rate > HIGHEST_RATE and len(y := resample(x, rate, HIGHEST_RATE)):
            sound = y, HIGHEST_RATE
        group = one.group if one.group != one.file else ""
        about = ", ".join(filter(None, [";".join(one.labels), group]))
        facts = [str(one.clock or ""), duration_text(one.duration), f"{one.sample_rate} Hz"]
        details = ", ".join(filter(None, [*facts, *sorted(one.odd)]))
        yield Player(x, rate, one.file.rpartition("/")[2], about, details, sound)


_MOST_ROWS = 100
"""Most rows of a table on the page; the CSV files have all."""

_LABELS = {True: "same", False: "different"}
_MEANINGS = {
    "silent": "nothing above −80 dBFS",
    "constant": "only an offset: a broken microphone",
    "clipped": "at least 0.1 % of the samples clipped at full scale",
    "over full scale": "samples outside ±1",
    "dead channel": "silent in some channels but not in all",
    "opposite phase": "two channels that cancel each other: one was wired the wrong way round",
}


def _write_page(
    folder: Path, scan: Scan, numbers: dict[str, Any], silence_db: float, n_players: int
) -> Path:
    """Write ``scan.html`` with its figures and tables into a run folder."""
    n_files, n_bad = len(scan.recordings), len(scan.bad_files)
    duration, n_groups = numbers["total_duration"], scan.summary.n_recordings
    n_odd = int(scan.recordings["odd"].map(bool).sum())
    report = Report(
        "scan.j2",
        f"Recordings in {scan.root.resolve().name}",
        f"{scan.root}",
        scan=scan,
        silence_db=silence_db,
        seconds_shown=SHOWN,
        highest_rate=HIGHEST_RATE,
        most_rows=_MOST_ROWS,
        n_odd=n_odd,
        meanings=_MEANINGS,
    )
    report.verdict = Verdict(
        f"{count_text(n_files, 'recording')}, {_long(duration)} of sound",
        f"{count_text(n_bad, 'file')} cannot be used completely." if n_bad else "",
    )
    share = numbers["silent_duration"] / duration if duration else float("nan")
    report.numbers = [
        Number(str(n_files), "recordings", f"in {count_text(n_groups, 'group')}"),
        Number(percent_text(share), "of the time silent"),
        Number(str(n_odd), "odd recordings", "silent, clipped, ..."),
        Number(str(len(scan.duplicates)), "pairs of copies"),
        Number(str(n_bad), "bad files"),
    ]
    report.warnings += [f"{note[:1].upper()}{note[1:]}." for note in scan.notes]
    if n_files:
        _add_times(report, scan, numbers)
        _add_sizes(report, scan.recordings)
        _add_labels_and_groups(report, scan)
        report.players("sheet", _players(scan.root, scan.recordings, n_players))
    _add_faults(report, scan)
    return report.write(folder, "scan", values=False)


def _add_times(report: Report, scan: Scan, numbers: dict[str, Any]) -> None:
    days = hours_by_day(scan.recordings)
    if not days:
        return
    names = {
        "guano": "GUANO metadata in the file",
        "comment": "comment in the file",
        "name": "name of the file",
    }
    sources = Counter(source for source in scan.recordings["time_source"] if source)
    report.figure("hours", recording_hours(list(days), list(days.values())))
    report.values |= {
        "n_timed": numbers["n_with_time"],
        "n_zone": numbers["n_with_zone"],
        "sources": {f"times from the {names[key]}": n for key, n in sources.items()},
    }


def _add_sizes(report: Report, recordings: pd.DataFrame) -> None:
    levels = recordings["rms_dbfs"].tolist()
    if len(recordings) > 1:  # the table of formats tells the length of a single one
        report.figure("lengths", histogram(recordings["duration"].tolist(), "length, s"))
        if np.isfinite(levels).any():
            report.figure("levels", histogram(levels, "RMS level, dBFS"))
    kinds = recordings.assign(kind=recordings["format"] + " " + recordings["subtype"])
    of_kind = kinds.groupby(["sample_rate", "channels", "kind"], sort=False)["duration"]
    found = of_kind.agg(["size", "sum"]).sort_values("size", ascending=False, kind="stable")
    report.table(
        "formats",
        ["rate, Hz", "channels", "format", "files", "duration"],
        found.reset_index()[:_MOST_ROWS].astype(object).to_numpy().tolist(),
        formats={"duration": _long},
    )


def _add_labels_and_groups(report: Report, scan: Scan) -> None:
    recordings = scan.recordings
    of_label = recordings.explode("labels").groupby("labels")
    found = of_label.agg(files=("file", "size"), groups=("group", "nunique"), s=("duration", "sum"))
    found = found.reindex(scan.summary.classes, fill_value=0).reset_index()
    report.table(
        "classes",
        ["class", "files", "groups", "duration"],
        found.astype(object).to_numpy().tolist(),
        formats={"duration": _long},
    )
    # By number: names of files may be no UTF-8, which an index of pandas cannot hold.
    names, numbers = np.unique(recordings["group"].tolist(), return_inverse=True)
    by_group = recordings.groupby(numbers)
    if len(by_group) == len(recordings):
        return  # each file is its own
    longest = by_group["duration"].sum().sort_values(ascending=False, kind="stable")
    rows = []
    for number in longest.index.to_numpy(int)[:_MOST_ROWS]:
        some = by_group.get_group(number)
        times = sorted(f"{time:%Y-%m-%d %H:%M}" for time in some["clock"] if time)
        remarks = Counter(keyword for odd in some["odd"] for keyword in odd)
        first, last = (times[0], times[-1]) if times else (None, None)
        wrong = remarks["silent"], remarks["clipped"], int((some["damage"] != "").sum())
        rows.append((str(names[number]), len(some), some["duration"].sum(), first, last, *wrong))
    report.table(
        "groups",
        ["group", "files", "duration", "first", "last", "silent", "clipped", "damaged"],
        rows,
        formats={"duration": _long},
    )
    report.values["n_groups"] = len(by_group)


def _add_faults(report: Report, scan: Scan) -> None:
    """Files that cannot be used, recordings with remarks, and copies."""
    report.table("bad-files", ["file", "reason"], scan.bad_files[:_MOST_ROWS])
    found = scan.recordings
    odd = found[found["odd"].map(bool).astype(bool)]  # of no rows, map tells no type
    odd = odd.assign(
        what=[", ".join(sorted(keywords)) for keywords in odd["odd"]],
    ).sort_values(["what", "clipped_share"], ascending=[True, False])
    columns = ["file", "what", "duration", "peak_dbfs", "rms_dbfs", "clipped_share", "silent_share"]
    report.table(
        "odd",
        ["file", "what", "length", "peak, dBFS", "RMS, dBFS", "clipped", "silent"],
        odd[columns][:_MOST_ROWS].astype(object).to_numpy().tolist(),
        formats={
            "length": duration_text,
            **dict.fromkeys(("peak, dBFS", "RMS, dBFS"), _level),
            **dict.fromkeys(("clipped", "silent"), percent_text),
        },
    )
    shown = scan.duplicates[:_MOST_ROWS]
    headers = ["first", "second", "what", "alike", "labels"]
    n_columns = len(headers) if scan.summary.classes else len(headers) - 1
    rows = [
        (pair.first, pair.second, pair.kind, pair.score, _LABELS[pair.same_labels])
        for pair in shown
    ]
    report.table(
        "copies",
        headers[:n_columns],
        [row[:n_columns] for row in rows],
        formats={"alike": "{:.2f}".format},
        styles={i: "strong" for i, pair in enumerate(shown) if not pair.same_labels},
    )


def _level(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else MISSING


def _long(seconds: float) -> str:
    """A time that may be days: people count recordings in hours."""
    return duration_text(seconds) if seconds < 36000 else f"{seconds / 3600:.0f} h"


JOURNAL, COUNTS = "journal.jsonl", "scan.json"


@dataclass(frozen=True)
class ScanResult(Result):
    """The result of ``scan``.

    Attributes
    ----------
    scan : Scan
    counts : dict
        The content of ``scan.json``.
    page : Path
        ``scan.html``; the tables are beside it.
    seconds : float
        Of the whole verb.
    """

    scan: Scan
    counts: dict[str, Any]
    page: Path
    seconds: float

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """Files that cannot be used completely."""
        return self.scan.bad_files

    def to_frame(self) -> pd.DataFrame:
        """A row per recording, as in recordings.csv."""
        return recordings_table(self.scan)

    def summary(self) -> str:
        """What ``data info`` does not show, for a terminal."""
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
        near = f", {counts['n_near_identical_pairs']} of near copies"
        if not counts["n_compared_by_sound"]:
            near = "; copies that were cut or encoded again were not searched for"
        identical = count_text(counts["n_identical_pairs"], "pair")
        lines.append(f"copies: {identical} of identical files{near}")
        if counts["n_different_labels"]:
            different = count_text(counts["n_different_labels"], "pair")
            lines.append(f"copies with different labels: {different}")
        n_known = counts["n_known_before"]
        decoded = f"none, all {n_known} were decoded before"
        if counts["n_decoded_now"]:
            speed = counts["decoded_duration"] / max(counts["seconds"], 1e-9)
            decoded = (
                f"{count_text(counts['n_decoded_now'], 'file')} in {counts['seconds']:.1f} s, "
                f"{speed:.0f} times faster than they play; {n_known} were decoded before"
            )
        return "\n".join([*lines, f"decoded: {decoded}", f"page: {self.page}"])


def scan(
    data: Path,
    output: Path,
    *,
    labels: str = "auto",
    group: str = "auto",
    silence_db: float = SILENCE_DB,
    near_copies: bool = True,
    thumbnails: int = 24,
    workers: int | None = None,
) -> ScanResult:
    """Decode every recording below a folder once, and write tables and a page about them.

    Parameters
    ----------
    data, output, labels, group, silence_db, near_copies, thumbnails, workers
        Options of ``semisonic scan``.

    Raises
    ------
    OptionError
        If the run folder belongs to another run.
    DataError
        If the folder does not exist, or has no recording.
    """
    options = dict(locals())
    # The journal knows what else must be equal for a file not to be decoded again.
    with RunFolder(output, "scan", options, free=options.keys() - {"data"}) as run:
        started = time.perf_counter()
        found = look_at(
            data,
            run.path(JOURNAL),
            labels=labels,
            group=group,
            silence_db=silence_db,
            near_copies=near_copies,
            workers=workers,
        )
        write_tables(run.folder, found)
        numbers = json_ready(found.counts)
        write_json(run.path(COUNTS), numbers)
        page = _write_page(run.folder, found, numbers, silence_db, thumbnails)
        seconds = time.perf_counter() - started
        run.note(n_files=len(found.recordings), n_bad_files=len(found.bad_files))
    return ScanResult(found, numbers, page, seconds)
