"""Fingerprints of sounds: the peaks of their spectrogram, which survive encoding, level and cut.

The sound is brought to 8 kHz and to a spectrogram of frames of 64 ms every 16 ms. A cell is a peak
if nothing within 0.1 s and 94 Hz is louder and if it stands out from its own neighbourhood in
time, so that a steady tone has none. Which cells are peaks depends on their surroundings only:
a clip has the same peaks alone and within a recording of a day, except at its ends.

The idea is that of A. Wang, "An industrial-strength audio search algorithm", ISMIR 2003. What
follows from peaks (who is a copy of whom) is in :mod:`semisonic.data.sound_index`.

Noise has the most peaks, about 55 a second: 0.5 MB an hour packed, 1 MB in memory. A recording
of any length is read in blocks.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from semisonic.audio.read import read_blocks
from semisonic.core.errors import AudioError
from semisonic.core.parallel import in_threads
from semisonic.core.progress import bar
from semisonic.data.cache import clip_keys, fact_table, file_stamps
from semisonic.data.clips import Clips

SAMPLE_RATE = 8000
WINDOW = 512  # samples, 64 ms
HOP = 128  # samples, 16 ms
FRAME_TIME = HOP / SAMPLE_RATE  # seconds
FIRST_BIN, N_BINS = 6, 224  # 94 to 3590 Hz; the number of a bin fits a byte
BESIDE_BINS = 6  # a peak is the loudest cell within this many bins
BESIDE_FRAMES = 6  # and frames
PROMINENCE = 2.0  # power of a peak, as a multiple of the mean of its bin in these frames
SILENCE_DB = -100.0  # nothing below this level in a bin (full-scale sine = 0 dB) is a sound
VERSION = 1
"""Increase this when the same sound gives other peaks."""

_BLOCK_TIME = 30.0  # seconds read at once
_RUN = 64  # peaks, a second of noise: enough to know a sound again
_LONG = 255  # frames between two peaks that one byte cannot count


class Fingerprint(NamedTuple):
    """The peaks of a sound, in order of time, then frequency.

    Attributes
    ----------
    frame : ndarray of int32, shape (n,)
        In units of 16 ms from the start.
    bin : ndarray of uint8, shape (n,)
        In units of 15.6 Hz.
    """

    frame: NDArray[np.int32]
    bin: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.frame)

    def part(self, start_time: float, end_time: float | None = None) -> Fingerprint:
        """The peaks between two times in seconds (or to the end); the first of them is then 0."""
        first = round(start_time / FRAME_TIME)
        begin, end = int(np.searchsorted(self.frame, first)), len(self)
        if end_time is not None:
            end = int(np.searchsorted(self.frame, round(end_time / FRAME_TIME)))
        return Fingerprint(self.frame[begin:end] - np.int32(first), self.bin[begin:end])

    def thinned(self, n: int) -> Fingerprint:
        """At most about ``n`` peaks: runs of 64 that follow each other, spread over the sound."""
        n_runs = max(1, n // _RUN)
        if len(self) <= n_runs * _RUN:
            return self
        starts = np.linspace(0, len(self) - _RUN, n_runs + 2)[1:-1].astype(np.int64)
        kept = np.unique(starts[:, None] + np.arange(_RUN))
        return Fingerprint(self.frame[kept], self.bin[kept])

    def packed(self) -> str:
        """Text for a file: for each peak the frames since the one before, and its bin."""
        frame = self.frame.astype(np.int64)
        steps = frame - np.concatenate([[0], frame[:-1]])
        n_long = steps // _LONG
        data = np.full(2 * len(self) + int(n_long.sum()), _LONG, np.uint8)
        at = 2 * np.arange(len(self)) + np.cumsum(n_long)
        data[at] = steps % _LONG
        data[at + 1] = self.bin
        return b64encode(zlib.compress(data.tobytes(), 9)).decode("ascii")

    @classmethod
    def unpacked(cls, text: str) -> Fingerprint:
        """The inverse of :meth:`packed`; no peaks if the text is damaged."""
        try:
            data = zlib.decompress(b64decode(text, validate=True))
        except (ValueError, zlib.error):
            return NO_PEAKS
        frames, bins, frame, at = [], [], 0, 0
        while at < len(data) - 1:
            frame += data[at]
            at += 1
            if data[at - 1] != _LONG:
                frames.append(frame)
                bins.append(data[at])
                at += 1
        return cls(np.array(frames, np.int32), np.array(bins, np.uint8))


NO_PEAKS = Fingerprint(np.zeros(0, np.int32), np.zeros(0, np.uint8))


class Fingerprinter:
    """Finds the peaks of a sound that comes in blocks; memory depends on the blocks only."""

    def __init__(self) -> None:
        self._samples = np.zeros(WINDOW // 2, np.float32)  # frames are centred
        self._power = np.zeros((0, N_BINS), np.float32)
        self._n_done = 0  # frames before those in _power
        self._n_known = 0  # frames at the start of _power whose peaks are known
        self._found: list[Fingerprint] = []

    def add(self, x: NDArray[np.float32]) -> None:
        """Add the next samples at 8 kHz, shape (n,)."""
        self._samples = np.concatenate([self._samples, x])
        n = (len(self._samples) - WINDOW) // HOP + 1
        if n < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._samples, WINDOW)[::HOP][:n]
        spectrum = rfft(frames * _window(), axis=1)[:, FIRST_BIN : FIRST_BIN + N_BINS]
        power = spectrum.real**2 + spectrum.imag**2
        self._power = np.concatenate([self._power, power.astype(np.float32, copy=False)])
        self._samples = self._samples[n * HOP :]
        self._search(len(self._power) - BESIDE_FRAMES)

    def finish(self) -> Fingerprint:
        """The peaks of the whole sound."""
        self.add(np.zeros(WINDOW // 2, np.float32))
        self._search(len(self._power))
        if not self._found:
            return NO_PEAKS
        return Fingerprint(*(np.concatenate(part) for part in zip(*self._found, strict=True)))

    def _search(self, end: int) -> None:
        """Find the peaks up to a frame of ``_power``; forget what no later peak depends on."""
        if end <= self._n_known:
            return
        power = self._power
        loudest = maximum_filter1d(power, 2 * BESIDE_BINS + 1, axis=1, mode="constant")
        loudest = maximum_filter1d(loudest, 2 * BESIDE_FRAMES + 1, axis=0, mode="constant")
        # A full-scale sine under a Hann window has this power in its bin.
        silence = (WINDOW / 4) ** 2 * 10 ** (SILENCE_DB / 10)
        mean = uniform_filter1d(power, 2 * BESIDE_FRAMES + 1, axis=0, mode="constant")
        is_peak = (power == loudest) & (power > np.maximum(silence, PROMINENCE * mean))
        frame, bin_ = np.nonzero(is_peak[self._n_known : end])
        frame += self._n_known + self._n_done
        self._found.append(Fingerprint(frame.astype(np.int32), bin_.astype(np.uint8)))
        kept = max(0, end - BESIDE_FRAMES)
        self._power = power[kept:].copy()
        self._n_done, self._n_known = self._n_done + kept, end - kept


@cache
def _window() -> NDArray[np.float32]:
    return np.hanning(WINDOW).astype(np.float32)


def fingerprint(blocks: Iterable[NDArray[np.float32]]) -> Fingerprint:
    """The peaks of a sound.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, each of shape (n,)
        Its samples at 8 kHz, in pieces of any length.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> len(fingerprint([noise])) == len(fingerprint([noise[:5000], noise[5000:]]))
    True
    """
    found = Fingerprinter()
    for block in blocks:
        found.add(block)
    return found.finish()


def fingerprint_file(
    path: Path, start_time: float = 0.0, end_time: float | None = None
) -> Fingerprint:
    """The peaks of a recording, or of a part of it.

    Raises
    ------
    AudioError
        As for :func:`semisonic.audio.read.read_blocks`.
    """
    return fingerprint(
        read_blocks(
            path,
            block_time=_BLOCK_TIME,
            sample_rate=SAMPLE_RATE,
            start_time=start_time,
            end_time=end_time,
        )
    )


# Fingerprints of the clips of a table. Windows of one recording that touch are read as one piece.


class _Span(NamedTuple):
    """A piece of a recording, and the rows that are parts of it, with their times."""

    file: str
    start_time: float
    end_time: float | None
    rows: list[tuple[int, float, float | None]]


def _spans(clips: Clips) -> list[_Span]:
    """The pieces to read, in the order in which files occur."""
    order = {file: i for i, file in enumerate(dict.fromkeys(clips.file.tolist()))}
    parts = [(file, start, end, row) for row, (file, start, end) in enumerate(clip_keys(clips))]
    spans: list[_Span] = []
    for file, start, end, row in sorted(parts, key=lambda part: (order[part[0]], part[1])):
        last = spans[-1] if spans else None
        if last is None or last.file != file or (last.end_time or np.inf) < start:
            spans.append(_Span(file, start, end, [(row, start, end)]))
            continue
        both = None if end is None or last.end_time is None else max(end, last.end_time)
        spans[-1] = last._replace(end_time=both, rows=[*last.rows, (row, start, end)])
    return spans


def clip_fingerprints(
    clips: Clips, *, workers: int | None = None, cache: Path | None = None
) -> Iterator[tuple[int, Fingerprint | str]]:
    """The row and the fingerprint of each clip, or the reason why it cannot be read.

    Recordings come in order, so that a pool of any size need not be held in memory.

    Parameters
    ----------
    clips : Clips
    workers : int, optional
        Threads that decode; one per processor by default.
    cache : Path, optional
        Folder that keeps the fingerprints; only new and changed files are read again.
    """
    spans = _spans(clips)
    stamps = dict(zip(clips.file.tolist(), file_stamps(clips), strict=True))
    with (
        fact_table(cache, clips.root, "fingerprint") as table,
        bar(len(clips), "fingerprint", "clip") as shown,
    ):

        def known(span: _Span) -> str | None:
            if table is None:
                return None
            found: str | None = table.get(span[:3], (VERSION, *stamps[span.file]))
            return found

        def work(span: _Span) -> Fingerprint | str:
            if (text := known(span)) is not None:
                return Fingerprint.unpacked(text)
            try:
                return fingerprint_file(clips.root / span.file, span.start_time, span.end_time)
            except AudioError as error:
                return error.reason

        def alone(span: _Span, row: int) -> Fingerprint | str:
            try:
                (times,) = (part[1:] for part in span.rows if part[0] == row)
                return fingerprint_file(clips.root / span.file, *times)
            except AudioError as error:
                return error.reason

        made = in_threads(work, spans, workers, ordered=True)
        for span, found in zip(spans, made, strict=True):
            shown.update(len(span.rows))
            if table is not None and isinstance(found, Fingerprint) and known(span) is None:
                table.add((span[:3], (VERSION, *stamps[span.file]), found.packed()))
            for row, start, end in span.rows:
                if isinstance(found, Fingerprint):
                    last = None if end is None else end - span.start_time
                    yield row, found.part(start - span.start_time, last)
                else:  # one part may be bad, the others good
                    yield row, found if len(span.rows) == 1 else alone(span, row)
