"""The four pictures of pages in docs/guides/app.md, made by going through them.

python benchmarks/app_pictures.py path/to/esc10 -o docs/images

A project is made of 100 clips of ESC-10 without their labels, groups are named, a first classifier
is made, and questions are answered by the true class. The model is then tried, also live, on a
recording put together from clips of the data set. Needs Chromium and Playwright. With
``--encoder synth``, the default, an encoder is learned from synthetic sounds, once on a machine.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile as sf
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.start import start_project
from semisonic.web.application import Server, create_app
from semisonic.web.state import AppState

N_EACH = 10
PATIENCE = 300_000
PICTURED, N_ANSWERS, LEARN_EVERY = 4, 24, 6
SCENE = ("Rooster", "Dog bark", "Sea waves", "Baby cry", "Chainsaw", "Clock tick")
LISTENED = 17_000  # ms of the picture of Live
TRIED, LIVE = (1200, 1080), (390, 700)
DESK, NARROW, PHONE = (1200, 840), (900, 760), (390, 844)
PLAYABLE = """() => { const all = [...document.querySelectorAll('.thumb')];
return all.length && all.every((one) => !one.disabled); }"""
GREW = "(n) => document.querySelectorAll('.learned tbody tr').length > n"
READY = """(before) => { const save = document.querySelector('.actions [aria-keyshortcuts=U]');
const title = document.querySelector('.labelling h2')?.textContent;
return save && !save.disabled && title !== before && title; }"""


def truth_of(data: Path, folder: Path) -> dict[str, str]:
    """Copy clips into one folder; the class of each name."""
    folder.mkdir()
    found = {}
    for place in sorted(data.iterdir()):
        files = sorted(place.glob("*.ogg")) if place.is_dir() else []
        for file in files[:: max(1, len(files) // N_EACH)][:N_EACH]:
            shutil.copyfile(file, folder / file.name)
            found[file.name] = place.name.partition(" - ")[2] or place.name
    return found


@contextmanager
def served(app_state: AppState) -> Iterator[str]:
    """The address of a running app."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        app = create_app(app_state, "127.0.0.1")
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}/#/label"
        server.should_exit = True
        thread.join(10)


def take(page: Page, file: Path, size: tuple[int, int], theme: str) -> None:
    """A picture of the page as it is, at a size and in a theme."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    if page.locator("html").get_attribute("data-theme") != theme:
        page.locator("#theme").click()
    page.evaluate("document.activeElement.blur()")
    page.locator(".said.shown").wait_for(state="detached")
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)  # drawn anew at this size
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        shot.convert("RGB").quantize(256).save(file, optimize=True)


def fill_name(page: Page, classes: Sequence[str]) -> str:
    """Write the class of most sounds of a group, and leave the others out; "" if all differ."""
    common = max(classes, key=classes.count)
    if classes.count(common) < 2:
        return ""
    boxes = page.locator(".cells input[type=checkbox]")
    for place, name in enumerate(classes):
        if name != common:
            boxes.nth(place).click()
    page.get_by_label("Name of the group").fill(common)
    return common


def name_groups(page: Page, truth: dict[str, str], images: Path, phone: Path) -> None:
    """Name each group whose sounds are of one class, and skip the others."""
    groups = page.evaluate("async () => (await (await fetch('/api/label/groups')).json()).groups")
    groups.sort(key=lambda group: group["is_noise"])  # as the page does
    for number, group in enumerate(groups, start=1):
        page.locator("h2", has_text=f"Group {number} of").wait_for()
        page.wait_for_function(PLAYABLE)
        classes = [truth[Path(sound["file"]).name] for sound in group["sounds"]]
        if number == PICTURED:
            take(page, images / "app-groups.png", NARROW, "light")
            take(page, phone / "groups.png", PHONE, "light")
            page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
        page.keyboard.press("Enter" if fill_name(page, classes) else "s")
    page.get_by_role("button", name="Make the first model").click()
    page.get_by_role("heading", name="The first model is made").wait_for()
    page.get_by_role("link", name="Go on").click()


def answer(page: Page, truth: dict[str, str], images: Path, phone: Path) -> None:
    """Give the true class of what is asked, and learn from the answers now and then."""
    page.get_by_text("play automatically").click()
    asked = ""
    for number in range(1, N_ANSWERS + 1):
        asked = str(page.wait_for_function(READY, arg=asked).json_value())
        page.get_by_label("New label").fill(truth[asked])
        page.keyboard.press("Enter")
        if number % LEARN_EVERY == 0:
            points = page.locator(".learned tbody tr").count()
            page.get_by_role("button", name="Learn from the answers").click()
            page.wait_for_function(GREW, arg=points)
    page.wait_for_function(READY, arg=asked)
    take(page, images / "app-label.png", DESK, "dark")
    take(page, phone / "label.png", PHONE, "dark")


def scene(data: Path, file: Path) -> None:
    """A recording of some clips, one after another with a pause."""
    pieces = []
    for name in SCENE:
        folder = next(place for place in data.iterdir() if place.name.endswith(name))
        x, rate = sf.read(sorted(folder.glob("*.ogg"))[-1])
        pieces += [x, np.zeros(rate)]
    sf.write(file, np.concatenate(pieces), rate)


def try_and_listen(page: Page, phone: Page, images: Path) -> None:
    """The model on the scene, and on the microphone, which plays the same."""
    page.goto(page.url.partition("#")[0] + "#/try")
    page.get_by_role("button", name="farm.wav").first.click()
    page.locator(".events tbody tr").first.wait_for()
    page.locator(".try > div > progress").wait_for(state="hidden")
    page.locator(".threshold input").fill("0.3")
    page.locator(".events tbody tr").nth(1).get_by_role("button", name="Show").click()
    take(page, images / "app-try.png", TRIED, "light")
    phone.goto(page.url.partition("#")[0] + "#/live")
    phone.get_by_role("button", name="Start listening").click()
    phone.locator(".feed li:not(.soft)").first.wait_for()
    phone.wait_for_timeout(LISTENED)
    take(phone, images / "app-live.png", LIVE, "dark")


def main() -> None:
    """Make a project and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, as class folders")
    parser.add_argument("--encoder", default="synth", help="as of 'semisonic project new'")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--phone", type=Path, help="folder for the same pages at 390 pixels")
    how = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as place:
        recordings, project = Path(place) / "recordings", Path(place) / "field"
        phone = how.phone or Path(place)
        phone.mkdir(parents=True, exist_ok=True)
        truth = truth_of(how.data, recordings)
        (scenes := Path(place) / "scenes").mkdir()
        scene(how.data, scenes / "farm.wav")
        start_project(ProjectOptions(recordings, project, encoder=how.encoder, device="cpu"))
        with (
            served(AppState(project=project, folder=(scenes,), device="cpu")) as address,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=[
                    "--no-sandbox",
                    "--mute-audio",
                    "--use-fake-ui-for-media-stream",
                    "--use-fake-device-for-media-stream",
                    f"--use-file-for-fake-audio-capture={scenes / 'farm.wav'}",
                ],
            )
            page = browser.new_page(viewport={"width": DESK[0], "height": DESK[1]})
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/groups")
            page.get_by_label("Your name").fill("ann")
            page.keyboard.press("Tab")
            name_groups(page, truth, how.output, phone)
            answer(page, truth, how.output, phone)
            size = {"width": LIVE[0], "height": LIVE[1]}
            pocket = browser.new_page(viewport=size, device_scale_factor=2)
            try_and_listen(page, pocket, how.output)
            browser.close()


if __name__ == "__main__":
    main()
