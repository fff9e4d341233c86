"""``semisonic scan``, started as people start it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from calls import cli

RATE = 8000


@pytest.fixture
def disk(tmp_path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for hour in range(4, 8):
        sf.write(folder / f"POND_20240601_{hour:02d}0000.wav", rng.normal(0, 0.1, RATE), RATE)
    sf.write(folder / "bats.wav", rng.normal(0, 0.1, 96000), 192000)
    return folder


def scan(disk: Path, *more: str) -> int:
    return cli("scan", disk, "-o", disk.parent / "run", "--quiet", more)


def test_a_scan_writes_tables_and_a_page(disk, capsys) -> None:
    before = {path: path.read_bytes() for path in disk.iterdir()}
    assert scan(disk) == 0
    text = capsys.readouterr().out
    for words in ("files     5", "groups    2", "sites: 1 (POND)", "2024-06-01 04:00", "odd: none"):
        assert words in text
    run = disk.parent / "run"
    rows = list(csv.DictReader((run / "recordings.csv").open()))
    assert [row["site"] for row in rows] == ["POND"] * 4 + [""]
    assert (run / "bad_files.csv").read_text(encoding="utf-8") == "file,reason\n"
    page = (run / "scan.html").read_text(encoding="utf-8")
    assert page.count("<audio ") == 5
    assert "5 recordings" in page
    for section in (
        "Recording times",
        "Lengths, rates and levels",
        "Groups",
        "Sample of the recordings",
        "Copies",
    ):
        assert re.search(rf"<h2[^>]*>{section}</h2>", page), section
    assert {path: path.read_bytes() for path in disk.iterdir()} == before


def test_counts_as_json(disk, capsys) -> None:
    assert scan(disk, "--json", "--thumbnails", "2") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_files"], found["n_with_time"], found["n_bad_files"]) == (5, 4, 0)
    assert found["sample_rates"] == {"8000": 4, "192000": 1}
    run = disk.parent / "run"
    assert json.loads((run / "scan.json").read_text(encoding="utf-8")) == found
    assert (run / "scan.html").read_text(encoding="utf-8").count("<audio ") == 2


def test_bad_files_have_an_exit_status(disk, capsys) -> None:
    (disk / "torn.wav").write_bytes((disk / "bats.wav").read_bytes()[:5000])
    (disk / "none.flac").write_bytes(b"")
    assert scan(disk) == 3
    error = capsys.readouterr().err
    assert "2 files could not be used" in error
    assert "torn.wav: truncated" in error
    # The same command decodes nothing anew, and forgets what was mended.
    (disk / "torn.wav").unlink()
    (disk / "none.flac").unlink()
    assert scan(disk) == 0
    assert "all 5 were decoded before" in capsys.readouterr().out
    assert (disk.parent / "run" / "bad_files.csv").read_text(encoding="utf-8") == "file,reason\n"


@pytest.mark.parametrize(
    "more", [["--labels", "nonsense"], ["--group", "("], ["--silence-db", "3"], ["--workers", "0"]]
)
def test_wrong_use(disk, more) -> None:
    assert scan(disk, *more) == 2
