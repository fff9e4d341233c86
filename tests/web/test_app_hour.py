"""A recording of an hour: analysed in the background, in bounded memory, and looked through."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from app_helpers import DESK, RATE, SETTLED, opened, running

from waiting import LONG, until

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

HOUR = 3600
MOST_MORE = 50
"""Megabytes that an hour may take beyond a short recording; its samples take 58 to 115."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Noise for an hour with a loud hum in its last minute, and a short recording."""
    folder = tmp_path_factory.mktemp("hour")
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 300, 60 * RATE).astype(np.int16)
    hum = (9000 * np.sin(2 * np.pi * 220 * np.arange(60 * RATE) / RATE)).astype(np.int16)
    with sf.SoundFile(folder / "hour.wav", "w", RATE, 1, "PCM_16") as file:
        for _ in range(59):
            file.write(noise)
        file.write(hum)
    sf.write(folder / "short.wav", noise[: 5 * RATE], RATE)
    return folder


@pytest.fixture(scope="module")
def app(app_model, folder) -> Iterator[tuple[Any, str]]:
    yield from started(app_model, folder)


@pytest.fixture
def new_app(app_model, folder) -> Iterator[tuple[Any, str]]:
    """One whose memory no other recording has filled before."""
    yield from started(app_model, folder)


def started(model: Path, folder: Path) -> Iterator[tuple[Any, str]]:
    with running(str(model), "--folder", str(folder), "--device", "cpu") as found:
        yield found


def ask(address: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
    """An answer of the app."""
    headers = {"Origin": address.rstrip("/"), "Content-Type": kind}
    request = urllib.request.Request(f"{address}api/{path}", body, headers)
    with urllib.request.urlopen(request, timeout=LONG) as answer:
        content = answer.read()
        return json.loads(content) if answer.headers.get_content_subtype() == "json" else content


def open_in_folder(address: str, name: str) -> str:
    body = json.dumps({"folder": 0, "name": name}).encode()
    return str(ask(address, "folders/open", body)["id"])


def followed(address: str, sound: str) -> tuple[dict[str, Any], list[float]]:
    """The facts of a recording once it was heard, and how far it was on the way."""
    seen: list[float] = []

    def finished() -> dict[str, Any]:
        facts: dict[str, Any] = ask(address, f"sounds/{sound}")
        assert facts["state"] != "failed", facts["reason"]
        heard = facts.get("heard")
        seen.extend([heard["progress"]] if heard else [])
        is_done = heard and heard["is_done"] and facts["picture"]["progress"] == 1
        return facts if is_done else {}

    return until(finished), seen


def most_megabytes(process: Any) -> float:
    """The most memory that a process had so far."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.is_file():
        pytest.skip("this system does not tell")
    (line,) = (
        one for one in status.read_text(encoding="utf-8").splitlines() if one.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize(
    ("how", "where"),
    [("opened", "app"), pytest.param("uploaded", "new_app", marks=pytest.mark.long)],
)
def test_an_hour_is_heard_in_the_background(request, folder, how, where) -> None:
    process, address = request.getfixturevalue(where)
    followed(address, open_in_folder(address, "short.wav"))
    before = most_megabytes(process)
    if how == "opened":
        sound = open_in_folder(address, "hour.wav")
    else:
        content = (folder / "hour.wav").read_bytes()
        sound = str(ask(address, "uploads?name=hour.wav", content, "audio/wav")["id"])
    facts, seen = followed(address, sound)
    assert facts["duration"] == HOUR
    assert any(0 < share < 1 for share in seen)  # it answered meanwhile
    assert most_megabytes(process) - before < MOST_MORE

    widest = np.frombuffer(ask(address, f"sounds/{sound}/tile?level=12&number=0"), np.uint8)
    columns = widest[: 256 * 112].reshape(256, 112).astype(int)
    last = int(HOUR / 4096 * 256)
    assert columns[last - 2].max() > columns[: last - 5].max()  # the hum in the last minute
    for second in (0, 1800, HOUR - 4):
        assert len(ask(address, f"sounds/{sound}/tile?level=2&number={second // 4}")) == 256 * 114
    end = ask(address, f"sounds/{sound}/scores?start={HOUR - 60}&end={HOUR}&n=10")
    assert all(score is not None for row in end["rows"] for score in row["scores"])


def test_an_hour_is_looked_through(app_browser, app) -> None:
    _, address = app
    for page in opened(app_browser, address, DESK):
        asked: list[str] = []
        page.on("response", lambda answer, asked=asked: asked.append(answer.url))
        page.get_by_role("button", name="hour.wav").first.click()
        page.locator(".viewer").wait_for()
        assert "of 1:00:00" in page.locator(".bar .num").inner_text()
        for _ in range(100):  # again where the page was still busy with the picture of the whole
            page.locator(".stage").focus()
            page.keyboard.press("End")
            for _ in range(6):
                page.keyboard.press("+")
                page.evaluate(SETTLED)
            page.evaluate(SETTLED)
            if any(url.endswith("/tile?level=5&number=112") for url in asked):
                break  # the last half minute, alone
            page.keyboard.press("Home")
            for _ in range(6):
                page.keyboard.press("-")
        else:
            pytest.fail(f"the end was not asked for, but {asked[-3:]}")
        page.locator(".bars div, .events tbody tr").first.wait_for()
