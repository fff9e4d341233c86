"""``detect`` and ``embed`` of recordings in object storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calls import cli

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(sounds) -> Iterator[Any]:
    memory = fsspec.filesystem("memory")
    for file in sounds.iterdir():
        memory.pipe(f"/bucket/night/{file.name}", file.read_bytes())
    yield memory
    memory.rm("/bucket", recursive=True)


def detected(model: Path, output: Path, *more: str) -> pd.DataFrame:
    fixed = ["--threshold", "0.2", "--device", "cpu", "-q", "-o", str(output)]
    assert cli("detect", model, more, fixed) == 3
    table = pd.read_csv(output / "events.csv")
    table["name"] = [Path(file).name for file in table["file"]]
    return table


def test_detect(model, sounds, tmp_path, bucket) -> None:
    here = detected(model, tmp_path / "here", str(sounds))
    there = detected(model, tmp_path / "there", "memory://bucket/night")
    assert there.drop(columns="file").equals(here.drop(columns="file"))
    assert there["file"].iloc[0].startswith("memory://bucket/night/")
    bad = (tmp_path / "there" / "bad_files.csv").read_text(encoding="utf-8")
    assert "memory://bucket/night/bad.wav" in bad
    # Once more: nothing is heard again.
    journal = tmp_path / "there" / "scores" / "journal.jsonl"
    before = journal.read_bytes()
    detected(model, tmp_path / "there", "memory://bucket/night")
    assert journal.read_bytes() == before


@pytest.mark.parametrize("how", ["folder", "table there", "table here"])
def test_embed(model, sounds, tmp_path, bucket, how) -> None:
    files = sorted(file.name for file in sounds.iterdir())
    text = "file\n" + "".join(f"{name}\n" for name in files)
    source = "memory://bucket/night"
    if how == "table there":
        source = "memory://bucket/night/clips.csv"
        bucket.pipe("/bucket/night/clips.csv", text.encode())
    if how == "table here":
        source = str(tmp_path / "clips.csv")
        Path(source).write_text(
            "file\n" + "".join(f"memory://bucket/night/{n}\n" for n in files), encoding="utf-8"
        )
    more = ["--device", "cpu", "-q", "--labels", "auto" if "table" in how else "none", "-o"]
    assert cli("embed", model, sounds, more[:3], "-o", tmp_path / "a") == 3
    assert cli("embed", model, source, more, tmp_path / "b") == 3
    first, second = (np.load(tmp_path / name / "embeddings.npy") for name in "ab")
    np.testing.assert_array_equal(first, second)
    index = pd.read_csv(tmp_path / "b" / "index.csv")
    assert index["file"].str.startswith("memory://bucket/night/").all()


def test_results_at_a_url(model, tmp_path, bucket, capsys) -> None:
    """They are those of a folder, and the same command goes on from them."""
    for verb, names, more in (
        ("detect", ["events.csv", "bad_files.csv", "scores/data.bin"], ["--threshold", "0.2"]),
        ("embed", ["embeddings.npy", "index.csv", "bad_files.csv"], ["--labels", "none"]),
    ):
        command = [verb, str(model), "memory://bucket/night", "--device", "cpu", *more, "-q", "-o"]
        assert cli(command, tmp_path / verb) == 3
        assert cli(command, f"memory://bucket/{verb}") == 3
        said = capsys.readouterr().out
        assert f"memory://bucket/{verb}" in said
        for name in names:
            there = bucket.cat_file(f"/bucket/{verb}/{name}")
            assert there == (tmp_path / verb / name).read_bytes(), name
        assert cli(command, f"memory://bucket/{verb}") == 3
        again = capsys.readouterr().out
        assert "faster than it plays" not in again  # nothing was heard
        assert "16 already there" in again or verb == "detect"


def test_an_index_at_a_url_names_urls(model, sounds, tmp_path, bucket, capsys) -> None:
    assert cli("embed", model, sounds, "-q -o memory://bucket/index") == 2
    assert "URLs of recordings" in capsys.readouterr().err


def test_a_url_that_holds_nothing_is_told(model, tmp_path, bucket, capsys) -> None:
    arguments = ["-o", str(tmp_path / "run"), "-q"]
    assert cli("detect", model, "memory://nowhere", arguments) == 2
    assert "nothing to read: memory://nowhere: found no" in capsys.readouterr().err
