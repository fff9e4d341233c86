"""Scan a folder of recordings: decode each once, measure, compare and count."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import rfft

from semisonic.audio.checks import LevelMeter, decibel, problems_of
from semisonic.audio.find import OTHER_SUFFIXES, advice, find_audio
from semisonic.audio.read import BLOCK, AudioInfo, AudioReader
from semisonic.audio.remote import stamp_of
from semisonic.audio.resample import LiveResampler
from semisonic.audio.wave_texts import wave_texts
from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import digest, write_csv
from semisonic.core.label_names import LABEL_SEPARATOR
from semisonic.core.parallel import in_threads
from semisonic.core.progress import bar
from semisonic.data.cache import KeyTable, Stamp
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import DatasetPath
from semisonic.data.datasets.load import layout_kind, load_clips
from semisonic.data.duplicates import Duplicate, find_duplicates, group_duplicates
from semisonic.data.events import text_column
from semisonic.data.fingerprints import SAMPLE_RATE, Fingerprint, Fingerprinter
from semisonic.data.recording_names import (
    RecorderInfo,
    groups_of,
    read_names,
    read_texts,
    recorders_note,
    site_of,
)
from semisonic.data.recordings import AUTO, COPIES
from semisonic.data.summary import GROUPS, Summary, describe

REMARKS = ("silent", "constant", "clipped", "over full scale", "dead channel", "opposite phase")
"""The keywords at the start of remarks."""

SILENCE_DB = -60.0

CLOCK_SET = datetime(2001, 1, 1)
"""Earlier times are from a clock that was never set: many begin with the year 2000."""

VERSION = 5
"""Increase this when the same file would be measured differently."""


@dataclass(frozen=True)
class Scan:
    """The content of a folder.

    Attributes
    ----------
    root : Path
    recordings : DataFrame
        A row for each file that can be decoded at least in part: the result of :func:`measure`,
        with times, sites and labels completed from its name and folders. ``clock`` is the start
        without a zone, and ``odd`` has the keywords of problems (:data:`REMARKS`).
    bad_files : tuple of (str, str)
        Files that cannot be used, or only in part, with the reason.
    duplicates : tuple of Duplicate
        Pairs of files with the same bytes, then those with the same sound.
    summary : Summary
        As of ``data info``.
    counts : dict
        The plain values in ``scan.json``.
    notes : tuple of str
        Decisions that users should know; those of the label reader are in ``summary``.
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
    workers: int | None = None,
) -> Scan:
    """Scan all recordings below a folder; decode each once.

    Parameters
    ----------
    root : Path
        The folder.
    journal : Path
        File with finished work, so that a killed scan can continue and a later one decodes only
        new or changed files. Created if missing.
    labels : str
        As for ``load_clips``, but with "auto" the folders of field recordings are sites; they
        count as classes only if most names are not from recorders.
    group : str
        As for ``load_clips``, but "auto" is the recording of the data set, else the site if names
        give a time, else the file.
    silence_db : float
        RMS level, in dB of full scale, below which a frame of 0.1 s is silent.
    near_copies : bool
        Also find copies of the same sound, not only of the same bytes.
    workers : int, optional
        Threads; by default as many as there are processors.

    Raises
    ------
    DataError
        When the folder does not exist or contains no recording, when labels of a requested format
        cannot be read, or when the group rule is wrong.
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
    recordings = pd.DataFrame(
        rows, columns=[*_COLUMNS[:-1], "labels", "clock", "odd", "print"], dtype=object
    ).astype(_TYPES)
    bad = {
        **dict(unreadable),
        **{file: f"a format that cannot be read; {advice(file)}" for file in others},
        **dict.fromkeys(
            sorted(known.keys() - names), "no such file, but a table of labels lists it"
        ),
        **failures,
        **{file: m["damage"] for file, m in measured.items() if m["damage"]},
    }
    n_unset = sum(time is not None and time < CLOCK_SET for time in recordings["clock"])
    if n_unset:
        notes.append(
            f"recordings dated before {CLOCK_SET.year}, probably by a clock that was never set, "
            f"and left out of the map of hours: {n_unset}"
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
    prints = None
    if near_copies:
        prints = {row: Fingerprint.unpacked(recordings["print"][row]) for row in whole}
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
    summary = describe(clips, headers={**bad, **headers}, group_name=GROUPS)
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
    """How labels are read (empty for not at all), and the clips with labels."""
    kind = labels
    if labels == "auto":
        try:
            kind = layout_kind(root)
        except DataError:
            return "", None  # nothing here can be read: the scan says so itself
        if kind == "folders" and (why := recorders_note(names.values())):
            notes.append(
                f"folders are read as sites, not as labels, because {why}; --labels folders "
                "reads them as labels"
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
    prints: dict[int, Fingerprint] | None,
    workers: int | None,
    notes: list[str],
) -> list[Duplicate]:
    """Pairs of copies; without fingerprints only those of the same bytes."""
    found = find_duplicates(clips, near=prints is not None, prints=prints, workers=workers)
    silent = frozenset(REMARKS[:2])
    audible = [pair for pair in found if not silent & recordings["odd"][pair.first_row]]
    if len(audible) < len(found):
        notes.append(
            f"silent recordings with the same bytes as another: {len(found) - len(audible)}; "
            "they do not count as copies"
        )
    return audible


def _measure_files(
    root: Path, files: Sequence[str], journal: Path, silence_db: float, workers: int | None
) -> tuple[dict[str, Measures], dict[str, str], list[str]]:
    """Measures by file, reasons why others have none (they are tried again), and the new ones.

    Each is decoded once, in threads, and recorded when finished. The journal identifies a file by
    its name, size and times, and by the options that the numbers depend on: a killed scan
    continues, and a later one decodes only new or changed files.
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
    stamps: dict[str, Stamp] = {}
    with KeyTable(journal) as table:
        for file in files:
            try:
                stamps[file] = stamp_of(root / file)
            except FileNotFoundError:
                failures[file] = "no such file"
                continue
            except OSError as error:
                failures[file] = f"cannot be opened ({error.strerror})"
                continue
            if (values := table.get((options, file), stamps[file])) is not None:
                measured[file] = values
        rest = [file for file in stamps if file not in measured]
        total = sum(size for size, *_ in stamps.values())
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

    Recordings with a known start are spread over their hours; those of a clock that was never set
    are left out.

    Returns
    -------
    dict of date to ndarray of float64, shape (24,)
        Days in order; more than 1 if several recorders ran at once.
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
_DIGITS = {
    "bandwidth_hz": 1,
    **dict.fromkeys(("peak_dbfs", "rms_dbfs"), 2),
    **dict.fromkeys(("duration", "silent_share"), 4),
    **dict.fromkeys(("clipped_share", "dc_offset"), 6),
}
_TYPES = {
    **dict.fromkeys(("sample_rate", "channels", "n_bytes"), np.int64),
    **dict.fromkeys(_DIGITS, np.float64),
}
_PAIR = (
    *("kind", "first", "second", "score", "offset_time", "shared_time"),
    *("across_groups", "same_labels"),
)


