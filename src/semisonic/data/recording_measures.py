"""One recording, decoded once from start to end: what it is, and how it sounds in numbers.

Sounds that went through MP3, a telephone, or a lower sampling rate have nothing above a limit,
whatever their header says. Mean spectra of a few moments show it: what is empty lies at the
rounding noise of 16-bit samples, or below.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from semisonic.audio.checks import LevelMeter, problems_of
from semisonic.audio.read import BLOCK, AudioReader, wave_texts
from semisonic.audio.resample import resample
from semisonic.core.errors import AudioError
from semisonic.data.duplicates import MAX_DURATION
from semisonic.data.fingerprints import N_BANDS, SAMPLE_RATE, fingerprint
from semisonic.data.recording_names import read_texts

N_FFT = 2048
N_SPECTRUM_BANDS = 64
"""Bands of equal width between 0 Hz and half the sampling rate: the resolution."""

N_MOMENTS = 32
"""Moments of a recording that are looked at, spread evenly."""

FRAME_DURATION = 0.1
"""Seconds over which silence is judged."""

_ROUNDING = 2.0**-30 / 12  # variance of the rounding error of 16-bit samples
_ABOVE = 10.0  # times the rounding noise: what dithering never reaches
_UNUSABLE = ("non-finite", "too short")  # complaints for which other verbs refuse a recording
_IN_ANY = frozenset({"clipped", "over full scale", "non-finite"})  # spoil it in one channel alone


Measures = dict[str, Any]
"""What :func:`measure` tells of a recording, as plain values."""


def measure(
    path: Path, *, silence_db: float, stopped: Callable[[], bool] = lambda: False
) -> Measures:
    """Decode a recording of any length, in constant memory.

    Parameters
    ----------
    path : Path
    silence_db : float
        RMS level, in dB of full scale, below which a frame of 0.1 s is silent.
    stopped : callable
        Asked between blocks; when it says yes, the work is given up.

    Returns
    -------
    dict
        ``n_bytes``; ``duration`` (seconds that decode), ``sample_rate``, ``channels``, ``format``
        and ``subtype`` as libsndfile names them; ``peak`` and ``rms`` over all channels, full
        scale is 1; ``clipped_share`` of the samples in flat tops at full scale and
        ``silent_share`` of the time in silent frames of 0.1 s, 0 to 1; ``dc_offset``, the mean of
        the channel whose mean is furthest from 0; ``bandwidth_hz``, up to which there is
        anything, in steps of a 64th of half the rate; ``remarks`` (see
        :func:`semisonic.audio.checks.problems`); ``damage``, why it cannot be used as a whole, or
        empty; ``recorded_at`` (ISO 8601), ``time_source``, ``device``, ``model``, ``latitude``,
        ``longitude`` as the file itself tells; ``print``, the packed fingerprint of the first
        30 s (:func:`unpack`).

    Raises
    ------
    AudioError
        When nothing can be decoded.
    KeyboardInterrupt
        When given up.
    """
    with AudioReader(path) as source:
        info, rate = source.info, source.info.sample_rate
        n_frame = max(1, round(FRAME_DURATION * rate))
        n_block = n_frame * max(1, BLOCK // n_frame)
        levels = [LevelMeter() for _ in range(info.n_channels)]
        bandwidth = _Bandwidth(rate, info.n_samples, n_block)
        start, n_start = [np.zeros(0, np.float32)], round(MAX_DURATION * rate)
        n_silent, damage = 0, info.damage
        try:
            for block in source.channel_blocks(n_block):
                if stopped():
                    raise KeyboardInterrupt
                for level, x in zip(levels, block, strict=True):
                    level.add(x)
                if any(level.n_bad for level in levels):
                    block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
                n_silent += _silent_samples(block, n_frame, 10.0 ** (silence_db / 10))
                mono = block[0] if len(block) == 1 else block.mean(axis=0)
                bandwidth.add(mono)
                if n_start > 0:
                    start.append(np.array(mono[:n_start], np.float32))
                    n_start -= len(mono)
        except AudioError as error:
            if not levels[0].n:
                raise
            damage = damage or error.reason
    remarks = _remarks(levels, rate)
    bad = [text for text in remarks if text.startswith(_UNUSABLE)]
    told = read_texts(wave_texts(path))
    return {
        "n_bytes": path.stat().st_size,
        "duration": levels[0].n / rate,
        "sample_rate": rate,
        "channels": info.n_channels,
        "format": info.format,
        "subtype": info.subtype,
        "peak": max(level.peak for level in levels),
        "rms": float(np.sqrt(np.mean([level.power for level in levels]))),
        "clipped_share": float(np.mean([level.clipped_share for level in levels])),
        "silent_share": n_silent / levels[0].n,
        "dc_offset": max((level.mean for level in levels), key=abs),
        "bandwidth_hz": bandwidth.value(),
        "remarks": [text for text in remarks if text not in bad],
        "damage": "; ".join([damage] * bool(damage) + bad),
        "recorded_at": told.recorded_at.isoformat() if told.recorded_at else "",
        "time_source": told.source,
        "device": told.device,
        "model": told.model,
        "latitude": told.latitude,
        "longitude": told.longitude,
        "print": pack(fingerprint(resample(np.concatenate(start), rate, SAMPLE_RATE))),
    }


def pack(signs: NDArray[np.int8]) -> str:
    """A fingerprint, shape (frame, band), as text for a journal."""
    return b64encode(zlib.compress(signs.tobytes())).decode("ascii")


def unpack(text: str) -> NDArray[np.int8]:
    """What :func:`pack` was given."""
    return np.frombuffer(zlib.decompress(b64decode(text)), np.int8).reshape(-1, N_BANDS)


class _Bandwidth:
    """Gathers moments of a recording of about ``n_samples`` samples, block by block."""

    def __init__(self, sample_rate: int, n_samples: int, n_block: int) -> None:
        n_blocks = max(1, -(-n_samples // n_block))
        self._rate = sample_rate
        self._every = max(1, n_blocks // N_MOMENTS)
        self._in_block = -(-N_MOMENTS // n_blocks)
        self._power = np.zeros(N_FFT // 2 + 1)
        self._n = self._at = 0

    def add(self, x: NDArray[np.float32]) -> None:
        """Take in the next samples of one channel, shape (n,)."""
        chosen = self._at % self._every == 0
        self._at += 1
        if not chosen or len(x) < 2:
            return
        size = min(N_FFT, len(x))
        starts = np.linspace(0, len(x) - size, self._in_block if len(x) > size else 1)
        moments = x[starts.astype(np.int64)[:, None] + np.arange(size)]
        moments = moments - moments.mean(axis=1, keepdims=True)
        window = np.hanning(size + 2)[1:-1].astype(np.float32)  # its ends are above 0
        spectrum = rfft(moments * window, N_FFT, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._power += power / float(np.dot(window, window))
        self._n += len(starts)

    def value(self) -> float:
        """The upper limit in Hz; 0 if there is nothing."""
        bands = (self._power[1:] / max(self._n, 1)).reshape(N_SPECTRUM_BANDS, -1).mean(axis=1)
        above = np.flatnonzero(bands > _ABOVE * _ROUNDING)
        return float((above[-1] + 1) / N_SPECTRUM_BANDS * self._rate / 2) if len(above) else 0.0


def _silent_samples(block: NDArray[np.float32], n_frame: int, silence: float) -> int:
    """Samples in silent frames; a shorter one at the end counts as what it is."""
    n_whole = block.shape[1] // n_frame
    split = n_whole * n_frame
    n_silent = 0
    for part, n in (
        (block[:, :split].reshape(len(block), n_whole, n_frame), n_frame),
        (block[:, None, split:], block.shape[1] - split),
    ):
        if part.size:
            power = np.einsum("csn,csn->cs", part, part) / n - part.mean(axis=2) ** 2
            n_silent += n * int(np.count_nonzero(power.mean(axis=0) < silence))
    return n_silent


def _remarks(levels: Sequence[LevelMeter], sample_rate: int) -> list[str]:
    """Complaints about the samples; those not of all channels name the channels that have them."""
    found = [{t.partition(":")[0]: t for t in problems_of(one, sample_rate)} for one in levels]
    if all(texts == found[0] for texts in found):
        return list(found[0].values())
    result = []
    for keyword in dict.fromkeys(keyword for texts in found for keyword in texts):
        having = {i: texts[keyword] for i, texts in enumerate(found, 1) if keyword in texts}
        if len(having) == len(found) or keyword in _IN_ANY:
            result.append(next(iter(having.values())))
        else:
            numbers = " and ".join(map(str, having))
            result.append(f"dead channel: {keyword} in channel {numbers} of {len(found)}")
    return result
