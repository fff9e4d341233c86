"""``semisonic detect`` from the command line: what it writes, says, and how it ends."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path

import crowsetta
import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from calls import cli
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import FORMATS
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import build

RATE = 8000


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A model that was never trained, and two recordings of noise."""
    folder = tmp_path_factory.mktemp("detect")
    mel = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    model = build("(8)3c-2p-gp", mel, ("hum", "hiss"))
    model.frontend.standardize.fit(np.full((2, *mel.shape), -40.0) + np.eye(16, mel.shape[2]))
    save(folder / "model.zip", model)
    (folder / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav"):
        sf.write(folder / "sounds" / name, rng.normal(0, 0.1, 5 * RATE), RATE)
    return folder


def run(place: Path, output: Path, *more: str) -> int:
    model, sounds = str(place / "model.zip"), str(place / "sounds")
    return cli("detect", model, sounds, "-o", output, "--threshold 0.2 -q", more)


def test_it_writes_a_table_and_a_page(place, tmp_path, capsys) -> None:
    assert run(place, tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "events in 2 recordings, 10 s of audio" in said
    assert "events.csv" in said
    lines = (tmp_path / "run" / "events.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "file,start_time,end_time,label,score,mean_score,recorded_at,site"
    assert {line.split(",")[3] for line in lines[1:]} <= {"hum", "hiss"}
    assert (tmp_path / "run" / "detections.html").is_file()
    assert run(place, tmp_path / "run", "--classes", "hum", "--merge-gap", "5") == 0
    again = (tmp_path / "run" / "events.csv").read_text(encoding="utf-8")
    assert "hiss" not in again


def test_files_for_other_programs(place, tmp_path) -> None:
    formats = ",".join(FORMATS)
    assert run(place, tmp_path / "run", "--format", formats) == 0
    lines = (tmp_path / "run" / "events.csv").read_text(encoding="utf-8").splitlines()
    table = [line.split(",") for line in lines[1:]]
    tracks = sorted((tmp_path / "run" / "labels" / "audacity").rglob("*.txt"))
    assert {track.name for track in tracks} <= {"a.txt", "b.txt"}
    cells = [
        line.split("\t")
        for track in tracks
        for line in track.read_text(encoding="utf-8").splitlines()
    ]
    assert sorted((float(row[0]), float(row[1]), row[2]) for row in cells) == sorted(
        (float(row[1]), float(row[2]), row[3]) for row in table
    )
    for name in FORMATS[1:]:
        assert any((tmp_path / "run" / "labels" / name).rglob("*.*")), name
    assert run(place, tmp_path / "run", "--format", "raven", "--min-duration", "1") == 0
    assert not (tmp_path / "run" / "events.csv").exists()  # it would be of other events


def test_what_is_written_is_read_by_other_programs(place, tmp_path) -> None:
    formats = ",".join(FORMATS)
    assert run(place, tmp_path / "run", "--format", formats) == 0
    events = pd.read_csv(tmp_path / "run" / "events.csv")
    expected = sorted(events[["start_time", "end_time", "label"]].itertuples(index=False))
    labels = tmp_path / "run" / "labels"
    (combined,) = (
        path for path in (labels / "raven-combined").glob("*.txt") if "list" not in path.name
    )
    tables = sorted((labels / "raven").rglob("*.txt"))
    shift = 5.0  # of the second recording in the table over both
    for paths in (tables, [combined]):
        boxes = [
            b for path in paths for b in crowsetta.formats.bbox.Raven.from_file(path).to_bbox()
        ]
        assert {(box.low_freq, box.high_freq) for box in boxes} == {(0.0, RATE / 2)}
        assert sorted(box.label for box in boxes) == sorted(events.label)
        ends = [box.offset for box in boxes]
        assert max(ends) <= (2 if paths == [combined] else 1) * shift
    boxes = [b for path in tables for b in crowsetta.formats.bbox.Raven.from_file(path).to_bbox()]
    assert sorted((b.onset, b.offset, b.label) for b in boxes) == expected
    tracks = [
        crowsetta.formats.seq.AudSeq.from_file(p) for p in (labels / "audacity").rglob("*.txt")
    ]
    found = [zip(t.start_times, t.end_times, t.labels, strict=True) for t in tracks]
    assert sorted(row for rows in found for row in rows) == expected
    for name, start in (
        ("birdnet", "Start (s)"),
        ("kaleidoscope", "OFFSET"),
        ("csv-wide", "start_time"),
    ):
        (path,) = (labels / name).glob("*.csv")
        frame = pd.read_csv(path)
        assert frame[start].dtype == np.float64
        assert set(frame[start]) == set(events.start_time)


def test_predictions_are_a_table_of_numbers(place, tmp_path) -> None:
    output = tmp_path / "predictions.csv"
    assert cli("predict", place / "model.zip", place / "sounds", "-o", output, "-q") == 0
    frame = pd.read_csv(output)
    assert sorted(Path(file).name for file in frame.file) == ["a.wav", "b.wav"]
    assert (frame[["start_time", "end_time", "score"]].dtypes == np.float64).all()
    assert set(frame.label) <= {"hum", "hiss"}
    clips = load_clips(output)  # as labels, these are answers of a program
    assert any("2 rows with the score of a program" in note for note in clips.notes)


@pytest.fixture(scope="module")
def nights(place) -> Path:
    """Four recordings of two sites, one of which runs into the next hour."""
    folder = place / "nights"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in (
        "SITE1_20240601_043000",
        "SITE1_20240601_045958",
        "SITE1_20240602_043000",
        "SITE2_20240601_043000",
    ):
        sf.write(folder / f"{name}.wav", rng.normal(0, 0.1, 4 * RATE), RATE)
    return folder


def test_events_keep_the_date_the_hour_and_the_site(place, nights, tmp_path, tells) -> None:
    args = ["detect", str(place / "model.zip"), str(nights), "--threshold", "0.2", "-q"]
    said = tells(0, args, "-o", tmp_path / "run").out
    assert "recorded: 2024-06-01 04:30 to 2024-06-02 04:30 at 2 sites" in said
    rows = list(csv.DictReader((tmp_path / "run" / "events.csv").open(encoding="utf-8")))
    assert {row["site"] for row in rows} == {"SITE1", "SITE2"}
    for row in rows:
        began = datetime.strptime(Path(row["file"]).stem.partition("_")[2], "%Y%m%d_%H%M%S")
        heard = datetime.fromisoformat(row["recorded_at"])
        assert heard == (began + timedelta(seconds=float(row["start_time"]))).replace(microsecond=0)
    hours = list(csv.DictReader((tmp_path / "run" / "hours.csv").open(encoding="utf-8")))
    assert sum(int(row["events"]) for row in hours) == len(rows)
    heard_s = {(row["site"], row["hour"]): float(row["hours_of_audio"]) * 3600 for row in hours}
    expected = {("SITE1", "4"): 10.0, ("SITE1", "5"): 2.0, ("SITE2", "4"): 4.0}
    assert heard_s == pytest.approx(expected, abs=0.5)
    page = (tmp_path / "run" / "detections.html").read_text(encoding="utf-8")
    assert "Hours of the day" in page
    days = re.findall(r"(SITE\d), (2024-06-0\d): \d+ events? in \d recording", page)
    assert set(days) == {("SITE1", "2024-06-01"), ("SITE1", "2024-06-02"), ("SITE2", "2024-06-01")}


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_folder_names_the_site_as_in_a_scan(place, nights, tmp_path, tells, is_inside) -> None:
    ridge = tmp_path / "new" / "RIDGE"
    ridge.mkdir(parents=True)
    for night in nights.glob("SITE1*043000.wav"):
        (ridge / f"2024{night.stem.partition('2024')[2]}.wav").write_bytes(night.read_bytes())
    folder = tmp_path / "new" if is_inside else ridge
    args = ["detect", str(place / "model.zip"), str(folder), "--threshold", "0.2", "-q"]
    text = tells(0, args, "-o", tmp_path / "run").out
    tells(0, ["scan", str(folder), "-o", str(tmp_path / "scan"), "-q"])
    rows = list(csv.DictReader((tmp_path / "run" / "events.csv").open(encoding="utf-8")))
    scanned = list(csv.DictReader((tmp_path / "scan" / "recordings.csv").open(encoding="utf-8")))
    sites = {row["site"] for row in rows}
    assert sites == {row["site"] for row in scanned} == {"RIDGE" if is_inside else ""}
    assert "to 2024-06-02 04:30" in text


def test_the_sound_of_each_event_is_cut_out_for_review(
    place, nights, tmp_path, capsys, tells
) -> None:
    clips = tmp_path / "clips"
    args = ["detect", str(place / "model.zip"), str(nights), "--save-clips", str(clips), "-q"]
    assert cli(args, "--threshold 0.2 -o", tmp_path / "run") == 0
    rows = list(csv.DictReader((tmp_path / "run" / "events.csv").open(encoding="utf-8")))
    for row in rows:
        sound, rate = sf.read(clips / row["clip"])
        around = min(4.0, float(row["end_time"]) + 1) - max(0.0, float(row["start_time"]) - 1)
        assert len(sound) / rate == pytest.approx(around, abs=0.01)
    assert len(list(clips.glob("*.wav"))) == len(rows)
    assert cli(args, "--threshold 0.2 --classes hum -o", tmp_path / "run") == 0
    assert not any("hiss" in file.name for file in clips.glob("*.wav"))  # of the run before
    listed = list(csv.DictReader((clips / "clips.csv").open(encoding="utf-8")))
    assert {row["clip"] for row in listed} == {file.name for file in clips.glob("*.wav")}
    assert {row["site"] for row in listed} <= {"SITE1", "SITE2"}
    capsys.readouterr()
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine", encoding="utf-8")
    args[4] = str(other)
    assert "is not the folder of clips of events" in tells(2, args, "-o", tmp_path / "third").err
    assert [file.name for file in other.iterdir()] == ["mine.txt"]


def test_progress_is_in_minutes_of_audio(place, tmp_path, tells) -> None:
    model, sounds = str(place / "model.zip"), str(place / "sounds")
    assert re.search(
        r"1/1 \[.*min of audio", tells(0, "detect", model, sounds, "-o", tmp_path / "run").err
    )
