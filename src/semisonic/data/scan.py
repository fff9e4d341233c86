"""A first look at a disk of recordings: each decoded once, measured, compared and counted."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.audio.checks import decibel
from semisonic.audio.find import OTHER_SUFFIXES, find_audio
from semisonic.audio.read import AudioInfo
from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import digest, write_csv
from semisonic.core.parallel import in_threads
from semisonic.core.progress import bar
from semisonic.data.cache import KeyTable
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.datasets.layout import DatasetPath
from semisonic.data.datasets.load import layout_kind, load_clips
from semisonic.data.duplicates import NEAR_MOST, Duplicate, find_duplicates, group_duplicates
from semisonic.data.events import text_column
from semisonic.data.recording_measures import Measures, measure, unpack
from semisonic.data.recording_names import RecorderInfo, groups_of, read_names, site_of
from semisonic.data.recordings import AUTO, COPIES
from semisonic.data.summary import Summary, describe

REMARKS = ("silent", "constant", "clipped", "over full scale", "dead channel")
"""The keywords that remarks begin with."""

SILENCE_DB = -60.0

LEAST_SCORE = 0.25
"""Pairs that agree less share a tone or a second of sound; different recordings agree so little."""

CLOCK_SET = datetime(2001, 1, 1)
"""Times before this are those of a clock that nobody has set: many begin with the year 2000."""

VERSION = 3
"""To be raised when the same file would be measured differently."""


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes
    ----------
    root : Path
    recordings : DataFrame
        A row for each file of which at least a part decodes, by name: what
        :func:`semisonic.data.recording_measures.measure` tells, with times, sites and labels
        completed from the file's name and its folders; ``clock`` is the start without a zone,
        and ``odd`` the keywords of what is wrong (:data:`REMARKS`).
    bad_files : tuple of (str, str)
        Files that cannot be used, or not as a whole, with the reason.
    duplicates : tuple of Duplicate
        Pairs of files with the same bytes or the same sound, the same bytes first.
    summary : Summary
        As ``data info`` gives it.
    counts : dict
        What ``scan.json`` holds: plain values.
    notes : tuple of str
        What was decided on the way; those of the reader of labels are in ``summary``.
    """

    root: Path
    recordings: pd.DataFrame
    bad_files: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicate, ...]
    summary: Summary
    counts: dict[str, Any]
    notes: tuple[str, ...]


