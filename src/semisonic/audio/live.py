"""Live sources of sound, block by block: a microphone, a pipe, or a recording played back.

The package ``sounddevice`` is imported only when a microphone is used.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.read import AudioReader, mix, probe
from semisonic.audio.resample import check_rate
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.options import nearest

BLOCK_TIME = 0.02
"""Seconds per block. A window waits for its last block, so this is part of the latency."""


class LiveBlock(NamedTuple):
    """Samples that follow those of the previous block.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        One channel, full scale ±1, at the rate of the source.
    captured : float
        When the last sample was captured, in seconds of ``time.monotonic``.
    """

    samples: NDArray[np.float32]
    captured: float


class LiveGap(NamedTuple):
    """Missing sound between two blocks.

    Attributes
    ----------
    seconds : float
        Length; 0 if it is not known (yet).
    reason : str
    """

    seconds: float
    reason: str


class LiveSource(Protocol):
    """A source of sound, block by block.

    Attributes
    ----------
    name : str
        For messages.
    sample_rate : int
        Hz, of every block.
    speed : float
        Seconds of sound per second. 1: in real time, so a slow reader loses sound. 0: as fast as
        it is read, without loss.
    """

    name: str
    sample_rate: int
    speed: float

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """The sound, to its end.

        Raises
        ------
        SourceLost
            When a device is gone; another call may find it again.
        AudioError
            When the source cannot continue.
        """


class SourceLost(AudioError):
    """A device gives no more sound, but may come back."""


QUEUE_SECONDS = 10.0
"""Seconds of sound that may wait to be read before blocks are dropped (and counted)."""

LOST_AFTER = 3.0
"""Seconds without a block after which the device counts as lost."""


class InputDevice(NamedTuple):
    """A microphone or another input; ``sample_rate`` (Hz) is its preferred rate."""

    number: int
    name: str
    n_channels: int
    sample_rate: int
    is_default: bool


def list_devices() -> list[InputDevice]:
    """The inputs of this machine.

    Raises
    ------
    AudioError
        When ``sounddevice`` or PortAudio's library is not installed.
    """
    sd = _sounddevice()
    default = sd.default.device[0]
    return [
        InputDevice(
            number,
            str(device["name"]),
            int(device["max_input_channels"]),
            round(device["default_samplerate"]),
            number == default,
        )
        for number, device in enumerate(sd.query_devices())
        if device["max_input_channels"] > 0
    ]


class Microphone:
    """An input of this machine.

    Parameters
    ----------
    device_name : str, optional
        A part of its name, or its number; by default the system's default input.
    sample_rate : int, optional
        Hz; by default the rate that the device prefers.
    n_channels : int
        Number of channels, which are averaged.

    Raises
    ------
    AudioError
        When ``sounddevice`` or PortAudio's library is not installed, or there is no such
        input.
    """

    speed = 1.0

    def __init__(
        self,
        device_name: str | None = None,
        sample_rate: int | None = None,
        n_channels: int = 1,
    ) -> None:
        sd = _sounddevice()
        is_number = device_name is not None and device_name.isdigit()
        self._wanted = int(device_name or 0) if is_number else device_name
        try:
            found = sd.query_devices(self._wanted, "input")
        except (ValueError, sd.PortAudioError) as error:
            raise AudioError(
                f"microphone '{device_name}'" if device_name else "microphone",
                f"no such input ({_error_text(error)})",
                "'semisonic listen --list-devices' lists the inputs; --input takes a file or "
                "standard input",
            ) from None
        self.name = f"microphone '{found['name']}'"
        self.sample_rate = sample_rate or round(found["default_samplerate"])
        self._n_channels, self._was_lost = n_channels, False

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """Yield blocks until the device is lost."""
        sd = _sounddevice()
        if self._was_lost:  # PortAudio lists the devices when it starts, and then only
            sd._terminate()
            sd._initialize()
        self._was_lost = True
        waiting: queue.Queue[LiveBlock | LiveGap] = queue.Queue(round(QUEUE_SECONDS / BLOCK_TIME))
        dropped = 0  # samples; written by PortAudio's thread only

        def take(data: Any, n: int, times: Any, status: Any) -> None:
            nonlocal dropped
            captured = time.monotonic()
            if times.inputBufferAdcTime:  # some drivers do not say
                age = times.currentTime - times.inputBufferAdcTime - n / self.sample_rate
                captured -= max(0.0, age)
            try:
                if dropped or status.input_overflow:
                    waiting.put_nowait(LiveGap(dropped / self.sample_rate, "samples were dropped"))
                    dropped = 0
                waiting.put_nowait(LiveBlock(_mono(data), captured))
            except queue.Full:
                dropped += n

        try:
            with sd.InputStream(
                samplerate=self.sample_rate,
                device=self._wanted,
                channels=self._n_channels,
                dtype="float32",
                blocksize=round(BLOCK_TIME * self.sample_rate),
                callback=take,
            ):
                while True:
                    yield waiting.get(timeout=LOST_AFTER)
        except queue.Empty:
            raise SourceLost(self.name, f"no sound for {LOST_AFTER:g} s") from None
        except (ValueError, sd.PortAudioError) as error:
            raise SourceLost(self.name, f"cannot be used ({_error_text(error)})") from None


def _mono(frames: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of the channels; the caller checks for NaN."""
    samples = np.empty(len(frames), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        mix(frames, samples)
    return samples


def _sounddevice() -> Any:
    try:
        return import_module("sounddevice")
    except ImportError:
        reason = "the package sounddevice is not installed"
        cure = "pip install 'semisonic[mic]'"
    except OSError:
        reason = "PortAudio's library is not installed"
        cure = "Debian and Ubuntu: apt-get install libportaudio2; Fedora: dnf install portaudio"
    raise AudioError("microphone", reason, f"{cure}; or use --input with a file or standard input")


def _error_text(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".:") or "unknown"


PIPE_FORMATS = {"s16le": "<i2", "f32le": "<f4"}
"""Sample formats as named by ffmpeg and arecord: 16-bit integers and floats, low byte first."""

_FAST_BLOCK_TIME = 1.0
_log = logging.getLogger(__name__)


class Pipe:
    """Raw samples with interleaved channels from a file descriptor.

    Parameters
    ----------
    descriptor : int
        Open for reading; 0 is standard input. It is not closed.
    sample_rate : int
        Hz.
    format : {"s16le", "f32le"}
    n_channels : int
        Number of channels, which are averaged.
    speed : float
        1 for live sound, as from a recorder; 0 for stored sound, as from ``cat``, which can wait
        for the reader.

    Raises
    ------
    OptionError
        For an unknown format, rate or number of channels.
    """

    def __init__(
        self,
        descriptor: int,
        sample_rate: int,
        *,
        format: str = "s16le",  # noqa: A002
        n_channels: int = 1,
        speed: float = 1.0,
    ) -> None:
        check_rate(sample_rate)
        if format not in PIPE_FORMATS:
            raise OptionError(f"format: found '{format}'; {nearest(format, PIPE_FORMATS)}")
        if n_channels < 1:
            raise OptionError(f"channels: found {n_channels}, expected 1 or more")
        if speed not in (0, 1):
            expected = "1 (live sound) or 0 (stored sound)"
            raise OptionError(f"speed: found {speed:g}, expected {expected}")
        self.name, self.sample_rate, self.speed = "standard input", sample_rate, float(speed)
        self._descriptor, self._n_channels = descriptor, n_channels
        self._kind = np.dtype(PIPE_FORMATS[format])

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """Yield samples until the other side closes, without an incomplete one at the end."""
        n_frame = self._kind.itemsize * self._n_channels
        seconds = BLOCK_TIME if self.speed else _FAST_BLOCK_TIME
        n_block = n_frame * max(1, round(seconds * self.sample_rate))
        held = b""
        while True:
            try:
                new = os.read(self._descriptor, n_block)
            except OSError as error:
                raise AudioError(self.name, f"cannot be read ({error.strerror})") from None
            if not new:
                break
            held += new
            n_whole = len(held) - len(held) % n_frame
            if n_whole:
                frames = np.frombuffer(held[:n_whole], self._kind).reshape(-1, self._n_channels)
                held = held[n_whole:]
                samples = _mono(frames.astype(self._kind.newbyteorder("=")))
                yield LiveBlock(samples, time.monotonic())
        if held:
            _log.warning(
                "%s ended within a sample: the last %d bytes are left out", self.name, len(held)
            )


class Playback:
    """A recording, played back as if it were live.

    Parameters
    ----------
    file : path
    speed : float
        1: in real time; 2: twice as fast; 0: as fast as it is read.

    Raises
    ------
    OptionError
        When the speed is negative.
    AudioError
        When there is no such recording.
    """

    def __init__(self, file: str | os.PathLike[str], speed: float = 1.0) -> None:
        if not speed >= 0:
            raise OptionError(f"speed: found {speed}, expected 0 or more")
        self._file, self.name, self.speed = Path(file), str(file), float(speed)
        self.sample_rate = probe(self._file).sample_rate

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """Yield the recording from start to end."""
        block_time = BLOCK_TIME * self.speed if self.speed else _FAST_BLOCK_TIME
        with AudioReader(self._file) as source:
            began, position = time.monotonic(), 0
            n_block = max(1, round(block_time * self.sample_rate))
            for samples in source.blocks(0.0, None, n_block):
                position += len(samples)
                captured = time.monotonic()
                if self.speed:
                    due = began + position / self.sample_rate / self.speed
                    time.sleep(max(0.0, due - captured))
                    captured = due  # also when we are late: the world would not have waited
                yield LiveBlock(samples, captured)


PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each new try; the last one is repeated."""


class Reconnecting:
    """A device that may disappear and come back, as one source with gaps.

    A device that never gave a block is an error at once: its name is wrong or a cable is missing.

    Parameters
    ----------
    source : LiveSource
        Its ``blocks`` raises :class:`SourceLost` and may be called again.
    pauses : sequence of float
        Seconds before each new try; the last one is repeated forever.
    """

    def __init__(self, source: LiveSource, pauses: Sequence[float] = PAUSES) -> None:
        self._source, self._pauses = source, pauses
        self.name, self.sample_rate, self.speed = source.name, source.sample_rate, source.speed

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        """Yield the blocks of the source, with a gap where it was away."""
        last: float | None = None
        n_tries = 0
        while True:
            try:
                for item in self._source.blocks():
                    if isinstance(item, LiveBlock):
                        if n_tries and last is not None:
                            begun = item.captured - len(item.samples) / self.sample_rate
                            away = max(0.0, begun - last)
                            _log.warning("%s: back after %.1f s", self.name, away)
                            yield LiveGap(away, "the device was away")
                        n_tries, last = 0, item.captured
                    yield item
                return
            except SourceLost as error:
                if last is None:
                    raise
                if not n_tries:
                    yield LiveGap(0.0, error.reason)
                pause = self._pauses[min(n_tries, len(self._pauses) - 1)]
                n_tries += 1
                text = "%s: %s; trying again in %g s (try %d)"
                _log.warning(text, self.name, error.reason, pause, n_tries)
                time.sleep(pause)
