"""Long recordings in pieces of the model's clip length, by one rule everywhere.

The rule: windows start every ``hop``, and the last one ends where the recording ends, so
every part of it is heard and no window but that of a short recording is padded. An end that
is shorter than a tenth of a window is left out: a clip of 5.02 s is one clip of 5 s.

:func:`cut_clips` applies the rule to a table (for training), :func:`cut_stream` to samples as
they come (for prediction, in constant memory). (:func:`semisonic.data.windows` is for tables
that people make: it keeps a rest of half a window as a shorter clip.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.data.windows import read_headers

TOLERANCE = 0.1
"""Share of a window that the end of a recording may miss without a window of its own."""


def window_starts(
    length: float, window: float, hop: float, *, rest: bool = True
) -> NDArray[np.float64]:
    """Where windows start in something of this length, all in one unit.

    Without ``rest`` what is left at the end gets no window of its own.

    Raises
    ------
    OptionError
        When the window or the hop is not positive.
    """
    if not (window > 0 and hop > 0):
        raise OptionError(f"windows: found window {window:g} and hop {hop:g}, expected above 0")
    slack = TOLERANCE * window
    if length <= window:
        return np.zeros(1)
    n_whole = 1 + int((length - window) / hop + 1e-9)
    starts = np.arange(n_whole, dtype=np.float64) * hop
    # With a hop longer than the window, what lies between two windows is skipped on purpose.
    unheard = length - (starts[-1] + window) - max(hop - window, 0.0)
    return np.append(starts, length - window) if rest and unheard > slack else starts


def cut_clips(
    clips: Clips,
    window: float,
    hop: float | None = None,
    *,
    rest: bool = True,
    workers: int | None = None,
) -> tuple[Clips, NDArray[np.int64], tuple[tuple[str, str], ...]]:
    """Cut the clips that are longer than a window; leave the others as they are.

    Parameters
    ----------
    clips : Clips
        A clip without an end is measured by its file's header.
    window, hop : float
        Seconds; ``hop`` is ``window`` by default, so windows do not overlap (but for the
        last one of a recording, which ends where the recording ends).
    rest : bool
        Without it the rest of a recording behind its last whole window is left out.

    Returns
    -------
    clips : Clips
        In the order given; windows carry label, group and fold of their clip.
    source : ndarray of int64
        The row of the table given that each row was cut from.
    failures : tuple of (str, str)
        Clips whose file cannot be opened, and the reason; they are left out.
    """
    hop = window if hop is None else hop
    length, failures = _lengths(clips, workers)
    rows: list[NDArray[np.int64]] = []
    starts: list[NDArray[np.float64]] = []
    ends: list[NDArray[np.float64]] = []
    for row in range(len(clips)):
        if np.isnan(length[row]):
            continue
        found = window_starts(float(length[row]), window, hop, rest=rest)
        rows.append(np.full(len(found), row, np.int64))
        begin = clips.start_time[row]
        starts.append(begin + found)
        whole = len(found) == 1
        ends.append(clips.end_time[row : row + 1] if whole else begin + found + window)
    source = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    cut = clips[source].with_columns(
        start_time=np.concatenate(starts) if starts else np.zeros(0),
        end_time=np.concatenate(ends) if ends else np.zeros(0),
    )
    return cut, source, tuple(failures)


def cut_stream(
    blocks: Iterable[NDArray[np.float32]], n_window: int, n_hop: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Cut samples that come in blocks of any size; hold no more than a block and a window.

    Yields
    ------
    start : int
        Number of the window's first sample.
    wave : ndarray of float32, shape (n_window,), or shorter for a short recording
    """
    slack = TOLERANCE * n_window
    buffer = np.zeros(0, np.float32)
    first, start, heard = 0, 0, 0  # sample numbers: of buffer[0], next window, end of the last
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while start + n_window <= first + len(buffer):
            yield start, buffer[start - first : start - first + n_window]
            heard = start + n_window
            start += n_hop
        keep = max(first, min(start, first + len(buffer) - n_window))
        buffer, first = buffer[keep - first :], keep
    total = first + len(buffer)
    unheard = total - heard - (max(n_hop - n_window, 0) if heard else 0)
    if total and (not heard or unheard > slack):
        last = max(0, total - n_window)
        yield last, buffer[last - first :]


def _lengths(
    clips: Clips, workers: int | None
) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """Length of each clip in seconds, NaN where the file cannot be used as a whole."""
    length = clips.end_time - clips.start_time
    unknown = np.flatnonzero(np.isnan(length))
    files = list(dict.fromkeys(clips.file[unknown].tolist()))
    headers = {header.file: header for header in read_headers(clips, files, workers)}
    ids, failures = clips.ids, []
    for row in unknown:
        header = headers[str(clips.file[row])]
        if header.info is None or header.reason:
            failures.append((ids[row], header.reason))
        else:
            length[row] = header.info.duration - clips.start_time[row]
    return length, failures
