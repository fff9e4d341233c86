"""Better vectors come while one listens: the page says so, and takes them in by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_helpers import InThisProcess, app_of, browsing, sent

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.classifier.config import PRETRAIN
from semisonic.labeling import improve, start
from semisonic.labeling.project import Project
from semisonic.web import state
from waiting import until


@pytest.fixture
def page(project, app_model, tmp_path, monkeypatch) -> Iterator[Any]:
    for module in (start, improve):
        monkeypatch.setattr(module, "SYNTH", str(app_model))
    monkeypatch.setattr(improve, "FEWEST_HEARD", 24)
    fit = replace(PRETRAIN, steps=2, epoch_steps=1, batch_size=4)
    monkeypatch.setattr(start, "PRETRAIN", fit)
    monkeypatch.setattr(state, "BackgroundProcess", InThisProcess)
    monkeypatch.setattr(InThisProcess, "asked", [])
    for found in browsing(app_of(model=app_model, project=project, runs=tmp_path)):
        found.project = project
        yield found


def test_they_are_learned_and_taken_in_and_the_classifier_follows(page: Any) -> None:
    (process,) = InThisProcess.asked
    assert page.get("/api/label").json()["improving"]["state"] == "runs"
    for group in page.get("/api/label/groups").json()["groups"]:
        one = group["sounds"][0]
        answer = {key: one[key] for key in ("file", "start_time", "end_time", "source")}
        label = Path(one["file"]).name.partition("-")[0]
        answer |= {"labels": [label], "presence": "positive", "annotator": "ann"}
        assert sent(page, "label/answers/batch", {"answers": [answer]}).status_code == 200
    assert page.post("/api/label/learn").status_code == 200
    process.go()  # waits for the round that runs
    until(lambda: not page.get("/api/label").json()["learning"]["runs"])
    told = page.get("/api/label").json()
    assert told["vectors"].startswith("An encoder that was trained on these recordings makes")
    assert told["improving"] is None
    assert told["answers"] == 3
    assert [step["n_answers"] for step in told["learning"]["history"]] == [3, 3]
    project = Project(page.project)
    assert project.encoder.name == "better.zip"
    assert len(InThisProcess.asked) == 1  # once


def test_it_is_stopped_by_a_button(page: Any) -> None:
    assert page.post("/api/label/improve/cancel").json()["improving"]["state"] == "done"
    assert not Project(page.project).vectors_said


def test_what_was_stopped_begins_again_only_when_asked_for(page: Any, app_model, tmp_path) -> None:
    page.post("/api/label/improve/cancel")
    start = {"model": app_model, "project": page.project, "runs": tmp_path}
    for again in browsing(app_of(**start)):
        told = again.get("/api/label").json()
        assert (told["improving"], told["can_improve"]) == (None, True)
        assert len(InThisProcess.asked) == 1
        assert again.post("/api/label/improve").json()["improving"]["state"] == "runs"
        assert again.post("/api/label/improve").status_code == 400  # one at a time
    for again in browsing(app_of(**start)):
        assert again.get("/api/label").json()["improving"]["state"] == "runs"
