"""Recordings and a trained model that several tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from detecting_sounds import write_detection_kinds
from tiny_sounds import KINDS, QUICK, RATE, features_of_kinds, sound, write_kinds
from training_rows import TRAIN


@pytest.fixture(scope="module")
def features(request: pytest.FixtureRequest) -> np.ndarray:
    """Features of as many recordings as the module's ``N`` says; their kinds take turns."""
    return features_of_kinds(request.module.N)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings of each kind, in class folders."""
    return write_kinds(tmp_path_factory.mktemp("kinds"), 8)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four other recordings of each kind, in class folders."""
    return write_kinds(tmp_path_factory.mktemp("others"), 4, first=100)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four recordings without labels."""
    folder = tmp_path_factory.mktemp("pool")
    for number in range(24):
        sf.write(folder / f"{number:02d}.wav", sound(KINDS[number % 3], 200 + number), RATE)
    return folder


@pytest.fixture(scope="session")
def trained(kinds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a quick training on all kinds."""
    from semisonic.classifier.train import train

    output = tmp_path_factory.mktemp("runs") / "train"
    train(replace(TRAIN, data=kinds, output=output))
    return output


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a model for detection, whose network has scores of frames."""
    from semisonic.classifier.train import train

    data = write_detection_kinds(tmp_path_factory.mktemp("windows"), 24)
    output = tmp_path_factory.mktemp("runs") / "detector"
    fit = replace(QUICK, epochs=20)
    train(replace(TRAIN, data=data, output=output, model="(8)3c-2p-(8)3c-2p-gp", fit=fit))
    return output
