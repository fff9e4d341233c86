"""Sound as it comes: files played, raw samples, microphones, and what happens when they fail."""

from __future__ import annotations

import os
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from semisonic.audio.live import (
    BLOCK_TIME,
    LiveBlock,
    LiveGap,
    Microphone,
    Pipe,
    Playback,
    Reconnecting,
    SourceLost,
    list_devices,
)
from semisonic.audio.read import read
from semisonic.audio.resample import LiveResampler, resample
from semisonic.core.errors import AudioError, OptionError


def joined(items: list[LiveBlock | LiveGap]) -> np.ndarray:
    return np.concatenate([item.samples for item in items if isinstance(item, LiveBlock)])


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=12),
    st.sampled_from([(44100, 22050), (48000, 16000), (8000, 22050), (16000, 16000)]),
)
def test_blocks_of_any_size_are_resampled_as_the_whole(
    sizes: list[int], rates: tuple[int, int]
) -> None:
    x = np.random.default_rng(sum(sizes)).standard_normal(sum(sizes)).astype("f4")
    resampler, start, parts = LiveResampler(*rates), 0, []
    for size in sizes:
        parts.append(resampler.push(x[start : start + size]))
        start += size
    parts.append(resampler.finish())
    whole = resample(x, *rates)
    streamed = np.concatenate(parts)
    assert len(streamed) == len(whole)
    np.testing.assert_allclose(streamed, whole, atol=1e-5)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr("semisonic.audio.live.time", clock)
    return clock


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    x = np.random.default_rng(1).uniform(-0.5, 0.5, (9000, 2)).astype("f4")
    sf.write(tmp_path / "a.wav", x, 8000)
    return tmp_path / "a.wav"


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 1.125), (2.5, 0.45), (0.0, 0.0)])
def test_a_file_is_played_at_its_speed(
    recording: Path, speed: float, seconds: float, time: Time
) -> None:
    source = Playback(recording, speed)
    items = list(source.blocks())
    np.testing.assert_array_equal(joined(items), read(recording)[0])
    assert time.now - 100 == pytest.approx(seconds)
    assert [item.captured for item in items][-1] == pytest.approx(100 + seconds)  # type: ignore[union-attr]


def test_a_player_that_is_late_does_not_hide_it(recording: Path, time: Time) -> None:
    blocks = Playback(recording, 1.0).blocks()
    next(blocks)
    time.now += 5.0
    second = next(blocks)
    assert isinstance(second, LiveBlock)
    assert second.captured == pytest.approx(100 + 2 * BLOCK_TIME)


def test_what_cannot_be_played() -> None:
    with pytest.raises(AudioError, match="no such file"):
        Playback("nowhere.wav")
    with pytest.raises(OptionError, match="speed"):
        Playback("nowhere.wav", -1)


def through_pipe(raw: bytes, sizes: list[int], **options: Any) -> list[LiveBlock | LiveGap]:
    read_end, write_end = os.pipe()

    def send() -> None:
        start = 0
        for size in [*sizes, len(raw)]:
            os.write(write_end, raw[start : start + size])
            start += size
        os.close(write_end)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        return list(Pipe(read_end, 8000, **options).blocks())
    finally:
        sender.join()
        os.close(read_end)


@pytest.mark.parametrize("sizes", [[], [1, 2, 3, 5, 7], [399, 1]])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["s16le", "f32le"])
def test_raw_samples_come_out_as_they_went_in(kind: str, channels: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(2)
    if kind == "s16le":
        x = rng.integers(-32768, 32768, (1000, channels)).astype("<i2")
        expected = (x / 32768).mean(axis=1)
    else:
        x = rng.uniform(-1, 1, (1000, channels)).astype("<f4")
        expected = x.mean(axis=1)
    items = through_pipe(x.tobytes(), sizes, format=kind, n_channels=channels)
    np.testing.assert_allclose(joined(items), expected, atol=1e-7)


def test_half_a_sample_at_the_end_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    items = through_pipe(np.arange(10, dtype="<i2").tobytes() + b"x", [])
    assert len(joined(items)) == 10
    assert "ended within a sample: the last 1 bytes are left out" in caplog.text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"format": "s16"}, "did you mean 's16le'"),
        ({"n_channels": 0}, "channels"),
        ({"speed": 2.0}, "expected 1"),
        ({"sample_rate": 0}, "sampling rate"),
    ],
)
def test_pipes_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Pipe(0, **{"sample_rate": 8000, **options})


class Flaky:
    """A device that is lost after each of its stretches, and is away for some tries."""

    name, sample_rate, speed = "flaky", 100, 1.0

    def __init__(self, time: Time, tries_away: int) -> None:
        self.time, self.away, self.stretch = time, 0, 0
        self.tries_away = tries_away

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        if self.away:
            self.away -= 1
            raise SourceLost(self.name, "still away")
        self.stretch += 1
        for _ in range(2):
            self.time.now += 1.0
            yield LiveBlock(np.zeros(100, np.float32), self.time.now)
        if self.stretch == 1:
            self.away = self.tries_away
            raise SourceLost(self.name, "unplugged")


