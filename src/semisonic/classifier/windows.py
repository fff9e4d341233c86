"""Recordings as windows of the model's clip length, and the features of these.

Windows start every ``hop``, and the last one ends with the recording, so every part is used and
only the window of a short recording is padded (:func:`semisonic.data.windows.window_starts`). A
clip of 5.02 s is one clip of 5 s. :func:`cut_clips` applies the rule to a table (for training),
:func:`cut_stream` to samples as they come (for prediction).

Samples go through the same steps as in training: decoded and resampled, rounded to 16 bits, padded
to the clip length, log-mel of one clip at a time, rounded to float16. So a model gets the same
input in prediction as in training.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.audio.checks import MIN_DURATION, is_silent, too_short
from semisonic.audio.read import END_TOLERANCE, probe, read_blocks
from semisonic.audio.resample import fit_length
from semisonic.core.errors import AudioError
from semisonic.core.parallel import count_workers, hand_over
from semisonic.data.cache import file_facts
from semisonic.data.clips import Clips
from semisonic.data.stores import as_stored
from semisonic.data.windows import least_rest, window_starts
from semisonic.features.frontend import Extractor, make_extractor
from semisonic.features.options import MelOptions


@dataclass(frozen=True)
class CutWindows:
    """Clips that were cut into windows.

    Attributes
    ----------
    clips : Clips
        In the order given; windows have the label, group and fold of their clip.
    source : ndarray of int64
        The row of the table given that each row was cut from.
    failures : tuple of (str, str)
        Clips whose file cannot be opened, and the reason; they are left out.
    seconds : float
        Length of all windows together.
    """

    clips: Clips
    source: NDArray[np.int64]
    failures: tuple[tuple[str, str], ...]
    seconds: float


def cut_clips(
    clips: Clips,
    window: float,
    hop: float | None = None,
    *,
    rest: bool = True,
    workers: int | None = None,
    cache: Path | None = None,
) -> CutWindows:
    """Cut the clips that are longer than a window; do not change the others.

    Parameters
    ----------
    clips : Clips
        A clip without an end is measured by its file's header.
    window, hop : float
        Seconds; ``hop`` is ``window`` by default, so windows do not overlap (except the last one,
        which ends with the recording).
    rest : bool
        Without it the rest of a recording behind its last whole window is left out.
    workers : int, optional
        Threads that read headers.
    cache : Path, optional
        Keeps the lengths of files, so that their headers are read once.

    Returns
    -------
    CutWindows
    """
    hop = window if hop is None else hop
    length, failures = _lengths(clips, window, workers, cache)
    source = np.flatnonzero(~np.isnan(length))
    long = length[source] > window
    if not long.any():
        uncut = clips if len(source) == len(clips) else clips[source]
        return CutWindows(uncut, source, tuple(failures), float(length[source].sum()))
    found = [np.zeros(1)] * len(source)  # of most clips there is one window, the clip itself
    for i in np.flatnonzero(long).tolist():
        found[i] = window_starts(float(length[source[i]]), window, hop, rest=rest)
    n_windows = np.array([len(starts) for starts in found])
    source = np.repeat(source, n_windows)
    start = clips.start_time[source] + np.concatenate(found)
    whole = np.repeat(n_windows == 1, n_windows)
    end = np.where(whole, clips.end_time[source], start + window)
    cut = clips[source].with_columns(start_time=start, end_time=end)
    seconds = float(np.minimum(length[source], window).sum())
    return CutWindows(cut, source, tuple(failures), seconds)


def cut_stream(
    blocks: Iterable[NDArray[np.float32]], n_window: int, n_hop: int, sample_rate: float = 1.0
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Cut samples that come in blocks of any size; keep at most a block and a window.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (n,)
    n_window, n_hop : int
        Samples.
    sample_rate : float
        Hz, as a rest of a few milliseconds is no window.

    Yields
    ------
    start : int
        Number of the window's first sample.
    wave : ndarray of float32, shape (n_window,), or shorter for a short recording

    Examples
    --------
    >>> blocks = [np.zeros(3, np.float32), np.zeros(4, np.float32)]
    >>> [(start, len(wave)) for start, wave in cut_stream(blocks, n_window=3, n_hop=3)]
    [(0, 3), (3, 3), (4, 3)]
    """
    cutter = WindowCutter(n_window, n_hop, sample_rate)
    for block in blocks:
        yield from cutter.push(block)
    yield from cutter.finish()


