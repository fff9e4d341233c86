"""``semisonic listen`` from the command line: lines of JSON, statuses, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from calls import cli
from semisonic.core.seeds import generator
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import build
from systems import POSIX
from waiting import LONG

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
EVERYTHING = ["--threshold", "0.01", "--classes", "hum", "--hop", "0.1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A model that has learned nothing and is sure of nothing."""
    file = tmp_path_factory.mktemp("model") / "model.zip"
    made = build("(4)3c-4p-8fcr", MEL, ["hum", "hiss"], standardize="none")
    with torch.no_grad():
        made.head[1].weight *= 0.05
    save(file, made)
    return str(file)


@pytest.fixture
def noise() -> np.ndarray:
    return generator(0, "noise").normal(0, 0.1, 2 * RATE).astype("f4")


@pytest.fixture
def file(tmp_path, noise) -> str:
    sf.write(tmp_path / "a.wav", noise, RATE)
    return str(tmp_path / "a.wav")


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_gives_lines_of_json_and_a_summary(model, file, tells) -> None:
    began = ["--began", "2026-05-01T04:30:00+02:00"]
    said = tells(0, "listen", model, "--input", file, "--speed 0 --scores", began, EVERYTHING)
    windows = [line for line in lines(said.out) if line["event"] == "scores"]
    assert len(windows) == 16
    assert (windows[1]["start_time"], windows[1]["end_time"]) == (0.1, 0.6)
    assert sum(windows[1]["scores"].values()) == pytest.approx(1.0, abs=1e-3)
    start, end = (line for line in lines(said.out) if line["event"] != "scores")
    assert (start["event"], start["label"], start["id"]) == ("start", "hum", 1)
    assert (end["event"], end["start_time"], end["end_time"]) == ("end", 0.0, 2.0)
    assert end["end"] == "2026-05-01T04:30:02.000+02:00"
    assert end["reason"] == "end of stream"
    assert "heard 2.0 s: 16 windows scored, 0 skipped, 1 event\n" in said.err
    assert "real-time factor" in said.err


def test_a_file_at_speed_0_is_dated_by_its_recorder(model, file, tells) -> None:
    said = tells(0, "listen", model, "--input", file, "--speed 0", EVERYTHING)
    assert "neither name nor metadata give the time of recording" in said.err
    named = Path(file).rename(Path(file).with_name("POND_20240601_043000.wav"))
    said = tells(0, "listen", model, "--input", named, "--speed 0", EVERYTHING)
    begun, ended = lines(said.out)
    assert begun["start"].startswith("2024-06-01T04:30:00.000")
    assert ended["end"].startswith("2024-06-01T04:30:02.000")
    assert "time of recording" not in said.err


def start(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semisonic", "listen", *arguments]


def test_raw_samples_come_through_standard_input(
    model, noise, tmp_path, tells, monkeypatch
) -> None:
    raw = np.repeat((noise * 32768).astype("<i2"), 2).tobytes() + b"x"  # two equal channels
    (tmp_path / "raw").write_bytes(raw)
    stereo = ["--input", "-", "--rate", "8000", "--channels", "2", "--speed", "0"]
    with (tmp_path / "raw").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        said = tells(0, "listen", model, stereo, EVERYTHING)
    assert [line["event"] for line in lines(said.out)] == ["start", "end"]
    assert "ended within a sample: the last 1 bytes are left out" in said.err
    assert "heard 2.0 s" in said.err


@POSIX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_in_order(model, noise, number, status) -> None:
    process = subprocess.Popen(
        start(model, "--input", "-", "--rate", "8000", *EVERYTHING),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    os.write(process.stdin.fileno(), (noise * 32768).astype("<i2").tobytes())
    first = json.loads(process.stdout.readline())  # each line is there at once
    assert first["event"] == "start"
    process.send_signal(number)
    rest, errors = process.communicate(timeout=LONG)
    (end,) = lines(rest)
    assert (end["id"], end["reason"]) == (1, "stopped")
    assert "1 event\n" in errors
    assert process.returncode == status


def test_a_command_that_fails_gives_status_3(model, file, tells) -> None:
    arguments = ["listen", model, "--input", file, "--speed", "0", *EVERYTHING]
    fails, succeeds = (
        ["--on-event", f"'{sys.executable}' -c 'raise SystemExit({status})'"] for status in (1, 0)
    )
    assert "on-event: 2 calls, 2 failed, 0 left out" in tells(3, arguments, fails).err
    assert cli(arguments, succeeds) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--input", "nowhere.wav"], "no such file"),
        (["--input", "{file}", "--rate", "8000"], "has no effect for a file"),
        (["--input", "{file}", "--began", "yesterday"], "expected a date"),
        (["--input", "{file}", "--classes", "hums"], "did you mean 'hum'"),
        (["--input", "{file}", "--on-event", "no-such-program"], "--on-event"),
        (["--input", "{bad}"], "not audio"),
        (["--input", "-"], "--rate 16000"),
        (["--input", "-", "--rate", "8000", "--device-name", "x"], "has no effect"),
        (["--speed", "0"], "has no effect for the microphone"),
        (["--hop", "0"], "at least 0.001 s"),
    ],
)
def test_wrong_use_gives_status_2(model, file, tmp_path, tells, arguments, text) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound", encoding="utf-8")
    filled = [one.format(file=file, bad=bad) for one in arguments]
    assert text in tells(2, "listen", model, filled).err


def test_without_a_model_or_a_microphone(tells, monkeypatch, model) -> None:
    assert "MODEL is missing" in tells(2, "listen").err
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # as when it is not installed
    for arguments in (["listen", "--list-devices"], ["listen", model]):
        assert "pip install 'semisonic[mic]'" in tells(2, arguments).err
