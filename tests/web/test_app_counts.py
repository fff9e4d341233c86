"""In a real browser: how many commands, clicks and keys it takes, what comes out, and whether what
the page says is so.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import DESK, app_of, asked, opened, running, serving

pytest.importorskip("playwright.sync_api")
pytest.importorskip("fastapi")

COUNTING = """() => { window.counted = { clicks: 0, keys: 0 };
addEventListener('pointerdown', () => { window.counted.clicks += 1; }, true);
addEventListener('keydown', () => { window.counted.keys += 1; }, true); }"""
PLAYABLE = """() => { const all = [...document.querySelectorAll('.thumb')];
return all.length && all.every((one) => !one.disabled); }"""
KINDS = ("hum", "hiss", "sweep")
N_ANSWERS = 12
ACCURACY = re.compile(r"at random: (\d+)\s%\s\((\d+) to (\d+)\s%, (\d+) of (\d+)\)")
PAGES = ("try", "live", "find", "models", "label")


def test_one_command_leads_to_the_recordings_and_no_page_is_a_dead_end(
    app_browser, project, tmp_path
) -> None:
    command = ("--folder", str(project.parent / "recordings"), "--runs", str(tmp_path / "runs"))
    with running(*command) as (_, address):
        for page in opened(app_browser, address, DESK):
            page.get_by_role("heading", name="24 recordings found").wait_for()  # where it opens
            for name in PAGES:
                page.goto(f"{address}#/{name}")
                start = page.get_by_role("button", name="Group them by sound")
                if name != "label":
                    page.locator("#main").get_by_role("link", name="Label").click()
                start.wait_for()


def test_a_project_with_its_model_opens_where_it_is_labelled(
    app_browser, project, app_model, tmp_path
) -> None:
    """A model that was asked for opens where sounds are tried."""
    shutil.copy(app_model, project / "model.zip")
    cases = (({}, "Label"), ({"model": app_model}, "Try it"))
    for given, title in cases:
        for address in serving(app_of(project=project, runs=tmp_path / "runs", **given)):
            for page in opened(app_browser, address, DESK):
                page.get_by_role("heading", name=title, exact=True).wait_for(state="attached")
                page.get_by_text("Model: ").wait_for()


def test_another_start_with_another_folder_is_noticed(app_browser, project, tmp_path) -> None:
    """By a page that was left open, and that sent nothing meanwhile."""
    (tmp_path / "empty").mkdir()
    runs = project.parent
    for address in serving(app_of(folder=(project.parent / "recordings",), runs=runs)):
        context = app_browser.new_context()
        page = context.new_page()
        page.goto(f"{address}#/label/projects")
        page.get_by_role("button", name="Open").wait_for()
        page.goto(f"{address}#/try")
        page.get_by_role("heading", name="recordings (24)").wait_for()
    port = int(address.rstrip("/").rpartition(":")[2])
    for _ in serving(app_of(folder=(tmp_path / "empty",), runs=runs), port=port):
        page.locator("#pages").get_by_role("link", name="Label").click()
        page.get_by_role("heading", name="No recording found").wait_for()
        page.get_by_text("semisonic app --folder PATH", exact=True).wait_for()
        assert page.get_by_role("button", name="Open").is_disabled()
        page.get_by_role("link", name="Try it").click()
        page.get_by_role("heading", name="empty (0)").wait_for()
        assert not page.get_by_role("heading", name="recordings (24)").count()
    context.close()


def test_after_a_restart_one_goes_on_with_the_project(app_browser, project) -> None:
    options: Any = {"folder": (project.parent / "recordings",), "runs": project.parent}
    context = app_browser.new_context()
    page = context.new_page()
    for address in serving(app_of(**options)):
        page.goto(f"{address}#/label/projects")
        page.get_by_role("button", name="Open").click()  # of a project without an answer
        page.get_by_role("heading", name="Group 1 of 4").wait_for()
        page.get_by_role("link", name="Label one by one").click()
        asked(page)
    for _ in serving(app_of(**options), port=int(address.rstrip("/").rpartition(":")[2])):
        page.goto(address)
        page.reload()
        asked(page)
    context.close()


def test_a_folder_without_recordings_starts_nothing(app_browser, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for address in serving(app_of(folder=(tmp_path / "empty",), runs=tmp_path / "runs")):
        for page in opened(app_browser, address, DESK):
            page.get_by_text("semisonic app --folder path/to/recordings").wait_for()
            assert page.get_by_role("button", name="Group them by sound").is_disabled()


@pytest.fixture
def page(app_browser, project, tmp_path) -> Iterator[Any]:
    app = app_of(project=project, runs=tmp_path / "runs")
    for address in serving(app):
        yield from opened(app_browser, f"{address}#/label/groups", DESK)


def test_from_the_groups_to_a_table_of_all_recordings(page, project, tmp_path) -> None:
    page.evaluate(COUNTING)
    for number in (1, 2, 3):
        page.get_by_role("heading", name=f"Group {number} of 4").wait_for()
        page.wait_for_function(PLAYABLE)
        for key in ("/", *f"k{number}", "Enter"):
            page.keyboard.press(key)
    page.get_by_role("heading", name="Group 4 of 4").wait_for()
    page.wait_for_function(PLAYABLE)
    page.keyboard.press("0")
    page.get_by_text("All groups are done").wait_for()
    page.get_by_role("button", name="Make the first model").click()
    page.get_by_role("heading", name="The first model is made").wait_for()
    assert page.evaluate("window.counted") == {"clicks": 1, "keys": 13}

    page.get_by_role("link", name="Find in all recordings").click()
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_text("Save …").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="One row per recording, CSV").click()
    saved.value.save_as(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as stream:
        rows = [Path(row["file"]).name for row in csv.DictReader(stream)]
    assert sorted(rows) == sorted(path.name for path in (project.parent / "recordings").iterdir())
    assert page.evaluate("window.counted.clicks") == 5


def truth(file: str) -> str:
    """The class of a recording; one in four is called as no model can know."""
    kind, _, number = Path(file).stem.partition("-")
    return KINDS[(KINDS.index(kind) + (number in "37")) % len(KINDS)]


def saved(page: Any, link: str, file: Path) -> list[dict[str, str]]:
    """The rows of a table that the page gives."""
    if not page.get_by_role("link", name=link).is_visible():
        page.get_by_text("Save …").click()
    with page.expect_download() as saving:
        page.get_by_role("link", name=link).click()
    saving.value.save_as(file)
    with file.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_what_the_page_says_is_so(page, project, tmp_path) -> None:
    page.goto(page.url.partition("#")[0] + "#/label")
    page.locator(".toolbar select").select_option("random")
    names, before = [], asked(page)
    for number in range(N_ANSWERS):
        file = before if not number else asked(page, before)
        names.append(file)
        page.get_by_label("New label").fill(truth(file))
        page.keyboard.press("Enter")
        before = file
    page.get_by_text(f"{N_ANSWERS} of 24 answered").wait_for()
    lines = [
        json.loads(line)
        for line in (project / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    told = {Path(one["file"]).name: one["labels"] for one in lines if "file" in one}
    assert told == {name: [truth(name)] for name in names}

    page.get_by_role("button", name="Learn from the answers").click()
    page.get_by_text(ACCURACY).wait_for()
    share, low, high, n_right, n = map(int, ACCURACY.search(words(page)).groups())  # type: ignore
    assert n == N_ANSWERS
    assert share == round(100 * n_right / n)
    assert 100 > high - low > 0

    page.get_by_role("link", name="Find in all recordings").click()
    page.get_by_role("button", name="Find", exact=True).click()
    predicted = saved(page, "One row per recording, CSV", tmp_path / "predictions.csv")
    others = [row for row in predicted if Path(row["file"]).name not in names]
    assert len(others) == 24 - N_ANSWERS  # that the model has not learned from
    right = sum(row["label"] == truth(row["file"]) for row in others) / len(others)
    assert low <= 100 * right <= high
    events = saved(page, "Events, CSV", tmp_path / "events.csv")
    assert f"{len(events)} events in {len(predicted)} recordings" in words(page)


def words(page: Any) -> str:
    """What stands on the page."""
    return str(page.locator("#main").inner_text())
