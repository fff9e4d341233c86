"""The recordings of a scan: measured once in threads, with what their names tell."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import decibel
from semisonic.core.errors import AudioError
from semisonic.core.files import digest
from semisonic.core.parallel import count_workers, in_threads
from semisonic.core.progress import bar
from semisonic.data.cache import KeyTable
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.recording_names import RecorderInfo
from semisonic.data.scan.measure import RecordingMeasures, measure

REMARKS = ("silent", "constant", "clipped", "over full scale", "dead channel")
"""The keywords that remarks begin with."""

COLUMNS = (
    "file",
    "duration",
    "sample_rate",
    "channels",
    "format",
    "subtype",
    "n_bytes",
    "peak_dbfs",
    "rms_dbfs",
    "clipped_share",
    "silent_share",
    "dc_offset",
    "bandwidth_hz",
    "remarks",
    "damage",
    "recorded_at",
    "time_source",
    "device",
    "model",
    "site",
    "latitude",
    "longitude",
    "group",
    "label",
)
"""Of ``recordings.csv``."""


@dataclass(frozen=True)
class ScannedRecording:
    """A file of which at least a part decodes.

    Attributes
    ----------
    file : str
        Relative to the folder that was scanned, with forward slashes.
    n_bytes : int
    measured : RecordingMeasures
    recorded_at : datetime or None
        The start, by the recorder's clock; with a zone where one is told.
    time_source : str
        "guano", "comment" (both inside the file) or "name"; empty without a time.
    device, site : str
    latitude, longitude : float or None
    group : str
    labels : tuple of str
    """

    file: str
    n_bytes: int
    measured: RecordingMeasures
    recorded_at: datetime | None
    time_source: str
    device: str
    site: str
    latitude: float | None
    longitude: float | None
    group: str
    labels: tuple[str, ...]

    @property
    def is_audible(self) -> bool:
        """Whether it holds anything but silence or an offset."""
        return self.remarks.isdisjoint(REMARKS[:2])

    @property
    def remarks(self) -> frozenset[str]:
        """The keywords of what is wrong with it (:data:`REMARKS`)."""
        return frozenset(text.partition(":")[0] for text in self.measured.remarks)

    def row(self) -> tuple[Any, ...]:
        """What stands in ``recordings.csv``, as :data:`COLUMNS`; None for what is not known."""
        m = self.measured
        return (
            self.file,
            round(m.duration, 4),
            m.sample_rate,
            m.n_channels,
            m.format,
            m.subtype,
            self.n_bytes,
            round(decibel(m.peak), 2),
            round(decibel(m.rms), 2),
            round(m.clipped_share, 6),
            round(m.silent_share, 4),
            round(m.dc_offset, 6),
            round(m.bandwidth_hz, 1),
            "; ".join(m.remarks),
            m.damage,
            self.recorded_at.isoformat() if self.recorded_at else "",
            self.time_source,
            self.device,
            m.model,
            self.site,
            self.latitude,
            self.longitude,
            self.group,
            LABEL_SEPARATOR.join(self.labels),
        )


def make_recording(
    file: str,
    n_bytes: int,
    measured: RecordingMeasures,
    name: RecorderInfo,
    *,
    site: str,
    group: str,
    labels: tuple[str, ...],
) -> ScannedRecording:
    """Put together what is known; what stands inside the file wins over its name."""
    inside = datetime.fromisoformat(measured.recorded_at) if measured.recorded_at else None
    placed = measured if measured.latitude is not None else name
    return ScannedRecording(
        file=file,
        n_bytes=n_bytes,
        measured=measured,
        recorded_at=inside or name.recorded_at,
        time_source=measured.time_source if inside else "name" * bool(name.recorded_at),
        device=measured.device or name.device,
        site=site or measured.device,
        latitude=placed.latitude,
        longitude=placed.longitude,
        group=group,
        labels=labels,
    )


# The pass over all files: each is decoded once, in threads, and written down when finished.
#
# The journal knows a file by its name, size and time of change, and by the options that the
# numbers depend on. A pass that was killed goes on; a later one decodes only what is new or
# changed.


VERSION = 1
"""To be raised when the same file would be measured differently."""

MOST_IN_TASK, BYTES_IN_TASK = 8, 1 << 25
"""Files that a thread takes at once, and their bytes together (one file may be larger)."""


@dataclass
class MeasurementPass:
    """What a pass found.

    Attributes
    ----------
    measured : dict of str to RecordingMeasures
        By file.
    failures : dict of str to str
        Files of which nothing can be decoded, with the reason. They are tried again next time.
    sizes : dict of str to int
        Bytes of each file that is there.
    n_decoded, n_reused : int
        Files decoded now, and known from an earlier pass.
    decoded_duration : float
        Seconds of sound decoded now.
    seconds : float
        Time that the pass took.
    """

    measured: dict[str, RecordingMeasures] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    n_decoded: int = 0
    n_reused: int = 0
    decoded_duration: float = 0.0
    seconds: float = 0.0


def run_pass(
    root: Path,
    files: Sequence[str],
    journal: Path,
    *,
    silence_db: float,
    workers: int | None = None,
) -> MeasurementPass:
    """Measure files, going on where an earlier pass stopped.

    Parameters
    ----------
    root : Path
    files : sequence of str
        Relative to ``root``.
    journal : Path
        The file that finished work is written to; made if missing.
    silence_db : float
        See :func:`~semisonic.data.scan.measure.measure`.
    workers : int, optional
        Threads; by default as many as there are processors.
    """
    started = time.perf_counter()
    result, options = MeasurementPass(), digest(VERSION, silence_db)
    stamps = {file: stamp for file in files if (stamp := _stamp(root / file)) is not None}
    result.sizes = {file: size for file, (size, _) in stamps.items()}
    result.failures = dict.fromkeys(set(files) - stamps.keys(), "no such file")
    with KeyTable(journal) as table:
        for file, stamp in stamps.items():
            values = table.get((options, file), stamp)
            if values is not None:
                result.measured[file] = RecordingMeasures.from_dict(values)
        result.n_reused = len(result.measured)
        rest = [file for file in files if file in stamps and file not in result.measured]
        done = _decode(root, rest, result, silence_db, count_workers(workers))
        for file, measured in done:
            table.add(((options, file), stamps[file], measured.to_dict()))
    result.seconds = time.perf_counter() - started
    return result


def _decode(
    root: Path, files: Sequence[str], result: MeasurementPass, silence_db: float, workers: int
) -> Iterator[tuple[str, RecordingMeasures]]:
    """Measure files; each as soon as it is finished, and counted in the result."""
    stop = Event()  # a day of sound need not be finished when somebody interrupts

    def work(names: list[str]) -> list[tuple[str, RecordingMeasures | str]]:
        return [(name, _one(root / name, silence_db, stop)) for name in names]

    total = sum(result.sizes.values())
    done = total - sum(result.sizes[file] for file in files)
    with bar(total, "decode", "B", initial=done, scaled=True) as shown:
        for found in in_threads(work, _tasks(files, result.sizes, workers), workers, stop=stop):
            for file, one in found:
                shown.update(result.sizes[file])
                if isinstance(one, str):
                    result.failures[file] = one
                    continue
                result.measured[file] = one
                result.n_decoded += 1
                result.decoded_duration += one.duration
                yield file, one


def _one(path: Path, silence_db: float, stop: Event) -> RecordingMeasures | str:
    """What was measured, or the reason why nothing could be."""
    try:
        return measure(path, silence_db=silence_db, stopped=stop.is_set)
    except AudioError as error:
        return error.reason
    except OSError as error:  # a bad sector, a disk that was pulled out
        return f"cannot be read ({error.strerror or type(error).__name__})"


def _tasks(files: Sequence[str], sizes: dict[str, int], workers: int) -> Iterator[list[str]]:
    """Files in bundles: small ones together, so that threads need not wait for each other."""
    most = max(1, min(MOST_IN_TASK, len(files) // (4 * workers)))
    task: list[str] = []
    size = 0
    for file in files:
        if task and (len(task) == most or size + sizes[file] > BYTES_IN_TASK):
            yield task
            task, size = [], 0
        task.append(file)
        size += sizes[file]
    if task:
        yield task


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change; None if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


# When was recorded: seconds of sound in each hour of each day.


CLOCK_SET = datetime(2001, 1, 1)
"""Times before this are those of a clock that nobody has set: many begin with the year 2000."""

_HOUR = 3600.0


@dataclass(frozen=True)
class Calendar:
    """Seconds recorded, by the recorders' clocks.

    Attributes
    ----------
    days : tuple of date
        Those on which anything was recorded, in order.
    seconds : ndarray of float64, shape (day, 24)
    """

    days: tuple[date, ...]
    seconds: NDArray[np.float64]

    @property
    def hours(self) -> NDArray[np.float64]:
        """Hours of sound, shape (day, 24); more than 1 where recorders ran side by side."""
        return self.seconds / _HOUR


def calendar(recordings: Iterable[ScannedRecording]) -> Calendar:
    """Spread recordings whose start is known over the hours they last.

    Those of a clock that was never set are left out.
    """
    found: dict[date, NDArray[np.float64]] = {}
    for recording in recordings:
        if recording.recorded_at is not None and not is_unset(recording.recorded_at):
            _spread(recording.recorded_at.replace(tzinfo=None), recording.measured.duration, found)
    days = sorted(found)
    table = np.array([found[day] for day in days]) if days else np.zeros((0, 24))
    return Calendar(tuple(days), table)


def is_unset(time: datetime) -> bool:
    """Whether a time is that of a clock that nobody has set."""
    return time.replace(tzinfo=None) < CLOCK_SET


def _spread(start: datetime, duration: float, found: dict[date, NDArray[np.float64]]) -> None:
    while duration > 0:
        hours = found.setdefault(start.date(), np.zeros(24))
        begun = start.minute * 60 + start.second + start.microsecond / 1e6
        here = min(duration, _HOUR - begun)
        hours[start.hour] += here
        duration -= here
        # To the next full hour exactly, so that rounding cannot stop the clock.
        start = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
