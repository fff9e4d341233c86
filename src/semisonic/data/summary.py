"""What is in a data set: clips, classes, folds, recordings, lengths, rates. Headers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from semisonic.audio.read import END_TOLERANCE, AudioInfo
from semisonic.data.clips import Clips
from semisonic.data.windows import read_headers


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
        Labelled clips whose labels are unverified.
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
        return asdict(self)


def describe(
    clips: Clips,
    *,
    fast: bool = False,
    workers: int | None = None,
    headers: Mapping[str, AudioInfo | str] | None = None,
) -> Summary:
    """Count what a table holds; read headers for lengths and rates, decode nothing.

    Parameters
    ----------
    clips : Clips
    fast : bool
        Open no file at all, as for a pool of a quarter of a million files.
    workers : int, optional
        Threads that read headers; the number of processors by default.
    headers : mapping of file to AudioInfo or str, optional
        What is known of the files already, or why they cannot be read; nothing is opened then.
    """
    files = sorted(set(clips.file.tolist()))
    if headers is None:
        found = [] if fast else read_headers(clips.root, files, workers)
        headers = dict(zip(files, found, strict=bool(found)))
    good = {file: one for file, one in headers.items() if isinstance(one, AudioInfo)}
    reasons = ((f, one if isinstance(one, str) else one.damage) for f, one in headers.items())
    whole = np.array([good[f].duration if f in good else np.nan for f in clips.file.tolist()])
    with np.errstate(invalid="ignore"):
        late = (clips.end_time > whole + END_TOLERANCE) | (clips.start_time >= whole)
    beyond = (
        (
            clips[row].ids[0],
            f"a part beyond the end of its recording, which is {whole[row]:.2f} s long",
        )
        for row in np.flatnonzero(late)
    )
    uncertain = clips.is_labelled & ~clips.is_verified
    folds = tuple(clips.folds)
    in_fold = {fold: _per_class(clips, clips.fold == fold) for fold in folds}
    pairs = {
        (label, group)
        for row, group in zip(clips.labels, clips.group, strict=True)
        for label in row
    }
    of_class = Counter(label for label, _ in pairs)
    return Summary(
        name=clips.name,
        root=str(clips.root),
        n_clips=len(clips),
        n_files=len(files),
        n_labelled=int(clips.is_labelled.sum()),
        n_multi_label=sum(len(row) > 1 for row in clips.labels),
        n_recordings=len(set(clips.group.tolist())),
        classes=clips.classes,
        folds=folds,
        per_class=_per_class(clips, np.ones(len(clips), np.bool_)),
        per_class_and_fold={
            label: tuple(in_fold[fold][label] for fold in folds)
            for label in (clips.classes if folds else ())
        },
        recordings_per_class={label: of_class[label] for label in clips.classes},
        n_uncertain=int(uncertain.sum()),
        uncertain_per_class=_per_class(clips, uncertain) if uncertain.any() else {},
        durations=_durations(clips, whole),
        sample_rates=_most_common(info.sample_rate for info in good.values()),
        channels=_most_common(info.n_channels for info in good.values()),
        formats=_most_common(f"{info.format} {info.subtype}" for info in good.values()),
        bad_files=(*((file, reason) for file, reason in reasons if reason), *beyond),
        notes=clips.notes,
        fast=fast,
    )


def _per_class(clips: Clips, chosen: Any) -> dict[str, int]:
    counts = Counter(label for row in np.flatnonzero(chosen) for label in clips.labels[row])
    return {label: counts[label] for label in clips.classes}


def _durations(clips: Clips, whole: Any) -> Durations | None:
    """Of the clips, from the lengths of their files (NaN: not known)."""
    end = np.where(np.isnan(clips.end_time), whole, clips.end_time)
    length = (end - clips.start_time)[~np.isnan(whole)]
    if not len(length):
        return None
    shortest, median, longest = (float(of(length)) for of in (np.min, np.median, np.max))
    return Durations(shortest, median, longest, float(length.sum()) / 3600)


def _most_common(values: Iterable[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0]))))
