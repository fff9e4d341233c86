"""An app with a small model and an opened folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

RATE = 8000
ADDRESS = "http://127.0.0.1:8765"
LIVE = "ws://127.0.0.1:8765/api/live"


@pytest.fixture(scope="session")
def app_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tells hum from hiss, made without training."""
    from semisonic.features import MelOptions
    from semisonic.models import build, save

    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    file = tmp_path_factory.mktemp("app") / "model.zip"
    save(file, build("(4)3c-4p-gp", mel, ["hiss", "hum", "sweep"], standardize="none"))
    return file


@pytest.fixture(scope="session")
def app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    (folder / "notes.txt").write_text("not a recording")
    return folder


@pytest.fixture
def studio(app_model: Path, app_folder: Path) -> Iterator[Any]:
    """What stands behind the page."""
    pytest.importorskip("fastapi")
    from semisonic.apps.web.options import AppOptions
    from semisonic.apps.web.studio import Studio

    made = Studio(
        AppOptions(
            model=app_model, folder=(app_folder,), runs=app_model.parent, device="cpu",
            max_megabytes=1.0, max_hours=0.01,
        )
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def client(studio: Any) -> Iterator[Any]:
    """A browser that has opened the page."""
    yield from browsing(studio)


def browsing(studio: Any, token: str = "", **options: Any) -> Iterator[Any]:
    """A client of a studio; it says where it comes from, as a browser does."""
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from semisonic.apps.web.application import create_app

    app = create_app(studio, "127.0.0.1", 8765, token)
    options = {"base_url": ADDRESS, "headers": {"Origin": ADDRESS}, **options}
    with TestClient(app, raise_server_exceptions=False, **options) as found:
        yield found


def wait_for(client: Any, identity: str, what: str = "heard", patience: float = 20.0) -> Any:
    """The facts of a recording once it is ready and heard, or has failed."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        facts = client.get(f"/api/sounds/{identity}").json()
        if facts["state"] == "failed":
            return facts
        if facts["state"] == "ready" and (what != "heard" or facts["heard"]["is_done"]):
            return facts
        time.sleep(0.02)
    raise AssertionError(f"nothing after {patience} s: {facts}")
