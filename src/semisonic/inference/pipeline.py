"""Recordings to features of windows: in threads, in order, in constant memory.

Samples take the very same steps as in training: decoded and resampled, rounded to 16 bits,
padded to the clip length, log-mel of one clip at a time, rounded to float16. So a model sees
in prediction what it saw in training, whichever way the samples came.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.audio import MIN_DURATION, fit_length, is_silent, probe, read_blocks
from semisonic.audio.checks import too_short
from semisonic.base.errors import AudioError
from semisonic.data.clips import Clips
from semisonic.data.store_decode import as_stored, full_scale
from semisonic.data.workers import count_workers
from semisonic.features import Extractor, MelOptions, make_extractor
from semisonic.inference.windowing import cut_stream

_CHUNK = 16  # windows handed over at once
_CHUNKS_WAITING = 4  # a clip: so a thread that is ahead holds 64 windows, not a recording
_POLL = 0.1  # seconds after which a waiting thread looks whether it is still wanted


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
        Which hold nothing but digital silence: see :func:`semisonic.audio.is_silent`.
    """

    row: int
    times: NDArray[np.float64]
    features: NDArray[np.float32]
    is_silent: NDArray[np.bool_]

    def __getitem__(self, rows: slice) -> Windows:
        return Windows(self.row, self.times[rows], self.features[rows], self.is_silent[rows])


@dataclass(frozen=True)
class Done:
    """The end of a clip; ``reason`` says why it could not be read, empty if it could."""

    row: int
    reason: str = ""


Item = Windows | Done


def features_of_wave(
    wave: NDArray[np.float32], mel: MelOptions, extractor: Extractor
) -> NDArray[np.float32]:
    """One clip of at most ``mel.n_samples`` samples to (channel, mel, frame), as in training."""
    stored = as_stored(wave, max(1.0, full_scale(wave)))
    features = extractor(fit_length(stored, mel.n_samples))
    rounded: NDArray[np.float32] = torch.from_numpy(features).half().float().numpy()
    return rounded


def stream_windows(
    clips: Clips, mel: MelOptions, *, hop: float | None = None, workers: int | None = None
) -> Iterator[Item]:
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
    Windows or Done
        For each clip in the order of the table: its windows, then its end. A clip that
        cannot be read ends with a reason, after the windows up to there, and disturbs no other.
    """
    n_workers = count_workers(workers)
    if n_workers == 1:
        own = make_extractor(mel)
        for row in range(len(clips)):
            yield from _windows_of(clips, row, mel, hop, lambda: own)
        return
    stopped = threading.Event()
    local = threading.local()

    def extractor() -> Extractor:
        if not hasattr(local, "extractor"):
            local.extractor = make_extractor(mel)
        return local.extractor  # type: ignore[no-any-return]

    def work(row: int, out: queue.Queue[Item]) -> None:
        for item in _windows_of(clips, row, mel, hop, extractor):
            if not _put(out, item, stopped):
                return

    waiting: deque[tuple[queue.Queue[Item], Future[None]]] = deque()
    with ThreadPoolExecutor(n_workers) as pool:
        try:
            for row in range(len(clips)):
                out: queue.Queue[Item] = queue.Queue(_CHUNKS_WAITING)
                waiting.append((out, pool.submit(work, row, out)))
                if len(waiting) > 2 * n_workers:
                    yield from _take(*waiting.popleft())
            while waiting:
                yield from _take(*waiting.popleft())
        finally:
            stopped.set()
            for _, future in waiting:
                future.cancel()


def _windows_of(
    clips: Clips,
    row: int,
    mel: MelOptions,
    hop: float | None,
    extractor: Callable[[], Extractor],
) -> Iterator[Item]:
    rate, begin, end = mel.sample_rate, float(clips.start_time[row]), clips.end_time[row]
    n_hop = mel.n_samples if hop is None else max(1, round(hop * rate))
    times: list[tuple[float, float]] = []
    features: list[NDArray[np.float32]] = []
    silent: list[bool] = []
    reason = ""

    def windows() -> Windows:
        return Windows(row, np.array(times), np.stack(features), np.array(silent))

    try:
        blocks = read_blocks(
            clips.root / str(clips.file[row]),
            block_time=mel.duration,
            sample_rate=rate,
            start_time=begin,
            end_time=None if np.isnan(end) else float(end),
        )
        for start, wave in cut_stream(blocks, mel.n_samples, n_hop):
            if len(wave) < MIN_DURATION * rate:
                yield Done(row, _too_short(clips, row))
                return
            times.append((begin + start / rate, begin + (start + len(wave)) / rate))
            features.append(features_of_wave(wave, mel, extractor()))
            silent.append(is_silent(wave))
            if len(features) == _CHUNK:
                yield windows()
                times, features, silent = [], [], []
    except AudioError as error:
        reason = error.reason
    if features:
        yield windows()
    yield Done(row, reason)


def _too_short(clips: Clips, row: int) -> str:
    """The reason in words, as training gives it: of the samples that were recorded."""
    info = probe(clips.root / str(clips.file[row]))
    begin, end = float(clips.start_time[row]), float(clips.end_time[row])
    last = info.n_samples if math.isnan(end) else round(end * info.sample_rate)
    return too_short(min(last, info.n_samples) - round(begin * info.sample_rate), info.sample_rate)


def _put(out: queue.Queue[Item], item: Item, stopped: threading.Event) -> bool:
    """Hand an item over; False when nobody wants it any more."""
    while not stopped.is_set():
        try:
            out.put(item, timeout=_POLL)
        except queue.Full:
            continue
        return True
    return False


def _take(out: queue.Queue[Item], future: Future[None]) -> Iterator[Item]:
    """The items of one clip; an error of ours in its thread is raised here."""
    while True:
        try:
            item = out.get(timeout=_POLL)
        except queue.Empty:
            if future.done() and out.empty():
                future.result()
                raise RuntimeError("a thread ended without saying so") from None
            continue
        yield item
        if isinstance(item, Done):
            return
