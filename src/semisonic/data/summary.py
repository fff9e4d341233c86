"""Summary of a data set: clips, classes, folds, recordings, lengths, rates; reads headers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from semisonic.audio.read import END_TOLERANCE, AudioInfo
from semisonic.core.text import text_table
from semisonic.data.clips import Clips
from semisonic.data.windows import read_headers

_SHOWN = 6
"""Number of different rates or formats that are listed."""
RECORDINGS, GROUPS = "recordings", "groups"


@dataclass(frozen=True)
class Summary:
    """Summary of a table of clips.

    Attributes
    ----------
    name, root : str
        The data set and its folder.
    n_clips, n_files, n_labelled, n_multi_label, n_recordings : int
    classes : tuple of str
    folds : tuple of int
        Official folds that occur.
    per_class : dict of str to int
        Number of clips of each class, in class order; a clip with several labels counts for each.
    per_class_and_fold : dict of str to tuple of int
        The same for each of ``folds``; empty without folds.
    recordings_per_class : dict of str to int
    n_uncertain : int
        Number of clips with unverified labels.
    uncertain_per_class : dict of str to int
        The same for each class; empty if there are none.
    durations : dict of str to float, or None
        Lengths of the clips: ``shortest``, ``median`` and ``longest`` in seconds, and
        ``total_hours``. None if no header was read.
    sample_rates, channels, formats : dict to int
        Number of files with each value; formats such as "WAV PCM_16".
    bad_files : tuple of (str, str)
        Files that cannot be read, or only in part, and clips beyond the end of their file, with
        the reason.
    notes : tuple of str
        Decisions of the reader.
    group_name : str
        What ``n_recordings`` and ``recordings_per_class`` count: "recordings", or "groups" if
        sites, days or the like are kept together.
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
    durations: dict[str, float] | None
    sample_rates: dict[int, int]
    channels: dict[int, int]
    formats: dict[str, int]
    bad_files: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    group_name: str = field(default=RECORDINGS, repr=False)

    def to_frame(self) -> pd.DataFrame:
        """A row for each class: its clips, its recordings or groups, and the clips in each fold."""
        table = pd.DataFrame(index=pd.Index(self.classes, name="class"))
        table["clips"] = pd.Series(self.per_class)
        table[self.group_name] = pd.Series(self.recordings_per_class)
        if self.n_uncertain:
            table["unverified"] = pd.Series(self.uncertain_per_class)
        folds = pd.DataFrame(self.per_class_and_fold, [f"fold {fold}" for fold in self.folds]).T
        outside = table["clips"] - folds.sum(axis=1)
        if self.folds and outside.any():
            table["no fold"] = outside
        return table.join(folds)

    def __str__(self) -> str:
        facts, table = self.facts(), self.to_frame().reset_index()
        width = max(map(len, facts))
        text = "\n".join(f"{name.ljust(width)}  {value}" for name, value in facts.items())
        if not len(table):
            return text
        return f"{text}\n\n{text_table(list(map(str, table)), table.itertuples(index=False))}"

    def _repr_html_(self) -> str:
        from semisonic.core.html import card, facts, frame_table, problems

        table = frame_table(self.to_frame().reset_index(), most=len(self.classes))
        return card("Summary", facts(self.facts()), table, problems(self.bad_files))

    def facts(self) -> dict[str, str]:
        """Facts about the whole table, as text by name."""
        several = f", {self.n_multi_label} with several labels" if self.n_multi_label else ""
        without = f"{self.n_labelled} with a label, {self.n_clips - self.n_labelled} without"
        facts = {
            "name": self.name,
            "folder": self.root,
            "clips": f"{self.n_clips} ({without}{several})",
            "files": str(self.n_files),
            self.group_name: str(self.n_recordings),
            "classes": str(len(self.classes)),
            "folds": ", ".join(map(str, self.folds)) or "none",
        }
        if self.n_uncertain:
            verified = self.n_labelled - self.n_uncertain
            facts["labels"] = (
                f"{verified} verified, {self.n_uncertain} not (used for training only)"
            )
        if self.durations is not None:
            facts |= {
                "lengths": "{shortest:.2f} to {longest:.2f} s, median {median:.2f} s, "
                "{total_hours:.2f} h together".format_map(self.durations),
                "rates": _counted(self.sample_rates, " Hz"),
                "channels": _counted(self.channels),
                "formats": _counted(self.formats),
            }
        return facts


