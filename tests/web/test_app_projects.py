"""A project that is started on the page: from opened folders only, the same as in the terminal."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from app_helpers import RATE, AtOnce, app_of, browsing, wait_for

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.cli.main import main
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.project import Project
from semisonic.labeling.queue import Queue
from semisonic.web.projects import DEMO_SOUNDS
from systems import LINKS
from waiting import until

PROCESS = "semisonic.web.state.BackgroundProcess"


@pytest.fixture(scope="module")
def begun(app_project, app_model, tmp_path_factory) -> Path:
    """``open`` holds recordings and may be read, ``closed`` may not; ``runs`` holds an encoder."""
    folder = tmp_path_factory.mktemp("begun")
    shutil.copytree(app_project.parent / "recordings", folder / "open" / "site")
    shutil.copytree(app_project.parent / "recordings", folder / "closed" / "site")
    (folder / "runs" / "small").mkdir(parents=True)
    shutil.copy(app_model, folder / "runs" / "small" / "model.zip")
    return folder


@pytest.fixture
def place(begun, tmp_path) -> Path:
    """A copy of it."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def page(place) -> Iterator[Any]:
    yield from browsing(state_of(place))


def state_of(place: Path) -> Any:
    return app_of(folder=(place / "open",), runs=place / "runs")


@pytest.fixture(scope="module")
def finished(begun, tmp_path_factory) -> Path:
    """A project that the page made, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PROCESS, AtOnce)
        for page in browsing(state_of(folder)):
            make(page)
    return folder / "runs" / "mine"


@pytest.fixture
def mine(finished, place, page) -> None:
    """A copy is open on the page."""
    shutil.copytree(finished, place / "runs" / "mine")
    assert page.post("/api/projects/open", json={"name": "mine"}).status_code == 200


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Projects are made in this process; that they are in another one is not what is tested."""
    monkeypatch.setattr(PROCESS, AtOnce)


NEW = {"folder": 0, "below": "site", "name": "mine", "encoder": "run:small", "clusters": "3"}


def making(page: Any) -> dict[str, Any]:
    """How far a making is."""
    found: dict[str, Any] = page.get("/api/projects/making").json()["making"]
    return found


def made(page: Any) -> dict[str, Any]:
    """How the making ended."""
    until(lambda: making(page)["state"] != "runs")
    return making(page)


def make(page: Any, **change: str) -> dict[str, Any]:
    """Start a project, and wait until it is made."""
    said = page.post("/api/projects", json={**NEW, **change})
    assert said.status_code == 200, said.text
    end = made(page)
    assert end["state"] == "done", end
    return end


def learn(page: Any) -> None:
    """Learn from the answers."""
    assert page.post("/api/label/learn").status_code == 200
    until(lambda: not page.get("/api/label").json()["learning"]["runs"])


def kind(file: str) -> str:
    return file.partition("-")[0]


def name_groups(page: Any) -> list[dict[str, Any]]:
    """Answer about the typical sounds of each group, group by group."""
    told = []
    for group in page.get("/api/label/groups").json()["groups"]:
        answers = [
            {
                **{key: one[key] for key in ("file", "start_time", "end_time", "source")},
                "labels": [kind(one["file"])],
                "presence": "positive",
                "annotator": "ann",
            }
            for one in group["sounds"]
        ]
        assert page.post("/api/label/answers/batch", json={"answers": answers}).status_code == 200
        told += answers
    return told


def test_page_and_command_line_make_the_same(page, place) -> None:
    end = make(page)
    assert end["plan"] == end["steps"] == ["look", "vectors", "groups"]
    assert end["found"]["n_recordings"] == 24
    answers = name_groups(page)
    learn(page)

    folder = place / "theirs"
    command = ["project", "new", str(place / "open" / "site"), "-o", str(folder)]
    command += ["--encoder", str(place / "runs" / "small"), "--clusters", "3", "--device", "cpu"]
    assert main([*command, "-q"]) == 0
    ours, theirs = Project.open(place / "runs" / "mine"), Project.open(folder)
    np.testing.assert_array_equal(ours.index.vectors, theirs.index.vectors)
    np.testing.assert_array_equal(ours.index.cluster, theirs.index.cluster)

    table = place / "answers.csv"
    asked = [one for group in theirs.clusters(4) for one in group.typical]
    assert [one.file for one in asked] == [one["file"] for one in answers]
    Queue(theirs.log.root, tuple(asked)).seen_from(place).write(table)
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "label": kind(Path(row["file"]).name)} for row in rows)
    assert main(["project", "learn", str(folder), "--answers", str(table), "-q"]) == 0
    a, b = (one.history.drop(columns=["time", "seconds", "state"]) for one in (ours, theirs))
    pd.testing.assert_frame_equal(a, b)
    np.testing.assert_allclose(ours.pool().scores, theirs.pool().scores, atol=1e-9)