def scan(
    root: Path,
    journal: Path,
    *,
    labels: str = "auto",
    group: str = "auto",
    silence_db: float = SILENCE_DB,
    near_copies: bool = True,
    near_most: int = NEAR_MOST,
    workers: int | None = None,
) -> Scan:
    """Look at all recordings below a folder; decode each once.

    Only the starts of recordings that may be copies of each other are read again, to be compared.

    Parameters
    ----------
    root : Path
        The folder.
    journal : Path
        Where finished work is written down, so that a killed scan goes on and a later one decodes
        only what is new or changed. Made if missing.
    labels : str
        As for ``load_clips``, but with "auto" the folders of field recordings are sites: they are
        taken for classes only where most names are not those of recorders.
    group : str
        As for ``load_clips``, but "auto" is what the data set says, else the site where names tell
        a time, else the file.
    silence_db : float
        RMS level, in dB of full scale, below which a frame of 0.1 s is silent.
    near_copies : bool
        Look for copies of the same sound, besides copies of the same bytes.
    near_most : int
        More files than this are not compared by their sound; a note says so.
    workers : int, optional
        Threads; by default as many as there are processors.

    Raises
    ------
    DataError
        When there is no such folder, or no recording in it; when labels that were asked for by
        name cannot be read, or the group rule is wrong.
    """
    unreadable: list[tuple[str, str]] = []
    files = [p.relative_to(root).as_posix() for p in find_audio(root, unreadable=unreadable)]
    others = [
        p.relative_to(root).as_posix() for p in find_audio(root, OTHER_SUFFIXES, unreadable=[])
    ]
    if not files and not others:
        DatasetPath(root).need_audio()
    names = dict(zip(files, read_names(files), strict=True))
    rule = AUTO if group == COPIES else group
    notes: list[str] = []
    kind, read = _read_labels(root, names, labels, rule, notes)
    class_folders = kind in ("folders", "esc-folders")
    known: dict[str, dict[str, None]] = {}
    groups: dict[str, str] = {}
    if read is not None:
        for file, of_clip, of in zip(read.file.tolist(), read.labels, read.group, strict=True):
            known.setdefault(file, {}).update(dict.fromkeys(of_clip))
            groups[file] = str(of)
    rest = [file for file in files if not groups.get(file)]
    by_rule = rest if rule == AUTO else groups_of(rest, rule, class_folders=class_folders)
    groups.update(zip(rest, by_rule, strict=True))
    started = time.perf_counter()
    measured, failures, decoded = _measure_files(root, files, journal, silence_db, workers)
    seconds = time.perf_counter() - started
    rows = []
    for file in files:
        if file not in measured:
            continue
        m, name = measured[file], names[file]  # what stands inside a file wins over its name
        inside = datetime.fromisoformat(m["recorded_at"]) if m["recorded_at"] else None
        start = inside or name.recorded_at
        site = (site_of(file, name, class_folders=class_folders) if start else "") or m["device"]
        of = groups[file]
        about = {
            "file": file,
            "recorded_at": start,
            "clock": start.replace(tzinfo=None) if start else None,
            "time_source": m["time_source"] if inside else "name" * bool(start),
            "device": m["device"] or name.device,
            "site": site,
            "group": site if rule == AUTO and of == file and site and start else of,
            "labels": tuple(known.get(file, ())),
            "odd": frozenset(text.partition(":")[0] for text in m["remarks"]),
        }
        rows.append(m | about)
    recordings = pd.DataFrame(rows, columns=_KNOWN, dtype=object).astype(_TYPES)
    bad = {
        **dict(unreadable),
        **dict.fromkeys(others, "a format that is not read; convert it to WAV or FLAC"),
        **dict.fromkeys(
            sorted(known.keys() - names), "no such file, but a table of labels names it"
        ),
        **failures,
        **{file: m["damage"] for file, m in measured.items() if m["damage"]},
    }
    n_unset = sum(time is not None and time < CLOCK_SET for time in recordings["clock"])
    if n_unset:
        notes.append(
            f"recordings dated before {CLOCK_SET.year}, as by a clock that was never set, and "
            f"left out of the map of hours: {n_unset}"
        )
    present = {label for labels in recordings["labels"] for label in labels}
    clips = Clips(
        root=root,
        file=np.array(recordings["file"], np.str_),
        start_time=np.zeros(len(recordings)),
        end_time=np.full(len(recordings), np.nan),
        labels=tuple(recordings["labels"]),
        group=np.array(recordings["group"], np.str_),
        fold=np.zeros(len(recordings), np.int64),
        classes=tuple(name for name in read.classes if name in present) if read else (),
        name=root.resolve().name,
        notes=read.notes if read else (),
    )
    whole = np.flatnonzero(recordings["damage"] == "").tolist()
    near = near_copies and len(whole) <= near_most
    if near_copies and not near:
        notes.append(
            f"{len(whole)} recordings were compared by their bytes, not by their sound: the "
            f"search for copies cut or encoded anew takes long for more than {near_most}; "
            f"--near-most {len(whole)} does it"
        )
    prints = {row: unpack(recordings["print"][row]) for row in whole} if near else None
    duplicates = _copies(clips, recordings, prints, workers, notes)
    if group == COPIES:
        clips = group_duplicates(clips, duplicates)
        recordings = recordings.assign(group=text_column(clips.group.tolist()))
    listed: list[Any] = list(recordings.itertuples())
    headers = {
        r.file: AudioInfo(
            *(Path(r.file), r.sample_rate, r.channels, round(r.duration * r.sample_rate)),
            *(r.duration, r.format, r.subtype, r.damage),
        )
        for r in listed
    }
    summary = describe(clips, headers={**bad, **headers})
    counts = {
        **_counts(recordings, duplicates),
        "n_bad_files": len(bad),
        "n_compared_by_sound": len(prints or ()),
        "n_decoded_now": len(decoded),
        "n_known_before": len(measured) - len(decoded),
        "decoded_duration": sum(measured[file]["duration"] for file in decoded),
        "seconds": seconds,
        "notes": notes,
    }
    return Scan(
        root,
        recordings,
        tuple(sorted(bad.items())),
        tuple(sorted(duplicates, key=lambda d: (d.kind, -d.score, d.first, d.second))),
        summary,
        vars(summary) | counts,
        tuple(notes),
    )


