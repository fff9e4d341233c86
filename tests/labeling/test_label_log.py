"""The label log as a file: several processes, crashes, polling, learning from it."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_sounds import RATE, sound

from semisonic.core.errors import DataError
from semisonic.core.label_names import class_name
from semisonic.data.datasets.load import describe_layout, gather, load_clips
from semisonic.data.formats.label_files import read_labels
from semisonic.data.label_log import label_fault
from semisonic.labeling.label_log import LabelLog


@pytest.fixture
def log(tmp_path):
    """A log in a folder of its own, of recordings elsewhere."""
    (tmp_path / "sounds").mkdir()
    for name in ("a", "b"):
        sf.write(tmp_path / "sounds" / f"{name}.wav", sound("hum", 1), RATE)
    return LabelLog(tmp_path / "project" / "labels.jsonl", tmp_path / "sounds")


def _append_many(path, name, n):
    log = LabelLog(path)
    for number in range(n):
        log.append("a.wav", 0.0, 0.5, f"{name}{number}", annotator=name, note="x" * 3000)


def test_several_processes_lose_nothing(log):
    log.append("a.wav", 0, 0.5, "first")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(log.path, f"p{k}", 25)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    entries = log.entries()
    assert len(entries) == 101
    assert not log.problems()
    assert len({entry.id for entry in entries}) == 101
    times = [entry.time for entry in entries]
    assert times == sorted(set(times))  # so the newest is the last one written
    for k in range(4):
        own = [entry.labels[0] for entry in entries if entry.annotator == f"p{k}"]
        assert own == [f"p{k}{number}" for number in range(25)]


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_cut_off_and_nothing_else(log, cut):
    log.append("a.wav", 0, 0.5, "dog")
    whole = log.path.read_bytes()
    log.append("b.wav", 0, 0.5, "cat")
    os.truncate(log.path, log.path.stat().st_size - cut)
    again = LabelLog(log.path)
    n_left = 2 if cut == 1 else 1  # only the line's end is missing: the answer is whole
    assert len(again.entries()) == n_left
    again.append("b.wav", 0.1, 0.5, "rain")
    assert [entry.labels for entry in again.entries()][-1] == ("rain",)
    assert len(again.entries()) == n_left + 1
    assert log.path.read_bytes().startswith(whole)


def test_an_answer_is_synced_to_the_disk_before_the_call_returns(
    log: LabelLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}

    def to_the_disk(descriptor: int) -> None:
        about = os.fstat(descriptor)
        synced[about.st_ino] = about.st_size

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, to_the_disk, raising=False)
    for label in ("dog", "cat"):
        log.append("a.wav", 0, 0.5, label)
        about = log.path.stat()
        assert synced.get(about.st_ino) == about.st_size


def test_a_damaged_line_disturbs_no_other(log):
    log.append("a.wav", 0, 0.5, "dog")
    with log.path.open("ab") as stream:
        stream.write(b'{"id": 3}\n\xff\xfe\n\n')
    log.append("b.wav", 0, 0.5, "cat")
    assert [entry.labels for entry in log.entries()] == [("dog",), ("cat",)]
    assert [where.rpartition(" ")[2] for where, _ in log.problems()] == ["3", "4"]


def test_undo_takes_back_and_undo_of_undo_restores(log):
    one = log.append("a.wav", 0, 0.5, "dog")
    back = log.undo(one.id, annotator="bob")
    assert len(log.current()) == 0
    log.undo(back.id)
    assert log.current().clips().labels == (("dog",),)
    with pytest.raises(DataError, match="no entry 'nothing'"):
        log.undo("nothing")


def test_impossible_answers_write_nothing(log):
    with pytest.raises(DataError, match="expected 0 <= start < end"):
        log.append("a.wav", 2.0, 1.0, "dog")
    with pytest.raises(DataError, match="found no label"):
        log.extend(
            [
                {"file": "a.wav", "end_time": 0.5, "labels": "dog"},
                {"file": "a.wav", "end_time": 0.5},
            ]
        )
    assert not log.path.exists()


def test_an_answer_without_an_end_reaches_to_the_end_of_the_recording(log):
    assert log.append("a.wav", labels="dog").end_time == pytest.approx(0.5)


def test_recordings_are_named_from_the_root_and_the_log_knows_it(log):
    entry = log.append(log.root / "b.wav", 0, 0.5, "dog")
    assert entry.file == "b.wav"
    elsewhere = log.root.parent / "elsewhere" / "c.wav"
    assert log.append(elsewhere, 0, 1, "dog").file == elsewhere.as_posix()
    assert LabelLog(log.path).root == log.root
    with pytest.raises(DataError, match="its recordings are in"):
        LabelLog(log.path, log.path.parent)
    other = log.path.with_name("other.jsonl")
    other.write_text("{}\n", encoding="utf-8")
    with pytest.raises(DataError, match="not a label log"):
        LabelLog(other)


def test_a_log_is_a_data_set_like_any_other(log):
    log.append("a.wav", 0, 0.5, "dog", annotator="ann")
    log.append("b.wav", 0, 0.25, ["cat", "rain"], annotator="ann")
    clips = load_clips(log.path)
    assert "label log" in describe_layout(log.path)
    assert clips.root == log.root
    assert dict(zip(clips.file.tolist(), clips.labels, strict=True)) == {
        "a.wav": ("dog",),
        "b.wav": ("cat", "rain"),
    }
    events = read_labels(log.path)
    assert sorted(events.label.tolist()) == ["cat", "dog", "rain"]
    log.append("gone.wav", 0, 1, "dog")
    with pytest.raises(DataError, match=r"gone\.wav: no such recording"):
        load_clips(log.path)
    assert len(load_clips(log.path, allow_missing=True)) == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=30)), max_size=5))
def test_any_text_comes_back(tmp_path_factory, texts):
    log = LabelLog(tmp_path_factory.mktemp("log") / "labels.jsonl")
    named = [(class_name(label), note) for label, note in texts]
    said = [(label, note) for label, note in named if not label_fault(label)]
    for label, note in said:
        log.append("a.wav", 0, 1, label, note=note)
    assert [(entry.labels[0], entry.note) for entry in log.entries()] == said
    assert not log.problems()


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["-"], "means none of the classes"),
        (["?"], "means uncertain"),
        (["dog;cat"], "separates labels"),
        (["dog\0"], "readable characters"),
        (["dog\ncat"], "readable characters"),
        (["dog\udcff"], "readable characters"),
        ([f"dog {number}" for number in range(101)], "101 labels, expected 100 at most"),
    ],
)
def test_what_can_be_no_label_is_refused(log, labels, told):
    with pytest.raises(DataError, match=told):
        log.append("a.wav", 0, 1, labels)
    assert log.entries() == ()
    with pytest.raises(DataError, match="readable characters"):
        log.append("a.wav", 0, 1, "dog", annotator="ann\0")


def test_a_log_names_its_recordings_to_an_index(log, tmp_path):
    log.append("a.wav", 0, 0.5, "hum")
    log.append("b.wav", 0.25, 0.5, "hiss")
    clips, failures = gather([log.path], tmp_path / "index", labels="auto")
    assert failures == ()
    assert [Path(file).name for file in clips.file.tolist()] == ["a.wav", "b.wav"]
    assert clips.labels == (("hum",), ("hiss",))
    assert all(path.resolve().is_file() for path in clips.paths)
