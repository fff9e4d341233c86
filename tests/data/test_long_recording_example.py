"""The example that puts a long recording together does what its docstring says."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import soundfile

from semisonic.data.formats.label_files import read_labels

EXAMPLE = Path(__file__).parents[2] / "examples" / "long_recording.py"


def test_it_writes_a_recording_its_truth_and_quiet(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for label in ("robin", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
        for i in range(4):
            wave = 0.1 * rng.standard_normal(8000)
            soundfile.write(tmp_path / "birds" / label / f"{i}.wav", wave, 8000)
    monkeypatch.chdir(tmp_path)
    arguments = ["birds", "--n-folds", "2", "--fold", "2", "--minutes", "0.5"]
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *arguments, "--sample-rate", "8000"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "0.5 min with 4 sounds" in capsys.readouterr().out
    assert soundfile.info("field/night.wav").duration == 30.0
    assert soundfile.info("quiet/quiet.wav").duration == 300.0
    events = read_labels(Path("field"))
    assert sorted(events.label.tolist()) == ["robin", "robin", "wren", "wren"]
    night, _ = soundfile.read("field/night.wav")
    for start, end in zip(events.start_time, events.end_time, strict=True):
        heard = night[round(start * 8000) : round(end * 8000)]
        assert 20 * np.log10(np.std(heard) / 0.01) > 5