def _read_labels(
    root: Path, names: dict[str, RecorderInfo], labels: str, group: str, notes: list[str]
) -> tuple[str, Clips | None]:
    """How labels are read (empty for not at all), and the clips that have them."""
    kind = labels
    if labels == "auto":
        try:
            kind = layout_kind(root)
        except DataError:
            return "", None  # nothing here can be read: the scan says so itself
        n_timed = sum(name.recorded_at is not None for name in names.values())
        if kind == "folders" and 2 * n_timed > len(names):
            notes.append(
                f"folders are taken for sites, not for labels, because {n_timed} of {len(names)} "
                "names are those of field recorders; --labels folders takes them for labels"
            )
            return "", None
    if kind in ("none", "files"):
        return "", None
    try:
        return kind, load_clips(root, labels=kind, group=group, allow_missing=True)
    except DataError as error:
        if labels != "auto":
            raise
        notes.append(f"no labels were read: {error}")
        return "", None


def _copies(
    clips: Clips,
    recordings: pd.DataFrame,
    prints: dict[int, NDArray[np.int8]] | None,
    workers: int | None,
    notes: list[str],
) -> list[Duplicate]:
    """Pairs of copies; of the same bytes alone without fingerprints."""
    found = find_duplicates(clips, near=prints is not None, prints=prints, workers=workers)
    silent = frozenset(REMARKS[:2])
    audible = [pair for pair in found if not silent & recordings["odd"][pair.first_row]]
    duplicates = [pair for pair in audible if pair.score >= LEAST_SCORE]
    if len(audible) < len(found):
        notes.append(
            f"recordings with nothing to hear that have the same bytes as another: "
            f"{len(found) - len(audible)}; they are not called copies"
        )
    if len(duplicates) < len(audible):
        notes.append(
            f"pairs of recordings that share a second of sound and nothing else: "
            f"{len(audible) - len(duplicates)}; 'semisonic data check' names them"
        )
    return duplicates


def _measure_files(
    root: Path, files: Sequence[str], journal: Path, silence_db: float, workers: int | None
) -> tuple[dict[str, Measures], dict[str, str], list[str]]:
    """Measures by file, why others have none (they are tried again next time), and what is new.

    Each is decoded once, in threads, and written down when finished. The journal knows a file by
    its name, size and time of change, and by the options that the numbers depend on: a pass that
    was killed goes on, a later one decodes only what is new or changed.
    """
    options = digest(VERSION, silence_db)
    stop = Event()  # a day of sound need not be finished when somebody interrupts

    def work(file: str) -> tuple[str, Measures | str]:
        try:
            return file, measure(root / file, silence_db=silence_db, stopped=stop.is_set)
        except AudioError as error:
            return file, error.reason
        except OSError as error:  # a bad sector, a disk that was pulled out
            return file, f"cannot be read ({error.strerror or type(error).__name__})"

    measured: dict[str, Measures] = {}
    failures: dict[str, str] = {}
    stamps: dict[str, tuple[int, int]] = {}
    with KeyTable(journal) as table:
        for file in files:
            try:
                status = os.stat(root / file)
            except OSError:
                failures[file] = "no such file"
                continue
            stamps[file] = status.st_size, status.st_mtime_ns
            if (values := table.get((options, file), stamps[file])) is not None:
                measured[file] = values
        rest = [file for file in stamps if file not in measured]
        total = sum(size for size, _ in stamps.values())
        done = total - sum(stamps[file][0] for file in rest)
        with bar(total, "decode", "B", initial=done, scaled=True) as shown:
            for file, one in in_threads(work, rest, workers, stop=stop):
                shown.update(stamps[file][0])
                if isinstance(one, str):
                    failures[file] = one
                else:
                    measured[file] = one
                    table.add(((options, file), stamps[file], one))
    return measured, failures, [file for file in rest if file in measured]


def hours_by_day(recordings: pd.DataFrame) -> dict[date, NDArray[np.float64]]:
    """Hours of sound in each hour of each day, by the recorders' clocks.

    Recordings whose start is known are spread over the hours they last; those of a clock that
    was never set are left out.

    Returns
    -------
    dict of date to ndarray of float64, shape (24,)
        Days in order; more than 1 where recorders ran side by side.
    """
    found: dict[date, NDArray[np.float64]] = {}
    for start, duration in zip(recordings["clock"], recordings["duration"], strict=True):
        left = duration / 3600
        while start is not None and start >= CLOCK_SET and left > 0:
            hour = start.replace(minute=0, second=0, microsecond=0)
            here = min(left, 1 - (start - hour) / timedelta(hours=1))
            found.setdefault(hour.date(), np.zeros(24))[hour.hour] += here
            left -= here
            start = hour + timedelta(hours=1)  # exactly, so that rounding cannot stop the clock
    return dict(sorted(found.items()))