def test_a_copy_is_in_the_group_of_its_original(page, place, at_once) -> None:
    site = place / "open" / "site"
    wave, rate = sf.read(site / "hiss-0.wav")
    sf.write(site / "a-copy.wav", 0.5 * wave, rate)
    make(page)
    clips = Project.open(place / "runs" / "mine").index.clips
    group = {Path(file).name: name for file, name in zip(clips.file, clips.group, strict=True)}
    assert group["a-copy.wav"] == group["hiss-0.wav"]
    assert group["hiss-1.wav"] != group["hiss-0.wav"]
    given = {"hiss-0.wav": "rare", "a-copy.wav": "rare"}
    given |= {f"{name}-{i}.wav": name for name in ("hum", "sweep") for i in range(3)}
    place = {"start_time": 0.0, "end_time": 0.5, "source": ""}
    about = {"presence": "positive", "annotator": "ann", **place}
    answers = [{"file": file, "labels": [label], **about} for file, label in given.items()]
    assert page.post("/api/label/answers/batch", json={"answers": answers}).status_code == 200
    learn(page)
    (step,) = page.get("/api/label").json()["learning"]["history"]
    left_out = step["left_out"]
    assert (left_out["n"], left_out["n_recordings"]) == (8, 7)
    assert left_out["n_right"] <= 6, "the copy was learned while the original was left out"
    assert "from 7 recordings" in step["said"]["left_out"]


@pytest.mark.slow
def test_a_demo_makes_its_recordings_and_is_opened_again(page, place, at_once, monkeypatch) -> None:
    few = replace(DEMO_SOUNDS, clips_per_class=2)
    monkeypatch.setattr("semisonic.web.projects.DEMO_SOUNDS", few)
    assert page.post("/api/projects/demo").status_code == 200
    assert page.get("/api/state").json()["project"] == "demo"
    groups = page.get("/api/label/groups").json()["groups"]
    assert sum(group["size"] for group in groups) == 24
    again = page.post("/api/projects/demo")
    assert "exists already" in again.json()["error"]
    for other in browsing(app_of(runs=place / "runs")):  # without a folder
        (found,) = other.get("/api/projects").json()["projects"]
        assert (found["name"], found["is_open"], found["is_done"]) == ("demo", True, True)
        assert other.post("/api/projects/open", json={"name": "demo"}).status_code == 200
        assert other.get("/api/state").json()["folders"] == []


def test_silence_and_noise_have_no_name_after_the_first_round(page, place, at_once) -> None:
    sf.write(place / "open" / "nothing.wav", np.zeros(2 * RATE), RATE)
    noise = np.cumsum(np.random.default_rng(0).normal(0, 1, 2 * RATE))
    noise -= np.linspace(0, noise[-1], len(noise))
    sf.write(place / "open" / "rumble.wav", 0.1 * noise / abs(noise).max(), RATE)
    make(page)
    name_groups(page)
    learn(page)
    (step,) = page.get("/api/label").json()["learning"]["history"]
    assert not any("silence and noise" in note for note in step["notes"])

    def named(file: str) -> list[Any]:
        sound = page.post("/api/folders/open", json={"folder": 0, "name": file}).json()["id"]
        assert wait_for(page, sound)["state"] == "ready"
        answer = page.get(f"/api/sounds/{sound}/events", params={"threshold": "0.6"})
        found: list[Any] = answer.json()["events"]
        return found

    assert [named(file) for file in ("nothing.wav", "rumble.wav")] == [[], []]
    heard = [[event[2] for event in named(f"site/sweep-{i}.wav")] for i in range(4)]
    assert heard.count(["sweep"]) >= 3


