"""Recordings that are named by URLs."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.read import probe, read
from semisonic.audio.remote import COPIES, files_at, local_copy, stamp_of, url_of
from semisonic.core.errors import AudioError, DataError, OptionError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Any]:
    """A storage in memory with some recordings, also in ``tmp_path``."""
    memory = fsspec.filesystem("memory")
    for i, name in enumerate(("a.wav", "deep/b.flac", "c.ogg", "d.mp3", "e.wav", "f.wav")):
        file = tmp_path / Path(name).name
        sf.write(file, np.random.default_rng(i).normal(0, 0.1, 8000), 8000)
        memory.pipe(f"/bucket/{name}", file.read_bytes())
    memory.pipe("/bucket/readme.txt", b"text")
    memory.pipe("/bucket/.hidden/x.wav", b"")
    memory.pipe("/bucket/bad.wav", b"no sound")
    yield memory
    memory.rm("/bucket", recursive=True)


def test_what_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert url_of("s3://bucket/x.wav") == "s3://bucket/x.wav"
    assert url_of(Path("s3://bucket/x.wav")) == "s3://bucket/x.wav"
    assert url_of(Path("/runs/index") / "gs://bucket/a b/x.wav") == "gs://bucket/a b/x.wav"
    assert url_of(Path("file:///data/x.wav")) == "file:///data/x.wav"
    assert url_of("12:30/x.wav") is None
    assert url_of("C:/x.wav") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note:").mkdir()
    assert url_of("note:/x.wav") is None  # a folder of that name is here


def test_listing(bucket: Any) -> None:
    names = ["a.wav", "bad.wav", "c.ogg", "d.mp3", "deep/b.flac", "e.wav", "f.wav"]
    assert files_at("memory://bucket") == [f"memory://bucket/{name}" for name in names]
    assert files_at("memory://bucket/a.wav") == ["memory://bucket/a.wav"]
    with pytest.raises(DataError, match="no recordings"):
        files_at("memory://nothing")


@pytest.mark.parametrize("name", ["a.wav", "deep/b.flac", "c.ogg", "d.mp3"])
def test_the_samples_are_those_of_the_file(bucket: Any, tmp_path: Path, name: str) -> None:
    here, there = tmp_path / Path(name).name, Path(f"memory://bucket/{name}")
    np.testing.assert_array_equal(read(there)[0], read(here)[0])
    assert probe(there).n_samples == probe(here).n_samples
    assert stamp_of(there)[0] == here.stat().st_size


def test_the_stamp_changes_with_the_file(bucket: Any) -> None:
    place = Path("memory://bucket/a.wav")
    before = stamp_of(place)
    assert stamp_of(place) == before
    bucket.pipe("/bucket/a.wav", b"other")
    assert stamp_of(place) != before
    with pytest.raises(OSError):
        stamp_of(Path("memory://bucket/none.wav"))


def test_few_copies_are_kept_and_none_that_is_read_goes(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reading = local_copy(Path("memory://bucket/a.wav"))
    for _ in range(2):
        for name in ("bad.wav", "deep/b.flac", "c.ogg", "d.mp3", "e.wav", "f.wav"):
            assert local_copy(Path(f"memory://bucket/{name}")).path.is_file()
            assert reading.path.is_file()
            assert len([*tmp_path.glob("semisonic-*")]) <= COPIES + 1
    place = reading.path
    del reading
    gc.collect()
    assert not place.parent.exists()


def test_what_is_wrong_is_said(bucket: Any) -> None:
    with pytest.raises(AudioError, match="no such file"):
        read(Path("memory://bucket/none.wav"))
    with pytest.raises(AudioError, match="not audio"):
        read(Path("memory://bucket/bad.wav"))
    with pytest.raises(OptionError, match="Protocol not known"):
        files_at("nosuch://bucket")
