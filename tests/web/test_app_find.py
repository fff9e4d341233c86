"""What a model finds in a whole folder: as the command finds it, listed, corrected, given out."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from app_helpers import AtOnce, app_of, browsing, sent

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.classifier.detection.detect import detect
from semisonic.classifier.model_file import open_model
from semisonic.data.events import make_events
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import Project
from semisonic.labeling.start import start_project
from semisonic.web.downloads import label_file
from semisonic.web.finding import choose_rows
from waiting import until


@pytest.fixture
def app_folder(app_folder, tmp_path) -> Path:
    """One of its own: other tests put links into theirs."""
    sounds = tmp_path / "sounds"
    shutil.copytree(
        app_folder,
        sounds,
        ignore=lambda _, names: [
            n for n in names if n != "site" and n not in ("hiss.wav", "hum.wav")
        ],
    )
    return sounds


@pytest.fixture
def page(project, app_model, app_folder) -> Iterator[Any]:
    app = app_of(model=app_model, project=project, folder=(app_folder,), runs=project.parent)
    for found in browsing(app):
        found.project = project
        yield found


@pytest.fixture
def at_once(monkeypatch) -> None:
    """What looks for sounds is this process; that it is another one is tested as well."""
    monkeypatch.setattr("semisonic.web.finding.BackgroundProcess", AtOnce)


def found(page: Any, where: str = "") -> Any:
    """Look for sounds, and wait until it ended."""
    assert sent(page, "find", {"where": where}).status_code == 200
    until(lambda: state(page, where)["work"]["state"] != "runs")
    return state(page, where)


def state(page: Any, where: str = "") -> Any:
    return page.get("/api/find", params={"where": where}).json()


def rows(page: Any, kind: str, **more: Any) -> Any:
    answer = page.get("/api/find/rows", params={"kind": kind, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_whole_folder_is_looked_through_as_the_command_does(page, app_model, app_folder):
    """Events and predictions of another folder than the project's, corrected nowhere."""
    ended = found(page, "0")
    assert (ended["work"]["state"], ended["n_recordings"]) == ("done", 2)
    expected = detect(open_model(app_model), app_folder).events
    shown = rows(page, "events", where="0", n=200)
    assert shown["n"] == len(expected) == ended["n_events"] > 0
    assert [row["score"] for row in shown["rows"]] == sorted(
        (row["score"] for row in shown["rows"]), reverse=True
    )
    assert {row["file"] for row in shown["rows"]} <= {"hiss.wav", "site/hum.wav"}
    assert sum(n for _, n in shown["labels"]) == len(expected)
    table = pd.read_csv(io.BytesIO(page.get("/api/find/tables/csv", params={"where": "0"}).content))
    times = ["start_time", "end_time"]
    assert table[times].round(3).sort_values(times).to_numpy().tolist() == (
        expected[times].round(3).sort_values(times).to_numpy().tolist()
    )
    one = sent(page, "find/open", {"file": "site/hum.wav", "where": "0"})
    assert page.get(f"/api/sounds/{one.json()['sound']}").status_code == 200


def test_predictions_of_the_project_are_listed_corrected_and_saved(page, at_once) -> None:
    ended = found(page)
    shown = rows(page, "predictions", n=200)
    assert ended["n_recordings"] == shown["n"] == 24
    first = shown["rows"][0]
    assert first["said"] is None
    one = sent(page, "find/open", {"file": first["file"]})
    assert page.get(f"/api/sounds/{one.json()['sound']}").status_code == 200
    place = {name: first[name] for name in ("file", "start_time", "end_time")}
    answer = {"labels": ["owl"], "presence": "positive", "annotator": "ann", **place}
    assert sent(page, "label/answers", answer).status_code == 200
    (now,) = [row for row in rows(page, "predictions", n=200)["rows"] if row["said"]]
    assert now["file"] == first["file"]
    assert now["said"] == {"labels": ["owl"], "presence": "positive"}
    saved = page.get("/api/find/tables/predictions")
    files = pd.read_csv(io.BytesIO(saved.content)).file
    assert sorted(files) == sorted(row["file"] for row in shown["rows"])
    labels = pd.read_csv(io.BytesIO(page.get("/api/label/tables/csv").content))
    assert labels[["file", "label"]].to_numpy().tolist() == [[first["file"], "owl"]]
    model = page.get("/api/model/file")
    assert zipfile.is_zipfile(io.BytesIO(model.content))
    # It is there for the next start, and says when the model has learned since.
    assert not state(page)["is_old"]
    later = Path(page.get("/api/state").json()["model"]["path"])
    before = later.stat()
    try:
        os.utime(later, (before.st_atime, before.st_mtime + 1e6))
        assert state(page)["is_old"]
    finally:
        os.utime(later, (before.st_atime, before.st_mtime))


