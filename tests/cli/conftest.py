from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from calls import cli
from sounds import MEL, untrained, write_sounds

FORMULAS = ('=HYPERLINK("http://evil","x")', "tone")


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A folder with recordings, models, an index, a project and labels, to be copied."""
    from semisonic.models.model_file import save_encoder
    from semisonic.models.pretrained import build_encoder

    place = tmp_path_factory.mktemp("made")
    write_sounds(place / "sounds", 4)
    untrained(place / "model.zip")
    untrained(place / "formula.zip", FORMULAS)
    save_encoder(place / "encoder.zip", build_encoder("(8)3c-2p", MEL, standardize="none"))
    (place / "labels.csv").write_text(
        "file,label\nsounds/noise/noise0.wav,mine\n", encoding="utf-8"
    )
    (place / "track.txt").write_text("0.1\t0.3\tnoise\n", encoding="utf-8")
    (place / "foreign").mkdir()
    (place / "foreign" / "thesis.txt").write_text("mine", encoding="utf-8")
    sounds = place / "sounds"
    assert cli("embed", place / "encoder.zip", sounds, "-o", place / "index", "-q") == 0
    project = ["-o", place / "project", "--encoder", place / "model.zip", "--clusters", "2"]
    assert cli("project new", sounds, project, "--device cpu -q") == 0
    return place


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Path:
    """A copy of it, as the current folder."""
    folder = tmp_path / "place"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder
