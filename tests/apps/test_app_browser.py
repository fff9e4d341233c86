"""The page in a real browser: open a sound, listen live, reload, on a phone."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

api = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 15_000


@pytest.fixture(scope="module")
def address(app_model: Path, app_folder: Path) -> Iterator[str]:
    """A running app."""
    from semisonic.apps.web.application import create_app
    from semisonic.apps.web.options import AppOptions
    from semisonic.apps.web.stopping import Server
    from semisonic.apps.web.studio import Studio

    studio = Studio(
        AppOptions(model=app_model, folder=(app_folder,), runs=app_model.parent, device="cpu")
    )
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    app = create_app(studio, "127.0.0.1", port)
    server = Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)
    bound.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a microphone that hears a hum."""
    file = tmp_path_factory.mktemp("mic") / "hum.wav"
    rate = 44_100
    sf.write(file, 0.5 * np.sin(2 * np.pi * 220 * np.arange(4 * rate) / rate), rate)
    arguments = [
        "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}", "--autoplay-policy=no-user-gesture-required",
    ]  # fmt: skip
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page whose errors fail the test."""
    yield from opened(browser, address, DESK)


def opened(browser: Any, address: str, size: dict[str, int], **options: Any) -> Iterator[Any]:
    context = browser.new_context(viewport=size, permissions=["microphone"], **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(address)
    yield page
    context.close()
    assert not problems


def test_a_dropped_sound_is_shown_played_and_saved(
    page: Any, app_folder: Path, tmp_path: Path
) -> None:
    page.set_input_files("input[type=file]", app_folder / "site" / "hum.wav")
    page.get_by_role("heading", name="hum.wav").wait_for()
    page.locator(".bars div").first.wait_for()
    page.locator(".threshold input").fill("0.3")
    page.locator(".events tbody tr").first.wait_for()
    drawn = page.wait_for_function(
        """() => { const canvas = document.querySelectorAll('.stage canvas')[1];
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const seen = new Set(); for (let i = 0; i < data.length; i += 404) seen.add(data[i + 1]);
        return seen.size > 20; }"""
    )
    assert drawn
    with page.expect_download() as saved:
        page.get_by_role("link", name="Raven").click()
    saved.value.save_as(tmp_path / "table.txt")
    assert "Begin Time (s)" in (tmp_path / "table.txt").read_text()

    page.locator(".stage").focus()
    page.keyboard.press("+")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    before = page.locator(".bar .num").inner_text()
    page.wait_for_timeout(300)
    assert page.locator(".bar .num").inner_text() != before
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play", exact=True).first.wait_for()


def test_a_stretch_is_chosen_with_the_mouse(page: Any) -> None:
    page.get_by_role("button", name="hiss.wav").first.click()
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 80, steps=4)
    page.mouse.up()
    assert "chosen 0:00.50 – 0:01.50" in page.locator(".bar .num").inner_text()
    page.keyboard.press("Escape")
    assert "chosen" not in page.locator(".bar .num").inner_text()


def test_a_reload_in_the_middle_shows_the_same_sound(page: Any) -> None:
    page.get_by_role("button", name="Footsteps").click()
    page.get_by_role("heading", name="footsteps.wav").wait_for()
    page.reload()
    page.get_by_role("heading", name="footsteps.wav").wait_for()
    page.locator(".viewer").wait_for()


def test_what_cannot_be_used_is_told(page: Any, tmp_path: Path) -> None:
    (tmp_path / "odd.wav").write_bytes(b"nothing to hear")
    page.set_input_files("input[type=file]", tmp_path / "odd.wav")
    assert "not audio" in page.locator(".note").inner_text()
    page.get_by_role("button", name="Close this sound").click()
    page.get_by_role("heading", name="What is there to hear?").wait_for()


def test_a_recording_is_made(page: Any) -> None:
    page.get_by_role("button", name="Record").click()
    page.get_by_role("button", name="Stop, 0:01").click()
    page.get_by_role("heading", name="Recording 2").wait_for()
    page.locator(".viewer").wait_for()


def test_live_shows_scores_and_events(page: Any) -> None:
    page.get_by_role("link", name="Live").click()
    page.get_by_text("Rules").click()
    page.locator(".threshold input").fill("0.2")
    page.get_by_role("button", name="Start listening").click()
    page.locator(".bars div").first.wait_for()
    assert "Answer after" in page.locator(".meters").inner_text()
    page.locator(".feed li.on").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Start listening").wait_for()
    page.wait_for_function("() => !document.querySelector('.feed li.on')")


def test_a_model_is_put_to_use(page: Any) -> None:
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("button", name="Card").first.click()
    page.get_by_text("3: hiss, hum, sweep").wait_for()


def test_light_and_dark_is_kept(page: Any) -> None:
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Light").click()


@pytest.mark.parametrize("name", ["try", "live", "models"])
def test_pages_fit_a_phone(browser: Any, address: str, name: str) -> None:
    for page in opened(browser, f"{address}#/{name}", PHONE, has_touch=True):
        page.locator("main h1").first.wait_for(state="attached")
        if name == "try":
            page.get_by_role("button", name="Dog bark").tap()
            page.locator(".events h2, .viewer").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
