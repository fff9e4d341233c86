"""Models and reports on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import PHONE, browsing, opened, serving, wait_for

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.cli.main import main
from semisonic.web.options import AppOptions
from semisonic.web.state import AppState


@pytest.fixture
def runs(tmp_path: Path, app_model: Path) -> Path:
    folder = tmp_path / "runs"
    for name in ("first", "deep/second"):
        run = folder / name
        run.mkdir(parents=True)
        (run / "model.zip").write_bytes(app_model.read_bytes())
        (run / "run.json").write_text('{"command": "train", "status": "done", "started": "2026"}')
    (folder / "first" / "report.html").write_text("<h1>A report</h1><script>alert(1)</script>")
    (folder / "odd").mkdir()
    (folder / "odd" / "run.json").write_text("not json")
    (tmp_path / "outside.html").write_text("secret")
    (folder / "first" / "linked.html").symlink_to(tmp_path / "outside.html")
    return folder


@pytest.fixture
def browser(runs: Path) -> Iterator[Any]:
    studio = AppState(AppOptions(runs=runs, device="cpu"))
    yield from browsing(studio)


def test_a_model_is_chosen_from_the_runs(browser: Any) -> None:
    assert browser.get("/api/studio").json()["model"] is None
    found = {run["name"]: run for run in browser.get("/api/runs").json()["runs"]}
    assert set(found) == {"first", "deep/second", "odd"}
    assert found["first"]["kind"] == "model"
    assert found["odd"]["kind"] == ""
    assert browser.post("/api/model", json={"name": "odd"}).status_code == 400
    facts = browser.post("/api/model", json={"name": "deep/second"}).json()
    assert facts["model"]["classes"] == ["hiss", "hum", "sweep"]


@pytest.mark.parametrize("name", ["..", "../runs/first", "/", "first/..", "first/", "", "none"])
def test_no_run_outside_is_opened(browser: Any, name: str) -> None:
    assert browser.post("/api/model", json={"name": name}).status_code == 400
    assert browser.get("/api/runs/card", params={"name": name}).status_code == 400


def test_a_card_says_what_a_model_is(browser: Any) -> None:
    card = browser.get("/api/runs/card", params={"name": "first"}).json()
    assert "3: hiss, hum, sweep" in card["facts"]["classes"]


def test_a_report_is_shown_without_scripts(browser: Any) -> None:
    answer = browser.get("/api/runs/page", params={"name": "first", "page": "report.html"})
    assert "A report" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    for page in ("linked.html", "run.json", "../odd/run.json", "none.html"):
        answer = browser.get("/api/runs/page", params={"name": "first", "page": page})
        assert answer.status_code == 400, page


@pytest.fixture
def two_runs(tmp_path: Path, app_model: Path, app_folder: Path) -> AppState:
    """Two evaluations of a model, by the command line, of which one was changed by hand."""
    runs = tmp_path / "runs"
    data = tmp_path / "data"
    for name, file in (("hum", "site/hum.wav"), ("hiss", "hiss.wav")):
        (data / name).mkdir(parents=True)
        for number in range(3):
            (data / name / f"{number}.wav").write_bytes((app_folder / file).read_bytes())
    for name in ("a", "b"):
        command = ["evaluate", str(app_model), str(data), "-o", str(runs / name), "-q"]
        assert main([*command, "--bootstrap", "100", "--mistakes", "0", "--device", "cpu"]) == 0
    table = runs / "b" / "scores.csv"
    head, *rows = table.read_text().splitlines()
    turned = {"hiss": "hum", "hum": "sweep", "sweep": "hiss"}
    changed = [row.split(",") for row in rows]
    lines = [",".join([*row[:3], turned[row[3]], *row[4:]]) for row in changed]
    table.write_text("\n".join([head, *lines]) + "\n")
    (data / "hum.txt").write_text("no recording")
    return AppState(AppOptions(runs=runs, folder=(data / "hum",), device="cpu"))


@pytest.fixture
def compared(two_runs: AppState) -> Iterator[Any]:
    yield from browsing(two_runs)


def test_two_runs_stand_side_by_side(compared: Any) -> None:
    found = compared.get("/api/runs/compare", params={"a": "a", "b": "b"}).json()
    assert found["counts"] == [6, 6, 6]
    assert found["tests"]["p_clips"] <= 1
    assert found["verdict"].endswith(".")
    assert {row[0] for row in found["measures"]} >= {"accuracy", "macro_f1", "parameters"}
    assert found["n_clips"] == 6
    assert found["settings"] == []  # all that differs is where it was written
    same = compared.get("/api/runs/compare", params={"a": "a", "b": "a"}).json()
    assert same["verdict"] == "It is the same run twice."
    assert compared.get("/api/runs/compare", params={"a": "a", "b": "../a"}).status_code == 400


def test_clips_of_a_run_are_played_from_opened_folders_only(compared: Any) -> None:
    found = compared.get("/api/runs/compare", params={"a": "a", "b": "b"}).json()
    for clip in (one["clip"] for one in found["clips"]):
        answer = compared.post("/api/runs/clip", json={"run": "a", "clip": clip})
        if clip.startswith("hum/"):
            assert wait_for(compared, answer.json()["sound"], "picture")["duration"] == 3.0
        else:
            assert answer.status_code == 400
            assert "--folder" in answer.json()["error"]
    for clip in ("../hum/0.wav", "/etc/passwd", "hum/9.wav"):
        answer = compared.post("/api/runs/clip", json={"run": "a", "clip": clip})
        assert answer.status_code == 400
        assert "no clip of" in answer.json()["error"]


def test_two_runs_are_compared_in_the_browser(app_browser: Any, two_runs: AppState) -> None:
    for address in serving(two_runs):
        for page in opened(app_browser, f"{address}#/models", PHONE):
            for name in ("a", "b"):
                card = page.locator("article", has=page.get_by_role("heading", name=name))
                card.get_by_label("compare").check()
            page.get_by_role("heading", name="6 clips that they call differently").wait_for()
            page.get_by_text("Clips: p").wait_for()
            page.get_by_role("cell", name="3", exact=True).first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
