"""Listening as a whole: dates, latency, slow models, devices that disappear, files of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import RATE, sound

from semisonic.audio.live import LiveBlock, LiveGap, Playback, Reconnecting, SourceLost
from semisonic.classifier.detection.frame_scores import FrameScorer
from semisonic.classifier.live.listen import Listening, listen
from semisonic.classifier.live.scorer import LiveEvent
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import AudioError
from semisonic.models.sound_model import SoundModel

BEGAN = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
QUICK = EventOptions(threshold="0.6", hop=0.1, merge_gap=0.2, min_duration=0.4)


@pytest.fixture(scope="module")
def model(trained: Path) -> SoundModel:
    return open_model(trained)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Two seconds of hum, two of silence, two of hiss."""
    hum = np.tile(sound("hum", 300), 4)
    hiss = np.concatenate([sound("hiss", 300 + i) for i in range(4)])
    return np.concatenate([hum, np.zeros(2 * RATE, np.float32), hiss])


@pytest.fixture
def file(tmp_path: Path, scene: np.ndarray) -> Path:
    sf.write(tmp_path / "scene.wav", scene, RATE, subtype="FLOAT")
    return tmp_path / "scene.wav"


class Live:
    """A source that gives what a function says, in no time but dated as in real time."""

    name, sample_rate, speed = "live", RATE, 1.0

    def __init__(self, items: Callable[[], Iterator[np.ndarray | LiveGap | float]]) -> None:
        self.items = items
        self.captured = time.monotonic()

    def blocks(self) -> Iterator[LiveBlock | LiveGap]:
        for item in self.items():
            if isinstance(item, np.ndarray):
                self.captured += len(item) / RATE
                yield LiveBlock(item, self.captured)
            elif isinstance(item, LiveGap):
                self.captured += item.seconds
                yield item
            else:
                time.sleep(item)
                self.captured += item


def in_blocks(x: np.ndarray, n: int = 400) -> Iterator[np.ndarray]:
    for start in range(0, len(x), n):
        yield x[start : start + n]


def hear(
    model: SoundModel, *parts: np.ndarray | float, **options: Any
) -> tuple[Listening, list[LiveEvent]]:
    """Listen to sounds, and to nothing for some seconds, one after the other."""

    def items() -> Iterator[np.ndarray | float]:
        for part in parts:
            yield from in_blocks(part) if isinstance(part, np.ndarray) else [part]

    listening = listen(model, Live(items), QUICK, max_lag=60.0, **options)
    return listening, list(listening)


def spans(said: list[LiveEvent]) -> list[tuple[str, float, float, str]]:
    return [
        (one.label, round(one.start_time, 2), round(one.end_time or 0.0, 2), one.reason)
        for one in said
        if one.kind == "end"
    ]


def slow_down(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each window take so long."""
    quick = FrameScorer.scores

    def slow(self: FrameScorer, features: np.ndarray) -> object:
        time.sleep(seconds * len(features))
        return quick(self, features)

    monkeypatch.setattr(FrameScorer, "scores", slow)


def test_sounds_are_named_where_they_are(model: SoundModel, file: Path) -> None:
    heard = listen(model, file, QUICK, began=BEGAN)
    said = list(heard)
    (hum, hiss) = [one for one in said if one.kind == "end"]
    assert (hum.label, hiss.label) == ("hum", "hiss")
    assert hum.start_time == 0.0
    assert hum.end_time == pytest.approx(2.0, abs=0.3)
    assert hiss.start_time == pytest.approx(4.0, abs=0.3)
    assert hiss.end_time == pytest.approx(6.0)
    assert (hum.reason, hiss.reason) == ("quiet", "end of stream")
    assert heard.meter.n_events == 2
    assert hiss.start_at == BEGAN + timedelta(seconds=hiss.start_time)
    assert hiss.end_at == BEGAN + timedelta(seconds=6)
    line = hiss.to_dict()
    assert line["start"].startswith("2026-05-01T04:30:0")
    assert line["end"] == "2026-05-01T04:30:06.000+00:00"


def test_a_file_played_fast_gives_the_same_events_and_a_latency(
    model: SoundModel, file: Path
) -> None:
    expected = spans(list(listen(model, file, QUICK)))
    before = time.time()
    heard = listen(model, Playback(file, 5.0), QUICK, max_lag=30.0)
    said = list(heard)
    assert time.time() - before >= 6 / 5
    assert spans(said) == expected
    assert len(heard.meter.latencies) == heard.meter.n_windows == 56
    after = time.time()
    assert 0 < max(heard.meter.latencies) < after - before
    assert said[0].start_at is not None
    for one in said:
        assert one.start_at is not None
        late = 5 * (one.start_at - said[0].start_at).total_seconds()  # it is played so fast
        assert late == pytest.approx(one.start_time - said[0].start_time, abs=0.1)
    assert before - 1 <= said[0].start_at.timestamp() <= after
    starts = {one.id: one.start_at for one in said if one.kind == "start"}
    assert all(starts[one.id] == one.start_at for one in said)
    assert "latency from capture to score: median" in heard.meter.summary()


def test_a_model_that_is_too_slow_says_so_and_skips(
    model: SoundModel, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow_down(monkeypatch, 0.15)
    heard = listen(model, Playback(file, 2.0), QUICK, max_lag=0.4)
    list(heard)
    meter = heard.meter
    assert meter.n_windows + meter.n_skipped == 56
    assert meter.n_skipped >= 28  # there is time for a third
    assert meter.n_windows >= 1
    assert max(meter.latencies) < 0.15 * 56  # as far behind as if nothing were skipped
    assert caplog.text.count("slower than real time") == 1
    assert f"{meter.n_skipped} skipped" in meter.summary()


def test_stored_sound_waits_for_a_slow_model(
    model: SoundModel, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.listen._BLOCKS_IF_FAST", 1)
    slow_down(monkeypatch, 0.12)
    heard = listen(model, Playback(file, 0.0), replace(QUICK, hop=0.5), max_lag=0.1)
    list(heard)
    assert (heard.meter.n_windows, heard.meter.n_skipped) == (12, 0)


def test_a_device_that_disappears_leaves_a_gap_and_is_heard_again(
    model: SoundModel, scene: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    hum, visits = scene[: 2 * RATE], []

    class Unplugged(Live):
        def blocks(self) -> Iterator[LiveBlock | LiveGap]:
            visits.append(len(visits))
            if len(visits) == 2:
                raise SourceLost(self.name, "away")
            yield from super().blocks()
            if len(visits) == 1:
                self.captured += 7.0
                raise SourceLost(self.name, "unplugged")

    source = Reconnecting(Unplugged(lambda: in_blocks(hum)), (0.01,))
    heard = listen(model, source, QUICK, max_lag=60.0)
    found = spans(list(heard))
    assert found == [("hum", 0.0, 2.0, "gap"), ("hum", 9.0, 11.0, "end of stream")]
    assert (heard.meter.n_gaps, heard.meter.gap_seconds) == (1, pytest.approx(7.0))
    assert heard.meter.seconds == pytest.approx(4.0)
    assert "gap at 2.0 s: unplugged" in caplog.text
    assert "back after 7.0 s" in caplog.text


@pytest.mark.parametrize(
    ("missing", "seconds"),
    [(1.0, 1.0), (np.full(800, np.nan, np.float32), 0.1)],
    ids=["nothing comes", "samples that are no numbers"],
)
def test_a_gap_ends_events_in_time(
    model: SoundModel,
    scene: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    missing: np.ndarray | float,
    seconds: float,
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.listen.STALLED_AFTER", 0.4)
    hum = scene[: 2 * RATE]
    heard, said = hear(model, hum, missing, hum)
    begin = round(2 + seconds, 2)
    assert spans(said) == [
        ("hum", 0.0, 2.0, "gap"),
        ("hum", begin, begin + 2, "end of stream"),
    ]
    assert (heard.meter.n_gaps, heard.meter.gap_seconds) == (1, pytest.approx(seconds))


def test_stopping_ends_open_events(model: SoundModel, scene: np.ndarray) -> None:
    def items() -> Iterator[np.ndarray | float]:
        yield from in_blocks(scene[: 2 * RATE])
        yield 30.0

    heard = listen(model, Live(items), QUICK, max_lag=60.0)
    first = next(heard)
    assert (first.kind, first.label) == ("start", "hum")
    (end,) = heard.stop()
    assert (end.kind, end.id, end.reason) == ("end", first.id, "stopped")
    assert heard.stop() == []
    assert list(heard) == []


def test_an_error_of_who_listens_leaves_no_end_without_a_start(
    model: SoundModel, file: Path
) -> None:
    def closed(*_: object) -> None:
        raise BrokenPipeError

    heard = listen(model, file, EventOptions(threshold="0.6", hop=0.1), on_scores=closed)
    with pytest.raises(BrokenPipeError):
        next(heard)
    assert heard.stop() == []


def test_a_source_that_fails_ends_events_before_it_is_raised(
    model: SoundModel, scene: np.ndarray
) -> None:
    def items() -> Iterator[np.ndarray]:
        yield from in_blocks(scene[: 2 * RATE])
        raise AudioError("cable", "cut")

    heard = listen(model, Live(items), QUICK, max_lag=60.0)
    said: list[LiveEvent] = []
    with pytest.raises(AudioError, match="cable: cut"):
        said.extend(heard)
    assert spans(said) == [("hum", 0.0, 2.0, "end of stream")]


def test_an_empty_stream_and_one_of_a_few_samples_are_quiet(model: SoundModel) -> None:
    assert hear(model)[1] == []
    few, said = hear(model, np.zeros(3, np.float32))
    assert said == []
    assert few.meter.n_windows == 0
    assert "heard 0.0 s: 0 windows" in few.meter.summary()


def test_digital_silence_is_said_once(
    model: SoundModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.listen.SILENT_AFTER", 1.0)
    assert hear(model, np.zeros(3 * RATE, np.float32))[1] == []
    assert caplog.text.count("digital silence for 1 s; is it muted?") == 1


def test_the_sound_of_events_is_saved(model: SoundModel, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    said = list(listen(model, file, QUICK, began=BEGAN, save_clips=folder))
    hiss = said[-1]
    assert sorted(map(str, folder.iterdir())) == sorted(one.clip for one in said if one.clip)
    assert Path(hiss.clip).name == f"20260501T04300{int(hiss.start_time)}_hiss_0002.wav"
    saved, rate = sf.read(hiss.clip, dtype="float32")
    whole = sf.read(file, dtype="float32")[0]
    expected = whole[round((hiss.start_time - 1.0) * RATE) :]
    assert rate == RATE
    np.testing.assert_allclose(saved, expected[: len(saved)], atol=1 / 32768)
    assert len(saved) == pytest.approx(len(expected), abs=1)
    list(listen(model, file, QUICK, began=BEGAN, save_clips=folder))  # nothing is written over
    names = [path.name for path in folder.iterdir()]
    assert len(names) == 4
    assert sum(name.endswith("_2.wav") for name in names) == 2


def test_of_a_long_event_the_beginning_is_saved(
    model: SoundModel, scene: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semisonic.classifier.live.actions.LONGEST", 1.0)
    hum = np.tile(scene[: 2 * RATE], 6)
    _, said = hear(model, hum, save_clips=tmp_path / "clips")
    saved, _ = sf.read(said[-1].clip, dtype="float32")
    np.testing.assert_allclose(saved, hum[: 2 * RATE], atol=1 / 32768)


def test_a_folder_that_cannot_be_written_does_not_end_the_stream(
    model: SoundModel, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "clips").write_text("a file", encoding="utf-8")
    heard = listen(model, file, QUICK, save_clips=tmp_path / "clips")
    assert len(list(heard)) == 4
    assert heard.saver is not None
    assert heard.saver.n_failed == 2
    assert "was not saved" in caplog.text
