"""The film of the README: a folder without labels, its groups, a first model, what it finds.

    python benchmarks/app_film.py path/to/esc10 -o docs/images/app.webp

150 recordings are taken from a labelled set, under names that say nothing. The pages are gone
through as a user does, with answers by the true class, and pictured after each step; how long a
picture stays has nothing to do with how long the step took. Needs Chromium, Playwright and Pillow.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

from app_newcomer import recordings_of
from app_pictures import GREW, PATIENCE, PLAYABLE, READY, fill_name, served
from semisonic.web.state import AppState

SIZE, SHOWN = (1100, 780), (880, 624)
BAR = 44
N_NAMED, N_ANSWERS = 15, 4


class Film:
    """Pictures of a page, each with a sentence and how long it stays."""

    def __init__(self, page: Page) -> None:
        self.page, self.frames, self.times = page, list[Image.Image](), list[int]()
        self.font = ImageFont.load_default(19)

    def take(self, text: str, seconds: float) -> None:
        """Picture the page as it is."""
        self.page.wait_for_timeout(500)
        with Image.open(io.BytesIO(self.page.screenshot())) as shot:
            picture = shot.convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS)
        frame = Image.new("RGB", (SHOWN[0], SHOWN[1] + BAR), "#0c1826")
        frame.paste(picture, (0, 0))
        place = (SHOWN[0] / 2, SHOWN[1] + BAR / 2)
        ImageDraw.Draw(frame).text(place, text, "#ffffff", self.font, anchor="mm")
        self.frames.append(frame)
        self.times.append(round(1000 * seconds))

    def save(self, file: Path) -> None:
        """Write it as an animated picture."""
        first, *rest = self.frames
        first.save(file, append_images=rest, duration=self.times, loop=0, quality=60, method=6)


def name_groups(film: Film, truth: dict[str, str]) -> None:
    """Name the groups; the sounds that are of another class than most are left out."""
    page = film.page
    groups = page.evaluate("async () => (await (await fetch('/api/label/groups')).json()).groups")
    groups.sort(key=lambda group: group["is_noise"])  # as the page does
    for number, group in enumerate(groups[:N_NAMED], start=1):
        heading = page.locator("h2", has_text=f"Group {number} of")
        heading.wait_for()
        n_groups = heading.inner_text().partition(" of ")[2].split()[0]
        page.wait_for_function(PLAYABLE)
        classes = [truth[Path(sound["file"]).name] for sound in group["sounds"]]
        if number <= 2:
            film.take(f"{n_groups} groups of sounds that are alike. Listen to a few ...", 4)
        name = fill_name(page, classes)
        if name and number <= 3:
            film.take(f"... and name what you hear: {name}.", 2.5)
        page.keyboard.press("Enter" if name else "s")
    page.get_by_role("button", name="Make the first model").click()
    made = page.get_by_role("heading", name="The first model is made")
    made.wait_for()
    made.scroll_into_view_if_needed()
    page.mouse.wheel(0, 2000)
    film.take("A first model, from answers to a few dozen sounds.", 5)


def answer(film: Film, truth: dict[str, str]) -> None:
    """Answer some questions, and learn from them."""
    page, asked = film.page, ""
    page.get_by_role("link", name="Go on").click()
    page.get_by_text("play automatically").click()
    for number in range(N_ANSWERS):
        asked = str(page.wait_for_function(READY, arg=asked).json_value())
        film.take("It asks about the sounds that teach it most. One key answers.", 4 - 0.7 * number)
        page.get_by_label("New label").fill(truth[asked])
        page.keyboard.press("Enter")
    page.wait_for_function(READY, arg=asked)
    points = page.locator(".learned tbody tr").count()
    page.get_by_role("button", name="Learn from the answers").click()
    page.wait_for_function(GREW, arg=points)
    film.take("Learning again takes seconds.", 4)


def find(film: Film) -> None:
    """Look through the whole folder."""
    page = film.page
    page.locator("#pages").get_by_role("link", name="Find").click()
    page.get_by_role("button", name="Find", exact=True).click()
    page.locator(".find").first.wait_for()
    page.wait_for_function("() => document.querySelectorAll('.find .thumb:enabled').length > 7")
    film.take("Then it goes through the whole folder.", 5)
    page.keyboard.press("j")
    page.keyboard.press("y")
    page.locator(".answered", has_text="✓").first.wait_for()
    film.take("Hear what it found; say what is right.", 5)
    page.get_by_role("button", name="Recordings", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('.find .thumb:enabled').length > 7")
    film.take("Save events, predictions, labels and the model.", 6)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the film."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="a labelled set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    how = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "recordings")
        truth = recordings_of(how.data, folder, 0)
        app = AppState(folder=(folder,), runs=Path(place, "runs"), device="cpu")
        with served(app) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--mute-audio"]
            )
            page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
            page.add_init_script("localStorage.setItem('tour', 'seen')")
            page.set_default_timeout(PATIENCE)
            film = Film(page)
            page.goto(address)
            page.get_by_role("heading", name="recordings found").wait_for()
            film.take("A folder of recordings without labels. One button.", 5)
            page.get_by_role("button", name="Group them by sound").click()
            page.locator(".making").wait_for()
            film.take("It listens to all of them, on this machine.", 3)
            page.locator("h2", has_text="Group 1 of").or_(page.locator(".made")).first.wait_for()
            if page.locator(".made").count():
                film.take("What could not be used is said.", 4)
                page.get_by_role("button", name="Go on").click()
            name_groups(film, truth)
            answer(film, truth)
            find(film)
            film.save(how.output)
            browser.close()
    said = {"frames": len(film.frames), "seconds": sum(film.times) / 1000}
    print(json.dumps({**said, "megabytes": how.output.stat().st_size / 1e6}))


if __name__ == "__main__":
    main()
