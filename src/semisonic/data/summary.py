"""What is in a data set: clips, classes, folds, recordings, lengths, rates. Headers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.audio.read import END_TOLERANCE, AudioInfo
from semisonic.core.text import text_table
from semisonic.data.clips import Clips
from semisonic.data.windows import read_headers

_SHOWN = 6
"""Different rates or formats that are named."""


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def facts(self) -> dict[str, str]:
        """What is counted, in words."""
        several = f", {self.n_multi_label} with several labels" if self.n_multi_label else ""
        without = f"{self.n_labelled} with a label, {self.n_clips - self.n_labelled} without"
        facts = {
            "name": self.name,
            "folder": self.root,
            "clips": f"{self.n_clips} ({without}{several})",
            "files": str(self.n_files),
            "recordings": str(self.n_recordings),
            "classes": str(len(self.classes)),
            "folds": ", ".join(map(str, self.folds)) or "none",
        }
        if self.n_uncertain:
            verified = self.n_labelled - self.n_uncertain
            facts["labels"] = f"{verified} verified, {self.n_uncertain} not (they only train)"
        if self.durations is not None:
            d = self.durations
            facts |= {
                "lengths": f"{d.shortest:.2f} to {d.longest:.2f} s, median {d.median:.2f} s, "
                f"{d.total_hours:.2f} h together",
                "rates": _counted(self.sample_rates, " Hz"),
                "channels": _counted(self.channels),
                "formats": _counted(self.formats),
            }
        return facts

    def to_frame(self) -> pd.DataFrame:
        """A row for each class: its clips, its recordings, and the clips in each fold."""
        table = pd.DataFrame(index=pd.Index(self.classes, name="class"))
        table["clips"] = pd.Series(self.per_class)
        table["recordings"] = pd.Series(self.recordings_per_class)
        if self.n_uncertain:
            table["unverified"] = pd.Series(self.uncertain_per_class)
        folds = pd.DataFrame(self.per_class_and_fold, [f"fold {fold}" for fold in self.folds]).T
        outside = table["clips"] - folds.sum(axis=1)
        if self.folds and outside.any():
            table["no fold"] = outside
        return table.join(folds)

    def __str__(self) -> str:
        facts = self.facts()
        width = max(map(len, facts))
        text = "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts.items())
        table = self.to_frame().reset_index()
        rows = table.itertuples(index=False)
        return (
            f"{text}\n\n{text_table([str(name) for name in table], rows)}" if len(table) else text
        )


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
        known = [] if fast else read_headers(clips.root, files, workers)
        headers = dict(zip(files, known, strict=bool(known)))
    infos = {file: one for file, one in headers.items() if isinstance(one, AudioInfo)}
    reasons = {f: one if isinstance(one, str) else one.damage for f, one in headers.items()}
    good = infos.values()
    whole = [infos[f].duration if f in infos else np.nan for f in clips.file.tolist()]
    length = np.array(whole, np.float64)
    labels = pd.DataFrame(
        {
            "label": clips.labels,
            "group": np.unique(clips.group, return_inverse=True)[1],
            "fold": clips.fold,
            "sure": clips.is_verified,
        }
    ).explode("label")
    by_fold = [_per_class(clips, labels[labels["fold"] == fold]) for fold in clips.folds]
    in_folds = {
        name: tuple(counts[name] for counts in by_fold) for name in clips.classes if by_fold
    }
    n_uncertain = int((clips.is_labelled & ~clips.is_verified).sum())
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
        per_class=_per_class(clips, labels),
        per_class_and_fold=in_folds,
        recordings_per_class=_per_class(clips, labels.drop_duplicates(["label", "group"])),
        n_uncertain=n_uncertain,
        uncertain_per_class=_per_class(clips, labels[~labels["sure"]]) if n_uncertain else {},
        durations=_durations(clips, length),
        sample_rates=_most_common(info.sample_rate for info in good),
        channels=_most_common(info.n_channels for info in good),
        formats=_most_common(f"{info.format} {info.subtype}" for info in good),
        bad_files=(
            *((file, reason) for file, reason in reasons.items() if reason),
            *_beyond(clips, length),
        ),
        notes=clips.notes,
    )


def _per_class(clips: Clips, labelled: pd.DataFrame) -> dict[str, int]:
    """Rows of the table of labels by class, in class order."""
    counts = labelled["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in clips.classes}


def _durations(clips: Clips, whole: NDArray[np.float64]) -> Durations | None:
    """Of the clips, from the lengths of their files (NaN: not known)."""
    end = np.where(np.isnan(clips.end_time), whole, clips.end_time)
    length = (end - clips.start_time)[~np.isnan(whole)]
    if not len(length):
        return None
    shortest, median, longest = np.quantile(length, (0, 0.5, 1)).tolist()
    return Durations(shortest, median, longest, float(length.sum()) / 3600)


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


def _counted(counts: Mapping[Any, int], unit: str = "") -> str:
    """Values with how many files have each, the most common first."""
    if len(counts) == 1:
        return f"{next(iter(counts))}{unit}"
    shown = [f"{value}{unit} ({n})" for value, n in list(counts.items())[:_SHOWN]]
    others = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {others} others" if others else "")
