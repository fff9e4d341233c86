"""A first look at a disk of recordings: decoded once, measured, compared and counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from semisonic.audio.find import OTHER_SUFFIXES, find_audio
from semisonic.audio.read import AudioInfo
from semisonic.core.errors import DataError
from semisonic.core.files import write_csv
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import DatasetPath
from semisonic.data.datasets.load import layout_kind, load_clips
from semisonic.data.duplicates import NEAR_MOST, Duplicate, group_duplicates, search
from semisonic.data.recording_names import RecorderInfo, groups_of, read_names, site_of
from semisonic.data.recordings import AUTO, COPIES
from semisonic.data.scan.measure import unpack
from semisonic.data.scan.recordings import (
    CLOCK_SET,
    COLUMNS,
    REMARKS,
    MeasurementPass,
    ScannedRecording,
    is_unset,
    make_recording,
    run_pass,
)
from semisonic.data.summary import Summary, describe
from semisonic.data.windows import Header

FOLDERS = "folders"


@dataclass(frozen=True)
class Labelled:
    """Labels and group of each file, in order, and what was decided on the way.

    Attributes
    ----------
    labels : tuple of tuples of str
    groups : tuple of str
    classes : tuple of str
        In the data set's own order.
    class_folders : bool
        Whether first-level folders are labels, and so no sites.
    missing : tuple of str
        Files that a table names and that are not there.
    notes : tuple of str
        What was decided here.
    read_notes : tuple of str
        What the reader of the data set decided.
    """

    labels: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    class_folders: bool
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    read_notes: tuple[str, ...] = ()


def label_files(
    root: Path, files: Sequence[str], names: Sequence[RecorderInfo], labels: str, group: str
) -> Labelled:
    """Look up labels and groups.

    With ``labels`` "auto", folders of field recordings are sites: they are taken for classes only
    where most names are not those of recorders. With ``group`` "auto" a recording is what the data
    set says, else the site where names tell a time, else the file.

    Raises
    ------
    DataError
        When labels that were asked for by name cannot be read, or the group rule is wrong.
    """
    notes: list[str] = []
    kind = _kind(root, files, names, labels, notes)
    known: dict[str, tuple[tuple[str, ...], str]] = {}
    classes: tuple[str, ...] = ()
    read_notes: tuple[str, ...] = ()
    if kind:
        try:
            clips = load_clips(root, labels=kind, group=group, allow_missing=True)
        except DataError as error:
            if labels != "auto":
                raise
            notes.append(f"no labels were read: {error}")
            kind = ""
        else:
            classes, read_notes = clips.classes, clips.notes
            for file, of_clip, one in zip(
                clips.file.tolist(), clips.labels, clips.group, strict=True
            ):
                before = known.get(file, ((), ""))[0]
                known[file] = tuple(dict.fromkeys((*before, *of_clip))), str(one)
    class_folders = kind in (FOLDERS, "esc-folders")
    return Labelled(
        labels=tuple(known.get(file, ((), ""))[0] for file in files),
        groups=tuple(_groups(files, names, known, group, class_folders=class_folders)),
        classes=classes,
        class_folders=class_folders,
        missing=tuple(sorted(known.keys() - set(files))),
        notes=tuple(notes),
        read_notes=read_notes,
    )


def _kind(
    root: Path,
    files: Sequence[str],
    names: Sequence[RecorderInfo],
    labels: str,
    notes: list[str],
) -> str:
    """How labels are read; empty for not at all."""
    if labels in ("none", "files"):
        return ""
    if labels != "auto":
        return labels
    try:
        kind = layout_kind(root)
    except DataError:
        return ""  # nothing here can be read: the scan says so itself
    n_timed = sum(name.recorded_at is not None for name in names)
    if kind == FOLDERS and 2 * n_timed > len(files):
        notes.append(
            f"folders are taken for sites, not for labels, because {n_timed} of {len(files)} "
            "names are those of field recorders; --labels folders takes them for labels"
        )
        return ""
    return "" if kind == "files" else kind


def _groups(
    files: Sequence[str],
    names: Sequence[RecorderInfo],
    known: dict[str, tuple[tuple[str, ...], str]],
    group: str,
    *,
    class_folders: bool,
) -> list[str]:
    """The recording, site or day of each file."""
    told = [known[file][1] if file in known else "" for file in files]
    if group == "auto":
        if any(one and one != file for one, file in zip(told, files, strict=True)):
            return [one or file for one, file in zip(told, files, strict=True)]
        return [
            (site_of(file, name, class_folders=class_folders) if name.recorded_at else "") or file
            for file, name in zip(files, names, strict=True)
        ]
    rest = [file for file, one in zip(files, told, strict=True) if not one]
    by_rule = iter(groups_of(rest, group, class_folders=class_folders) if rest else [])
    return [one or next(by_rule) for one in told]


# A whole scan: find, decode once, look up labels and names, compare, count.


SILENCE_DB = -60.0
LEAST_SCORE = 0.25
"""Pairs that agree less share a tone or a second of sound; different recordings agree so little."""


@dataclass(frozen=True)
class Scan:
    """What a folder holds.

    Attributes
    ----------
    root : Path
    recordings : tuple of Recording
        Files of which at least a part decodes, by name.
    bad_files : tuple of (str, str)
        Files that cannot be used, or not as a whole, with the reason.
    duplicates : tuple of Duplicate
        Pairs of files with the same bytes or the same sound, the same bytes first.
    near_compared : int
        Files that were compared by their sound.
    summary : Summary
        As ``data info`` gives it.
    n_decoded, n_reused : int
        Files decoded now, and known from an earlier scan.
    decoded_duration, seconds : float
        Seconds of sound decoded now, and the time it took.
    notes : tuple of str
        What was decided on the way; those of the reader of labels are in ``summary``.
    """

    root: Path
    recordings: tuple[ScannedRecording, ...]
    bad_files: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicate, ...]
    near_compared: int
    summary: Summary
    n_decoded: int
    n_reused: int
    decoded_duration: float
    seconds: float
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
    labels, group
        As for ``load_clips``; see :func:`~semisonic.data.scan.scan.label_files` for "auto".
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
        When there is no such folder, or no recording in it.
    """
    unreadable: list[tuple[str, str]] = []
    files = _relative(root, find_audio(root, unreadable=unreadable))
    others = _relative(root, find_audio(root, OTHER_SUFFIXES, unreadable=[]))
    if not files and not others:
        DatasetPath(root).need_audio()
    names = read_names(files)
    rule = AUTO if group == COPIES else group
    labelled = label_files(root, files, names, labels, rule)
    done = run_pass(root, files, journal, silence_db=silence_db, workers=workers)
    recordings = []
    for i, (file, name) in enumerate(zip(files, names, strict=True)):
        if file not in done.measured:
            continue
        one = make_recording(
            file,
            done.sizes[file],
            done.measured[file],
            name,
            site=site_of(file, name, class_folders=labelled.class_folders)
            if name.recorded_at or done.measured[file].recorded_at
            else "",
            group=labelled.groups[i],
            labels=labelled.labels[i],
        )
        recordings.append(_grouped_by_device(one) if rule == AUTO else one)
    bad = _bad_files(done, labelled, others, unreadable)
    clips = _clips(root, recordings, labelled)
    notes = list(labelled.notes)
    n_unset = sum(one.recorded_at is not None and is_unset(one.recorded_at) for one in recordings)
    if n_unset:
        notes.append(
            f"recordings dated before {CLOCK_SET.year}, as by a clock that was never set, and "
            f"left out of the map of hours: {n_unset}"
        )
    prints = {
        row: unpack(one.measured.print)
        for row, one in enumerate(recordings)
        if not one.measured.damage
    }
    near = near_copies and len(prints) <= near_most
    if near_copies and not near:
        notes.append(
            f"{len(prints)} recordings were compared by their bytes, not by their sound: the "
            f"search for copies cut or encoded anew takes long for more than {near_most}; "
            f"--near-most {len(prints)} does it"
        )
    found = search(clips, near=near, prints=prints, workers=workers).duplicates
    audible = [pair for pair in found if recordings[pair.first_row].is_audible]
    duplicates = [pair for pair in audible if pair.score >= LEAST_SCORE]
    if group == COPIES:
        clips = group_duplicates(clips, duplicates)
        recordings = [
            replace(one, group=name)
            for one, name in zip(recordings, clips.group.tolist(), strict=True)
        ]
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
    return Scan(
        root=root,
        recordings=tuple(recordings),
        bad_files=tuple(sorted(bad.items())),
        duplicates=tuple(sorted(duplicates, key=lambda d: (d.kind, -d.score, d.first, d.second))),
        near_compared=len(prints) if near else 0,
        summary=describe(clips, headers=_headers(recordings, bad)),
        n_decoded=done.n_decoded,
        n_reused=done.n_reused,
        decoded_duration=done.decoded_duration,
        seconds=done.seconds,
        notes=tuple(notes),
    )


