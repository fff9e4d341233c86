"""A small model that nobody trained, and recordings that it tells apart all the same."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
from labeling_sounds import KINDS, MEL, RATE, sound

from semisonic.models.model_file import save
from semisonic.models.sound_model import build

NOTATION = "(8)3c-2p-(8)3c-2p-gp"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A classifier's file."""
    network = build(NOTATION, MEL, KINDS, standardize="none")
    path = tmp_path_factory.mktemp("model") / "model.zip"
    save(path, network, about={"seed": 0})
    return path


@pytest.fixture
def kinds(tmp_path):
    """Class folders of six recordings each, and one that is no sound."""
    folder = tmp_path / "sounds"
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(6):
            sf.write(folder / kind / f"{number}.wav", sound(kind, number), RATE)
    return folder


@pytest.fixture
def long(tmp_path):
    """One recording: hiss, hum for 1.5 s, sweep, hum."""
    path = tmp_path / "long.wav"
    order = ["hiss", "hum", "hum", "hum", "sweep", "hum"]
    wave = np.concatenate([sound(kind, 50) for kind in order])
    sf.write(path, wave, RATE)
    return path
