"""Long recordings as a pool of windows of one length. Only headers are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import AudioInfo, probe
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.parallel import LOCAL_ENGINE, Engine, in_order
from semisonic.core.progress import bar
from semisonic.data.clips import Clips

_TOLERANCE = 1e-6  # seconds
HEADERS, HEADERS_AFAR = 8, 256
"""Headers that a thread reads at once, and a call on a cluster."""


def windows(
    clips: Clips, duration: float, hop: float | None = None, *, workers: int | None = None
) -> Clips:
    """Cut clips into windows of one length.

    The last window of a clip may be shorter: it is kept when it has at least half the duration
    (and reaches beyond the window before it). A clip that is not longer than one window stays
    whole. A file whose header cannot be read stays whole too, so that whoever reads it reports it.

    Parameters
    ----------
    clips : Clips
        Labels, groups and folds go over to every window; a label then says what is heard
        somewhere in the recording, perhaps not in this window.
    duration : float
        Seconds of a window, above 0.
    hop : float, optional
        Seconds from the start of one window to the next, above 0; the duration by default, so that
        windows touch and do not overlap.
    workers : int, optional
        Threads that read headers; the number of processors by default.

    Returns
    -------
    Clips
        In the order of ``clips``, windows in order of time.

    Raises
    ------
    OptionError
        When the duration or the hop is not above 0.
    """
    step = duration if hop is None else hop
    for name, value in (("duration", duration), ("hop", step)):
        if not (np.isfinite(value) and value > 0):
            raise OptionError(f"{name} of windows: found {value} s, expected above 0 s")
    lengths = clip_durations(clips, workers=workers)
    rows: list[int] = []
    start: list[float] = []
    end: list[float] = []
    for row, length in enumerate(lengths.tolist()):
        begin, stop = float(clips.start_time[row]), float(clips.end_time[row])
        for first, last in _cut(length, duration, step):
            rows.append(row)
            start.append(begin + first)
            # The end of the clip keeps its own name: NaN is the end of the file.
            end.append(stop if last is None else begin + last)
    return clips[np.array(rows, np.int64)].with_columns(
        start_time=np.array(start, np.float64), end_time=np.array(end, np.float64)
    )


def clip_durations(clips: Clips, *, workers: int | None = None) -> NDArray[np.float64]:
    """The length of each clip in seconds, shape (n,), from its times or its file's header.

    NaN where a header is needed and cannot be read.
    """
    open_end = np.isnan(clips.end_time)
    length = clips.end_time - clips.start_time
    files = sorted(set(clips.file[open_end].tolist()))
    found = {header.file: header for header in read_headers(clips, files, workers)}
    for row in np.flatnonzero(open_end):
        info = found[str(clips.file[row])].info
        length[row] = np.nan if info is None else info.duration - clips.start_time[row]
    return length


@dataclass(frozen=True)
class Header:
    """What a file's header says; ``info`` is None, with a reason, when it cannot be read."""

    file: str
    info: AudioInfo | None
    reason: str = ""


def read_headers(
    clips: Clips, files: list[str], workers: int | None = None, engine: Engine = LOCAL_ENGINE
) -> list[Header]:
    """The headers of some of a table's files, in their order."""
    if not files:
        return []
    size = HEADERS if engine.is_local else HEADERS_AFAR
    chunks = (files[i : i + size] for i in range(0, len(files), size))
    found: list[Header] = []
    with (
        bar(len(files), "read headers", "file") as shown,
        engine.calls(partial(partial, _headers, clips.root), workers=workers) as calls,
    ):
        for headers in in_order(calls, chunks):
            found += headers
            shown.update(len(headers))
    return found


def _headers(root: Path, files: list[str]) -> list[Header]:
    return [_header(root, file) for file in files]


def _header(root: Path, file: str) -> Header:
    try:
        info = probe(root / file)
    except AudioError as error:
        return Header(file, None, error.reason)
    return Header(file, info, info.damage)


def _cut(length: float, duration: float, hop: float) -> list[tuple[float, float | None]]:
    """Begin and end of each window; an end of None is the end of the clip."""
    if not length > duration + _TOLERANCE:  # also when it is NaN
        return [(0.0, None)]
    n_whole = int((length - duration + _TOLERANCE) // hop) + 1
    cut: list[tuple[float, float | None]] = [(k * hop, k * hop + duration) for k in range(n_whole)]
    if abs((n_whole - 1) * hop + duration - length) <= _TOLERANCE:
        cut[-1] = ((n_whole - 1) * hop, None)
    rest = length - n_whole * hop
    covered = (n_whole - 1) * hop + duration >= length - _TOLERANCE
    if not covered and rest >= duration / 2 - _TOLERANCE:
        cut.append((n_whole * hop, None))
    return cut
