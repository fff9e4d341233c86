"""``semisonic embed``, ``search`` and ``map`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calls import cli
from sounds import untrained, write_sounds

KINDS = ("noise", "a"), ("tone", "b")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a model and recordings of two kinds, where the command is given."""
    untrained(tmp_path / "m.zip", "ab", "(8)3c-2p-(8)3c-gp")
    write_sounds(tmp_path / "sounds", 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return cli(arguments, "-q")


def test_from_recordings_to_a_search_and_a_map(place, capsys) -> None:
    assert run("embed", "m.zip", "sounds", "-o", "index") == 0
    assert "6 rows of 8 numbers, 6 recordings" in capsys.readouterr().out
    assert run("embed", "m.zip", "sounds", "-o", "index") == 0
    assert "0 embedded" in capsys.readouterr().out
    assert run("search", "index", "sounds/tone/tone1.wav", "-k", "2", "--other-files") == 0
    said = capsys.readouterr().out
    assert "sounds/tone/tone0.wav" in said
    assert "sounds/tone/tone2.wav" in said
    assert "noise" not in said
    assert run("search", "index", "--row", "0", "--row", "1", "-k", "1", "-o", "found") == 0
    assert "sounds/noise/noise2.wav" in capsys.readouterr().out
    assert (place / "found" / "report.html").is_file()
    assert run("map", "index", "--projection", "pca", "--clusters", "2") == 0
    said = capsys.readouterr().out
    assert "6 of 6 rows drawn" in said
    assert "purity 100.0 %" in said
    assert (place / "index" / "map" / "report.html").is_file()


def test_an_evaluation_and_a_model_as_json(place, capsys) -> None:
    labels = "".join(f"sounds/{k}/{k}{i}.wav,{c}\n" for k, c in KINDS for i in range(3))
    (place / "labels.csv").write_text(f"file,label\n{labels}", encoding="utf-8")
    assert run("evaluate", "m.zip", "labels.csv", "--bootstrap", "100", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(
        (place / "runs" / "evaluate" / "metrics.json").read_text(encoding="utf-8")
    )
    assert told["classes"] == ["a", "b"]
    assert run("info", "m.zip", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == ["a", "b"]
    assert told["title"]
