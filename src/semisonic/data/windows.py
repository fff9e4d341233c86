"""Cut long recordings into windows of one length. Only headers are read."""

from __future__ import annotations

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
"""Headers per call of a thread, and per call on a cluster."""


def windows(
    clips: Clips, duration: float, hop: float | None = None, *, workers: int | None = None
) -> Clips:
    """Cut clips into windows of one length.

    The last window of a clip may be shorter: it is kept if it has at least half the duration (and
    ends after the window before it). A clip that is not longer than one window stays whole. So
    does a file whose header cannot be read, so that reading it gives the error.

    Parameters
    ----------
    clips : Clips
        Every window gets the labels, groups and folds; a label then means that the class is
        present somewhere in the recording, perhaps not in this window.
    duration : float
        Seconds per window, more than 0.
    hop : float, optional
        Seconds from the start of one window to the next, more than 0; by default the duration, so
        that windows do not overlap.
    workers : int, optional
        Threads that read headers; the number of processors by default.

    Returns
    -------
    Clips
        In the order of ``clips``, windows by time.

    Raises
    ------
    OptionError
        When the duration or the hop is not more than 0.
    """
    step = duration if hop is None else hop
    for name, value in (("duration", duration), ("hop", step)):
        if not (np.isfinite(value) and value > 0):
            raise OptionError(f"{name} of windows: found {value} s, expected more than 0 s")
    length = clip_durations(clips, workers=workers)
    is_long = length > duration + _TOLERANCE  # never where it is not known
    n = np.where(is_long, (length - duration + _TOLERANCE) // step + 1, 1)
    rest = length - n * step  # behind the start of the next window
    covered = (n - 1) * step + duration >= length - _TOLERANCE
    n += is_long & ~covered & (rest >= duration / 2 - _TOLERANCE)
    n = n.astype(np.int64)
    rows = np.repeat(np.arange(len(clips)), n)
    first = (np.arange(len(rows)) - np.repeat(np.cumsum(n) - n, n)) * step
    # The end of the clip keeps its own name: NaN is the end of the file.
    is_last = ~(first + duration < length[rows] - _TOLERANCE)
    start, end = clips.start_time[rows] + first, clips.end_time[rows]
    end = np.where(is_last, end, start + duration)
    return clips[rows].with_columns(start_time=start, end_time=end)


def clip_durations(clips: Clips, *, workers: int | None = None) -> NDArray[np.float64]:
    """The length of each clip in seconds, shape (n,), from its times or its file's header.

    NaN if a header is needed and cannot be read.
    """
    open_end = np.isnan(clips.end_time)
    length = clips.end_time - clips.start_time
    files, which = np.unique(clips.file[open_end], return_inverse=True)
    headers = read_headers(clips.root, files.tolist(), workers)
    whole = np.array([np.nan if isinstance(one, str) else one.duration for one in headers])
    if len(files):
        length[open_end] = whole[which] - clips.start_time[open_end]
    return length


def read_headers(
    root: Path, files: list[str], workers: int | None = None, engine: Engine = LOCAL_ENGINE
) -> list[AudioInfo | str]:
    """The headers of files below a folder, in order; a text is the reason of a failure."""
    if not files:
        return []
    size = HEADERS if engine.is_local else HEADERS_AFAR
    chunks = (files[i : i + size] for i in range(0, len(files), size))
    found: list[AudioInfo | str] = []
    with (
        bar(len(files), "read headers", "file") as shown,
        engine.calls(partial(partial, _headers, root), workers=workers) as calls,
    ):
        for headers in in_order(calls, chunks):
            found += headers
            shown.update(len(headers))
    return found


def _headers(root: Path, files: list[str]) -> list[AudioInfo | str]:
    return [_header(root / file) for file in files]


def _header(path: Path) -> AudioInfo | str:
    try:
        return probe(path)
    except AudioError as error:
        return error.reason
