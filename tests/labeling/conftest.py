"""A small model that nobody trained, and recordings that it tells apart all the same."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile as sf
from labeling_sounds import KINDS, MEL, RATE, sound, write_kinds

from semisonic.labeling.embed import embed
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.start import start_project
from semisonic.models.model_file import save
from semisonic.models.sound_model import build


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A classifier's file."""
    network = build("(8)3c-2p-(8)3c-2p-gp", MEL, KINDS, standardize="none")
    path = tmp_path_factory.mktemp("model") / "model.zip"
    save(path, network, about={"seed": 0})
    return path


@pytest.fixture
def kinds(tmp_path):
    """Class folders of six recordings each."""
    return write_kinds(tmp_path / "sounds")


@pytest.fixture
def index(model, kinds, tmp_path):
    """Their vectors."""
    return embed(model, kinds, tmp_path / "index", device="cpu", workers=1)


@pytest.fixture
def long(tmp_path):
    """One recording: hiss, hum for 1.5 s, sweep, hum."""
    path = tmp_path / "long.wav"
    order = ["hiss", "hum", "hum", "hum", "sweep", "hum"]
    sf.write(path, np.concatenate([sound(kind, 50) for kind in order]), RATE)
    return path


@pytest.fixture(scope="session")
def started(model, tmp_path_factory):
    """A project of these recordings, a copy of one, a silent one, and one that is no sound."""
    folder = tmp_path_factory.mktemp("started")
    kinds = write_kinds(folder / "sounds")
    (kinds / "copy.wav").write_bytes((kinds / "hum" / "0.wav").read_bytes())
    (kinds / "broken.wav").write_bytes(b"RIFF")
    sf.write(kinds / "silent.wav", np.zeros(RATE), RATE)
    return start_project(
        ProjectOptions(kinds, folder / "project", encoder=str(model), clusters="3", workers=1)
    )


@pytest.fixture
def project(started, tmp_path):
    """The project without an answer; its recordings lie beside it."""
    shutil.copytree(started.project.folder.parent, tmp_path / "all")
    return Project.open(tmp_path / "all" / "project")
