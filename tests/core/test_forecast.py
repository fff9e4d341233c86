"""How long it will take is said once, when it is worth saying."""

from __future__ import annotations

import pytest

from semisonic.core import progress
from semisonic.core import progress as forecast
from semisonic.core.progress import TimeEstimate
from semisonic.core.text import bytes_text, rough_duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(forecast.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(forecast, "say", lines.append)
    return lines


def test_it_is_said_once_the_first_clips_were_timed(clock: list[float], said: list[str]) -> None:
    work = TimeEstimate("decode", 250_000)
    for _ in range(100):
        clock[0] += 0.1
        work.done(30)
    assert said == ["decode: about 14 min for 250,000 clips"]


def test_short_work_is_not_forecast(clock: list[float], said: list[str]) -> None:
    work = TimeEstimate("decode", 500)
    for _ in range(50):
        clock[0] += 0.6
        work.done(10)
    assert not said


def test_work_that_has_not_begun_is_not_forecast(clock: list[float], said: list[str]) -> None:
    work = TimeEstimate("decode", 500)
    clock[0] += 1000
    work.done(0)
    assert not said


def test_times_and_sizes_as_people_say_them() -> None:
    assert [rough_duration(s) for s in (20, 840, 7500, 36000)] == [
        "1 min",
        "14 min",
        "2 h 5 min",
        "10 h 0 min",
    ]
    assert [bytes_text(n) for n in (6.5e9, 120e6)] == ["6.5 GB", "120 MB"]


def test_lines_are_shown_only_where_bars_are(capsys: pytest.CaptureFixture[str]) -> None:
    progress.say("hidden")
    progress.show()
    try:
        progress.say("a line")
    finally:
        progress.show(False)
    assert capsys.readouterr().err == "a line\n"
