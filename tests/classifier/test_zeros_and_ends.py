"""Padding and digital zeros are no background and no sound, and ends are not lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import semisonic
from calls import cli

RATE, LEVEL, SOUND = 16_000, 0.003, 0.5
KINDS = ("tone", "rattle")
MEL = {"sample_rate": RATE, "n_fft": 512, "hop_length": 256, "n_mels": 32}


def scene(seconds: float, kind: str, at: float, *, seed: int = 0, snr_db: float = 37) -> np.ndarray:
    """Steady noise with one sound of half a second, or none."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(size=round(seconds * RATE)) * LEVEL
    if kind:
        n = round(SOUND * RATE)
        time = np.arange(n) / RATE
        sound = np.sin(2 * np.pi * rng.uniform(900, 1100) * time)
        if kind == "rattle":
            sound = rng.normal(size=n) * (np.sin(2 * np.pi * 20 * time) > 0)
        sound *= np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / 160)
        first = round(at * RATE)
        part = wave[first : first + n]
        part += sound[: len(part)] * LEVEL * 10 ** (snr_db / 20) / np.sqrt(np.mean(sound**2))
    return wave.astype(np.float32)


@pytest.fixture(scope="module", params=[2.0, 5.0], ids=["2 s", "5 s"])
def model(request, tmp_path_factory) -> Path:
    """A model of windows of this length."""
    window = request.param
    folder = tmp_path_factory.mktemp("model")
    for kind in KINDS:
        (folder / "clips" / kind).mkdir(parents=True)
        for i in range(24):
            rng = np.random.default_rng([i, len(kind)])
            wave = scene(window, kind, rng.uniform(0, window - SOUND), seed=i, snr_db=30)
            sf.write(folder / "clips" / kind / f"{i}.wav", wave, RATE)
    classifier = semisonic.SoundClassifier(
        "small",
        mel=MEL | {"duration": window},
        training={"steps": 100, "epoch_steps": 50, "batch_size": 16},
        method="supervised",
        validation=0.4,
        seed=0,
        device="cpu",
    )
    classifier.fit(folder / "clips")
    classifier.save(folder / "model.zip")
    return folder / "model.zip"


def found(model: Path, wave: np.ndarray, folder: Path) -> pd.DataFrame:
    sf.write(folder / "a.wav", wave, RATE)
    return semisonic.detect(model, folder / "a.wav", device="cpu").events


def check(events: pd.DataFrame, kind: str, at: float) -> None:
    assert events["label"].tolist() == [kind]
    assert events["start_time"][0] == pytest.approx(at, abs=0.2)
    assert events["end_time"][0] == pytest.approx(at + SOUND, abs=0.2)


@pytest.mark.parametrize("seconds", [1.0, 1.5, 2.0, 3.0, 4.9, 5.0, 9.0, 10.2, 10.3])
def test_a_sound_is_found_once_where_it_is(model, tmp_path, seconds) -> None:
    for kind, at in (("tone", 0.1), ("rattle", seconds - SOUND - 0.05)):
        check(found(model, scene(seconds, kind, at), tmp_path), kind, at)
    assert not len(found(model, scene(seconds, "", 0), tmp_path))


@pytest.mark.parametrize("at", [0.0, 6.0, 13.3, 19.0])
def test_zeros_inside_a_recording_are_no_event(model, tmp_path, at) -> None:
    wave = scene(20, "tone", 9)
    wave[round(at * RATE) : round((at + 1) * RATE)] = 0
    check(found(model, wave, tmp_path), "tone", 9)


def test_a_file_of_zeros_has_nothing(model, tmp_path) -> None:
    assert not len(found(model, np.zeros(3 * RATE, np.float32), tmp_path))


@pytest.mark.parametrize("seconds", [1.0, 1.7, 3.0, 4.9])
def test_a_sound_in_a_short_recording_is_no_noise(model, tmp_path, seconds) -> None:
    for kind in KINDS:
        sf.write(tmp_path / "a.wav", scene(seconds, kind, 0.3), RATE)
        table = semisonic.predict(model, tmp_path / "a.wav", device="cpu").to_frame()
        assert table["label"][0] != "noise"


def test_live_finds_what_the_file_has(model, tmp_path, tells) -> None:
    wave = scene(7.3, "rattle", 6.7)
    wave[:RATE] = 0
    of_file = found(model, wave, tmp_path)
    lines = tells(0, "listen", model, "--speed 0 --input", tmp_path / "a.wav").out.splitlines()
    ends = [line for line in map(json.loads, lines) if line["event"] == "end"]
    assert [line["label"] for line in ends] == of_file["label"].tolist() == ["rattle"]
    times = of_file[["start_time", "end_time"]].to_numpy()[0]
    assert [ends[0]["start_time"], ends[0]["end_time"]] == pytest.approx(times, abs=0.02)


def test_windows_of_labels_end_with_the_recording(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("a.wav", scene(10, "", 0), RATE)
    Path("a.csv").write_text(
        "file,start_time,end_time,label\na.wav,1,2,early\na.wav,9.3,9.9,late\n", encoding="utf-8"
    )
    assert cli("data labels a.csv -o windows.csv --windows 3 -q") == 0
    table = pd.read_csv("windows.csv")
    assert table["start_time"].tolist() == [0, 3, 6, 7]
    assert table["label"].fillna("").tolist()[-1] == "late"