def recordings_table(scan: Scan) -> pd.DataFrame:
    """A row of ``recordings.csv``; None for unknown values."""
    found = scan.recordings.round(_DIGITS)
    table = found.assign(
        remarks=text_column(map("; ".join, found["remarks"])),
        recorded_at=text_column(time.isoformat() if time else "" for time in found["recorded_at"]),
        label=text_column(map(LABEL_SEPARATOR.join, found["labels"])),
    )
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


# One recording, decoded once from start to end: what it is, and how it sounds in numbers.
#
# Sounds that went through MP3, a telephone, or a lower sampling rate have nothing above a limit,
# whatever their header says. Mean spectra of a few moments show it: what is empty lies at the
# rounding noise of 16-bit samples, or below.

N_FFT = 2048
N_SPECTRUM_BANDS = 64
"""Bands of equal width between 0 Hz and half the sampling rate: the resolution."""

N_MOMENTS = 32
"""Number of moments of a recording that are analysed, spread evenly."""

FRAME_DURATION = 0.1
"""Seconds over which silence is judged."""

_ROUNDING = 2.0**-30 / 12  # variance of the rounding error of 16-bit samples
_ABOVE = 10.0  # times the rounding noise: what dithering never reaches
_UNUSABLE = ("non-finite", "too short")  # complaints for which other verbs refuse a recording
_IN_ANY = frozenset({"clipped", "over full scale", "non-finite"})  # spoil it in one channel alone


