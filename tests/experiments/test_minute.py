"""What `run` shows of the model in the end: a whole model, and a minute with events found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import soundfile as sf

from calls import cli
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.minute import write_minute


def test_a_minute_has_its_events_where_its_table_says(tiny_set, tmp_path) -> None:
    clips = load_clips(tiny_set / "labelled.csv")
    recording, table = write_minute(clips, tmp_path / "minute", 8000, seed=3)
    wave, rate = sf.read(recording)
    events = pd.read_csv(table)
    assert len(wave) / rate == 60
    assert len(events) == 10
    assert set(events["label"]) == set(clips.classes)
    assert (events["start_time"].to_numpy()[1:] > events["end_time"].to_numpy()[:-1]).all()
    inside = np.zeros(len(wave), bool)
    for start, end in zip(events["start_time"], events["end_time"], strict=True):
        inside[round(start * rate) : round(end * rate)] = True
    assert np.square(wave[inside]).mean() > 20 * np.square(wave[~inside]).mean()
    again, _ = write_minute(clips, tmp_path / "again", 8000, seed=3)
    assert again.read_bytes() == recording.read_bytes()


def test_run_ends_with_names_events_and_a_whole_model(
    tiny_set, tiny_recipe, tmp_path, monkeypatch, tells
) -> None:
    monkeypatch.chdir(tmp_path)
    data = ["--data", tiny_set / "labelled.csv", "--unlabelled", tiny_set / "pool"]
    shown = tells(0, "run", tiny_recipe, data, "-o runs --device cpu --workers 1").out
    assert "Events in a minute of sound" in shown
    assert (tmp_path / "runs" / "minute" / "found" / "detections.html").is_file()
    assert (tmp_path / "runs" / "minute" / "found" / "truth.csv").is_file()
    assert cli("predict runs", tiny_set / "pool", "-o out.csv -q") == 0
    facts = tells(0, "info runs").out
    assert "model.zip" in facts
