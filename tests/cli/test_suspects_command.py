"""``semisonic suspects`` from the command line: what it writes, says, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calls import cli
from semisonic.core import progress

SMALL = ["--n-mels", "16", "--sample-rate", "8000", "--duration", "1", "--folds", "2"]


@pytest.fixture(autouse=True)
def quick_and_quiet(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr("semisonic.classifier.simple.N_TREES", 20)
    yield
    progress.show(False)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("suspects") / "sounds"
    size = ["--n-classes", "3", "--clips-per-class", "8", "--n-pool", "1"]
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1"]
    assert cli("data synth", folder, size, short, "-q") == 0
    return folder


def test_it_lists_suspects_and_ends_well(sounds, tmp_path, tells) -> None:
    table, output = str(sounds / "labels.csv"), tmp_path / "run"
    said = tells(0, "suspects", table, "-o", output, SMALL, "--most 3 -q").out
    assert "24 labelled clips of 3 classes, judged in 2 folds" in said
    lines = (output / "suspects.csv").read_text().splitlines()
    assert lines[0] == "rank,clip,label,suggested,score,suggested_score,group"
    assert len(lines) == 4
    assert (output / "report.html").is_file()


def test_a_dry_run_shows_the_options_and_does_nothing(sounds, tmp_path, tells) -> None:
    table, output = str(sounds / "labels.csv"), tmp_path / "run"
    assert "repeats = 3" in tells(0, "suspects", table, "-o", output, "--repeats 3 --dry-run").out
    assert not output.exists()
