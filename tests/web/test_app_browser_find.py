"""What a model found in a whole folder, in a real browser: looked for, heard, corrected, saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import DESK, app_of, opened, serving

from semisonic.labeling.project import Project

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")


@pytest.fixture
def page(app_browser, app_model, project, tmp_path) -> Iterator[Any]:
    for address in serving(app_of(model=app_model, project=project, runs=tmp_path)):
        for found in opened(app_browser, f"{address}#/find", DESK):
            found.project = project
            yield found


def test_the_folder_is_looked_through_corrected_and_saved_with_keys(page, tmp_path) -> None:
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="Recordings", exact=True).click()
    page.locator(".find").first.wait_for()
    page.get_by_text("24 recordings", exact=True).wait_for()
    page.wait_for_function("() => document.querySelector('.find .thumb:enabled')")
    page.keyboard.press("j")
    page.keyboard.press("y")  # right; and on to the next one
    page.locator(".answered", has_text="✓").first.wait_for()
    page.wait_for_function("() => document.querySelectorAll('.find')[1] === document.activeElement")
    page.keyboard.press("/")
    page.keyboard.type("owl")
    page.keyboard.press("Enter")
    page.locator(".answered", has_text="✓ owl").wait_for()
    answers = Project.open(page.project).log.standing()
    assert len(answers) == 2
    assert answers[1].labels == ("owl",)
    page.get_by_text("Save …").click()
    with page.expect_download() as saving:
        page.get_by_role("link", name="One row per recording, CSV").click()
    saved = tmp_path / "saved.csv"
    saving.value.save_as(saved)
    assert len(Path(saved).read_text(encoding="utf-8").splitlines()) == 25