def describe(
    clips: Clips,
    *,
    fast: bool = False,
    workers: int | None = None,
    headers: Mapping[str, AudioInfo | str] | None = None,
    group_name: str = RECORDINGS,
) -> Summary:
    """Count clips, classes and recordings; read headers for lengths and rates; decode nothing.

    Parameters
    ----------
    clips : Clips
    fast : bool
        Do not open any file, for example for a pool of a quarter of a million files.
    workers : int, optional
        Threads that read headers; the number of processors by default.
    headers : mapping of file to AudioInfo or str, optional
        Known headers, or reasons why files cannot be read; then no file is opened.
    group_name : str
        See :class:`Summary`.

    Examples
    --------
    >>> describe(load_clips("labelled")).per_class
    {'noise': 14, 'tone': 14}
    """
    files = sorted(set(clips.file.tolist()))
    if headers is None:
        known = [] if fast else read_headers(clips.root, files, workers)
        headers = dict(zip(files, known, strict=bool(known)))
    infos = {file: one for file, one in headers.items() if isinstance(one, AudioInfo)}
    bad = [(f, one if isinstance(one, str) else one.damage) for f, one in headers.items()]
    good = infos.values()
    whole = np.array([infos[f].duration if f in infos else np.nan for f in clips.file.tolist()])
    with np.errstate(invalid="ignore"):
        late = (clips.end_time > whole + END_TOLERANCE) | (clips.start_time >= whole)
    for row in np.flatnonzero(late).tolist():
        what = "the clip reaches beyond the end of its recording, which is"
        bad.append((clips[row].ids[0], f"{what} {whole[row]:.2f} s long"))
    end = np.where(np.isnan(clips.end_time), whole, clips.end_time)
    length = (end - clips.start_time)[~np.isnan(whole)]
    durations = None
    if len(length):
        quantiles = np.quantile(length, (0, 0.5, 1)).tolist()
        durations = dict(zip(("shortest", "median", "longest"), quantiles, strict=True))
        durations["total_hours"] = float(length.sum()) / 3600
    labels = pd.DataFrame(
        {
            "label": clips.labels,
            "group": np.unique(clips.group, return_inverse=True)[1],
            "fold": clips.fold,
            "sure": clips.is_verified,
        }
    ).explode("label")

    def per_class(some: pd.DataFrame) -> dict[str, int]:
        counts = some["label"].value_counts()
        return {label: int(counts.get(label, 0)) for label in clips.classes}

    by_fold = [per_class(labels[labels["fold"] == fold]) for fold in clips.folds]
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
        per_class=per_class(labels),
        per_class_and_fold=in_folds,
        recordings_per_class=per_class(labels.drop_duplicates(["label", "group"])),
        n_uncertain=n_uncertain,
        uncertain_per_class=per_class(labels[~labels["sure"]]) if n_uncertain else {},
        durations=durations,
        sample_rates=_most_common(info.sample_rate for info in good),
        channels=_most_common(info.n_channels for info in good),
        formats=_most_common(f"{info.format} {info.subtype}" for info in good),
        bad_files=tuple((name, reason) for name, reason in bad if reason),
        notes=clips.notes,
        group_name=group_name,
    )


def _most_common(values: Iterable[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0]))))


def _counted(counts: Mapping[Any, int], unit: str = "") -> str:
    """Values with the number of files, the most common first."""
    if len(counts) == 1:
        return f"{next(iter(counts))}{unit}"
    shown = [f"{value}{unit} ({n})" for value, n in list(counts.items())[:_SHOWN]]
    others = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {others} others" if others else "")