class WindowCutter:
    """What :func:`cut_stream` does, for samples that are pushed."""

    def __init__(self, n_window: int, n_hop: int, sample_rate: float = 1.0) -> None:
        self._n_window, self._n_hop = n_window, n_hop
        self._least = least_rest(n_window, sample_rate)
        self._buffer = np.zeros(0, np.float32)
        # Sample numbers: of the buffer's first, of the next window, of the end of the last one.
        self._first = self._start = self._covered = 0

    def push(self, block: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The windows that end within these samples; take all of them before the next push."""
        self._buffer = np.concatenate([self._buffer, block]) if len(self._buffer) else block
        n_seen = self._first + len(self._buffer)
        while self._start + self._n_window <= n_seen:
            begin = self._start - self._first
            yield self._start, self._buffer[begin : begin + self._n_window]
            self._covered = self._start + self._n_window
            self._start += self._n_hop
        keep = max(self._first, min(self._start, n_seen - self._n_window))
        self._buffer, self._first = self._buffer[keep - self._first :], keep

    def finish(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The last window, if enough is left; the next samples are a new recording."""
        total = self._first + len(self._buffer)
        left_out = max(self._n_hop - self._n_window, 0) if self._covered else 0
        uncovered = total - self._covered - left_out
        if total and (not self._covered or uncovered > self._least):
            last = max(0, total - self._n_window)
            yield last, self._buffer[last - self._first :]
        self._buffer = np.zeros(0, np.float32)
        self._first = self._start = self._covered = 0


def _lengths(
    clips: Clips, window: float, workers: int | None, cache: Path | None
) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """Length of each clip in seconds; NaN if the file cannot be used.

    A long clip that ends after its recording is one failure, before it is cut into windows.
    """
    length = clips.end_time - clips.start_time
    rows = np.flatnonzero(np.isnan(length) | (length > window))
    if not len(rows):
        return length, []
    files, which = np.unique(clips.file[rows], return_inverse=True)
    reasons: dict[Path, str] = {}

    def measure(path: Path) -> float | None:
        try:
            return probe(path).duration
        except AudioError as error:
            reasons[path] = error.reason
            return None

    found = file_facts(clips, files.tolist(), measure, "read headers", workers=workers, cache=cache)
    whole = np.array(found, np.float64)[which]  # of a clip's file; NaN where it is not known
    start, end = clips.start_time[rows], clips.end_time[rows]
    length[rows] = np.where(np.isnan(end), whole - start, length[rows])
    bad = np.flatnonzero(np.isnan(length[rows]) | (end > whole + END_TOLERANCE))
    length[rows[bad]] = np.nan
    ids, paths = clips.ids, clips.paths
    failures = [
        (
            ids[rows[i]],
            reasons.get(paths[rows[i]])
            or f"bad part: {start[i]:g} s to {end[i]:g} s; the recording is {whole[i]:.3f} s long",
        )
        for i in bad.tolist()
    ]
    return length, failures


_CHUNK = 16  # windows handed over at once
_CHUNKS_WAITING = 4  # a clip: so a thread that is ahead holds 64 windows, not a recording


@dataclass(frozen=True)
class Windows:
    """Some windows of one clip, in order.

    Attributes
    ----------
    row : int
        Of the clip table.
    times : ndarray, shape (n, 2)
        Start and end in the recording, seconds.
    features : ndarray of float32, shape (n, channel, mel, frame)
    is_silent : ndarray of bool, shape (n,)
        Which have only digital silence: see :func:`semisonic.audio.checks.is_silent`.
    reason : str or None
        None if more windows of the clip follow. At its end why it could not be read further;
        empty if it was read to the end.
    damage : str
        At its end: what the header of the recording promises and the file lacks.
    """

    row: int
    times: NDArray[np.float64]
    features: NDArray[Any]
    is_silent: NDArray[np.bool_]
    reason: str | None = None
    damage: str = ""


def features_of_wave(
    wave: NDArray[np.float32], mel: MelOptions, extractor: Extractor
) -> NDArray[np.float32]:
    """Features of one clip, as in training.

    Parameters
    ----------
    wave : ndarray of float32, shape (n,)
        At most ``mel.n_samples`` samples at ``mel.sample_rate``; zeros follow a shorter one.
    mel : MelOptions
    extractor : Extractor
        Of :func:`semisonic.features.frontend.make_extractor`.

    Returns
    -------
    ndarray of float32, shape (channel, mel, frame)
        In dB, rounded to float16.
    """
    features = extractor(fit_length(as_stored(wave), mel.n_samples))
    rounded: NDArray[np.float32] = torch.from_numpy(features).half().float().numpy()
    return rounded


def stream_windows(
    clips: Clips, mel: MelOptions, *, hop: float | None = None, workers: int | None = None
) -> Iterator[Windows]:
    """Cut every clip into windows and compute their features.

    Parameters
    ----------
    clips : Clips
    mel : MelOptions
        Its ``duration`` is the window.
    hop : float, optional
        Seconds from window to window; the window by default.
    workers : int, optional
        Threads; by default one for each processor this process may use. With one, everything
        is done in the thread that asks, when it asks.

    Yields
    ------
    Windows
        Of each clip in the order of the table. A clip that cannot be read ends with a reason,
        after the windows up to there, and disturbs no other.
    """
    n_workers = count_workers(workers)
    if n_workers == 1:
        own = make_extractor(mel)
        for row in range(len(clips)):
            yield from _windows_of_file(clips, row, mel, hop, own)
        return
    stopped = threading.Event()
    local = threading.local()

    def work(row: int, out: queue.Queue[Windows | BaseException]) -> None:
        if not hasattr(local, "extractor"):
            local.extractor = make_extractor(mel)
        try:
            for item in _windows_of_file(clips, row, mel, hop, local.extractor):
                if not hand_over(out, item, stopped):
                    return
        except BaseException as error:  # raised again where the items are taken
            hand_over(out, error, stopped)

    waiting: deque[queue.Queue[Windows | BaseException]] = deque()
    with ThreadPoolExecutor(n_workers) as pool:
        try:
            for row in range(len(clips)):
                waiting.append(queue.Queue(_CHUNKS_WAITING))
                pool.submit(work, row, waiting[-1])
                if len(waiting) > 2 * n_workers:
                    yield from _taken(waiting.popleft())
            while waiting:
                yield from _taken(waiting.popleft())
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def _taken(out: queue.Queue[Windows | BaseException]) -> Iterator[Windows]:
    """The windows of one clip; an error in its thread is raised here."""
    reason = None
    while reason is None:
        item = out.get()
        if isinstance(item, BaseException):
            raise item
        yield item
        reason = item.reason


def windows_of_waves(waves: Sequence[NDArray[np.float32]], mel: MelOptions) -> Iterator[Windows]:
    """As :func:`stream_windows`, of samples in memory at ``mel.sample_rate``; none is too short."""
    extractor = make_extractor(mel)
    for row, wave in enumerate(waves):
        cut = cut_stream([wave], mel.n_samples, mel.n_samples, mel.sample_rate)
        yield from _windows(row, cut, 0.0, mel, extractor)


def _windows_of_file(
    clips: Clips, row: int, mel: MelOptions, hop: float | None, extractor: Extractor
) -> Iterator[Windows]:
    rate, begin, end = mel.sample_rate, float(clips.start_time[row]), float(clips.end_time[row])
    path = clips.root / str(clips.file[row])

    def cut() -> Iterator[tuple[int, NDArray[np.float32]]]:
        blocks = read_blocks(
            path, block_time=mel.duration, sample_rate=rate, start_time=begin, end_time=end
        )
        n_hop = mel.n_samples if hop is None else max(1, round(hop * rate))
        for start, wave in cut_stream(blocks, mel.n_samples, n_hop, rate):
            if len(wave) < MIN_DURATION * rate:  # the reason in words, as training gives it
                info = probe(path)
                last = info.n_samples if math.isnan(end) else round(end * info.sample_rate)
                n = min(last, info.n_samples) - round(begin * info.sample_rate)
                raise AudioError(path, too_short(n, info.sample_rate))
            yield start, wave

    return _windows(row, cut(), begin, mel, extractor, lambda: probe(path).damage_of(end))


def _windows(
    row: int,
    cut: Iterator[tuple[int, NDArray[np.float32]]],
    begin: float,
    mel: MelOptions,
    extractor: Extractor,
    damage_of: Callable[[], str] = str,
) -> Iterator[Windows]:
    """Features of the windows of one clip that starts ``begin`` seconds into its recording."""
    rate, reason = mel.sample_rate, None
    while reason is None:
        times, features, silent = list[tuple[float, float]](), [np.zeros((0, *mel.shape), "f4")], []
        try:
            for start, wave in islice(cut, _CHUNK):
                times.append((begin + start / rate, begin + (start + len(wave)) / rate))
                features.append(features_of_wave(wave, mel, extractor)[None])
                silent.append(is_silent(wave))
            reason = "" if len(times) < _CHUNK else None
        except AudioError as error:
            reason = error.reason
        yield Windows(
            row,
            np.array(times).reshape(-1, 2),
            np.concatenate(features),
            np.array(silent, np.bool_),
            reason,
            damage_of() if reason == "" else "",
        )
