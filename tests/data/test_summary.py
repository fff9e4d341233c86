"""What describe() counts, from headers only."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.data import windows
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.summary import describe


def sound(folder, name, duration, rate=8000):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(0).normal(size=round(duration * rate)).astype(np.float32) * 0.1
    write(folder / name, x, rate)


@pytest.fixture
def clips(tmp_path):
    sound(tmp_path, "a.wav", 1.0)
    sound(tmp_path, "b.wav", 2.0)
    sound(tmp_path, "c.flac", 6.0, 16000)
    (tmp_path / "bad.wav").write_bytes(b"not audio")
    rows = [
        {"file": "a.wav", "labels": "dog", "fold": 1, "group": "r1"},
        {"file": "b.wav", "labels": ("dog", "rain"), "fold": 2, "group": "r1"},
        {"file": "c.flac", "labels": "rain", "fold": 2, "start_time": 0.0, "end_time": 3.0},
        {"file": "c.flac", "labels": "rain", "fold": 2, "start_time": 3.5},
        {"file": "bad.wav", "fold": 0},
    ]
    return Clips.from_rows(tmp_path, rows, classes=("rain", "dog", "never"), name="mine")


def test_counts(clips):
    found = describe(clips)
    assert (found.n_clips, found.n_files, found.n_labelled, found.n_multi_label) == (5, 4, 4, 1)
    assert found.n_recordings == 3
    assert found.folds == (1, 2)
    assert found.per_class == {"rain": 3, "dog": 2, "never": 0}
    assert found.per_class_and_fold == {"rain": (0, 3), "dog": (1, 1), "never": (0, 0)}
    assert found.recordings_per_class == {"rain": 2, "dog": 1, "never": 0}
    assert found.sample_rates == {8000: 2, 16000: 1}
    assert found.channels == {1: 3}
    assert sum(found.formats.values()) == 3
    assert [file for file, _ in found.bad_files] == ["bad.wav"]


def test_lengths_are_those_of_the_clips(clips):
    assert describe(clips).durations == pytest.approx(
        {"shortest": 1.0, "median": 2.25, "longest": 3.0, "total_hours": 8.5 / 3600}
    )


def test_fast_opens_nothing(tmp_path, monkeypatch):
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(b"not audio")
    monkeypatch.setattr(windows, "probe", lambda file: pytest.fail("a file was opened"))
    found = describe(load_clips(tmp_path), fast=True)
    assert found.n_clips == 3
    assert found.durations is None
    assert found.bad_files == ()
    assert "lengths" not in str(found)


def test_text_and_json(clips):
    found = describe(clips)
    text = str(found)
    assert "5 (4 with a label, 1 without, 1 with several labels)" in text
    assert "8000 Hz (2), 16000 Hz (1)" in text
    assert text.splitlines()[-1].split()[:2] == ["never", "0"]
    again = json.loads(json.dumps(vars(found)))
    assert again["durations"]["longest"] == pytest.approx(3.0)
    assert again["per_class"] == {"rain": 3, "dog": 2, "never": 0}


def test_empty_table(tmp_path):
    found = describe(Clips.from_rows(tmp_path, []))
    assert found.n_clips == 0
    assert found.durations is None
    assert "0 with a label" in str(found)


def test_real_esc10(shared_data):
    found = describe(load_clips(shared_data / "esc10"))
    assert found.n_clips == 400
    assert found.n_recordings == 304
    assert set(found.per_class_and_fold.values()) == {(8, 8, 8, 8, 8)}
    assert found.sample_rates == {44100: 400}
    assert found.formats == {"OGG VORBIS": 400}
    assert found.bad_files == ()
