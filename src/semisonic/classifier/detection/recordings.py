"""The recordings to search for events: how long they are, and when and where they were made.

Times are the recorder's clock, as file names and metadata give it: nothing is brought to another
zone. What stands inside a file wins over its name, as in ``semisonic scan``.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisonic.audio.read import wave_texts
from semisonic.audio.remote import stamp_of, url_of
from semisonic.classifier.prepare import Failures
from semisonic.core.errors import OptionError
from semisonic.core.files import digest
from semisonic.core.parallel import LOCAL_ENGINE, Engine
from semisonic.data.datasets.load import gather
from semisonic.data.recording_names import RecorderInfo, read_names, read_texts, site_of
from semisonic.data.windows import read_headers

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = "unnamed site"


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
    recordings : list of RecordingFile
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


def recording_table(durations: Mapping[str, float]) -> pd.DataFrame:
    """When and where recordings were made, as far as names and metadata say.

    Parameters
    ----------
    durations : mapping of str to float
        Seconds of each recording.

    Returns
    -------
    DataFrame
        By ``file``: ``duration``, ``recorded_at`` (a datetime, with a zone only where one is known,
        or None) and ``site`` (empty where nothing tells it).
    """
    import pandas as pd

    urls = [file for file in durations if url_of(file)]
    local = [file for file in durations if not url_of(file)]
    places = [os.path.abspath(file).replace(os.sep, "/") for file in local]
    # Folders above all of them name no site.
    names = dict(zip([*urls, *local], [*_below_all(urls), *_below_all(places)], strict=True))
    told = dict(zip(names, read_names(list(names.values())), strict=True))
    inside = {file: RecorderInfo() if url_of(file) else _inside(file) for file in durations}
    columns = {
        "duration": pd.Series(list(durations.values()), dtype=np.float64),
        "recorded_at": pd.Series(
            [inside[file].recorded_at or told[file].recorded_at for file in durations],
            dtype=object,
        ),
        "site": pd.Series(
            [site_of(names[file], told[file]) or inside[file].device for file in durations],
            dtype=object,
        ),
    }
    return pd.DataFrame(columns).set_index(pd.Index(list(durations), dtype=object, name="file"))


def _below_all(names: list[str]) -> list[str]:
    """Names without the folders that all of them share."""
    parts = [name.split("/") for name in names]
    levels = zip(*(one[:-1] for one in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(one[shared:]) for one in parts]


def _inside(file: str) -> RecorderInfo:
    try:
        return read_texts(wave_texts(file))
    except OSError:
        return RecorderInfo()


def by_hour(
    events: pd.DataFrame, recordings: pd.DataFrame
) -> list[tuple[str, int, float, Counter[str]]]:
    """Sound and events by site and hour of the day, over all days.

    Parameters
    ----------
    events : DataFrame
        Of :meth:`DetectResult.to_frame`.
    recordings : DataFrame
        Of :func:`recording_table`.

    Returns
    -------
    list of (str, int, float, Counter)
        Site, hour, seconds of sound, and the events of each class that began then; empty where
        no time is known.
    """
    seconds: Counter[tuple[str, int]] = Counter()
    counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for duration, began, site in recordings.itertuples(index=False):
        at = 0.0
        while began is not None and at < duration:
            moment = began + timedelta(seconds=at)
            to_next = 3600 - (moment.minute * 60 + moment.second + moment.microsecond / 1e6)
            part = min(to_next, duration - at)
            seconds[site or UNNAMED, moment.hour] += part
            at += part
    for moment, site, label in zip(events.recorded_at, events.site, events.label, strict=True):
        if moment is not None:
            counts[site or UNNAMED, moment.hour][label] += 1
    return [(*key, float(seconds[key]), counts[key]) for key in sorted(seconds)]
