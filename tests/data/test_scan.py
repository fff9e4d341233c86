"""Scans of small disks: nothing is lost, nothing is decoded twice, names and copies are found."""

from __future__ import annotations

import csv
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from semisonic.core.errors import DataError
from semisonic.data import scan as scanning
from semisonic.data.datasets.load import load_clips
from semisonic.data.scan import hours_by_day, scan, write_tables

RATE = 8000


def melody(seed, seconds=2.0):
    """A sound unlike any other."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.uniform(200, 3000, round(seconds * 20)), RATE // 20)
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(steps) / RATE)
    return wave + 0.02 * rng.standard_normal(len(wave))


def write(path, x, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, x, RATE, **options)
    return path


@pytest.fixture
def disk(tmp_path):
    """Two sites, one recorder whose names tell no site, and what goes wrong on a disk."""
    root = tmp_path / "disk"
    for i, hour in enumerate(("04", "05", "21")):
        write(root / "pond" / "DATA" / f"20240601_{hour}3000.WAV", melody(i))
        write(root / f"HILL_20240602_{hour}0000.wav", melody(10 + i))
    write(root / "notes.flac", melody(20))
    write(root / "pond" / "20240603_043000.WAV", np.zeros(RATE))
    write(root / "loud.wav", (20 * melody(21)).clip(-1, 1))
    (root / "empty.wav").write_bytes(b"")
    (root / "text.wav").write_text("no sound", encoding="utf-8")
    (root / "field.wac").write_bytes(b"1234")
    torn = write(root / "torn_20240604_000000.wav", melody(22, 4.0))
    torn.write_bytes(torn.read_bytes()[: 44 + 2 * RATE])
    shutil.copy(root / "HILL_20240602_040000.wav", root / "copy.wav")
    write(root / "quieter.ogg", 0.3 * melody(20))
    return root


def look(root, folder, **options):
    folder.mkdir(exist_ok=True)
    return scan(root, folder / "journal.jsonl", workers=2, **options)


def test_every_file_is_in_a_table(disk, tmp_path):
    found = look(disk, tmp_path / "run")
    write_tables(tmp_path / "run", found)
    tables = {
        name: list(csv.DictReader((tmp_path / "run" / f"{name}.csv").open()))
        for name in ("recordings", "bad_files", "duplicates")
    }
    present = {p.relative_to(disk).as_posix() for p in disk.rglob("*") if p.is_file()}
    listed = {row["file"] for name in ("recordings", "bad_files") for row in tables[name]}
    assert listed == present
    bad = {row["file"]: row["reason"] for row in tables["bad_files"]}
    assert set(bad) == {"empty.wav", "text.wav", "field.wac", "torn_20240604_000000.wav"}
    assert "convert" in bad["field.wac"]
    rows = {row["file"]: row for row in tables["recordings"]}
    assert rows["torn_20240604_000000.wav"]["damage"] == bad["torn_20240604_000000.wav"]
    assert rows["torn_20240604_000000.wav"]["duration"] == "1.0"
    assert rows["loud.wav"]["remarks"].startswith("clipped")
    silent = rows["pond/20240603_043000.WAV"]
    assert (silent["peak_dbfs"], silent["silent_share"]) == ("-inf", "1.0")
    kinds = {(row["kind"], row["first"], row["second"]) for row in tables["duplicates"]}
    assert kinds == {
        ("identical", "HILL_20240602_040000.wav", "copy.wav"),
        ("near-identical", "notes.flac", "quieter.ogg"),
    }


def test_names_and_folders_tell_times_and_sites(disk, tmp_path):
    found = look(disk, tmp_path / "run")
    by_file = {one.file: one for one in found.recordings.itertuples()}
    pond, hill = by_file["pond/DATA/20240601_043000.WAV"], by_file["HILL_20240602_050000.wav"]
    assert (pond.site, pond.group, pond.labels) == ("pond", "pond", ())
    assert (hill.site, hill.group, hill.time_source) == ("HILL", "HILL", "name")
    assert by_file["notes.flac"].group == "notes.flac"
    assert any("folders are read as sites" in note for note in found.notes)
    numbers = found.counts
    assert numbers["sites"] == ["HILL", "pond", "torn"]
    assert numbers["n_with_time"] == 8
    assert numbers["first_recorded_at"] == "2024-06-01T04:30:00"
    assert numbers["remarks"]["silent"] == 1
    days = look(disk, tmp_path / "run", group="day")
    assert {*days.recordings["group"]} >= {"pond 2024-06-01", "HILL 2024-06-02"}


def test_copies_are_one_recording_where_that_is_asked_for(disk, tmp_path):
    plain, asked = (scan(disk, tmp_path / rule, group=rule) for rule in ("auto", "copies"))
    group = dict(zip(plain.recordings["file"], plain.recordings["group"], strict=True))
    assert group["quieter.ogg"] != group["notes.flac"]
    group = dict(zip(asked.recordings["file"], asked.recordings["group"], strict=True))
    assert group["quieter.ogg"] == group["notes.flac"]
    assert asked.summary.n_recordings < plain.summary.n_recordings


def test_a_calendar_splits_recordings_at_full_hours(tmp_path):
    root = tmp_path / "disk"
    write(root / "A_20240601_235959.wav", melody(0))
    write(root / "B_20240601_100000.wav", melody(1))
    hours = hours_by_day(look(root, tmp_path / "run").recordings)
    assert list(hours) == [date(2024, 6, 1), date(2024, 6, 2)]
    assert hours[date(2024, 6, 1)][[23, 10]] * 3600 == pytest.approx([1.0, 2.0])
    assert hours[date(2024, 6, 2)][0] * 3600 == pytest.approx(1.0)
    assert sum(map(sum, hours.values())) * 3600 == pytest.approx(4.0)


def test_a_clock_that_was_never_set_is_named(tmp_path):
    root = tmp_path / "disk"
    write(root / "A_20000101_000553.wav", melody(0))
    write(root / "A_20240601_100000.wav", melody(1))
    found = look(root, tmp_path / "run")
    assert any("never set" in note for note in found.notes)
    assert list(hours_by_day(found.recordings)) == [date(2024, 6, 1)]


def test_class_folders_are_labels(tmp_path):
    root = tmp_path / "set"
    for i, name in enumerate(("cat/a.wav", "cat/b.wav", "dog/c.wav", "unlabelled/d.wav")):
        write(root / name, melody(i))
    found = look(root, tmp_path / "run")
    assert found.recordings["labels"].tolist() == [("cat",), ("cat",), ("dog",), ()]
    assert found.summary.per_class == {"cat": 2, "dog": 1}
    assert look(root, tmp_path / "run", labels="none").counts["classes"] == ()


def test_the_table_can_be_read_as_labels(tmp_path):
    root = tmp_path / "set"
    for i, name in enumerate(("cat/a.wav", "dog/b.wav")):
        write(root / name, melody(i))
    write_tables(tmp_path / "run", look(root, tmp_path / "run"))
    shutil.copy(tmp_path / "run" / "recordings.csv", root / "labels.csv")
    clips = load_clips(root / "labels.csv")
    assert clips.labels == (("cat",), ("dog",))
    (root / "cat" / "a.wav").unlink()  # a table that names what is gone is no reason to stop
    again = look(root, tmp_path / "run")
    assert again.bad_files == (("cat/a.wav", "no such file, but a table of labels lists it"),)


def test_a_second_scan_decodes_only_what_is_new(disk, tmp_path):
    first = look(disk, tmp_path / "run")
    again = look(disk, tmp_path / "run")
    assert again.counts["n_decoded_now"] == 0
    assert again.counts["n_known_before"] == first.counts["n_decoded_now"]
    pd.testing.assert_frame_equal(again.recordings, first.recordings)
    assert list(map(str, again.duplicates)) == list(map(str, first.duplicates))  # NaN among them
    write(disk / "notes.flac", melody(99))
    write(disk / "new.wav", melody(98))
    assert look(disk, tmp_path / "run").counts["n_decoded_now"] == 2
    quieter = look(disk, tmp_path / "run", silence_db=-20.0)
    assert quieter.counts["n_known_before"] == 0


def test_each_file_is_decoded_once(disk, tmp_path, monkeypatch):
    seen: list[Path] = []
    real = scanning.measure

    def noted(path, **options):
        seen.append(path)
        return real(path, **options)

    monkeypatch.setattr(scanning, "measure", noted)
    look(disk, tmp_path / "run")
    assert len(seen) == len(set(seen)) == 14


def test_folders_that_cannot_be_listed_are_bad_files(disk, tmp_path, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("pond"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = look(disk, tmp_path / "run")
    assert any("Permission denied" in reason for _, reason in found.bad_files)


def test_a_disk_that_fails_costs_one_file(disk, tmp_path, monkeypatch):
    real = scanning.measure

    def failing(path, **options):
        if path.name == "notes.flac":
            raise OSError(5, "Input/output error")
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(scanning, "measure", failing)
        found = look(disk, tmp_path / "run")
    assert ("notes.flac", "cannot be read (Input/output error)") in found.bad_files
    assert look(disk, tmp_path / "run").counts["n_decoded_now"] == 1  # it is tried again


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_recordings_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        look(tmp_path / name, tmp_path / "run")


def test_recordings_of_nothing_are_no_copies_of_each_other(tmp_path):
    root = tmp_path / "disk"
    for i in range(3):
        write(root / f"night{i}.wav", np.zeros(2 * RATE))
        write(root / f"offset{i}.wav", np.full(2 * RATE, 0.1))
    write(root / "a.wav", melody(0))
    shutil.copy(root / "a.wav", root / "b.wav")
    found = look(root, tmp_path / "run")
    assert [(pair.first, pair.second) for pair in found.duplicates] == [("a.wav", "b.wav")]
    assert any("silent recordings with the same bytes as another: 4" in n for n in found.notes)


def test_what_two_recordings_share_is_listed(tmp_path):
    """Two seconds of the same sound in eight of noise of their own, at different places."""
    root, time = tmp_path / "disk", np.arange(8 * RATE) / RATE
    for i, start in enumerate((0, 5)):
        noise = np.random.default_rng(i).normal(0, 0.1, len(time))
        noise[start * RATE : (start + 2) * RATE] = 0.3 * melody(3, 2.0)
        write(root / f"{i}.wav", noise)
    (pair,) = look(root, tmp_path / "run").duplicates
    assert pair.offset_time == pytest.approx(-5, abs=0.02)
    assert pair.shared_time == pytest.approx(2, abs=0.5)