def _relative(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def _grouped_by_device(one: ScannedRecording) -> ScannedRecording:
    """A recording alone in its group, of a known device, joins the others of the device."""
    if one.group != one.file or not one.site or one.recorded_at is None:
        return one
    return replace(one, group=one.site)


def _bad_files(
    done: MeasurementPass, labelled: Labelled, others: list[str], unreadable: list[tuple[str, str]]
) -> dict[str, str]:
    """Everything that cannot be used, or not as a whole, with the reason."""
    bad = dict(unreadable)
    bad.update(dict.fromkeys(others, "a format that is not read; convert it to WAV or FLAC"))
    bad.update(dict.fromkeys(labelled.missing, "no such file, but a table of labels names it"))
    bad.update(done.failures)
    bad.update({file: one.damage for file, one in done.measured.items() if one.damage})
    return bad


def _clips(root: Path, recordings: list[ScannedRecording], labelled: Labelled) -> Clips:
    """The recordings as a clip table, a row each, in their order."""
    n = len(recordings)
    present = {label for one in recordings for label in one.labels}
    return Clips(
        root=root,
        file=np.array([one.file for one in recordings], np.str_),
        start_time=np.zeros(n),
        end_time=np.full(n, np.nan),
        labels=tuple(one.labels for one in recordings),
        group=np.array([one.group for one in recordings], np.str_),
        fold=np.zeros(n, np.int64),
        classes=tuple(name for name in labelled.classes if name in present),
        name=root.resolve().name,
        notes=labelled.read_notes,
    )


def _headers(recordings: list[ScannedRecording], bad: dict[str, str]) -> list[Header]:
    """What is known of the files, for the summary that ``data info`` gives too."""
    found = {}
    for one in recordings:
        m = one.measured
        info = AudioInfo(
            Path(one.file),
            m.sample_rate,
            m.n_channels,
            round(m.duration * m.sample_rate),
            m.duration,
            m.format,
            m.subtype,
            m.damage,
        )
        found[one.file] = Header(one.file, info, m.damage)
    rest = (Header(file, None, reason) for file, reason in bad.items() if file not in found)
    return [*found.values(), *rest]


# The numbers of a scan, as plain values and for tables.


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Share:
    """Recordings that have something in common.

    Attributes
    ----------
    n_files, n_groups : int
    duration : float
        Seconds.
    first, last : datetime or None
        The earliest and the latest start that is known, by the recorders' clocks.
    remarks : Counter
        How many have each remark.
    n_damaged : int
    """

    n_files: int
    n_groups: int
    duration: float
    first: datetime | None
    last: datetime | None
    remarks: Counter[str]
    n_damaged: int


def share_of(recordings: Iterable[ScannedRecording]) -> Share:
    """Count some recordings."""
    found = list(recordings)
    times = [one.recorded_at.replace(tzinfo=None) for one in found if one.recorded_at]
    return Share(
        n_files=len(found),
        n_groups=len({one.group for one in found}),
        duration=math.fsum(one.measured.duration for one in found),
        first=min(times, default=None),
        last=max(times, default=None),
        remarks=Counter(keyword for one in found for keyword in one.remarks),
        n_damaged=sum(bool(one.measured.damage) for one in found),
    )


def shares_by(
    recordings: Iterable[ScannedRecording], keys: Callable[[ScannedRecording], Iterable[Key]]
) -> dict[Key, Share]:
    """Counts for each key; a recording with several keys counts for each."""
    found: dict[Key, list[ScannedRecording]] = {}
    for one in recordings:
        for key in keys(one):
            found.setdefault(key, []).append(one)
    return {key: share_of(some) for key, some in found.items()}


def by_label(scan: Scan) -> dict[str, Share]:
    """Counts for each class, in class order."""
    found = shares_by(scan.recordings, lambda one: one.labels)
    return {name: found[name] for name in scan.summary.classes}


def by_group(scan: Scan) -> dict[str, Share]:
    """Counts for each group, by name."""
    return dict(sorted(shares_by(scan.recordings, lambda one: (one.group,)).items()))


def counts(scan: Scan) -> dict[str, Any]:
    """What ``scan.json`` holds: plain values."""
    whole = share_of(scan.recordings)
    kinds = Counter(pair.kind for pair in scan.duplicates)
    silent = math.fsum(one.measured.silent_share * one.measured.duration for one in scan.recordings)
    zones = Counter(
        "told" if one.recorded_at.tzinfo else "not told"
        for one in scan.recordings
        if one.recorded_at
    )
    return {
        **scan.summary.to_dict(),
        "n_bad_files": len(scan.bad_files),
        "n_damaged": whole.n_damaged,
        "total_duration": whole.duration,
        "silent_duration": silent,
        "remarks": {keyword: whole.remarks[keyword] for keyword in REMARKS},
        "n_identical_pairs": kinds["identical"],
        "n_near_identical_pairs": kinds["near-identical"],
        "n_compared_by_sound": scan.near_compared,
        "n_different_labels": sum(not pair.same_labels for pair in scan.duplicates),
        "n_with_time": sum(zones.values()),
        "n_with_zone": zones["told"],
        "first_recorded_at": whole.first.isoformat() if whole.first else None,
        "last_recorded_at": whole.last.isoformat() if whole.last else None,
        "sites": sorted({one.site for one in scan.recordings} - {""}),
        "devices": sorted({one.device for one in scan.recordings} - {""}),
        "n_decoded_now": scan.n_decoded,
        "n_known_before": scan.n_reused,
        "decoded_duration": scan.decoded_duration,
        "seconds": scan.seconds,
        "notes": list(scan.notes),
    }


# The tables of a scan as CSV files.


RECORDINGS, BAD_FILES, DUPLICATES = "recordings.csv", "bad_files.csv", "duplicates.csv"

_PAIR = (
    "kind",
    "first",
    "second",
    "score",
    "offset_time",
    "shared_time",
    "across_groups",
    "same_labels",
)


def write_tables(folder: Path, scan: Scan) -> None:
    """Write ``recordings.csv``, ``bad_files.csv`` and ``duplicates.csv`` into a folder."""
    write_csv(folder / RECORDINGS, COLUMNS, (recording.row() for recording in scan.recordings))
    write_csv(folder / BAD_FILES, ("file", "reason"), scan.bad_files)
    write_csv(folder / DUPLICATES, _PAIR, map(_pair, scan.duplicates))


def _pair(pair: Duplicate) -> tuple[Any, ...]:
    shared = "" if pair.kind == "identical" else round(pair.shared_time, 2)
    return (
        pair.kind,
        pair.first,
        pair.second,
        round(pair.score, 4),
        round(pair.offset_time, 4),
        shared,
        "yes" if pair.across else "no",
        "yes" if pair.same_labels else "no",
    )
