"""``scan``: a first look at a disk of recordings, and its page."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
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
    Share,
    by_group,
    by_label,
    counts,
    share_of,
    shares_by,
    write_tables,
)
from semisonic.data.scan.scan import scan as look_at
from semisonic.evaluation.plots.recordings import histogram, recording_hours
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Number, Page
from semisonic.training.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

# The contact sheet of a scan: a few recordings to look at and listen to.


SHOWN = 10.0
"""Seconds of a recording that are shown: from its middle, which no hand has touched."""

HIGHEST_RATE = 32000
"""Hz up to which sounds are put into the page; the picture shows all there is."""


def choose(recordings: Sequence[ScannedRecording], n: int) -> list[ScannedRecording]:
    """At most ``n`` undamaged recordings, spread evenly over groups and times."""
    whole = [one for one in recordings if not one.measured.damage]
    whole.sort(key=lambda one: (one.group, _time_of(one), one.file))
    if len(whole) <= n:
        return whole
    places = np.linspace(0, len(whole), n, endpoint=False) + len(whole) / (2 * n)
    return [whole[int(place)] for place in places]


def players(root: Path, chosen: Sequence[ScannedRecording]) -> Iterator[Player]:
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

_OPEN_ROWS = 15
_MEANINGS = {
    "silent": "nothing above −80 dBFS",
    "constant": "nothing but an offset: a broken microphone",
    "clipped": "at least 0.1 % of the samples in flat tops at full scale",
    "over full scale": "samples that are not within ±1",
    "dead channel": "silent in some channels, not in all",
}


def write_scan_page(folder: Path, scan: Scan, options: ScanOptions) -> Path:
    """Write ``scan.html`` with its figures and tables into a run folder."""
    whole = share_of(scan.recordings)
    page = Page(f"What is in {scan.root.resolve().name}", f"{scan.root}")
    _top(page, scan, whole)
    if scan.recordings:
        _when(page, scan)
        _sizes(page, scan)
        _labels_and_groups(page, scan)
        _sheet(page, scan, options)
    _wrong(page, scan)
    _copies(page, scan)
    _method(page, scan, options)
    return page.write(folder, "scan", values=False)


def _top(page: Page, scan: Scan, whole: Share) -> None:
    n_bad = len(scan.bad_files)
    page.verdict(
        f"{_n(whole.n_files, 'recording')}, {_long(whole.duration)} of sound",
        f"{_n(n_bad, 'file')} cannot be used, or not as a whole." if n_bad else "",
    )
    silent = sum(one.measured.silent_share * one.measured.duration for one in scan.recordings)
    share = silent / whole.duration if whole.duration else float("nan")
    n_odd = sum(bool(one.remarks) for one in scan.recordings)
    page.numbers(
        [
            Number(str(whole.n_files), "recordings", f"in {_n(whole.n_groups, 'group')}"),
            Number(percent_text(share), "of the time silent"),
            Number(str(n_odd), "odd recordings", "silent, clipped, ..."),
            Number(str(len(scan.duplicates)), "pairs of copies"),
            Number(str(n_bad), "bad files"),
        ]
    )
    for note in scan.notes:
        page.warning(f"{note[:1].upper()}{note[1:]}.")


def _when(page: Page, scan: Scan) -> None:
    found = calendar(scan.recordings)
    if not found.days:
        return
    timed = [one for one in scan.recordings if one.recorded_at]
    n_zone = sum(
        one.recorded_at is not None and one.recorded_at.tzinfo is not None for one in timed
    )
    page.section("When")
    page.figure(
        recording_hours(found.days, found.hours),
        f"Sound recorded, by day and hour of the day, by the recorders' clocks. The start is known "
        f"of {len(timed)} of {_n(len(scan.recordings), 'recording')}, with its time zone of "
        f"{n_zone}. Empty rows are days without a recording.",
        name="hours",
    )
    sources = shares_by(timed, lambda one: (one.time_source,))
    told = {
        "guano": "GUANO metadata in the file",
        "comment": "comment in the file",
        "name": "name of the file",
    }
    page.facts({f"times from the {told[key]}": s.n_files for key, s in sources.items()})


def _sizes(page: Page, scan: Scan) -> None:
    page.section("Lengths, rates and levels")
    measured = [one.measured for one in scan.recordings]
    page.figure(
        histogram([m.duration for m in measured], "length, s"),
        "Lengths.",
        name="lengths",
        wide=False,
    )
    levels = [decibel(m.rms) for m in measured]
    if np.isfinite(levels).any():
        page.figure(
            histogram(levels, "RMS level, dBFS"),
            "Levels; digital silence is left out.",
            name="levels",
            wide=False,
        )
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
    page.table(
        ["rate, Hz", "channels", "format", "files", "duration"],
        [(*kind, s.n_files, s.duration) for kind, s in ordered[:_MOST_ROWS]],
        name="formats",
        formats={"duration": _long},
        folded=len(ordered) > _OPEN_ROWS,
        caption="Rates, channels and formats",
    )


def _labels_and_groups(page: Page, scan: Scan) -> None:
    labels = by_label(scan)
    if labels:
        page.section("Classes")
        page.table(
            ["class", "files", "groups", "duration"],
            [(name, s.n_files, s.n_groups, s.duration) for name, s in labels.items()],
            name="classes",
            formats={"duration": _long},
        )
    groups = by_group(scan)
    if len(groups) == len(scan.recordings):
        return  # each file is its own
    page.section("Groups")
    page.text("Sites, days or recordings: what must stay together when clips are divided.")
    longest = sorted(groups.items(), key=lambda item: -item[1].duration)[:_MOST_ROWS]
    page.table(
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
        name="groups",
        formats={"duration": _long},
        folded=len(longest) > _OPEN_ROWS,
        caption=f"{len(longest)} of {len(groups)} groups, those with most sound first",
    )


def _sheet(page: Page, scan: Scan, options: ScanOptions) -> None:
    chosen = choose(scan.recordings, options.thumbnails)
    cards = list(players(scan.root, chosen))
    if not cards:
        return
    page.section("Look and listen")
    page.text(
        f"{len(cards)} of {_n(len(scan.recordings), 'recording')}, spread evenly over groups and "
        f"times: at most {SHOWN:g} s from the middle of each. Pictures reach from 0 Hz to half the "
        f"rate; sounds were brought to {HIGHEST_RATE} Hz at most."
    )
    page.players(cards)


def _wrong(page: Page, scan: Scan) -> None:
    page.section("What is wrong")
    if scan.bad_files:
        shown = scan.bad_files[:_MOST_ROWS]
        page.table(
            ["file", "reason"],
            shown,
            name="bad-files",
            folded=len(shown) > _OPEN_ROWS,
            caption=_caption("Cannot be used, or not as a whole", len(shown), len(scan.bad_files)),
            note="bad_files.csv has all of them.",
        )
    n_listed = 0
    for keyword in REMARKS:
        found = [one for one in scan.recordings if keyword in one.remarks]
        if found:
            n_listed += 1
            _remarks(page, keyword, found)
    if not scan.bad_files and not n_listed:
        page.text("Nothing was found: every file decodes, none is silent or clipped.")


def _remarks(page: Page, keyword: str, found: Iterable[ScannedRecording]) -> None:
    rows = sorted(found, key=lambda one: (-one.measured.clipped_share, one.file))
    shown = rows[:_MOST_ROWS]
    page.table(
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
            for one in shown
        ],
        name=keyword.replace(" ", "-"),
        folded=len(shown) > _OPEN_ROWS,
        caption=_caption(f"{keyword.capitalize()}: {_MEANINGS[keyword]}", len(shown), len(rows)),
        formats={
            "length": duration_text,
            "peak, dBFS": _level,
            "RMS, dBFS": _level,
            "clipped": percent_text,
            "silent": percent_text,
        },
    )


def _copies(page: Page, scan: Scan) -> None:
    page.section("Copies")
    if not scan.near_compared:
        page.text("Files were compared by their bytes only.")
    else:
        page.text(
            "Files were compared by their bytes, and by the sound of their first 30 s: copies are "
            "found after another encoding, level or cut."
        )
    if not scan.duplicates:
        page.text("No copies were found.")
        return
    shown = scan.duplicates[:_MOST_ROWS]
    rows: list[tuple[object, ...]] = [
        (pair.first, pair.second, pair.kind, pair.score) for pair in shown
    ]
    headers = ["first", "second", "what", "alike"]
    if scan.summary.classes:
        headers.append("labels")
        same = ("same" if pair.same_labels else "different" for pair in shown)
        rows = [(*row, label) for row, label in zip(rows, same, strict=True)]
    page.table(
        headers,
        rows,
        name="copies",
        formats={"alike": lambda value: f"{value:.2f}"},
        folded=len(shown) > _OPEN_ROWS,
        caption=_caption("Pairs", len(shown), len(scan.duplicates)),
        note="duplicates.csv has all of them, with the offset in time.",
        styles={i: "strong" for i, pair in enumerate(shown) if not pair.same_labels},
    )


def _method(page: Page, scan: Scan, options: ScanOptions) -> None:
    page.section("How it was measured")
    page.notes(
        [
            "Each file was decoded once, from start to end, all channels. Peak and RMS are over "
            "all channels.",
            f"A tenth of a second is silent when its RMS level, without the offset, is below "
            f"{options.silence_db:g} dBFS.",
            "recordings.csv has a row for each recording with all of this, and with its offset and "
            "the frequency up to which it holds anything.",
            "Times are those of the recorders' clocks, which nobody has checked.",
            *(f"{note[:1].upper()}{note[1:]}." for note in scan.summary.notes),
        ]
    )


def _caption(text: str, n_shown: int, n: int) -> str:
    return f"{text} ({n})" if n_shown == n else f"{text} ({n_shown} of {n})"


def _minute(time: datetime | None) -> str | None:
    return f"{time:%Y-%m-%d %H:%M}" if time else None


def _level(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else MISSING


def _long(seconds: float) -> str:
    """A time that may be days: people count recordings in hours."""
    return duration_text(seconds) if seconds < 36000 else f"{seconds / 3600:.0f} h"


def _n(number: int, word: str) -> str:
    return f"{number} {word if number == 1 else word + 's'}"


# ``scan``: a first look at a disk of recordings.


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
        yield f"copies: {count_text(found['n_identical_pairs'], 'pair')} of the same bytes{compared}"
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
        page = write_scan_page(run.folder, found, options)
        seconds = time.perf_counter() - started
        run.note(n_files=len(found.recordings), n_bad_files=len(found.bad_files))
    return ScanResult(found, numbers, page, seconds)
