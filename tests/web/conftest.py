"""An app with a small model and an opened folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from app_helpers import RATE, app_of, browsing, serving, started


@pytest.fixture(scope="session")
def app_model(tmp_path_factory) -> Path:
    """A model that tells hum from hiss, made without training."""
    from semisonic.features.options import MelOptions
    from semisonic.models.model_file import save
    from semisonic.models.sound_model import build

    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    file = tmp_path_factory.mktemp("app") / "model.zip"
    save(file, build("(4)3c-4p-gp", mel, ["hiss", "hum", "sweep"], standardize="none"))
    return file


@pytest.fixture(scope="session")
def app_folder(tmp_path_factory) -> Path:
    """A folder with recordings, and one beside it that is not opened."""
    folder = tmp_path_factory.mktemp("sounds") / "open"
    (folder / "site").mkdir(parents=True)
    (folder.parent / "closed").mkdir()
    rng = np.random.default_rng(0)
    time_s = np.arange(3 * RATE) / RATE
    hum = 0.4 * np.sin(2 * np.pi * 220 * time_s) + rng.normal(0, 0.01, len(time_s))
    sf.write(folder / "site" / "hum.wav", hum, RATE)
    sf.write(folder / "hiss.wav", rng.normal(0, 0.1, 2 * RATE), RATE)
    sf.write(folder.parent / "closed" / "secret.wav", hum, RATE)
    (folder / "notes.txt").write_text("not a recording", encoding="utf-8")
    return folder


@pytest.fixture
def app_state(app_model, app_folder) -> Iterator[Any]:
    """What stands behind the page."""
    pytest.importorskip("fastapi")
    made = app_of(
        model=app_model,
        folder=(app_folder,),
        runs=app_model.parent,
        max_megabytes=1.0,
        max_hours=0.01,
    )
    yield made
    made.close()


@pytest.fixture
def client(app_state) -> Iterator[Any]:
    """A browser that has opened the page."""
    yield from browsing(app_state)


@pytest.fixture(scope="session")
def app_project(app_model, tmp_path_factory) -> Path:
    """A project of 24 recordings that nobody answered about; copy it with the folder above."""
    folder = tmp_path_factory.mktemp("labelling")
    (folder / "recordings").mkdir()
    rng = np.random.default_rng(0)
    time_s = np.arange(RATE // 2) / RATE
    for number in range(8):
        pitch = rng.uniform(150, 300)
        sounds = {
            "hum": 0.4 * np.sin(2 * np.pi * pitch * time_s),
            "hiss": rng.normal(0, 0.15, len(time_s)),
            "sweep": 0.4 * np.sin(2 * np.pi * (5 * pitch + (500 + 300 * number) * time_s) * time_s),
        }
        for name, wave in sounds.items():
            sf.write(folder / "recordings" / f"{name}-{number}.wav", wave, RATE)
    started(folder / "recordings", folder / "project", app_model)
    return folder / "project"


@pytest.fixture
def project(app_project, tmp_path) -> Path:
    """That project with its recordings, for one test alone."""
    shutil.copytree(app_project.parent, tmp_path / "all")
    return tmp_path / "all" / app_project.name


@pytest.fixture(scope="session")
def app_address(app_model, app_folder, app_project, tmp_path_factory) -> Iterator[str]:
    """A running app with a project."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    copy = tmp_path_factory.mktemp("browser") / "labelling"
    shutil.copytree(app_project.parent, copy)
    app_state = app_of(
        model=app_model,
        folder=(app_folder,),
        project=copy / app_project.name,
        runs=app_model.parent,
    )
    yield from serving(app_state)


@pytest.fixture(scope="module")
def app_browser(tmp_path_factory) -> Iterator[Any]:
    """Chromium with a microphone that hears a hum.

    For one file of tests only: while it is open an event loop runs in the main thread, and other
    tests begin one of their own there.
    """
    api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium here")
    file = tmp_path_factory.mktemp("mic") / "hum.wav"
    rate = 44_100
    sf.write(file, 0.5 * np.sin(2 * np.pi * 220 * np.arange(4 * rate) / rate), rate)
    arguments = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield found
        found.close()
