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

LEAST_REST, LEAST_SHARE = 0.05, 0.1
"""Seconds, and share of a window, of a rest that gets no window of its own: the smaller counts."""
_TOLERANCE = 1e-6  # seconds
HEADERS, HEADERS_AFAR = 8, 256
"""Headers per call of a thread, and per call on a cluster."""


def least_rest(window: float, per_second: float = 1.0) -> float:
    """The longest rest of a recording that gets no window of its own.

    Parameters
    ----------
    window : float
        Its length, in the unit of the result.
    per_second : float
        That unit: 1 for seconds, the sample rate for samples.
    """
    return min(LEAST_SHARE * window, LEAST_REST * per_second)


def window_starts(
    length: float, window: float, hop: float, *, rest: bool = True
) -> NDArray[np.float64]:
    """Where windows start in something of this length, in seconds: the last one ends with it.

    Parameters
    ----------
    length, window, hop : float
    rest : bool
        Add a window for the end of a recording, if it is long enough.

    Returns
    -------
    ndarray of float64, shape (n_windows,)

    Raises
    ------
    OptionError
        If the window or the hop is not positive.

    Examples
    --------
    >>> window_starts(12.0, window=5.0, hop=5.0).tolist()
    [0.0, 5.0, 7.0]
    """
    for name, value in (("duration", window), ("hop", hop)):
        if not (np.isfinite(value) and value > 0):
            raise OptionError(f"{name} of windows: found {value} s, expected more than 0 s")
    if not length > window:  # or not known
        return np.zeros(1)
    n_whole = 1 + int((length - window) / hop + 1e-9)
    starts = np.arange(n_whole, dtype=np.float64) * hop
    # With a hop longer than the window, what lies between two windows is skipped on purpose.
    uncovered = length - (starts[-1] + window) - max(hop - window, 0.0)
    has_rest = rest and uncovered > least_rest(window) + _TOLERANCE
    return np.append(starts, length - window) if has_rest else starts


def windows(
    clips: Clips, duration: float, hop: float | None = None, *, workers: int | None = None
) -> Clips:
    """Cut clips into windows of one length.

    The last window of a clip ends with it, and overlaps the one before if need be. A clip that is
    not longer than one window stays whole. So does a file whose header cannot be read, so that
    reading it gives the error.

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
    length = clip_durations(clips, workers=workers)
    found = [window_starts(one, duration, step) for one in length.tolist()]
    window_starts(0.0, duration, step)  # wrong options are errors without a clip, too
    counts = np.array([len(starts) for starts in found], np.int64)
    rows = np.repeat(np.arange(len(clips)), counts)
    first, is_last = np.concatenate([*found, np.zeros(0)]), np.zeros(len(rows), np.bool_)
    is_last[np.cumsum(counts) - 1] = True
    # The end of the clip keeps its own name: NaN is the end of the file.
    is_last &= ~(first + duration < length[rows] - least_rest(duration) - _TOLERANCE)
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
