"""A microphone, through PortAudio. The package ``sounddevice`` is imported when it is used."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from semisonic.audio.live.block import BLOCK_TIME, Block, Gap, SourceLost, Ticks
from semisonic.audio.source import mix
from semisonic.base.errors import AudioError

QUEUE_SECONDS = 10.0
"""Sound that may wait to be taken before blocks are dropped (and counted)."""

LOST_AFTER = 3.0
"""Seconds without a block after which the device counts as lost."""


@dataclass(frozen=True)
class InputDevice:
    """A microphone or another input; ``sample_rate`` (Hz) is the one it prefers."""

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
            number, str(found["name"]), int(found["max_input_channels"]),
            round(found["default_samplerate"]), number == default,
        )
        for number, found in enumerate(sd.query_devices())
        if found["max_input_channels"] > 0
    ]  # fmt: skip


class Microphone:
    """An input of this machine.

    Parameters
    ----------
    device_name : str, optional
        A part of its name, or its number; the system's default if not given.
    sample_rate : int, optional
        Hz; what the device prefers if not given.
    n_channels : int
        They are averaged.

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
        *,
        ticks: Ticks = time.monotonic,
        lost_after: float = LOST_AFTER,
    ) -> None:
        sd = _sounddevice()
        self._wanted: int | str | None = device_name
        if device_name is not None and device_name.isdigit():
            self._wanted = int(device_name)
        try:
            found = sd.query_devices(self._wanted, "input")
        except (ValueError, sd.PortAudioError) as error:
            raise AudioError(
                f"microphone '{device_name}'" if device_name else "microphone",
                f"no such input ({_text(error)})",
                "'semisonic listen --list-devices' shows those there are; --input takes a file "
                "or standard input",
            ) from None
        self.name = f"microphone '{found['name']}'"
        self.sample_rate = sample_rate or round(found["default_samplerate"])
        self._n_channels, self._ticks, self._lost_after = n_channels, ticks, lost_after
        self._was_lost = False

    def blocks(self) -> Iterator[Block | Gap]:
        """Blocks until the device is lost."""
        sd = _sounddevice()
        if self._was_lost:
            _look_again(sd)
        self._was_lost = True
        waiting: queue.Queue[Block | Gap] = queue.Queue(round(QUEUE_SECONDS / BLOCK_TIME))
        dropped = 0  # samples; written by PortAudio's thread only

        def take(data: Any, n: int, times: Any, status: Any) -> None:
            nonlocal dropped
            samples = np.empty(n, np.float32)
            with np.errstate(invalid="ignore", over="ignore"):  # who listens looks for NaN
                mix(data, samples)
            block = Block(samples, self._captured(n, times))
            try:
                if dropped or status.input_overflow:
                    waiting.put_nowait(Gap(dropped / self.sample_rate, "samples were dropped"))
                    dropped = 0
                waiting.put_nowait(block)
            except queue.Full:
                dropped += n

        try:
            with sd.InputStream(
                samplerate=self.sample_rate, device=self._wanted, channels=self._n_channels,
                dtype="float32", blocksize=round(BLOCK_TIME * self.sample_rate), callback=take,
            ):  # fmt: skip
                while True:
                    yield waiting.get(timeout=self._lost_after)
        except queue.Empty:
            raise SourceLost(self.name, f"no sound for {self._lost_after:g} s") from None
        except (ValueError, sd.PortAudioError) as error:
            raise SourceLost(self.name, f"cannot be used ({_text(error)})") from None

    def _captured(self, n: int, times: Any) -> float:
        """When the last of ``n`` samples was captured; some drivers do not say."""
        now = self._ticks()
        if not times.inputBufferAdcTime:
            return now
        age: float = times.currentTime - times.inputBufferAdcTime - n / self.sample_rate
        return now - max(0.0, age)


def _sounddevice() -> Any:
    try:
        return import_module("sounddevice")
    except ImportError:
        raise AudioError(
            "microphone",
            "the package sounddevice is not installed",
            "pip install 'semisonic[mic]', or give --input a file or standard input",
        ) from None
    except OSError:
        raise AudioError(
            "microphone",
            "PortAudio's library is not installed",
            "Debian and Ubuntu: apt-get install libportaudio2; Fedora: dnf install portaudio; "
            "or give --input a file or standard input",
        ) from None


def _look_again(sd: Any) -> None:
    """Let PortAudio list the devices anew: it does so only when it starts."""
    sd._terminate()
    sd._initialize()


def _text(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".:") if str(error).strip() else "unknown"
