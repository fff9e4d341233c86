"""The list of answers and classes: changed, deleted, restored; renamed, merged, spelled alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app_helpers import app_of, browsing, sent

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from semisonic.labeling.label_log import LabelLog
from semisonic.labeling.project import Project


@pytest.fixture
def answered(project) -> Project:
    """ann and bob answered; they differ about hum-0.wav."""
    made = Project.open(project)
    said = [("hum-0", "hum", "ann"), ("hum-0", "hiss", "bob"), ("hum-1", "Hum", "bob")]
    for file, label, who in [*said, ("hiss-0", "hiss", "ann")]:
        made.log.append(f"{file}.wav", 0.0, 0.5, label, annotator=who, source="suggest:random")
    return made


@pytest.fixture
def page(project, answered) -> Iterator[Any]:
    yield from browsing(app_of(project=project, runs=project.parent))


def listed(page: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The list of answers by recording and annotator."""
    rows = page.get("/api/label/answers").json()["rows"]
    found = {(row["file"], row["annotator"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def done(page: Any, path: str, **body: Any) -> Any:
    answer = sent(page, f"label/{path}", {"annotator": "ann", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(page: Any, path: str, **body: Any) -> str:
    answer = sent(page, f"label/{path}", {"annotator": "ann", **body})
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])


def test_all_answers_that_hold_are_listed_and_where_people_differ(page, answered) -> None:
    answered.log.append("hum-1.wav", 0.0, 0.5, "Hum", annotator="bob", note="once more")
    found = listed(page)
    assert {key: row["labels"] for key, row in found.items()} == {
        ("hum-0.wav", "ann"): ["hum"],
        ("hum-0.wav", "bob"): ["hiss"],
        ("hum-1.wav", "bob"): ["Hum"],
        ("hiss-0.wav", "ann"): ["hiss"],
    }
    assert [key for key, row in found.items() if row["differs"]] == [
        ("hum-0.wav", "bob"),
        ("hum-0.wav", "ann"),
    ]
    assert found["hum-1.wav", "bob"]["note"] == "once more"


def test_an_answer_is_changed_by_new_lines_alone(page, answered) -> None:
    before = answered.log.path.read_bytes()
    row = listed(page)["hum-0.wav", "bob"]
    done(page, "answers/change", id=row["id"], labels=["hum"], presence="positive", annotator="eve")
    assert answered.log.path.read_bytes().startswith(before)
    found = listed(page)
    assert ("hum-0.wav", "bob") not in found
    assert found["hum-0.wav", "eve"]["labels"] == ["hum"]
    assert found["hum-0.wav", "eve"]["source"] == "suggest:random"  # still of the random sample
    assert not any(row["differs"] for row in found.values())
    done(page, "undo", annotator="eve")
    assert listed(page)["hum-0.wav", "bob"]["labels"] == ["hiss"]
    gone = {"id": "none", "labels": ["hum"], "presence": "positive"}
    assert "does not exist any more" in refused(page, "answers/change", **gone)


def test_an_answer_is_deleted_and_restored(page, answered) -> None:
    row = listed(page)["hiss-0.wav", "ann"]
    back = done(page, "answers/delete", id=row["id"], annotator="bob")
    assert ("hiss-0.wav", "ann") not in listed(page)
    assert "hiss-0.wav" not in {one.file for one in answered.log.answers()}  # asked about again
    done(page, "answers/delete", id=back["id"], annotator="bob")
    assert listed(page)["hiss-0.wav", "ann"] == row


def test_a_class_is_renamed_for_all_and_its_key_stays(page, answered) -> None:
    assert page.get("/api/label").json()["classes"] == ["hum", "hiss", "Hum"]
    done(page, "classes", name="hiss", colour="#4aa19f", key="h")
    found = done(page, "classes/rename", name="hiss", to="Hissing ")
    assert found["n"] == 2
    looks = {one["name"]: one for one in found["classes"]}
    assert list(looks) == ["hum", "Hissing", "Hum"]  # in its place, so that number keys stay
    assert looks["Hissing"] == {"name": "Hissing", "n": 2, "colour": "#4aa19f", "key": "h"}
    assert listed(page)["hum-0.wav", "bob"]["labels"] == ["Hissing"]  # still bob's
    done(page, "undo", annotator="ann")  # all of it, of those who answered, too
    assert listed(page)["hum-0.wav", "bob"]["labels"] == ["hiss"]
    assert listed(page)["hiss-0.wav", "ann"]["labels"] == ["hiss"]


def test_two_classes_become_one_only_when_that_is_meant(page) -> None:
    error = refused(page, "classes/rename", name="Hum", to="hum")
    assert "there is already a class 'hum'" in error
    assert "is already a class 'Hum'" in refused(page, "classes/rename", name="hiss", to="h U m")
    found = done(page, "classes/rename", name="Hum", to="hum", merge=True)
    assert [(one["name"], one["n"]) for one in found["classes"]] == [("hum", 2), ("hiss", 2)]
    assert "no answer with the label 'Hum'" in refused(page, "classes/rename", name="Hum", to="x")
    assert "separates labels" in refused(page, "classes/rename", name="hum", to="a;b")


def test_a_key_belongs_to_one_class_and_looks_stay(page, answered) -> None:
    done(page, "classes", name="hum", colour="#102030", key="x")
    classes = done(page, "classes", name="hiss", key="x")["classes"]
    looks = {one["name"]: (one["colour"], one["key"]) for one in classes}
    assert (looks["hum"], looks["hiss"]) == (("#102030", ""), ("", "x"))
    assert Project.open(answered.folder).class_looks["hum"]["colour"] == "#102030"
    assert Project.open(answered.folder).several_labels is False
    for wrong in ({"colour": "red"}, {"key": "xy"}, {"key": " "}):
        answer = page.post("/api/label/classes", json={"name": "hum", **wrong})
        assert answer.status_code == 422


@pytest.mark.parametrize("label", ["Hiss", "HISS", "hi ss"])
def test_a_class_is_spelled_in_one_way(page, answered, label) -> None:
    place = {"file": "sweep-0.wav", "start_time": 0.0, "end_time": 0.5, "presence": "positive"}
    assert "there is 'hiss'" in refused(page, "answers", **place, labels=[label])
    row = listed(page)["hum-0.wav", "ann"]
    change = {"id": row["id"], "labels": [label], "presence": "positive"}
    assert "there is 'hiss'" in refused(page, "answers/change", **change)
    two = [{**place, "annotator": "ann", "labels": [name]} for name in ("owl", "Owl")]
    assert "there is 'owl'" in refused(page, "answers/batch", answers=two)
    n = len(answered.log.answers())
    done(page, "answers", **place, labels=["hum"])  # both spellings were there before
    done(page, "answers", **{**place, "file": "sweep-1.wav"}, labels=["Hum"])
    assert len(answered.log.answers()) == n + 2


def test_a_table_of_answers_keeps_the_spelling_too(answered, tmp_path) -> None:
    from semisonic.core.errors import DataError
    from semisonic.labeling.project import learn_in_project

    queue = answered.suggest(2)
    table = queue.write(tmp_path / "queue.csv")
    lines = Path(table).read_text(encoding="utf-8").splitlines()
    cells = lines[0].split(",")
    rows = [line.split(",") for line in lines[1:]]
    for row in rows:
        row[cells.index("label")] = "Hiss"
    Path(table).write_text("\n".join([lines[0], *map(",".join, rows)]), encoding="utf-8")
    with pytest.raises(DataError, match=r"row 2: found the label 'Hiss', but there is 'hiss'"):
        learn_in_project(answered, Path(table))
    assert len(LabelLog(answered.log.path).answers()) == 4


RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tAnnotation\n"
    "1\tSpectrogram 1\t1\t0.1\t0.2\t500\t1200\towl\n"
    "2\tSpectrogram 1\t1\t0.1\t0.2\t2000\t3000\tbat\n"
    "3\tSpectrogram 1\t1\t0.3\t9.0\t500\t1200\towl\n"
)
CSV = (
    "file,start_time,end_time,label,score\n"
    "sweep-0.wav,0,0.5,HUM,\n"
    "nowhere.wav,0,0.5,owl,\n"
    "sweep-1.wav,0,0.5,-,\n"
    "sweep-2.wav,0,0.5,sweep,0.8\n"
)


def imported(page: Any, name: str, text: str, **more: Any) -> Any:
    answer = page.post(
        "/api/label/import",
        params={"name": name, "annotator": "ann", **more},
        content=text.encode("latin-1"),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_selection_table_becomes_answers_with_its_frequencies(page, answered) -> None:
    found = imported(page, "C:\\tables\\sweep-3.Table.1.selections.txt", RAVEN)
    assert found["n_answers"] == 2
    ((place, reason),) = found["problems"]
    assert "sweep-3.wav, 0.3 to 9 s, 'owl'" in place
    assert "ends at 0.5 s" in reason
    boxes = {one.labels: (one.fmin_hz, one.fmax_hz) for one in answered.log.answers()[4:]}
    assert boxes == {("owl",): (500.0, 1200.0), ("bat",): (2000.0, 3000.0)}
    events = answered.log.current().events
    own = events[events.file == "sweep-3.wav"]
    assert sorted(zip(own.label, own.fmin_hz, strict=True)) == [("bat", 2000.0), ("owl", 500.0)]
    again = imported(page, "sweep-3.Table.1.selections.txt", RAVEN)
    assert (again["n_answers"], again["n_known"]) == (0, 2)
    done(page, "undo")  # the whole file
    assert len(answered.log.answers()) == 4


def test_rows_without_a_recording_are_listed_and_spelling_is_asked(page, answered) -> None:
    asked = imported(page, "labels.csv", CSV)
    assert (asked["n_answers"], asked["spelled"]) == (0, {"HUM": "Hum"})
    assert len(answered.log.answers()) == 4
    found = imported(page, "labels.csv", CSV, respell=True)
    assert found["n_answers"] == 3
    ((place, reason),) = found["problems"]
    assert place == "labels.csv"
    assert "nowhere.wav" in reason
    said = {one.file: one for one in answered.log.answers()[4:]}
    assert {file: (one.labels, one.presence) for file, one in said.items()} == {
        "sweep-0.wav": (("Hum",), "positive"),
        "sweep-1.wav": ((), "negative"),
        "sweep-2.wav": (("sweep",), "uncertain"),  # a program said so, and nobody verified it
    }
    assert {one.source for one in said.values()} == {"import:labels.csv"}


def test_start_and_length_are_read_as_other_tools_mean_them(page, answered) -> None:
    text = "audio_filepath,offset,duration,label,split\nsweep-0.wav,0.1,0.3,owl,train\n"
    found = imported(page, "manifest.csv", text)
    assert found["n_answers"] == 1
    (one,) = answered.log.answers()[4:]
    assert (one.start_time, one.end_time) == (0.1, 0.4)
    assert any("not used: split" in note for note in found["notes"])
    answer = page.post(
        "/api/label/import",
        params={"name": "frames.csv", "annotator": "ann"},
        content=b"file,start_frame,end_frame,label\nsweep-0.wav,1,3,owl\n",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 400
    assert "start_frame" in answer.json()["error"]


def test_a_track_of_another_recording_and_other_files_are_refused(page) -> None:
    found = imported(page, "nothing-like-it.txt", "0.1\t0.2\towl\n")
    assert found["n_answers"] == 0
    assert "no recording" in found["problems"][0][1]
    for name in ("labels.jsonl", "../x.exe", ".."):
        answer = page.post(
            "/api/label/import",
            params={"name": name, "annotator": "ann"},
            content=b"x",
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 400
        assert "expected a label file" in answer.json()["error"]


def test_a_box_in_time_and_frequency_is_an_answer(page, answered) -> None:
    place = {"file": "sweep-4.wav", "start_time": 0.1, "end_time": 0.2, "presence": "positive"}
    for label, low, high in (("owl", 500, 900), ("bat", 2000, None)):
        done(page, "answers", **place, labels=[label], fmin_hz=low, fmax_hz=high, asked=[0, 0.5])
    rows = [row for row in page.get("/api/label/answers").json()["rows"] if row["fmin_hz"]]
    assert [(row["labels"], row["fmin_hz"], row["fmax_hz"]) for row in rows] == [
        (["bat"], 2000.0, None),
        (["owl"], 500.0, 900.0),
    ]
    assert not any(row["differs"] for row in rows)
    wrong = {**place, "labels": ["owl"], "fmin_hz": 900, "fmax_hz": 500}
    assert "expected 0 <= lowest < highest" in refused(page, "answers", **wrong)


def test_with_many_classes_the_most_used_ones_have_keys(project) -> None:
    made = Project.open(project)
    for number, label in enumerate([*"abcdefghijkl", *"jkljkl"]):
        file = ("hum", "hiss", "sweep")[number % 3]
        made.log.append(f"{file}-{number // 3}.wav", 0.0, 0.5, label, annotator="ann")
    for page in browsing(app_of(project=project, runs=project.parent)):
        keys = page.get("/api/label").json()["keys"]
        assert dict(zip([*"abcdefjkl"], "123456789", strict=True)) == keys
        done(page, "classes", name="b", key="q")  # its digit is for the next class
        now = page.get("/api/label/groups").json()["keys"]
        assert now == {**keys, "b": "q", "g": "2"}
        given(page, "hum-7", "h")
        given(page, "hiss-7", "h")  # more used now, but keys stay while people label
        assert page.get("/api/label").json()["keys"] == now
    for page in browsing(app_of(project=project, runs=project.parent)):
        again = page.get("/api/label/classes").json()["keys"]
        assert set(again) == {*"abcdehjkl", "f"}


def given(page: Any, file: str, label: str, who: str = "bob", **more: Any) -> Any:
    place = {"file": f"{file}.wav", "start_time": 0.0, "end_time": 0.5}
    return done(
        page, "answers", labels=[label], presence="positive", annotator=who, **place, **more
    )


def classes_of(page: Any) -> dict[str, int]:
    return {one["name"]: one["n"] for one in page.get("/api/label/classes").json()["classes"]}


def test_a_page_from_before_a_rename_does_not_bring_the_old_class_back(page, answered) -> None:
    stale = page.get("/api/label").json()["names_of"]
    done(page, "classes/rename", name="hiss", to="steam")
    done(page, "classes/rename", name="steam", to="jet")
    assert given(page, "hum-2", "hiss", names_of=stale)["entry"]["labels"] == ["jet"]
    assert given(page, "hum-3", "hiss")["entry"]["labels"] == ["jet"]  # of an unknown time
    row = listed(page)["hum-3.wav", "bob"]
    entry = done(page, "answers/change", id=row["id"], labels=["steam"], presence="negative")
    assert entry["entry"]["labels"] == ["jet"]
    place = {"start_time": 0.0, "end_time": 0.5, "presence": "positive", "annotator": "bob"}
    several = [{"file": f"hum-{n}.wav", "labels": ["hiss"], **place} for n in (4, 5)]
    assert done(page, "answers/batch", answers=several)["labels"] == [["jet"], ["jet"]]
    assert classes_of(page) == {"hum": 1, "jet": 6, "Hum": 1}
    assert "was renamed 'jet'" in refused(page, "classes/rename", name="hiss", to="owl")
    merged = {"name": "hum", "to": "hiss", "merge": True}
    assert "was renamed 'jet'" in refused(page, "classes/rename", **merged)


def test_an_answer_that_is_restored_after_a_rename_has_the_new_name(page, answered) -> None:
    row = listed(page)["hiss-0.wav", "ann"]
    back = done(page, "answers/delete", id=row["id"], annotator="eve")
    given(page, "hum-0", "owl")  # in place of "hiss"
    given(page, "hum-2", "hiss", "eve")
    done(page, "classes/rename", name="hiss", to="steam")
    done(page, "answers/delete", id=back["id"], annotator="eve")
    done(page, "undo", annotator="bob")
    assert classes_of(page) == {"hum": 1, "steam": 3, "Hum": 1}


def test_the_old_name_is_free_for_a_new_class_and_after_an_undo(page, answered) -> None:
    done(page, "classes/rename", name="hiss", to="steam")
    fresh = page.get("/api/label/answers").json()["names_of"]
    assert given(page, "hum-2", "hiss", names_of=fresh)["entry"]["labels"] == ["hiss"]
    assert given(page, "hum-3", "hiss")["entry"]["labels"] == ["hiss"]  # it is a class now
    assert classes_of(page) == {"hum": 1, "steam": 2, "Hum": 1, "hiss": 2}
    done(page, "classes/rename", name="Hum", to="buzz")
    done(page, "undo", annotator="ann")
    assert given(page, "hum-4", "Hum", names_of=fresh)["entry"]["labels"] == ["Hum"]
