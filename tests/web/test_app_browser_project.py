"""In a real browser: from a folder without a label to a first model."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from app_helpers import DESK, PHONE, app_of, opened, serving

from semisonic.labeling.label_log import LabelLog
from systems import NAMES_OF_BYTES

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

PLAYABLE = """() => { const all = [...document.querySelectorAll('.thumb')];
return all.length && all.every((one) => !one.disabled); }"""


@pytest.fixture
def address(app_project, app_model, tmp_path) -> Iterator[str]:
    """An app with an opened folder, an encoder and no project."""
    pytest.importorskip("uvicorn")
    shutil.copytree(app_project.parent / "recordings", tmp_path / "recordings")
    yield from serving(
        app_of(folder=(tmp_path / "recordings",), runs=tmp_path / "runs", encoder=app_model)
    )


@pytest.fixture
def page(app_browser, address) -> Iterator[Any]:
    yield from opened(app_browser, f"{address}#/label", DESK)


FIRST_PLAYS = "() => document.querySelector('.thumb').matches('.plays')"


def group(page: Any, number: int) -> str:
    """A name for a group, once its sounds can be heard."""
    page.get_by_role("heading", name=f"Group {number} of 4").wait_for()
    page.wait_for_function(PLAYABLE)
    return f"kind {number}"


def _full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@NAMES_OF_BYTES
def test_what_cannot_be_read_is_told_before_the_first_question(page, tmp_path) -> None:
    (tmp_path / "recordings" / "broken.wav").write_bytes(b"RIFF")
    odd = os.fsencode(tmp_path / "recordings") + b"/bad\xff\xfe.wav"
    shutil.copy(tmp_path / "recordings" / "hum-0.wav", odd)
    page.get_by_role("heading", name="26 recordings found").wait_for()
    page.get_by_role("button", name="Group them by sound").click()
    page.get_by_role("heading", name="24 of 26 recordings are used").wait_for()
    told = page.locator(".failures li")
    assert told.count() == 1
    assert re.match(r"broken\.wav .+", told.inner_text())
    note = page.get_by_role("listitem").filter(has_text="1 copy of another left out")
    with page.context.expect_page() as report:
        note.get_by_role("link", name="scan/scan.html").click()
    report.value.get_by_role("heading", name="Recordings in recordings").wait_for()
    report.value.close()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("heading", name=re.compile("Groups that sound alike")).wait_for()
    page.get_by_role("link", name="Label one by one").click()
    page.get_by_role("link", name="Projects").click()
    page.get_by_role("button", name="Open").click()  # of a project without an answer
    page.get_by_role("heading", name=re.compile("Groups that sound alike")).wait_for()
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="bad\ufffd\ufffd.wav").click()
    page.get_by_role("heading", name="bad\ufffd\ufffd.wav").wait_for()
    page.locator(".viewer").wait_for()


def test_from_a_folder_to_a_first_classifier(page, address, tmp_path, monkeypatch) -> None:
    page.goto(address)  # recordings and no model: here one begins
    page.get_by_role("heading", name="24 recordings found").wait_for()
    page.get_by_role("button", name="Help").click()
    page.get_by_role("heading", name="Projects").wait_for()  # of what is shown, without an address
    page.get_by_role("button", name="Close").click()
    page.get_by_text("Options").click()
    assert page.get_by_label("Name of the project", exact=True).input_value() == "recordings"
    page.get_by_label("Name of the project", exact=True).fill("mine")
    page.get_by_label("Groups", exact=True).fill("3")
    page.get_by_role("button", name="Group them by sound").click()
    page.get_by_role("heading", name="Making the project “mine”").wait_for()
    page.reload()  # in the middle
    heading = page.get_by_role("heading", name=re.compile("Groups that sound alike"))
    heading.wait_for()

    first = group(page, 1)
    with page.expect_request(lambda request: "speed=0.5" in request.url):
        page.get_by_label("Speed and pitch").select_option("0.5")
    page.get_by_label("Speed and pitch").select_option("1")
    page.keyboard.press("Space")  # plays
    page.locator(".thumb.plays").wait_for()
    page.keyboard.press("/")
    page.keyboard.type(first)
    page.keyboard.press("Enter")
    second = group(page, 2)
    page.keyboard.press("z")  # back to the first one
    assert group(page, 1) == first
    page.get_by_label("Name of the group").fill(first)
    page.get_by_role("button", name="Name", exact=True).click()
    group(page, 2)
    page.keyboard.press("Space")
    page.wait_for_function(FIRST_PLAYS)
    page.keyboard.press("Space")
    page.keyboard.press("m")  # each by its own name, the last one not at all
    page.wait_for_function(FIRST_PLAYS)  # once more: it is the one that the first field names
    assert "null" not in page.locator("main").inner_text()
    for number in (1, 2, 3):
        page.get_by_label(f"Name of sound {number}").fill(second)
    page.get_by_role("button", name="Save").click()
    third = group(page, 3)
    assert "null" not in page.locator("main").inner_text()
    page.reload()
    assert group(page, 3) == third
    page.keyboard.press("s")
    group(page, 4)  # the sounds most like noise
    page.keyboard.press("0")
    page.get_by_text("All other groups are done").wait_for()
    log = LabelLog(tmp_path / "runs" / "mine" / "labels.jsonl")
    n_answers = len(log.answers())
    assert [entry.presence for entry in log.answers()[-4:]] == ["negative"] * 4
    page.get_by_role("button", name="Skipped groups").click()
    group(page, 3)
    page.keyboard.press("s")
    page.get_by_text("All other groups are done").wait_for()
    page.keyboard.press("z")  # nothing was written down, and nothing is taken back
    group(page, 3)
    assert len(log.answers()) == n_answers
    page.get_by_label("Name of the group").fill(third)
    page.keyboard.press("Enter")

    with monkeypatch.context() as broken:
        broken.setattr("semisonic.labeling.project.learn_round", _full_disk)
        page.get_by_role("button", name="Make the first model").click()
        page.get_by_text("Nothing was learned: the disk is full").wait_for()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("heading", name="The first model is made").wait_for()
    page.get_by_text(re.compile(r"[34] classes from \d+ answers")).wait_for()
    page.get_by_role("link", name="Go on").click()
    page.get_by_text("no segment drawn at random is answered yet").wait_for()
    assert (tmp_path / "runs" / "mine" / "model.zip").is_file()
    assert page.locator("#model").inner_text() == "Model: mine"


def test_a_project_is_cancelled_and_goes_on(page, app_browser, address, tmp_path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 8000 * 1100)  # enough to be learned from
    soundfile.write(tmp_path / "recordings" / "long.wav", noise, 8000)
    page.get_by_text("Options").click()
    page.get_by_label("Encoder").select_option("auto")
    page.get_by_role("button", name="Group them by sound").click()
    page.locator(".steps .current", has_text="without labels").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go on").wait_for()
    for phone in opened(app_browser, f"{address}#/label", PHONE):
        phone.get_by_role("button", name="Go on").wait_for()
        assert phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.get_by_role("button", name="Go on").click()
    page.locator(".steps .current", has_text="without labels").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go on").wait_for()