def _counts(recordings: pd.DataFrame, duplicates: Sequence[Duplicate]) -> dict[str, Any]:
    kinds = Counter(pair.kind for pair in duplicates)
    remarks = Counter(keyword for odd in recordings["odd"] for keyword in odd)
    times = [time for time in recordings["recorded_at"] if time is not None]
    clocks = sorted(time for time in recordings["clock"] if time is not None)
    return {
        "n_damaged": int((recordings["damage"] != "").sum()),
        "total_duration": math.fsum(recordings["duration"]),
        "silent_duration": math.fsum(recordings["silent_share"] * recordings["duration"]),
        "remarks": {keyword: remarks[keyword] for keyword in REMARKS},
        "n_identical_pairs": kinds["identical"],
        "n_near_identical_pairs": kinds["near-identical"],
        "n_different_labels": sum(not pair.same_labels for pair in duplicates),
        "n_with_time": len(times),
        "n_with_zone": sum(time.tzinfo is not None for time in times),
        "first_recorded_at": clocks[0].isoformat() if clocks else None,
        "last_recorded_at": clocks[-1].isoformat() if clocks else None,
        "sites": sorted({*recordings["site"]} - {""}),
        "devices": sorted({*recordings["device"]} - {""}),
    }


_COLUMNS = (
    *("file", "duration", "sample_rate", "channels", "format", "subtype", "n_bytes", "peak_dbfs"),
    *("rms_dbfs", "clipped_share", "silent_share", "dc_offset", "bandwidth_hz", "remarks"),
    *("damage", "recorded_at", "time_source", "device", "model", "site", "latitude", "longitude"),
    *("group", "label"),
)
_MADE = {"peak_dbfs": "peak", "rms_dbfs": "rms", "label": "labels"}
_KNOWN = sorted({*(_MADE.get(name, name) for name in _COLUMNS), "clock", "odd", "print"})
_DIGITS = {
    "bandwidth_hz": 1,
    **dict.fromkeys(("peak_dbfs", "rms_dbfs"), 2),
    **dict.fromkeys(("duration", "silent_share"), 4),
    **dict.fromkeys(("clipped_share", "dc_offset"), 6),
}
_TYPES = {
    **dict.fromkeys(("sample_rate", "channels", "n_bytes"), np.int64),
    **{_MADE.get(name, name): np.float64 for name in _DIGITS},
}
_PAIR = (
    *("kind", "first", "second", "score", "offset_time", "shared_time"),
    *("across_groups", "same_labels"),
)


def recordings_table(scan: Scan) -> pd.DataFrame:
    """What stands in ``recordings.csv``; None for what is not known."""
    found = scan.recordings
    table = found.assign(
        peak_dbfs=found["peak"].map(decibel),
        rms_dbfs=found["rms"].map(decibel),
        remarks=text_column(map("; ".join, found["remarks"])),
        recorded_at=text_column(time.isoformat() if time else "" for time in found["recorded_at"]),
        label=text_column(map(LABEL_SEPARATOR.join, found["labels"])),
    )
    for name, digits in _DIGITS.items():
        table[name] = [round(float(value), digits) for value in table[name]]
    return table[list(_COLUMNS)]


def write_tables(folder: Path, scan: Scan) -> None:
    """Write ``recordings.csv``, ``bad_files.csv`` and ``duplicates.csv`` into a folder."""
    table = recordings_table(scan)
    plain = table.astype(object).where(table.notna(), None)
    write_csv(folder / "recordings.csv", _COLUMNS, plain.itertuples(index=False))
    write_csv(folder / "bad_files.csv", ("file", "reason"), scan.bad_files)
    pairs = (
        (
            *(pair.kind, pair.first, pair.second),
            *(round(pair.score, 4), round(pair.offset_time, 4)),
            "" if pair.kind == "identical" else round(pair.shared_time, 2),
            "yes" if pair.across else "no",
            "yes" if pair.same_labels else "no",
        )
        for pair in scan.duplicates
    )
    write_csv(folder / "duplicates.csv", _PAIR, pairs)