Measures = dict[str, Any]
"""The result of :func:`measure` for a recording, as plain values."""


def measure(
    path: Path, *, silence_db: float, stopped: Callable[[], bool] = lambda: False
) -> Measures:
    """Measure a recording of any length, in constant memory.

    Parameters
    ----------
    path : Path
    silence_db : float
        RMS level, in dB of full scale, below which a frame of 0.1 s is silent.
    stopped : callable
        Called between blocks; if it returns True, the work stops.

    Returns
    -------
    dict
        ``n_bytes``; ``duration`` (seconds that decode), ``sample_rate``, ``channels``, ``format``
        and ``subtype`` as libsndfile names them; ``peak_dbfs`` and ``rms_dbfs`` over all
        channels; ``clipped_share`` of the samples in flat tops at full scale and
        ``silent_share`` of the time in silent frames of 0.1 s, 0 to 1; ``dc_offset``, the mean of
        the channel whose mean is furthest from 0; ``bandwidth_hz``, the highest frequency with
        sound, in steps of a 64th of half the rate; ``remarks`` (see
        :func:`semisonic.audio.checks.problems`); ``damage``, why it can be used only in part, or
        empty; ``recorded_at`` (ISO 8601), ``time_source``, ``device``, ``model``, ``latitude``,
        ``longitude`` as the file gives them; ``print``, the packed fingerprint.

    Raises
    ------
    AudioError
        When nothing can be decoded.
    KeyboardInterrupt
        When stopped.
    """
    with AudioReader(path) as source:
        info, rate = source.info, source.info.sample_rate
        n_frame = max(1, round(FRAME_DURATION * rate))
        n_block = n_frame * max(1, BLOCK // n_frame)
        levels = [LevelMeter() for _ in range(info.n_channels)]
        bandwidth = _Bandwidth(rate, info.n_samples, n_block)
        resampler, prints = LiveResampler(rate, SAMPLE_RATE), Fingerprinter()
        n_silent, damage = 0, info.damage
        try:
            for block in source.channel_blocks(n_block):
                if stopped():
                    raise KeyboardInterrupt
                for level, x in zip(levels, block, strict=True):
                    level.add(x)
                if any(level.n_bad for level in levels):
                    block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
                n_silent += _silent_samples(block, n_frame, 10.0 ** (silence_db / 10))
                mono = source.mono(block)
                bandwidth.add(mono)
                prints.add(resampler.push(mono))
        except AudioError as error:
            if not levels[0].n:
                raise
            damage = damage or error.reason
        prints.add(resampler.finish())
        remarks = _remarks(levels, rate)
        if source.has_opposite_phase():
            remarks.append("opposite phase: two channels cancel each other; the first is used")
    bad = [text for text in remarks if text.startswith(_UNUSABLE)]
    texts = read_texts(wave_texts(path))
    return {
        "n_bytes": path.stat().st_size,
        "duration": levels[0].n / rate,
        "sample_rate": rate,
        "channels": info.n_channels,
        "format": info.format,
        "subtype": info.subtype,
        "peak_dbfs": decibel(max(level.peak for level in levels)),
        "rms_dbfs": decibel(math.sqrt(np.mean([level.power for level in levels]))),
        "clipped_share": float(np.mean([level.clipped_share for level in levels])),
        "silent_share": n_silent / levels[0].n,
        "dc_offset": max((level.mean for level in levels), key=abs),
        "bandwidth_hz": bandwidth.value(),
        "remarks": [text for text in remarks if text not in bad],
        "damage": "; ".join([damage] * bool(damage) + bad),
        "recorded_at": texts.recorded_at.isoformat() if texts.recorded_at else "",
        "time_source": texts.source,
        "device": texts.device,
        "model": texts.model,
        "latitude": texts.latitude,
        "longitude": texts.longitude,
        "print": prints.finish().packed(),
    }


class _Bandwidth:
    """Collects moments of a recording of about ``n_samples`` samples, block by block."""

    def __init__(self, sample_rate: int, n_samples: int, n_block: int) -> None:
        n_blocks = max(1, -(-n_samples // n_block))
        self._rate = sample_rate
        self._every = max(1, n_blocks // N_MOMENTS)
        self._in_block = -(-N_MOMENTS // n_blocks)
        self._power = np.zeros(N_FFT // 2 + 1)
        self._n = self._at = 0

    def add(self, x: NDArray[np.float32]) -> None:
        """Add the next samples of one channel, shape (n,)."""
        chosen = self._at % self._every == 0
        self._at += 1
        if not chosen or len(x) < 2:
            return
        size = min(N_FFT, len(x))
        starts = np.linspace(0, len(x) - size, self._in_block if len(x) > size else 1)
        moments = x[starts.astype(np.int64)[:, None] + np.arange(size)]
        moments = moments - moments.mean(axis=1, keepdims=True)
        window = np.hanning(size + 2)[1:-1].astype(np.float32)  # its ends are above 0
        spectrum = rfft(moments * window, N_FFT, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._power += power / float(np.dot(window, window))
        self._n += len(starts)

    def value(self) -> float:
        """The upper limit in Hz; 0 without sound."""
        bands = (self._power[1:] / max(self._n, 1)).reshape(N_SPECTRUM_BANDS, -1).mean(axis=1)
        above = np.flatnonzero(bands > _ABOVE * _ROUNDING)
        return float((above[-1] + 1) / N_SPECTRUM_BANDS * self._rate / 2) if len(above) else 0.0


def _silent_samples(block: NDArray[np.float32], n_frame: int, silence: float) -> int:
    """Samples in silent frames; the last frame may be shorter."""
    n_whole = block.shape[1] // n_frame
    split = n_whole * n_frame
    n_silent = 0
    for part, n in (
        (block[:, :split].reshape(len(block), n_whole, n_frame), n_frame),
        (block[:, None, split:], block.shape[1] - split),
    ):
        if part.size:
            power = np.einsum("csn,csn->cs", part, part) / n - part.mean(axis=2) ** 2
            n_silent += n * int(np.count_nonzero(power.mean(axis=0) < silence))
    return n_silent


def _remarks(levels: Sequence[LevelMeter], sample_rate: int) -> list[str]:
    """Problems of the samples; those of some channels only name these channels."""
    found = [{t.partition(":")[0]: t for t in problems_of(one, sample_rate)} for one in levels]
    if all(texts == found[0] for texts in found):
        return list(found[0].values())
    result = []
    for keyword in dict.fromkeys(keyword for texts in found for keyword in texts):
        having = {i: texts[keyword] for i, texts in enumerate(found, 1) if keyword in texts}
        if len(having) == len(found) or keyword in _IN_ANY:
            result.append(next(iter(having.values())))
        else:
            numbers = " and ".join(map(str, having))
            result.append(f"dead channel: {keyword} in channel {numbers} of {len(found)}")
    return result
