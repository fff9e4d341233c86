"""``semisonic suggest`` and ``semisonic project``, started as people start them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from calls import cli
from semisonic.classifier.model_file import open_model
from semisonic.data.datasets.load import load_clips
from sounds import RATE, untrained, write_sounds


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Eight recordings of noise and eight of tones, one folder."""
    for file in write_sounds(tmp_path / "kinds").rglob("*.wav"):
        (tmp_path / "sounds").mkdir(exist_ok=True)
        file.rename(tmp_path / "sounds" / file.name)
    return tmp_path / "sounds"


@pytest.fixture
def model(tmp_path) -> Path:
    return untrained(tmp_path / "model.zip", notation="(8)3c-2p-(8)3c-2p-gp")


def fill_in(table: Path) -> list[dict[str, str]]:
    """What a person with a spreadsheet does."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["label"] = Path(row["file"]).stem.rstrip("0123456789")
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_suggest_writes_a_table_to_fill_in_and_train_from(model, sounds, tmp_path, tells) -> None:
    table = tmp_path / "queue.csv"
    arguments = ["suggest", str(model), str(sounds), "-n", "6", "-o", str(table), "-q"]
    said = "6 segments of 6 recordings: 5 uncertain, 1 random; chosen from 16 segments"
    assert said in tells(0, arguments).out
    rows = fill_in(table)
    assert [row["order"] for row in rows] == list("123456")
    assert {row["prediction_1"] for row in rows} <= {"noise", "tone"}
    clips = load_clips(table)
    assert set(clips.classes) <= {"noise", "tone"}
    assert clips.is_labelled.all()
    then = tmp_path / "then.csv"
    more = ["suggest", str(model), str(sounds), "-n", "16", "--log", str(table), "-q"]
    assert "10 segments of" in tells(0, more, "-o", then).out
    asked = {row["file"] for row in rows}
    assert not asked & {row["file"] for row in fill_in(then)}
    (sounds / "broken.wav").write_bytes(b"RIFF")
    assert "broken.wav" in tells(3, arguments[:-2], tmp_path / "more.csv", "--strategy random").err


def test_the_stretches_of_a_queue_can_be_heard_without_the_app(
    model, sounds, tmp_path, capsys, tells
) -> None:
    table = tmp_path / "queue.csv"
    arguments = ["suggest", str(model), str(sounds), "-n", "6", "-o", str(table), "-q"]
    assert cli(arguments) == 0
    page = tmp_path / "queue.html"
    assert f"to listen: {page}" in capsys.readouterr().out
    with table.open(newline="") as stream:
        names = [f"{row['order']}. {Path(row['file']).name}" for row in csv.DictReader(stream)]
    shown = page.read_text(encoding="utf-8")
    assert re.findall(r'aria-label="Play: ([^"]+)"', shown) == names
    assert shown.count('src="data:audio/') == 6
    assert cli(arguments) == 0  # its own files may be written again
    page.write_text("mine", encoding="utf-8")
    assert "'semisonic suggest' did not write" in tells(2, arguments).err
    assert page.read_text(encoding="utf-8") == "mine"
    project = start(sounds, model, tmp_path / "project").parent
    assert (project / "queue.html").read_text(encoding="utf-8").count('src="data:audio/') == 6


def start(sounds: Path, model: Path, project: Path) -> Path:
    """A project with its first queue; the queue."""
    new = ["project", "new", str(sounds), "--encoder", str(model), "-o", str(project), "-q"]
    assert cli(new, "--clusters 2") == 0
    assert cli("project suggest", project, "-n 6 -q") == 0
    return project / "queue.csv"


def test_answers_in_a_queue_outlive_the_next_suggest(model, sounds, tmp_path, tells) -> None:
    table = start(sounds, model, tmp_path / "project")
    asked = {row["file"] for row in fill_in(table)}
    again = ["project", "suggest", str(tmp_path / "project"), "-n", "6", "-q"]
    assert "6 new answers of the previous queue went into the log" in tells(0, again).out
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert not asked & {row["file"] for row in rows}
    assert (
        len((tmp_path / "project" / "labels.jsonl").read_text(encoding="utf-8").splitlines()) == 7
    )
    # nothing is filled in: another queue may take its place
    assert "new answer" not in tells(0, again).out
    assert "learned from 6 answers" in tells(0, "project learn", tmp_path / "project", "-q").out


def test_suggest_does_not_write_over_answers(model, sounds, tmp_path, tells) -> None:
    table = tmp_path / "queue.csv"
    arguments = ["suggest", str(model), str(sounds), "-n", "3", "-o", str(table), "-q"]
    assert cli(arguments) == 0
    assert cli(arguments) == 0
    fill_in(table)
    filled = table.read_bytes()
    assert "contains 3 answers, which would be lost" in tells(2, arguments).err
    assert table.read_bytes() == filled
    over = ["--log", str(table), "-q"]
    assert cli(arguments, over) == 2
    assert cli(arguments[:-2], tmp_path / "next.csv", over) == 0


def saved_by_a_spreadsheet(table: Path, kind: str) -> None:
    """What programs make of a table when it is saved."""
    with table.open(encoding="utf-8", newline="") as stream:
        header, *rows = list(csv.reader(stream))
    if kind == "semicolons and decimal commas":
        mark, encoding = ";", "utf-8-sig"
        rows = [[c.replace(".", ",") if c[:1].isdigit() else c for c in row] for row in rows]
    else:
        mark, encoding = "\t", "utf-16"
        where = [header.index(name) for name in ("order", "cluster")]
        rows = [[f"{c}.0" if k in where and c else c for k, c in enumerate(r)] for r in rows]
        header, rows = [*header[::-1], "remark"], [[*row[::-1], "heard twice"] for row in rows]
    with table.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream, delimiter=mark).writerows([header, *rows])


@pytest.mark.parametrize("kind", ["semicolons and decimal commas", "tabs and other columns"])
def test_a_queue_that_a_spreadsheet_saved_is_read(kind, model, sounds, tmp_path, tells) -> None:
    table = start(sounds, model, tmp_path / "project")
    asked = fill_in(table)
    saved_by_a_spreadsheet(table, kind)
    learn = ["project", "learn", str(tmp_path / "project"), "--answers", str(table), "-q"]
    assert "6 new answers from the table" in tells(0, learn).out
    clips = load_clips(table)
    assert {Path(name).name for name in clips.file} == {Path(row["file"]).name for row in asked}
    assert set(clips.end_time.tolist()) == {0.5}
    assert clips.is_labelled.all()


def test_a_project_from_nothing_to_a_classifier(model, sounds, tmp_path, tells) -> None:
    project = tmp_path / "project"
    (sounds / "broken.wav").write_bytes(b"RIFF")
    new = ["project", "new", str(sounds), "--encoder", str(model), "-o", str(project), "-q"]
    told = tells(3, new)
    assert "16 recordings, 16 segments" in told.out
    assert "broken.wav" in told.err
    table = project / "queue.csv"
    for number in range(2):
        assert "6 segments of" in tells(0, "project suggest", project, "-n 6 -q").out
        fill_in(table)
        learn = ["project", "learn", str(project), "--answers", str(table), "-q"]
        told = tells(0, learn)
        assert "6 new answers from the table" in told.out
        assert f"learned from {6 * (number + 1)} answers of 2 classes" in told.out
    assert len((project / "history.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert "tone" in tells(0, "predict", project / "model.zip", sounds / "tone7.wav", "-q").out
    with (project / "labels.jsonl").open("a", encoding="utf-8") as log:
        log.write("not an answer\n")
    assert "labels.jsonl, line 14" in tells(3, "project learn", project, "-q").err


def test_copies_of_a_recording_are_one_group_in_a_project(model, tmp_path) -> None:
    """Copies at another level or cut, named before their originals or after them."""
    folder, project = tmp_path / "sounds", tmp_path / "project"
    folder.mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        chirp = np.sin(2 * np.pi * np.cumsum(np.repeat(rng.uniform(300, 3000, 16), 2000)) / RATE)
        wave = 0.3 * chirp + 0.01 * rng.normal(size=len(chirp))
        sf.write(folder / f"tone{number}.wav", wave, RATE)
        if number < 2:
            sf.write(folder / f"{'az'[number]}-copy{number}.wav", 0.5 * wave[2400:], RATE)
    new = ["project", "new", str(folder), "--encoder", str(model), "-o", str(project)]
    assert cli(new, "--hop 4 -q") == 0
    with (project / "index" / "index.csv").open(newline="") as stream:
        group = {Path(row["file"]).name: row["group"] for row in csv.DictReader(stream)}
    assert group["a-copy0.wav"] == group["tone0.wav"]
    assert group["z-copy1.wav"] == group["tone1.wav"]
    assert len(set(group.values())) == 4


def test_a_clip_carries_one_label_until_the_project_says_otherwise(
    model, sounds, tmp_path, capsys, tells
) -> None:
    project = tmp_path / "project"
    new = ["project", "new", str(sounds), "--encoder", str(model), "-o", str(project), "-q"]
    assert cli(new) == 0
    assert cli("project suggest", project, "-n 8 -q") == 0
    table = project / "queue.csv"
    fill_in(table)
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace(",tone", ",tone;bird", 1), encoding="utf-8")
    learn = ["project", "learn", str(project), "--answers", str(table), "-q"]
    capsys.readouterr()
    told = tells(2, learn).err
    assert "queue.csv, row" in told
    assert "tone, bird, expected one" in told
    assert "--several-labels" in told
    assert not (project / "labels.jsonl").exists()  # all or none
    assert "8 new answers" in tells(0, learn, "--several-labels").out
    assert open_model(project / "model.zip").multi_label
    (sounds / "tone8.wav").write_bytes((sounds / "tone7.wav").read_bytes())
    assert cli(new) == 0  # takes in what came since; what was changed stays
    assert cli("project learn", project, "-q") == 0
    assert open_model(project / "model.zip").multi_label
    capsys.readouterr()
    assert (
        "segments with several labels, left out"
        in tells(0, "project learn", project, "--no-several-labels -q").out
    )
    assert not open_model(project / "model.zip").multi_label


def test_train_reads_a_label_log(model, sounds, tmp_path, tells) -> None:
    from semisonic.labeling.label_log import LabelLog

    log = LabelLog(tmp_path / "labels.jsonl", sounds)
    for number in range(8):
        for kind in ("tone", "noise"):
            log.append(f"{kind}{number}.wav", 0.0, 0.5, kind)
    assert "16 (16 with a label" in tells(0, "data info", log.path).out
    run = tmp_path / "run"
    options = ["--encoder", str(model), "--method", "probe", "--objective", "none"]
    assert cli("train", log.path, options, "-o", run, "-q") == 0
    assert (run / "model.zip").is_file()
    table = tmp_path / "labels.csv"
    assert cli("data labels", log.path, "-o", table, "-q") == 0
    clips = load_clips(table)
    assert len(clips) == 16
    assert all(path.is_file() for path in clips.paths)
