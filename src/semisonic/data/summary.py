"""What is in a data set: clips, classes, folds, recordings, lengths, rates. Headers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import END_TOLERANCE
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.windows import Header, read_headers


@dataclass(frozen=True)
class Durations:
    """Lengths of clips in seconds, and of all of them in hours."""

    shortest: float
    median: float
    longest: float
    total_hours: float


@dataclass(frozen=True)
class Summary:
    """What a table of clips holds.

    Attributes
    ----------
    name, root : str
        The data set and where it lies.
    n_clips, n_files, n_labelled, n_multi_label, n_recordings : int
    classes : tuple of str
    folds : tuple of int
        Official folds that occur.
    per_class : dict of str to int
        Clips of each class, in class order; a clip with several labels counts for each.
    per_class_and_fold : dict of str to tuple of int
        The same for each of ``folds``; empty without folds.
    recordings_per_class : dict of str to int
    n_uncertain : int
        Labelled clips whose labels nobody checked.
    uncertain_per_class : dict of str to int
        The same for each class; empty when there are none.
    durations : Durations or None
        None when headers were not read, or none could be.
    sample_rates, channels, formats : dict to int
        How many files have each; formats such as "WAV PCM_16".
    bad_files : tuple of (str, str)
        Files that cannot be read, or not as a whole, and clips that are no part of their file,
        with the reason.
    notes : tuple of str
        What the reader decided.
    fast : bool
        True when no header was read.
    """

    name: str
    root: str
    n_clips: int
    n_files: int
    n_labelled: int
    n_multi_label: int
    n_recordings: int
    classes: tuple[str, ...]
    folds: tuple[int, ...]
    per_class: dict[str, int]
    per_class_and_fold: dict[str, tuple[int, ...]]
    recordings_per_class: dict[str, int]
    n_uncertain: int
    uncertain_per_class: dict[str, int]
    durations: Durations | None
    sample_rates: dict[int, int]
    channels: dict[int, int]
    formats: dict[str, int]
    bad_files: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    fast: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = dict(vars(self))
        values["durations"] = None if self.durations is None else dict(vars(self.durations))
        return values

    def lines(self) -> list[str]:
        """The summary as short lines for people, without the table of classes."""
        clips, files = count_text(self.n_clips, "clip"), count_text(self.n_files, "file")
        text = [
            f"{self.name}: {clips} in {files}, {count_text(self.n_recordings, 'recording')}",
            f"labels: {self.n_labelled} of {self.n_clips} clips labelled, "
            f"{count_text(len(self.classes), 'class', 'classes')}"
            + (f", {self.n_multi_label} with several labels" if self.n_multi_label else "")
            + (f", {self.n_uncertain} with labels nobody checked" if self.n_uncertain else ""),
            f"folds: {', '.join(map(str, self.folds)) or 'none'}",
        ]
        if self.durations is not None:
            d = self.durations
            text.append(
                f"lengths: {d.shortest:.2f} to {d.longest:.2f} s, median {d.median:.2f} s, "
                f"{d.total_hours:.2f} h in all"
            )
            text.append(f"rates: {_counted(self.sample_rates, ' Hz')}")
            text.append(f"channels: {_counted(self.channels)}")
            text.append(f"formats: {_counted(self.formats)}")
        elif self.fast:
            text.append("lengths and rates: not read")
        if self.bad_files:
            text.append(f"bad files: {len(self.bad_files)}")
            text += [f"  {line}" for line in _by_reason(self.bad_files)]
        return text + [f"note: {note}" for note in self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def describe(
    clips: Clips,
    *,
    fast: bool = False,
    workers: int | None = None,
    headers: Sequence[Header] | None = None,
) -> Summary:
    """Count what a table holds; read headers for lengths and rates, decode nothing.

    Parameters
    ----------
    clips : Clips
    fast : bool
        Open no file at all, as for a pool of a quarter of a million files.
    workers : int, optional
        Threads that read headers; the number of processors by default.
    headers : sequence of Header, optional
        What is known of the files already; nothing is opened then.
    """
    files = sorted(set(clips.file.tolist()))
    if headers is None:
        headers = [] if fast else read_headers(clips, files, workers)
    good = [header.info for header in headers if header.info is not None]
    known = {header.file: header.info.duration for header in headers if header.info is not None}
    length = np.array([known.get(file, np.nan) for file in clips.file.tolist()], np.float64)
    per_class = _per_class(clips)
    uncertain = clips[clips.is_labelled & ~clips.is_verified]
    return Summary(
        name=clips.name,
        root=str(clips.root),
        n_clips=len(clips),
        n_files=len(files),
        n_labelled=int(clips.is_labelled.sum()),
        n_multi_label=sum(len(row) > 1 for row in clips.labels),
        n_recordings=len(set(clips.group.tolist())),
        classes=clips.classes,
        folds=tuple(clips.folds),
        per_class=per_class,
        per_class_and_fold=_per_fold(clips),
        recordings_per_class=_recordings(clips),
        n_uncertain=len(uncertain),
        uncertain_per_class=_per_class(uncertain) if len(uncertain) else {},
        durations=_durations(clips, length),
        sample_rates=_most_common(info.sample_rate for info in good),
        channels=_most_common(info.n_channels for info in good),
        formats=_most_common(f"{info.format} {info.subtype}" for info in good),
        bad_files=(
            *((header.file, header.reason) for header in headers if header.reason),
            *_beyond(clips, length),
        ),
        notes=clips.notes,
        fast=fast,
    )


def _per_class(clips: Clips) -> dict[str, int]:
    counts = Counter(label for row in clips.labels for label in row)
    return {label: counts[label] for label in clips.classes}


def _per_fold(clips: Clips) -> dict[str, tuple[int, ...]]:
    if not clips.folds:
        return {}
    counts = Counter(
        (label, fold)
        for row, fold in zip(clips.labels, clips.fold.tolist(), strict=True)
        for label in row
    )
    return {label: tuple(counts[label, f] for f in clips.folds) for label in clips.classes}


def _recordings(clips: Clips) -> dict[str, int]:
    pairs = {
        (label, group)
        for row, group in zip(clips.labels, clips.group.tolist(), strict=True)
        for label in row
    }
    counts = Counter(label for label, _ in pairs)
    return {label: counts[label] for label in clips.classes}


def _durations(clips: Clips, whole: NDArray[np.float64]) -> Durations | None:
    """Of the clips, from the lengths of their files (NaN: not known)."""
    end = np.where(np.isnan(clips.end_time), whole, clips.end_time)
    length = (end - clips.start_time)[~np.isnan(whole)]
    if not len(length):
        return None
    return Durations(
        shortest=float(length.min()),
        median=float(np.median(length)),
        longest=float(length.max()),
        total_hours=float(length.sum()) / 3600,
    )


def _beyond(clips: Clips, length: NDArray[np.float64]) -> list[tuple[str, str]]:
    """The clips that end after their file does, or begin there."""
    with np.errstate(invalid="ignore"):
        late = (clips.end_time > length + END_TOLERANCE) | (clips.start_time >= length)
    rows = np.flatnonzero(late)
    return [
        (name, f"a part beyond the end of its recording, which is {length[row]:.2f} s long")
        for row, name in zip(rows.tolist(), clips[rows].ids, strict=True)
    ]


def _most_common(values: Iterable[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0]))))


def _by_reason(bad_files: tuple[tuple[str, str], ...], n_shown: int = 3) -> list[str]:
    """One line a reason, with how many files and the first few of them."""
    files: dict[str, list[str]] = {}
    for file, reason in bad_files:
        files.setdefault(reason, []).append(file)
    return [
        f"{reason} ({len(named)}): {', '.join(named[:n_shown])}"
        + (", ..." if len(named) > n_shown else "")
        for reason, named in sorted(files.items(), key=lambda item: -len(item[1]))
    ]


def _counted(counts: dict[Any, int], unit: str = "") -> str:
    return ", ".join(f"{value}{unit} ({n})" for value, n in counts.items())