def test_a_device_that_comes_back_is_heard_again(
    caplog: pytest.LogCaptureFixture, time: Time
) -> None:
    source = Reconnecting(Flaky(time, 3), (1.0, 2.0, 4.0))
    items = list(source.blocks())
    assert [type(item).__name__ for item in items] == ["LiveBlock"] * 2 + ["LiveGap"] * 2 + [
        "LiveBlock"
    ] * 2
    assert time.slept == [1.0, 2.0, 4.0, 4.0]
    lost, back = items[2:4]
    assert isinstance(lost, LiveGap)
    assert (lost.seconds, lost.reason) == (0.0, "unplugged")
    assert isinstance(back, LiveGap)
    assert back.seconds == pytest.approx(sum(time.slept))
    assert "trying again in 2 s (try 2)" in caplog.text
    assert "back after 11.0 s" in caplog.text


def test_a_device_that_never_was_there_is_an_error_at_once(time: Time) -> None:
    device = Flaky(time, 0)
    device.away = 1
    with pytest.raises(SourceLost, match="still away"):
        list(Reconnecting(device).blocks())
    assert not time.slept


class FakePortAudio(types.ModuleType):
    """As much of ``sounddevice`` as a microphone needs."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.n_started = 0
        self.callbacks: list[Callable[..., None]] = []
        self.opened: list[dict[str, Any]] = []
        self.default = types.SimpleNamespace(device=(1, 0))
        self.devices = [
            {"name": "Speaker", "max_input_channels": 0, "default_samplerate": 48000.0},
            {"name": "USB mic", "max_input_channels": 2, "default_samplerate": 44100.0},
        ]
        fake = self

        class InputStream:
            def __init__(self, **options: Any) -> None:
                if options["channels"] > 2:
                    raise fake.PortAudioError("Invalid number of channels")
                fake.opened.append(options)

            def __enter__(self) -> None:
                options = fake.opened[-1]
                n = options["blocksize"]
                times = types.SimpleNamespace(currentTime=7.0, inputBufferAdcTime=6.9)
                for number in range(3):
                    status = types.SimpleNamespace(input_overflow=number == 2)
                    data = np.full((n, options["channels"]), 0.1 * number, np.float32)
                    options["callback"](data, n, times, status)

            def __exit__(self, *_: object) -> None:
                pass

        self.InputStream = InputStream

    def query_devices(self, device: Any = None, kind: str = "") -> Any:
        if not kind:
            return self.devices
        if device is None or device == 1 or (isinstance(device, str) and device in "USB mic"):
            return self.devices[1]
        raise ValueError(f"No input device matching {device!r}")

    def _terminate(self) -> None:
        self.n_started -= 1

    def _initialize(self) -> None:
        self.n_started += 2


@pytest.fixture
def port_audio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    monkeypatch.setattr("semisonic.audio.live.LOST_AFTER", 0.01)
    fake = FakePortAudio()
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", fake)
    return fake


def test_a_microphone_gives_blocks_until_it_is_lost(port_audio: FakePortAudio, time: Time) -> None:
    microphone = Microphone("USB", n_channels=2)
    assert (microphone.name, microphone.sample_rate) == ("microphone 'USB mic'", 44100)
    items: list[LiveBlock | LiveGap] = []
    with pytest.raises(SourceLost, match=r"no sound for 0\.01 s"):
        items.extend(microphone.blocks())
    assert [type(item).__name__ for item in items] == [
        "LiveBlock",
        "LiveBlock",
        "LiveGap",
        "LiveBlock",
    ]
    assert joined(items)[[0, 882, 1764]] == pytest.approx([0, 0.1, 0.2])
    assert isinstance(items[0], LiveBlock)
    assert items[0].captured == pytest.approx(100 - 0.1 + BLOCK_TIME)  # it began 100 ms ago
    with pytest.raises(SourceLost):
        list(microphone.blocks())
    assert port_audio.n_started == 1  # PortAudio looked for devices anew


def test_microphones_are_listed_and_chosen(port_audio: FakePortAudio) -> None:
    (found,) = list_devices()
    assert (found.number, found.name, found.sample_rate, found.is_default) == (
        1,
        "USB mic",
        44100,
        True,
    )
    assert Microphone("1").sample_rate == 44100
    assert Microphone(sample_rate=16000).sample_rate == 16000
    with pytest.raises(AudioError, match="no such input"):
        Microphone("Webcam")
    with pytest.raises(SourceLost, match="Invalid number of channels"):
        list(Microphone(n_channels=3).blocks())


def test_blocks_that_nobody_takes_are_dropped_and_counted(
    port_audio: FakePortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semisonic.audio.live.QUEUE_SECONDS", BLOCK_TIME)  # one block
    blocks = Microphone().blocks()
    assert isinstance(next(blocks), LiveBlock)  # the other two found no place
    take = port_audio.opened[0]["callback"]
    times = types.SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0)
    take(np.zeros((441, 1), np.float32), 441, times, types.SimpleNamespace(input_overflow=False))
    gap = next(blocks)
    assert isinstance(gap, LiveGap)
    assert gap.seconds == pytest.approx(2 * BLOCK_TIME, rel=1e-3)


@pytest.mark.parametrize(
    ("error", "text"),
    [(ImportError, r"pip install 'semisonic\[mic\]'"), (OSError, "libportaudio2")],
)
def test_what_is_missing_for_a_microphone_is_said(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], text: str
) -> None:
    def fail(name: str) -> None:
        raise error(f"no {name}")

    monkeypatch.setattr("semisonic.audio.live.import_module", fail)
    for call in (list_devices, Microphone):
        with pytest.raises(AudioError, match=text):
            call()
