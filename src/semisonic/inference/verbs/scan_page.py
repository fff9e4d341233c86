"""The page of ``scan``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np

from semisonic.audio.levels import decibel
from semisonic.base.wording import MISSING, duration, percent
from semisonic.data.scan import REMARKS, Recording, Scan, Share, by_group, by_label, calendar
from semisonic.data.scan.counts import share_of, shares_by
from semisonic.evaluation.plots import histogram, recording_hours
from semisonic.evaluation.report.page import Number, Page
from semisonic.inference.scan_options import ScanOptions
from semisonic.inference.verbs.scan_sheet import HIGHEST_RATE, SHOWN, choose, players

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
            Number(percent(share), "of the time silent"),
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
    told = {"guano": "GUANO metadata in the file", "comment": "comment in the file",
            "name": "name of the file"}  # fmt: skip
    page.facts({f"times from the {told[key]}": s.n_files for key, s in sources.items()})


def _sizes(page: Page, scan: Scan) -> None:
    page.section("Lengths, rates and levels")
    measured = [one.measured for one in scan.recordings]
    page.figure(
        histogram([m.duration for m in measured], "length, s"), "Lengths.",
        name="lengths", wide=False,
    )  # fmt: skip
    levels = [decibel(m.rms) for m in measured]
    if np.isfinite(levels).any():
        page.figure(
            histogram(levels, "RMS level, dBFS"), "Levels; digital silence is left out.",
            name="levels", wide=False,
        )  # fmt: skip
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
        name="formats", formats={"duration": _long}, folded=len(ordered) > _OPEN_ROWS,
        caption="Rates, channels and formats",
    )  # fmt: skip


def _labels_and_groups(page: Page, scan: Scan) -> None:
    labels = by_label(scan)
    if labels:
        page.section("Classes")
        page.table(
            ["class", "files", "groups", "duration"],
            [(name, s.n_files, s.n_groups, s.duration) for name, s in labels.items()],
            name="classes", formats={"duration": _long},
        )  # fmt: skip
    groups = by_group(scan)
    if len(groups) == len(scan.recordings):
        return  # each file is its own
    page.section("Groups")
    page.text("Sites, days or recordings: what must stay together when clips are divided.")
    longest = sorted(groups.items(), key=lambda item: -item[1].duration)[:_MOST_ROWS]
    page.table(
        ["group", "files", "duration", "first", "last", "silent", "clipped", "damaged"],
        [
            (name, s.n_files, s.duration, _minute(s.first), _minute(s.last),
             s.remarks["silent"], s.remarks["clipped"], s.n_damaged)
            for name, s in longest
        ],
        name="groups", formats={"duration": _long}, folded=len(longest) > _OPEN_ROWS,
        caption=f"{len(longest)} of {len(groups)} groups, those with most sound first",
    )  # fmt: skip


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
            ["file", "reason"], shown, name="bad-files", folded=len(shown) > _OPEN_ROWS,
            caption=_caption("Cannot be used, or not as a whole", len(shown), len(scan.bad_files)),
            note="bad_files.csv has all of them.",
        )  # fmt: skip
    n_listed = 0
    for keyword in REMARKS:
        found = [one for one in scan.recordings if keyword in one.remarks]
        if found:
            n_listed += 1
            _remarks(page, keyword, found)
    if not scan.bad_files and not n_listed:
        page.text("Nothing was found: every file decodes, none is silent or clipped.")


def _remarks(page: Page, keyword: str, found: Iterable[Recording]) -> None:
    rows = sorted(found, key=lambda one: (-one.measured.clipped_share, one.file))
    shown = rows[:_MOST_ROWS]
    page.table(
        ["file", "length", "peak, dBFS", "RMS, dBFS", "clipped", "silent"],
        [
            (one.file, one.measured.duration, decibel(one.measured.peak), decibel(one.measured.rms),
             one.measured.clipped_share, one.measured.silent_share)
            for one in shown
        ],
        name=keyword.replace(" ", "-"), folded=len(shown) > _OPEN_ROWS,
        caption=_caption(f"{keyword.capitalize()}: {_MEANINGS[keyword]}", len(shown), len(rows)),
        formats={
            "length": duration, "peak, dBFS": _level, "RMS, dBFS": _level,
            "clipped": percent, "silent": percent,
        },
    )  # fmt: skip


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
        headers, rows, name="copies",
        formats={"alike": lambda value: f"{value:.2f}"}, folded=len(shown) > _OPEN_ROWS,
        caption=_caption("Pairs", len(shown), len(scan.duplicates)),
        note="duplicates.csv has all of them, with the offset in time.",
        styles={i: "strong" for i, pair in enumerate(shown) if not pair.same_labels},
    )  # fmt: skip


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
    return duration(seconds) if seconds < 36000 else f"{seconds / 3600:.0f} h"


def _n(number: int, word: str) -> str:
    return f"{number} {word if number == 1 else word + 's'}"
