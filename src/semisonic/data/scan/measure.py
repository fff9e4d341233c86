"""One recording, decoded once from start to end: what it is, and how it sounds in numbers.

Sounds that went through MP3, a telephone, or a lower sampling rate have nothing above a limit,
whatever their header says. Mean spectra of a few moments show it: what is empty lies at the
rounding noise of 16-bit samples, or below.
"""

from __future__ import annotations

import dataclasses
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from semisonic.audio.checks import LevelMeter, problems_of
from semisonic.audio.metadata import wave_texts
from semisonic.audio.read import BLOCK, AudioReader
from semisonic.audio.resample import stream_resampler
from semisonic.core.errors import AudioError
from semisonic.data.duplicates import MAX_DURATION
from semisonic.data.fingerprints import N_BANDS, SAMPLE_RATE, fingerprint
from semisonic.data.recording_names import read_texts

N_FFT = 2048
N_SPECTRUM_BANDS = 64
"""Bands of equal width between 0 Hz and half the sampling rate: the resolution."""

N_MOMENTS = 32
"""Moments of a recording that are looked at, spread evenly."""

_ROUNDING = 2.0**-30 / 12  # variance of the rounding error of 16-bit samples
_ABOVE = 10.0  # times the rounding noise: what dithering never reaches


class Bandwidth:
    """Gathers moments of a recording of about ``n_samples`` samples, block by block."""

    def __init__(self, sample_rate: int, n_samples: int, n_block: int) -> None:
        n_blocks = max(1, -(-n_samples // n_block))
        self._rate = sample_rate
        self._every = max(1, n_blocks // N_MOMENTS)
        self._in_block = -(-N_MOMENTS // n_blocks)
        self._window = _hann(N_FFT)
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
        window = self._window if size == N_FFT else _hann(size)
        spectrum = rfft(moments * window, N_FFT, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._power += power / float(np.dot(window, window))
        self._n += len(starts)

    def value(self) -> float:
        """The upper limit in Hz, in steps of a 64th of half the rate; 0 if there is nothing."""
        if not self._n:
            return 0.0
        bands = (self._power[1:] / self._n).reshape(N_SPECTRUM_BANDS, -1).mean(axis=1)
        above = np.flatnonzero(bands > _ABOVE * _ROUNDING)
        return float((above[-1] + 1) / N_SPECTRUM_BANDS * self._rate / 2) if len(above) else 0.0


def _hann(size: int) -> NDArray[np.float32]:
    """A Hann window whose ends are above 0."""
    return np.hanning(size + 2)[1:-1].astype(np.float32)


# Fingerprints as short texts, so that a journal can hold them: a kilobyte for 30 s.


def pack(signs: NDArray[np.int8]) -> str:
    """A fingerprint, shape (frame, band), as text; empty for one without frames."""
    if not len(signs):
        return ""
    active = np.packbits(signs[:, 0] != 0)
    rising = np.packbits(signs > 0)
    return f"{len(signs)}:" + b64encode(active.tobytes() + rising.tobytes()).decode("ascii")


def unpack(text: str) -> NDArray[np.int8]:
    """What :func:`pack` was given."""
    if not text:
        return np.zeros((0, N_BANDS), np.int8)
    length, _, content = text.partition(":")
    n = int(length)
    bits = np.frombuffer(b64decode(content), np.uint8)
    n_active = -(-n // 8)
    active = np.unpackbits(bits[:n_active], count=n)
    rising = np.unpackbits(bits[n_active:], count=n * N_BANDS).reshape(n, N_BANDS)
    signs = 2 * rising.astype(np.int8) - 1
    signs[active == 0] = 0
    return signs


# One recording, decoded once from start to end: what it is, and how it sounds in numbers.


FRAME_DURATION = 0.1
"""Seconds over which silence is judged."""


@dataclass(frozen=True, slots=True)
class RecordingMeasures:
    """What one pass over a recording tells.

    Attributes
    ----------
    duration : float
        Seconds that decode.
    sample_rate, n_channels : int
    format, subtype : str
        As libsndfile names them.
    peak, rms : float
        Over all channels; full scale is 1.
    clipped_share, silent_share : float
        Share of the samples in flat tops at full scale, and of the time in frames of 0.1 s
        that are silent; 0 to 1.
    dc_offset : float
        The mean of the channel whose mean is furthest from 0.
    bandwidth_hz : float
        Up to which frequency there is anything (see :mod:`semisonic.data.scan.measure`).
    remarks : tuple of str
        What a listener would complain about (see :func:`semisonic.audio.checks.problems`).
    damage : str
        Why the recording cannot be used as a whole; empty if it can.
    recorded_at, time_source, device, model : str
        What the file itself tells (:mod:`semisonic.data.recording_names`); a time in ISO 8601.
    latitude, longitude : float or None
    print : str
        The packed fingerprint of the first 30 s; empty if none was made.
    """

    duration: float
    sample_rate: int
    n_channels: int
    format: str
    subtype: str
    peak: float
    rms: float
    clipped_share: float
    silent_share: float
    dc_offset: float
    bandwidth_hz: float
    remarks: tuple[str, ...] = ()
    damage: str = ""
    recorded_at: str = ""
    time_source: str = ""
    device: str = ""
    model: str = ""
    latitude: float | None = None
    longitude: float | None = None
    print: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RecordingMeasures:
        """What :meth:`to_dict` gave, perhaps by way of JSON."""
        return cls(**{**values, "remarks": tuple(values["remarks"])})


def measure(
    path: Path,
    *,
    silence_db: float,
    with_print: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> RecordingMeasures:
    """Decode a recording of any length, in constant memory.

    Parameters
    ----------
    path : Path
    silence_db : float
        RMS level, in dB of full scale, below which a frame of 0.1 s is silent.
    with_print : bool
        Make a fingerprint, to find near-identical recordings by.
    stopped : callable
        Asked between blocks; when it says yes, the work is given up.

    Raises
    ------
    AudioError
        When nothing can be decoded.
    KeyboardInterrupt
        When given up.
    """
    with AudioReader(path) as source:
        info = source.info
        meter = _Meter(info.sample_rate, info.n_channels, info.n_samples, silence_db, with_print)
        damage = info.damage
        try:
            for block in source.channel_blocks(meter.n_block):
                if stopped():
                    raise KeyboardInterrupt
                meter.add(block)
        except AudioError as error:
            if not meter.levels[0].n:
                raise
            damage = damage or error.reason
    bad = [text for text in meter.remarks() if text.startswith(_UNUSABLE)]
    told = read_texts(wave_texts(path))
    return RecordingMeasures(
        duration=meter.levels[0].n / info.sample_rate,
        sample_rate=info.sample_rate,
        n_channels=info.n_channels,
        format=info.format,
        subtype=info.subtype,
        **meter.values(),
        remarks=tuple(text for text in meter.remarks() if text not in bad),
        damage="; ".join([damage] * bool(damage) + bad),
        recorded_at=told.recorded_at.isoformat() if told.recorded_at else "",
        time_source=told.source,
        device=told.device,
        model=told.model,
        latitude=told.latitude,
        longitude=told.longitude,
    )


_UNUSABLE = ("non-finite", "too short")
"""Complaints for which other verbs refuse a recording."""


class _Meter:
    """Everything that is measured, fed block by block."""

    def __init__(
        self, rate: int, n_channels: int, n_samples: int, silence_db: float, with_print: bool
    ) -> None:
        self._rate = rate
        self._n_frame = max(1, round(FRAME_DURATION * rate))
        self.n_block = self._n_frame * max(1, BLOCK // self._n_frame)
        self.levels = [LevelMeter() for _ in range(n_channels)]
        self._silence = 10.0 ** (silence_db / 10)
        self._n_silent = 0
        self._bandwidth = Bandwidth(rate, n_samples, self.n_block)
        self._start = _Start(rate) if with_print else None

    def add(self, block: NDArray[np.float32]) -> None:
        """Take in the next samples, shape (channel, n)."""
        n_bad = sum(level.n_bad for level in self.levels)
        for level, x in zip(self.levels, block, strict=True):
            level.add(x)
        if sum(level.n_bad for level in self.levels) > n_bad:
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        self._n_silent += self._silent_samples(block)
        mono = block[0] if len(block) == 1 else block.mean(axis=0)
        self._bandwidth.add(mono)
        if self._start is not None:
            self._start.add(mono)

    def values(self) -> dict[str, Any]:
        """The numbers of :class:`RecordingMeasures`."""
        offsets = [level.mean for level in self.levels]
        return {
            "peak": max(level.peak for level in self.levels),
            "rms": float(np.sqrt(np.mean([level.power for level in self.levels]))),
            "clipped_share": float(np.mean([level.clipped_share for level in self.levels])),
            "silent_share": self._n_silent / self.levels[0].n,
            "dc_offset": max(offsets, key=abs),
            "bandwidth_hz": self._bandwidth.value(),
            "print": self._start.packed() if self._start is not None else "",
        }

    def remarks(self) -> list[str]:
        """What is wrong with the samples, of all channels together."""
        found = [problems_of(level, self._rate) for level in self.levels]
        if all(texts == found[0] for texts in found):
            return found[0]
        return list(_by_channel(found))

    def _silent_samples(self, block: NDArray[np.float32]) -> int:
        """Samples in silent frames; a shorter one at the end counts as what it is."""
        n_whole = block.shape[1] // self._n_frame
        split = n_whole * self._n_frame
        n_silent = 0
        for part, n in (
            (block[:, :split].reshape(len(block), n_whole, self._n_frame), self._n_frame),
            (block[:, None, split:], block.shape[1] - split),
        ):
            if part.size:
                power = np.einsum("csn,csn->cs", part, part) / n - part.mean(axis=2) ** 2
                n_silent += n * int(np.count_nonzero(power.mean(axis=0) < self._silence))
        return n_silent


class _Start:
    """The first 30 s at the rate of fingerprints."""

    def __init__(self, rate: int) -> None:
        self._left = round(MAX_DURATION * rate)
        self._resampler = None if rate == SAMPLE_RATE else stream_resampler(rate, SAMPLE_RATE)
        self._parts: list[NDArray[np.float32]] = []

    def add(self, x: NDArray[np.float32]) -> None:
        """Take in the next samples, as far as they belong to the start."""
        x = x[: self._left]
        if not len(x):
            return
        self._left -= len(x)
        chunk = x if self._resampler is None else self._resampler.resample_chunk(x)
        self._parts.append(np.array(chunk, np.float32))

    def packed(self) -> str:
        """The fingerprint as text."""
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.empty(0, np.float32), last=True)
            self._parts.append(rest)
        x = np.concatenate(self._parts) if self._parts else np.empty(0, np.float32)
        return pack(fingerprint(x[: round(MAX_DURATION * SAMPLE_RATE)]))


def _by_channel(found: Sequence[Sequence[str]]) -> list[str]:
    """Complaints that are not those of all channels, each with the channels that have it."""
    result = []
    for keyword in dict.fromkeys(text.partition(":")[0] for texts in found for text in texts):
        texts = {
            number: text
            for number, one in enumerate(found, start=1)
            for text in one
            if text.partition(":")[0] == keyword
        }
        first = next(iter(texts.values()))
        if len(texts) == len(found) or keyword in _IN_ANY:
            result.append(first)
        else:
            numbers = " and ".join(map(str, texts))
            result.append(f"dead channel: {keyword} in channel {numbers} of {len(found)}")
    return result


_IN_ANY = frozenset({"clipped", "over full scale", "non-finite"})
"""What spoils a recording in one channel alone."""