def test_nothing_here_is_a_class_of_its_own(page, place, mine) -> None:
    name_groups(page)
    noise = page.get("/api/label/groups").json()["noise"]
    assert len({one["file"] for one in noise}) == 4
    assert all(one["said"] is None for one in noise), "none is shown in a group as well"
    about = {"labels": [], "presence": "negative", "annotator": "ann"}
    fields = ("file", "start_time", "end_time", "source")
    answers = [{**{key: one[key] for key in fields}, **about} for one in noise]
    assert page.post("/api/label/answers/batch", json={"answers": answers}).status_code == 200
    found = page.get("/api/label/groups").json()
    assert [one["file"] for one in found["noise"]] == [one["file"] for one in noise]
    assert [one["said"] for one in found["noise"]] == [[]] * 4
    assert "background" not in found["classes"], "it has no key, and is no name to give"
    learn(page)
    assert "background" in page.get("/api/state").json()["model"]["classes"]
    (step,) = page.get("/api/label").json()["learning"]["history"]
    assert step["n_classes"] == len(found["classes"])
    n_before = len(LabelLog(place / "runs" / "mine" / "labels.jsonl").answers())
    page.post("/api/label/undo", json={"annotator": "ann"})
    assert len(LabelLog(place / "runs" / "mine" / "labels.jsonl").answers()) < n_before


def test_groups_are_small_and_can_be_split(page, at_once) -> None:
    make(page, clusters="auto")
    before = page.get("/api/label/groups").json()["groups"]
    assert len(before) == 6  # of 24 segments
    split = page.post("/api/label/groups/split", json={"number": 0})
    after = split.json()["groups"]
    assert [group["number"] for group in after] == list(range(7))
    assert after[0]["size"] + after[6]["size"] == before[0]["size"]
    assert after[0]["size"] >= after[6]["size"] > 0
    assert after[1:6] == before[1:]
    assert page.get("/api/label/groups").json() == split.json()
    refused = page.post("/api/label/groups/split", json={"number": 7})
    assert refused.status_code == 400
    assert "group 8" in refused.json()["error"]


def test_groups_are_named_and_taken_back_at_once(page, place, mine) -> None:
    before = page.get("/api/label/groups").json()["groups"]
    assert sum(group["size"] for group in before) == 24
    assert all(one["said"] is None for group in before for one in group["sounds"])
    name_groups(page)
    found = page.get("/api/label/groups").json()
    assert set(found["classes"]) == {"hum", "hiss", "sweep"}
    assert all(one["said"] == [kind(one["file"])] for g in found["groups"] for one in g["sounds"])
    n = len(found["groups"][-1]["sounds"])
    log = LabelLog(place / "runs" / "mine" / "labels.jsonl")
    n_before = len(log.answers())
    assert page.post("/api/label/undo", json={"annotator": "ann"}).status_code == 200
    assert len(log.answers()) == n_before - n
    last = page.get("/api/label/groups").json()["groups"][-1]
    assert all(one["said"] is None for one in last["sounds"])


def test_a_cancelled_project_goes_on(page, place, monkeypatch) -> None:
    # Making an encoder takes minutes; one from the cache would be there before the cancelling.
    monkeypatch.setenv("SEMISONIC_CACHE", str(place / "empty-cache"))
    page.post("/api/projects", json={**NEW, "encoder": "synth"})
    begun = until(
        lambda: found if (found := making(page))["at"] or found["state"] != "runs" else {}
    )
    assert begun["state"] == "runs", begun
    again = page.post("/api/projects", json={**NEW, "name": "other"})
    assert again.status_code == 400
    assert "is being made" in again.json()["error"]
    page.post("/api/projects/cancel")
    assert made(page)["state"] == "stopped"
    (found,) = page.get("/api/projects").json()["projects"]
    assert (found["name"], found["is_done"], found["is_open"]) == ("mine", False, True)
    assert page.post("/api/projects/cancel").status_code == 400
    assert not (place / "runs" / "other").exists()


def test_a_killed_app_leaves_a_project_that_goes_on(place, page) -> None:
    """The process that makes it ends with the app, and another app goes on from there."""
    options = {
        "task": "project",
        "recordings": str(place / "open" / "site"),
        "output": str(place / "runs" / "mine"),
        "encoder": str(place / "runs" / "small"),
        "clusters": "3",
    }
    command = [sys.executable, "-m", "semisonic.web.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(options).encode() + b"\n")
        worker.stdin.flush()
        assert json.loads(worker.stdout.readline()) == {"step": "look"}
        worker.stdin.close()  # as the system does when the app is killed
        worker.stdout.read()
        assert worker.wait(40) in (0, 130)
    assert not (place / "runs" / "mine" / "project.json").exists()
    (found,) = page.get("/api/projects").json()["projects"]
    assert not found["is_done"]
    assert page.post("/api/projects/again", json={"name": "mine"}).status_code == 200
    assert made(page)["state"] == "done"
    assert len(page.get("/api/label/groups").json()["groups"]) == 3


def test_a_relative_folder_is_the_same_when_it_goes_on(place, monkeypatch, at_once) -> None:
    monkeypatch.chdir(place)
    for page in browsing(app_of(folder=(Path("open"),), runs=Path("runs"))):
        make(page)
    monkeypatch.undo()  # elsewhere, and in a process of its own
    (place / "runs" / "mine" / "project.json").unlink()  # as if it had not come to its end
    for page in browsing(state_of(place)):
        assert page.post("/api/projects/again", json={"name": "mine"}).status_code == 200
        end = made(page)
        assert end["state"] == "done", end


def test_a_name_whose_making_was_killed_at_once_is_free(page, place, at_once) -> None:
    folder = place / "runs" / "mine"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".begun.json.123.part").touch()
    make(page)
    (place / "runs" / "notes").mkdir()
    (place / "runs" / "notes" / "text.txt").touch()
    assert page.post("/api/projects", json={**NEW, "name": "notes"}).status_code == 400


