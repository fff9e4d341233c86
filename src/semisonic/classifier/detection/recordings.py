"""The recordings to search for events: how long they are, and when and where they were made.

Times are the recorder's clock, as file names and metadata give it: nothing is brought to another
zone. What stands inside a file wins over its name, as in ``semisonic scan``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import takewhile
from os import PathLike
from pathlib import Path

import numpy as np

from semisonic.audio.metadata import wave_texts
from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.prepare import Failures
from semisonic.core.errors import OptionError
from semisonic.core.files import digest
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.data.datasets.load import gather
from semisonic.data.events import Events
from semisonic.data.recording_names import RecorderInfo, read_names, read_texts, site_of
from semisonic.data.windows import read_headers


@dataclass(frozen=True)
class RecordingFile:
    """A recording.

    Attributes
    ----------
    root : Path
    file : str
        Below ``root``; as the user named it.
    identity : str
        Changes when the file's place, size or time of change does.
    duration : float
        Seconds, as far as it can be read.
    damage : str
        Why it cannot be read as a whole; empty if nothing is known.
    """

    root: Path
    file: str
    identity: str
    duration: float
    damage: str = ""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / self.file

    @property
    def end_time(self) -> float | None:
        """Up to where it is read: None, to its end, unless it is known to be damaged."""
        return self.duration if self.damage else None

    def n_samples(self, sample_rate: int) -> int:
        """Its length at a rate."""
        return int(self.duration * sample_rate)


def list_recordings(
    files: Iterable[str | PathLike[str]],
    workers: int | None = None,
    engine: Engine = LOCAL_ENGINE,
) -> tuple[list[RecordingFile], Failures]:
    """The recordings that some paths stand for; headers are read, nothing is decoded.

    Parameters
    ----------
    files : iterable of path
        Recordings, folders of them, or a table that names whole recordings.
    workers : int, optional
    engine : Engine
        What reads the headers.

    Returns
    -------
    recordings : list of Recording
        Sorted by name.
    failures : tuple of (str, str)
        What cannot be opened, and why.

    Raises
    ------
    DataError
        When none of the paths exists.
    OptionError
        For a table that names parts of recordings.
    """
    clips, missing = gather(files)
    if (clips.start_time > 0).any() or not np.isnan(clips.end_time).all():
        raise OptionError(
            "found a table with times; expected whole recordings, as 'detect' finds the times. "
            "For a table of clips take 'predict'"
        )
    recordings, failures = [], list(missing)
    names: list[str] = clips.file.tolist()
    headers = read_headers(clips.root, names, workers, engine)
    for file, path, info in zip(names, clips.paths, headers, strict=True):
        if isinstance(info, str):
            failures.append((file, info))
            continue
        identity = digest(url_of(path) or path.resolve(), *stamp_of(path))
        recordings.append(RecordingFile(clips.root, file, identity, info.duration, info.damage))
    return recordings, tuple(failures)


UNNAMED = "unnamed site"


@dataclass(frozen=True)
class RecordingOrigin:
    """Where a recording comes from.

    Attributes
    ----------
    recorded_at : datetime or None
        Its start; with a zone only where one is known.
    site : str
        Empty where nothing tells it.
    """

    recorded_at: datetime | None = None
    site: str = ""

    def moment(self, seconds: float) -> datetime | None:
        """The time of a place in the recording."""
        return None if self.recorded_at is None else self.recorded_at + timedelta(seconds=seconds)


@dataclass(frozen=True)
class HourRow:
    """One hour of the day at one site, over all days.

    Attributes
    ----------
    site : str
    hour : int
        0 to 23.
    seconds : float
        Of sound in it.
    counts : dict of str to int
        Events that began in it, by class.
    """

    site: str
    hour: int
    seconds: float
    counts: dict[str, int]


def origins_of(files: Iterable[str]) -> dict[str, RecordingOrigin]:
    """Origins by names and metadata of recordings; folders above all of them name no site."""
    listed = list(files)
    remote = [file for file in listed if url_of(file)]
    local = {
        os.path.abspath(file).replace(os.sep, "/"): file for file in listed if not url_of(file)
    }
    below = dict(zip(remote, _below_all(remote), strict=True))
    below |= dict(zip(local.values(), _below_all(list(local)), strict=True))
    origins = {}
    for file, name, known in zip(
        below, below.values(), read_names(list(below.values())), strict=True
    ):
        inside = _inside(file)
        origins[file] = RecordingOrigin(
            inside.recorded_at or known.recorded_at, site_of(name, known) or inside.device
        )
    return origins


def _below_all(names: list[str]) -> list[str]:
    """Names without the folders that all of them share."""
    parts = [name.split("/") for name in names]
    levels = zip(*(one[:-1] for one in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(one[shared:]) for one in parts]


def _inside(file: str) -> RecorderInfo:
    if url_of(file):
        return RecorderInfo()
    try:
        return read_texts(wave_texts(file))
    except OSError:
        return RecorderInfo()


def by_hour(
    events: Events, durations: Mapping[str, float], origins: Mapping[str, RecordingOrigin]
) -> list[HourRow]:
    """Events by site and hour of the day, with the sound of each hour."""
    rows: dict[tuple[str, int], HourRow] = {}

    def row(site: str, moment: datetime) -> HourRow:
        key = site or UNNAMED, moment.hour
        return rows.setdefault(key, HourRow(*key, 0.0, {}))

    of_hour: dict[tuple[str, int], float] = {}
    for file, seconds in durations.items():
        origin = origins.get(file, RecordingOrigin())
        at = 0.0
        while at < seconds and (moment := origin.moment(at)) is not None:
            to_next = 3600 - (moment.minute * 60 + moment.second + moment.microsecond / 1e6)
            part = min(to_next, seconds - at)
            one = row(origin.site, moment)
            of_hour[one.site, one.hour] = of_hour.get((one.site, one.hour), 0.0) + part
            at += part
    for file, start, label in zip(events.file, events.start_time, events.label, strict=True):
        origin = origins.get(str(file), RecordingOrigin())
        if (moment := origin.moment(float(start))) is not None:
            counts = row(origin.site, moment).counts
            counts[str(label)] = counts.get(str(label), 0) + 1
    return [
        HourRow(one.site, one.hour, of_hour.get((one.site, one.hour), 0.0), one.counts)
        for _, one in sorted(rows.items())
    ]


def by_day(
    events: Events, origins: Mapping[str, RecordingOrigin]
) -> dict[tuple[str, date], Events]:
    """Events of each site and day, their times in seconds since midnight; untimed ones left out."""
    days: dict[tuple[str, date], list[dict[str, object]]] = {}
    for file, start, end, label, score in zip(
        events.file, events.start_time, events.end_time, events.label, events.score, strict=True
    ):
        origin = origins.get(str(file), RecordingOrigin())
        moment = origin.moment(float(start))
        if moment is None:
            continue
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        first = (moment - midnight).total_seconds()
        days.setdefault((origin.site or UNNAMED, moment.date()), []).append(
            {
                "file": str(file),
                "start_time": first,
                "end_time": first + float(end - start),
                "label": str(label),
                "score": float(score),
            }
        )
    return {key: Events.from_rows(days[key]) for key in sorted(days)}


def hour_table(rows: list[HourRow], labels: list[str]) -> np.ndarray:
    """Events, shape (label, 24), of all sites together."""
    table = np.zeros((len(labels), 24))
    for one in rows:
        for label, n in one.counts.items():
            if label in labels:
                table[labels.index(label), one.hour] += n
    return table