def test_a_recording_has_the_counts_of_its_events_and_their_best_scores(page, at_once) -> None:
    """One answer for a long recording says nothing of what is in it."""
    of_events = [
        ("hum-0.wav", 0.0, 0.1, "hum", 0.7),
        ("hum-0.wav", 0.2, 0.3, "hum", 0.9),
        ("hum-0.wav", 0.3, 0.4, "sweep", 0.6),
        ("hiss-1.wav", 0.0, 0.5, "hiss", 0.8),
    ]
    found(page)
    path = next((page.project / "found").glob("*/events.csv"))
    names = ["file", "start_time", "end_time", "label", "score"]
    table = pd.DataFrame(of_events, columns=names)
    table["file"] = [str(page.project.parent / "recordings" / file) for file in table.file]
    table.to_csv(path, index=False)
    shown = {row["file"]: row["events"] for row in rows(page, "predictions", n=200)["rows"]}
    assert shown["hum-0.wav"] == [["hum", 2, 0.9], ["sweep", 1, 0.6]]
    assert shown["hiss-1.wav"] == [["hiss", 1, 0.8]]
    assert shown["hum-1.wav"] == []
    places = {row["file"]: row["places"] for row in rows(page, "predictions", n=200)["rows"]}
    assert places["hum-0.wav"] == [[0.0, 0.1, "hum"], [0.2, 0.3, "hum"], [0.3, 0.4, "sweep"]]
    assert places["hum-1.wav"] == []
    saved = page.get("/api/find/tables/predictions").content
    by_file = pd.read_csv(io.BytesIO(saved)).set_index("file")
    counted = [name for name in by_file if name.startswith("n_events")]
    expected = {"n_events": 3, "n_events:hum": 2, "n_events:sweep": 1, "n_events:hiss": 0}
    assert by_file.loc["hum-0.wav", counted].to_dict() == expected
    assert by_file.loc["hum-0.wav", "best_score:hum"] == 0.9
    assert by_file["best_score:hum"].notna().sum() == 1


def test_nothing_outside_the_folders_is_opened(page, at_once) -> None:
    assert sent(page, "find", {"where": "7"}).status_code == 400
    assert page.get("/api/find/rows", params={"kind": "events"}).status_code == 400
    found(page)
    for file in ("../../secret.wav", "/etc/passwd"):
        assert sent(page, "find/open", {"file": file}).status_code == 400
        assert sent(page, "find/open", {"file": file, "where": "0"}).status_code == 400


def test_without_a_model_it_says_where_one_comes_from(app_folder, tmp_path) -> None:
    for page in browsing(app_of(folder=(app_folder,), runs=tmp_path)):
        answer = page.get("/api/find", params={"where": "0"})
        assert answer.status_code == 400
        assert "make one under Label" in answer.json()["error"]


def test_rows_are_chosen_and_ordered() -> None:
    table = pd.DataFrame(
        [("a/Owl.wav", 0.0, 1.0, "owl", 0.9), ("b.wav", 1.0, 2.0, "fox", 0.4)],
        columns=["file", "start_time", "end_time", "label", "score"],
    )
    assert choose_rows(table, label="fox").file.tolist() == ["b.wav"]
    assert choose_rows(table, text="owl").file.tolist() == ["a/Owl.wav"]
    assert choose_rows(table, least=0.5).label.tolist() == ["owl"]
    assert choose_rows(table, order="least sure").label.tolist() == ["fox", "owl"]
    assert choose_rows(table, order="file").label.tolist() == ["owl", "fox"]


def test_what_a_format_cannot_hold_is_listed_beside_it() -> None:
    heard = {"file": "a.wav", "start_time": 0.0, "end_time": 1.0, "label": "owl"}
    events = make_events([heard, {**heard, "label": "fox", "presence": "negative"}])
    suffix, content = label_file(events, "audacity")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert "fox" in archive.read("left_out.csv").decode()
    assert suffix == ".audacity.zip"
    assert len(names) == 2


def test_segments_whose_vectors_were_made_elsewhere(app_folder, project, tmp_path) -> None:
    """Everything of a project but other sounds: what is found are its own segments."""
    clips = Project.open(project).index.clips
    frame = clips.to_frame()[["file", "start_time", "end_time"]]
    frame["file"] = [str(path) for path in clips.paths]
    heard = [["hum" in path.name, "hum" not in path.name] for path in clips.paths]
    frame.to_csv(project.parent / "segments.csv", index=False)
    noise = np.random.default_rng(0).normal(0, 0.1, (24, 64))
    np.save(tmp_path / "birdnet.npy", np.repeat(heard, 32, axis=1) + noise)
    table, runs = project.parent / "segments.csv", tmp_path / "runs"
    options = ProjectOptions(table, runs / "birds", encoder=str(tmp_path / "birdnet.npy"))
    birds = start_project(options).project
    app = app_of(project=birds.folder, folder=(app_folder,), runs=runs)
    for page in browsing(app):
        groups = page.get("/api/label/groups").json()
        assert groups["groups"]
        assert groups["noise"] == []
        for one in birds.suggest(12).rows:
            kind = "hum" if "hum" in one.file else "hiss"
            place = {n: getattr(one, n) for n in ("file", "start_time", "end_time", "source")}
            said = {"labels": [kind], "presence": "positive", "annotator": "ann"}
            assert sent(page, "label/answers", {**place, **said}).status_code == 200
        assert sent(page, "label/learn", {}).status_code == 200
        until(lambda page=page: not page.get("/api/label").json()["learning"]["runs"])
        learning = page.get("/api/label").json()["learning"]
        assert not learning["reason"]
        assert "cannot name other sounds" in " ".join(learning["history"][-1]["notes"])
        ended = found(page)
        assert (ended["work"]["state"], ended["work"]["reason"]) == ("done", "")
        shown = rows(page, "predictions", n=200)
        assert shown["n"] == len(set(frame.file))
        assert all((row["label"] == "hum") == ("hum" in row["file"]) for row in shown["rows"])
        ended = found(page, "0")
        assert "can search only" in ended["work"]["reason"]