def test_a_project_is_opened_after_the_app_was_closed(page, place, mine) -> None:
    for other in browsing(state_of(place)):
        assert other.get("/api/label").status_code == 400
        (found,) = other.get("/api/projects").json()["projects"]
        assert found["is_done"]
        assert other.post("/api/projects/open", json={"name": "mine"}).json()["has_project"]
        assert other.get("/api/label").json()["segments"] == 24


def test_the_classifier_in_use_is_that_of_the_open_project(page, place, mine) -> None:
    shutil.copytree(place / "runs" / "mine", place / "runs" / "theirs")
    for name in ("mine", "theirs"):
        page.post("/api/projects/open", json={"name": name})
        name_groups(page)
        learn(page)
        model = page.get("/api/state").json()["model"]
        assert model["path"] == str(place / "runs" / name / "model.zip")
    page.post("/api/model", json={"name": "small"})  # one that was chosen stays
    page.post("/api/projects/open", json={"name": "mine"})
    model = page.get("/api/state").json()["model"]
    assert model["path"] == str(place / "runs" / "small")


@pytest.mark.parametrize(
    "change",
    [
        {"folder": 1},
        {"folder": -1},
        {"below": "../closed"},
        {"below": "site/../../closed"},
        {"below": "/etc"},
        {"below": ".hidden"},
        {"below": "none"},
        {"name": "../mine"},
        {"name": "a/b"},
        {"name": ""},
        {"name": "."},
        {"name": "small"},
        {"encoder": "/etc/passwd"},
        {"encoder": "run:../small"},
        {"encoder": "given"},
        {"name": "x" * 1000},
    ],
)
def test_nothing_else_is_made_a_project_of(page, place, change) -> None:
    (place / "open" / ".hidden").mkdir()
    makes_no_project(page, place, change)


@LINKS
@pytest.mark.parametrize("below", ["out", "linked"])
def test_what_a_link_leads_to_is_made_no_project(page, place, below) -> None:
    (place / "open" / "out").symlink_to(place / "closed", target_is_directory=True)
    (place / "open" / "linked").mkdir()
    (place / "open" / "linked" / "a.wav").symlink_to(place / "closed" / "site" / "hum-0.wav")
    makes_no_project(page, place, {"below": below})


def makes_no_project(page: Any, place: Path, change: dict[str, Any]) -> None:
    answer = page.post("/api/projects", json={**NEW, **change})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]
    assert page.get("/api/projects").json() | {"encoders": []} == {
        "projects": [],
        "making": None,
        "folder": str(place / "runs"),
        "encoders": [],
    }


def test_a_project_of_other_recordings_is_not_opened(page, place, app_project) -> None:
    shutil.copytree(app_project.parent, place / "elsewhere")
    shutil.copytree(place / "elsewhere" / app_project.name, place / "runs" / "theirs")
    about = json.loads((place / "runs" / "theirs" / "project.json").read_text(encoding="utf-8"))
    about["recordings"] = str(place / "elsewhere" / "recordings")
    (place / "runs" / "theirs" / "project.json").write_text(json.dumps(about), encoding="utf-8")
    (found,) = page.get("/api/projects").json()["projects"]
    assert not found["is_open"]
    for route in ("open", "again"):
        answer = page.post(f"/api/projects/{route}", json={"name": "theirs"})
        assert answer.status_code == 400, route
        assert "was opened with --folder" in answer.json()["error"]
    assert page.get("/api/label").status_code == 400


def test_what_cannot_be_made_says_why(page, place) -> None:
    for file in (place / "open" / "site").iterdir():
        file.write_bytes(b"RIFF")
    page.post("/api/projects", json=NEW)
    end = made(page)
    assert end["state"] == "failed"
    assert "no usable recording" in end["reason"]
