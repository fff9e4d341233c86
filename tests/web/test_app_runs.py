"""Models and reports on the page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import app_of, browsing

from semisonic.labeling.rounds import AccuracyEstimate, read_history
from systems import LINKS

pytest.importorskip("fastapi")
pytest.importorskip("httpx")


@pytest.fixture
def runs(tmp_path, app_model) -> Path:
    folder = tmp_path / "runs"
    for name in ("first", "deep/second"):
        run = folder / name
        run.mkdir(parents=True)
        (run / "model.zip").write_bytes(app_model.read_bytes())
        (run / "run.json").write_text(
            '{"command": "train", "status": "done", "started": "2026"}', encoding="utf-8"
        )
    (folder / "first" / "report.html").write_text(
        "<h1>A report</h1><script>alert(1)</script>", encoding="utf-8"
    )
    (folder / "odd").mkdir()
    (folder / "odd" / "run.json").write_text("not json", encoding="utf-8")
    return folder


@pytest.fixture
def browser(runs) -> Iterator[Any]:
    app_state = app_of(runs=runs)
    yield from browsing(app_state)


def test_a_model_is_chosen_from_the_runs(browser) -> None:
    assert browser.get("/api/state").json()["model"] is None
    found = {run["name"]: run for run in browser.get("/api/runs").json()["runs"]}
    assert set(found) == {"first", "deep/second", "odd"}
    assert found["first"]["kind"] == "model"
    assert found["odd"]["kind"] == ""
    assert browser.post("/api/model", json={"name": "odd"}).status_code == 400
    facts = browser.post("/api/model", json={"name": "deep/second"}).json()
    assert facts["model"]["classes"] == ["hiss", "hum", "sweep"]


def test_the_list_has_classes_and_the_measured_accuracy(browser, runs, app_project) -> None:
    metrics = {"accuracy": 0.8, "accuracy_interval": [0.6, 0.9], "n_clips": 20}
    text = json.dumps({"validation": metrics})
    (runs / "first" / "metrics.json").write_text(text, encoding="utf-8")
    estimate = AccuracyEstimate(6, 8, 0.75, 0.4, 0.93, 8)
    row = {f"random_{name}": value for name, value in estimate._asdict().items()}
    frame = read_history(app_project).reindex([0]).assign(**row)  # the columns without rounds
    frame.to_csv(runs / "deep" / "second" / "history.csv", index=False)
    found = {run["name"]: run for run in browser.get("/api/runs").json()["runs"]}
    assert found["first"]["classes"] == ["hiss", "hum", "sweep"]
    accuracy = {"accuracy": 0.8, "low": 0.6, "high": 0.9, "on": "20 validation clips"}
    assert found["first"]["accuracy"] == accuracy
    assert found["deep/second"]["accuracy"]["accuracy"] == 0.75
    assert found["deep/second"]["accuracy"]["on"] == "8 segments drawn at random"
    assert (found["odd"]["classes"], found["odd"]["accuracy"]) == ([], None)


@pytest.mark.slow
def test_a_model_is_exported_for_other_programs(browser) -> None:
    refused = browser.post("/api/model/onnx", json={"name": ""})
    assert "choose one under Models" in refused.json()["error"]
    assert browser.post("/api/model/onnx", json={"name": "odd"}).status_code == 400
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    saved = browser.post("/api/model/onnx", json={"name": "deep/second"})
    assert saved.status_code == 200, saved.text
    assert "second.onnx" in saved.headers["content-disposition"]
    file = onnx.load_from_string(saved.content)
    assert "hiss" in "".join(one.value for one in file.metadata_props)
    assert runtime.InferenceSession(saved.content).get_outputs()[0].name == "scores"


def test_a_model_without_a_record_is_as_old_as_its_file(browser, runs) -> None:
    """And not as what was written beside it since, such as the answers of a project."""
    (runs / "first" / "run.json").unlink()
    os.utime(runs / "first" / "model.zip", (0, 0))
    found = {run["name"]: run["started"] for run in browser.get("/api/runs").json()["runs"]}
    assert found["first"].startswith("1970-01-01")


@pytest.mark.parametrize("name", ["..", "../runs/first", "/", "first/..", "first/", "", "none"])
def test_no_run_outside_is_opened(browser, name) -> None:
    assert browser.post("/api/model", json={"name": name}).status_code == 400
    assert browser.get("/api/runs/card", params={"name": name}).status_code == 400


def test_a_card_says_what_a_model_is(browser) -> None:
    card = browser.get("/api/runs/card", params={"name": "first"}).json()
    assert "3: hiss, hum, sweep" in card["facts"]["classes"]


def test_a_report_is_shown_without_scripts(browser) -> None:
    answer = browser.get("/api/runs/page", params={"name": "first", "page": "report.html"})
    assert "A report" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    for page in ("run.json", "../odd/run.json", "none.html"):
        answer = browser.get("/api/runs/page", params={"name": "first", "page": page})
        assert answer.status_code == 400, page


@LINKS
def test_a_report_that_is_a_link_is_not_shown(browser, runs) -> None:
    outside = runs.parent / "outside.html"
    outside.write_text("secret", encoding="utf-8")
    (runs / "first" / "linked.html").symlink_to(outside)
    answer = browser.get("/api/runs/page", params={"name": "first", "page": "linked.html"})
    assert answer.status_code == 400
