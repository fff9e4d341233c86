"""Answers given on the page: kept at once, taken back, by several people, learned from."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from app_helpers import RATE, app_of, browsing, sent, started, wait_for

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.classifier.model_file import open_model
from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.project import Project
from systems import NAMES_OF_BYTES
from waiting import until


@pytest.fixture
def page(project) -> Iterator[Any]:
    for found in browsing(app_of(project=project, runs=project.parent)):
        found.folder = project.parent / "recordings"
        yield found


def asked(page: Any, name: str = "ann", **more: str) -> dict[str, Any]:
    answer = page.get("/api/label/next", params={"annotator": name, **more})
    assert answer.status_code == 200, answer.text
    item: dict[str, Any] = answer.json()["item"]
    return item


def body(item: dict[str, Any], labels: list[str], name: str = "ann", **more: Any) -> Any:
    """An answer as the page sends it."""
    place = {key: item[key] for key in ("file", "start_time", "end_time", "source")}
    return {"labels": labels, "presence": "positive", "annotator": name, **place, **more}


def say(page: Any, item: dict[str, Any], labels: list[str], name: str = "ann", **more: Any) -> Any:
    answer = sent(page, "label/answers", body(item, labels, name, **more))
    assert answer.status_code == 200, answer.text
    return answer.json()


def answer_rightly(page: Any, n: int) -> None:
    for _ in range(n):
        item = asked(page)
        say(page, item, [kind(item)])


def learned(page: Any) -> dict[str, Any]:
    """How a round of learning ended."""
    assert page.post("/api/label/learn").status_code == 200

    def found() -> dict[str, Any]:
        learning: dict[str, Any] = page.get("/api/label").json()["learning"]
        return learning

    until(lambda: not found()["runs"])
    return found()


def kind(item: dict[str, Any]) -> str:
    return str(item["file"]).partition("-")[0]


def test_an_answer_stands_in_the_log_at_once(page, project) -> None:
    assert page.post("/api/label/several", json={"several": True}).status_code == 200
    item = asked(page)
    assert asked(page) == item  # also after a reload
    said = say(page, item, ["hum", "bird"], note="far away", guess="hiss", guess_score=0.7)
    assert said["answers"] == 1
    (entry,) = LabelLog(project / "labels.jsonl").answers()
    assert (entry.file, entry.labels, entry.annotator) == (item["file"], ("hum", "bird"), "ann")
    assert entry.source.startswith("suggest:")
    assert entry.note == "far away"
    assert entry.more == {"guess": "hiss", "guess_score": 0.7}
    assert asked(page)["file"] != item["file"]
    state = page.get("/api/label").json()
    assert (state["answers"], state["classes"]) == (1, ["hum", "bird"])


def test_nothing_is_asked_when_all_is_answered(page) -> None:
    item, n = asked(page), 0
    while item is not None:
        say(page, item, [kind(item)])
        item, n = asked(page), n + 1
    assert n == page.get("/api/label").json()["segments"]
    for strategy in ("mix", "random"):
        answer = page.get("/api/label/next", params={"annotator": "bob", "strategy": strategy})
        assert (answer.status_code, answer.json()) == (200, {"item": None})
    page.post("/api/label/undo", json={"annotator": "ann"})
    assert asked(page, "bob") is not None


def test_the_last_answer_is_taken_back_and_asked_again(page, project) -> None:
    first, second = asked(page), None
    say(page, first, ["hum"])
    second = asked(page)
    say(page, second, [], presence="negative")
    say(page, asked(page, "bob"), ["hiss"], "bob")
    taken = page.post("/api/label/undo", json={"annotator": "ann"}).json()["entry"]
    assert taken["file"] == second["file"]
    assert asked(page)["file"] == second["file"]
    log = LabelLog(project / "labels.jsonl")
    assert [one.annotator for one in log.answers()] == ["ann", "bob"]
    assert len(log.entries()) == 4  # nothing is deleted
    assert page.post("/api/label/undo", json={"annotator": "ann"}).status_code == 200
    assert page.post("/api/label/undo", json={"annotator": "ann"}).status_code == 400


def test_two_people_are_asked_about_different_segments(page) -> None:
    seen: list[str] = []
    for _ in range(6):
        items = [asked(page, name) for name in ("ann", "bob")]
        seen += [item["file"] for item in items]
        for name, item in zip(("ann", "bob"), items, strict=True):
            say(page, item, [kind(item)], name)
    assert len(set(seen)) == 12


def test_it_learns_again_and_the_curve_grows(page, project) -> None:
    assert "two classes" in learned(page)["reason"]
    for n_rounds in (1, 2):
        answer_rightly(page, 9)
        learning = learned(page)
        assert learning["reason"] == ""
        assert len(learning["history"]) == n_rounds
    assert page.get("/api/state").json()["model"]["classes"] == sorted({"hiss", "hum", "sweep"})
    item = asked(page)
    assert item["predictions"][0][1] >= item["predictions"][1][1]
    assert page.post("/api/label/learn").status_code == 200


def test_what_is_open_while_it_learns_is_asked_with_the_new_scores(page, project) -> None:
    answer_rightly(page, 6)
    assert learned(page)["reason"] == ""
    people = ("bob", "cy", "dee", "eve")
    before = {who: asked(page, who) for who in people}
    assert {item["why"] for item in before.values()} > {"uncertain"}
    answer_rightly(page, 9)
    assert learned(page)["reason"] == ""
    pool = Project.open(project).pool()
    rows = {Path(file).name: row for row, file in enumerate(pool.clips.file)}
    for who in people:
        item = asked(page, who)
        if before[who]["why"] != "uncertain":
            assert item["file"] == before[who]["file"]
        if not item["hides_guess"]:
            now = pool.predictions(rows[item["file"]])
            assert item["predictions"] == [pytest.approx(list(one)) for one in now]
            assert item["predictions"] != before[who]["predictions"]


def test_more_like_this_comes_next(page) -> None:
    item = asked(page)
    say(page, item, [kind(item)])
    n = page.post("/api/label/similar", json=item).json()["n"]
    assert n == 8
    following = []
    for _ in range(3):
        found = asked(page)
        assert found["why"] == "similar"
        following.append(found["file"])
        say(page, found, [kind(found)])
    assert item["file"] not in following


def test_what_the_model_got_wrong_is_told(page) -> None:
    guesses = [("hum", 0.9), ("hiss", 0.6), ("sweep", 0.8)]
    for guess, score in guesses:
        say(page, asked(page), ["hum"], guess=guess, guess_score=score)
    rows = page.get("/api/label/wrong").json()["rows"]
    assert [(row["guess"], row["score"]) for row in rows] == [("sweep", 0.8), ("hiss", 0.6)]
    again = page.post("/api/label/open", json=rows[0]).json()
    assert again["item"]["file"] == rows[0]["file"]


def test_what_the_model_could_not_know_is_no_error(page) -> None:
    answer_rightly(page, 9)
    assert learned(page)["reason"] == ""
    for label in ("owl", "hum", "owl"):
        say(page, asked(page), [label], guess="sweep", guess_score=0.9)
    named = {row["labels"][0] for row in page.get("/api/label/wrong").json()["rows"]}
    assert "hum" in named
    assert "owl" not in named


def test_a_clip_that_measures_shows_no_guess_and_keeps_it(page) -> None:
    answer_rightly(page, 9)
    assert learned(page)["reason"] == ""
    seen = set()
    for _ in range(12):
        item = asked(page)
        seen.add(item["why"])
        assert item["hides_guess"] == (item["why"] == "random") == (not item["predictions"])
        said = say(page, item, [kind(item)])
        assert said["entry"]["more"]["guess"] in {"hum", "hiss", "sweep"}
    assert {"random", "uncertain"} <= seen


def test_several_parts_of_a_segment_are_answers_to_it(page, project) -> None:
    item = asked(page)
    whole = [item["start_time"], item["end_time"]]
    for start, label in ((0.1, "hum"), (0.3, "bird")):
        say(page, item, [label], start_time=start, end_time=start + 0.1, asked=whole)
    first, second = LabelLog(project / "labels.jsonl").answers()
    assert (first.start_time, second.labels) == (0.1, ("bird",))
    other = asked(page)
    assert other["file"] != item["file"]
    page.post("/api/label/undo", json={"annotator": "ann"})
    assert asked(page)["file"] == other["file"]  # its other part has an answer
    page.post("/api/label/undo", json={"annotator": "ann"})
    again = page.get("/api/label/next", params={"annotator": "ann"}).json()
    assert again["item"]["file"] == item["file"]
    assert [again["item"]["start_time"], again["item"]["end_time"]] == whole
    assert again["events"] == []


def test_what_is_asked_is_shown_but_not_listed(page) -> None:
    answer = page.get("/api/label/next", params={"annotator": "ann"}).json()
    facts = wait_for(page, answer["sound"], "picture")
    assert facts["name"] == answer["item"]["file"]
    assert "heard" not in facts
    assert page.get("/api/state").json()["open"] == []


def test_a_recording_that_is_gone_can_be_skipped(page, project) -> None:
    item = asked(page)
    (project.parent / "recordings" / item["file"]).unlink()
    answer = page.get("/api/label/next", params={"annotator": "ann"}).json()
    assert "no such file" in wait_for(page, answer["sound"], "picture")["reason"]
    say(page, item, [], presence="uncertain")
    assert asked(page)["file"] != item["file"]


def test_a_folder_that_is_gone_is_told_and_its_recordings_come_back(page) -> None:
    item = asked(page)
    away = page.folder.rename(page.folder.parent / "away")
    found = page.post("/api/label/open", json=item).json()["sound"]
    facts = wait_for(page, found)
    assert facts["folder_is_gone"]
    assert facts["reason"] == f"its folder is not there any more: {page.folder}"
    away.rename(page.folder)
    found = page.post("/api/label/open", json=item).json()["sound"]
    assert wait_for(page, found, "ready")["state"] == "ready"


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "none.wav", "all/../secret.wav"])
def test_no_recording_outside_the_project_is_opened(page, project, name) -> None:
    secret = project.parent.parent / "secret.wav"
    sf.write(secret, np.zeros(RATE), RATE)
    place = {"start_time": 0.0, "end_time": 0.5}
    for file in (name, str(secret)):
        assert page.post("/api/label/open", json={"file": file, **place}).status_code == 400
        said = {"file": file, **place, "labels": ["hum"], "presence": "positive"}
        answer = page.post("/api/label/answers", json={**said, "annotator": "ann"})
        assert answer.status_code == 400
        assert page.post("/api/label/skip", json={**said, "annotator": "ann"}).status_code == 400
        assert page.post("/api/label/similar", json={"file": file, **place}).status_code == 400
    assert not (project / "labels.jsonl").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"presence": "perhaps"},
        {"end_time": 0.0},
        {"start_time": -1.0},
        {"start_time": 0.4, "end_time": 0.2},
        {"labels": ["x" * 101]},
        {"labels": "hum"},
        {"labels": []},
        {"guess_score": 7},
        {"end_time": 99_999.0},
        {"end_time": 1e300},
        {"start_time": 0.0, "end_time": 0.6},
        {"labels": ["-"]},
        {"labels": ["?"]},
        {"labels": ["hum\0"]},
        {"labels": ["hum\nhiss"]},
        {"labels": [f"hum {number}" for number in range(5000)]},
        {"labels": ["hum", "hiss"]},
        {"annotator": ""},
        {"note": "\ud800"},
        {"labels": ["\ud800"]},
        {"file": "\ud800.wav"},
    ],
)
def test_an_impossible_answer_is_refused(page, project, change) -> None:
    item = asked(page)
    said = body(item, ["hum"]) | change
    for path, content in (("answers", said), ("answers/batch", {"answers": [said]})):
        answer = sent(page, f"label/{path}", content)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"]
    assert not (project / "labels.jsonl").exists()


@NAMES_OF_BYTES
def test_a_name_that_is_no_utf8_is_asked_heard_and_answered(
    app_project, app_model, tmp_path
) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(app_project.parent / "recordings", folder)
    for number, name in enumerate((b"bad\xff\xfe.wav", b"\xe9t\xe9.wav")):
        os.rename(folder / f"hum-{number}.wav", os.fsencode(folder) + b"/" + name)
    made = started(folder, tmp_path / "project", app_model)
    app_state = app_of(project=tmp_path / "project", runs=tmp_path)
    odd = {}
    for page in browsing(app_state):
        n_asked = 0
        while (answer := page.get("/api/label/next", params={"annotator": "ann"}).json())["item"]:
            item, n_asked = answer["item"], n_asked + 1
            if not item["file"].isprintable():
                facts = wait_for(page, answer["sound"], "picture")
                odd[item["file"]] = facts["name"]
                assert facts["state"] == "ready"
            say(page, item, ["hum" if not item["file"].isprintable() else kind(item)])
        assert n_asked == len(made.project.index) == 24
        assert page.get("/api/label/groups").status_code == 200
        assert learned(page)["reason"] == ""
        assert page.get("/api/label/issues").status_code == 200
        undone = page.post("/api/label/undo", json={"annotator": "ann"})
        assert undone.status_code == 200
        assert page.get("/api/projects").status_code == 200
    assert odd == {
        "bad\udcff\udcfe.wav": "bad\udcff\udcfe.wav",
        "\udce9t\udce9.wav": "\udce9t\udce9.wav",
    }


def test_a_project_of_one_label_a_clip_stays_one(page, project) -> None:
    item = asked(page)
    two = body(item, ["hum", "bird"])
    refused = page.post("/api/label/answers", json=two)
    assert refused.status_code == 400
    assert "hum, bird, expected one" in refused.json()["error"]
    assert page.get("/api/label").json()["several_labels"] is False
    assert page.post("/api/label/several", json={"several": True}).status_code == 200
    assert page.post("/api/label/answers", json=two).status_code == 200
    assert page.get("/api/label").json()["several_labels"] is True
    answer_rightly(page, 6)
    assert learned(page)["history"][-1]["several_labels"] is True
    page.post("/api/label/several", json={"several": False})
    (first, last) = learned(page)["history"]
    assert (first["several_labels"], last["several_labels"]) == (True, False)
    assert last["n_answers"] == 6
    assert any("segments with several labels" in note for note in last["notes"])
    assert not open_model(project / "model.zip").multi_label


def test_what_is_said_beside_a_number_comes_with_it(page) -> None:
    answer_rightly(page, 7)
    item = asked(page)
    say(page, item, ["owl"])
    last = learned(page)["history"][-1]
    assert "of 8" in last["said"]["left_out"]
    assert any("classes with one answer" in note and "owl" in note for note in last["notes"])


def test_answers_at_random_are_counted_as_they_measure_the_accuracy(page) -> None:
    for _ in range(4):
        item = asked(page, strategy="typical")
        say(page, item, [kind(item)])
    assert page.get("/api/label").json()["n_random"] == 0
    for _ in range(5):
        item = asked(page, strategy="random")
        say(page, item, [kind(item)])
    n = page.get("/api/label").json()["n_random"]
    assert 5 <= n <= 9
    assert learned(page)["history"][-1]["by_random"]["n"] == n


def test_what_is_skipped_is_no_answer_and_comes_last(page, project) -> None:
    first = asked(page)
    skip = {key: first[key] for key in ("file", "start_time", "end_time")} | {"annotator": "ann"}
    assert page.post("/api/label/skip", json=skip).status_code == 200
    assert not (project / "labels.jsonl").exists()
    assert asked(page, "bob")["file"] == first["file"]  # others are asked all the same
    page.post("/api/label/skip", json={**skip, "annotator": "bob"})
    seen = []
    while (item := asked(page))["file"] != first["file"]:
        seen.append(item["file"])
        say(page, item, [kind(item)])
        assert len(seen) < 24
    assert len(seen) == 23
    state = page.get("/api/label").json()
    assert (state["answers"], state["segments"]) == (23, 24)
    say(page, first, ["hum"])
    assert asked(page) is None


def test_nameless_people_must_be_told_apart(page) -> None:
    assert page.get("/api/label/next", params={"annotator": ""}).status_code == 422
    assert page.get("/api/label/next").status_code == 422
    assert page.post("/api/label/undo", json={"annotator": ""}).status_code == 422


def test_a_full_disk_is_told_in_plain_words(page, monkeypatch) -> None:
    item = asked(page)
    say(page, item, [kind(item)])

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("semisonic.labeling.label_log.sync", full)
    item = asked(page)
    answer = page.post("/api/label/answers", json=body(item, ["hum"]))
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the disk is full")
    monkeypatch.setattr("semisonic.labeling.project.learn_round", full)
    assert learned(page)["reason"].startswith("the disk is full")


def test_many_recordings_may_be_open_while_labelling(page, monkeypatch) -> None:
    monkeypatch.setattr("semisonic.web.recordings.MOST_LISTED", 3)
    monkeypatch.setattr("semisonic.web.recordings.MOST_UNLISTED", 2)
    wave = (Path(page.folder) / "hum-0.wav").read_bytes()
    ids = [
        page.post(f"/api/uploads?name={number}.wav", content=wave).json()["id"]
        for number in range(5)
    ]
    page.get(f"/api/sounds/{ids[2]}")  # used again, so it stays
    ids.append(page.post("/api/uploads?name=last.wav", content=wave).json()["id"])
    is_open = [page.get(f"/api/sounds/{one}").status_code == 200 for one in ids]
    assert is_open == [False, False, True, False, True, True]
    answer_rightly(page, 6)
    assert page.get(f"/api/sounds/{ids[2]}").status_code == 200


def test_without_a_project_it_says_how_to_get_one(client) -> None:
    answer = client.get("/api/label")
    assert answer.status_code == 400
    assert "--project" in answer.json()["error"]
