"""Fetching a data set from a server that cuts, refuses, lies or fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from get_server import Site, content_of, serving, zipped

from semisonic.cli.main import main
from semisonic.core import progress
from semisonic.core.errors import DataError, OptionError
from semisonic.data.datasets import catalogue, download
from semisonic.data.datasets.catalogue import PARTS, SETS, RemoteSet
from semisonic.data.datasets.download import JOURNAL, fetch, make_plan

CONTENT = {
    "birds/labels.csv": b"file,label\na.wav,robin\n",
    "birds/a.wav": np.random.default_rng(0).bytes(30000),
}


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site({"birds.zip": zipped(CONTENT)})) as running:
        yield running


def get(remote: RemoteSet, folder: Path) -> Path:
    plan = make_plan(remote, folder)
    fetch(plan, pause=0.001)
    return plan.data


def test_a_set_is_fetched_checked_unpacked_and_written_down(site: Site, tmp_path: Path) -> None:
    data = get(site.remote("birds.zip"), tmp_path / "sets")
    assert data == tmp_path / "sets" / "birds"
    assert content_of(data) == CONTENT
    assert sorted(p.name for p in data.parent.iterdir()) == ["birds", JOURNAL]
    entry = json.loads((data.parent / JOURNAL).read_text(encoding="utf-8"))["birds"]
    assert entry["licence"] == "CC0"
    assert entry["from"][0]["bytes"] == len(site.files["birds.zip"])


def test_what_is_there_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    get(site.remote("birds.zip"), tmp_path)
    site.asked.clear()
    plan = make_plan(site.remote("birds.zip"), tmp_path)
    assert plan.done == ("birds",)
    assert fetch(plan) == {}
    assert site.asked == []


def test_archives_may_be_kept(site: Site, tmp_path: Path) -> None:
    fetch(make_plan(site.remote("birds.zip"), tmp_path), keep_archives=True)
    assert (tmp_path / "birds.zip").read_bytes() == site.files["birds.zip"]


def test_a_cut_line_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.cuts = [10000, 5000]
    assert content_of(get(site.remote("birds.zip"), tmp_path)) == CONTENT
    assert [r for _, r in site.downloads] == ["", "bytes=10000-", "bytes=15000-"]


def test_another_call_goes_on_with_what_the_first_one_got(site: Site, tmp_path: Path) -> None:
    remote = site.remote("birds.zip")
    (tmp_path / "birds.zip.part").write_bytes(site.files["birds.zip"][:10000])
    plan = make_plan(remote, tmp_path)
    assert plan.sizes()[0] == len(site.files["birds.zip"]) - 10000
    fetch(plan)
    assert content_of(plan.data) == CONTENT
    assert site.downloads == [("/birds.zip", "bytes=10000-")]


def test_a_server_that_ignores_ranges(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.knows_ranges = False
    site.cuts = [10000]
    assert content_of(get(site.remote("birds.zip"), tmp_path)) == CONTENT
    assert "sends it from the start again" in caplog.text


def test_a_part_of_another_file(site: Site, tmp_path: Path) -> None:
    (tmp_path / "birds.zip.part").write_bytes(b"x" * 20000)
    with pytest.raises(DataError, match="found the MD5"):
        get(site.remote("birds.zip"), tmp_path)
    assert not (tmp_path / "birds.zip.part").exists(), "the next call starts anew"
    assert content_of(get(site.remote("birds.zip"), tmp_path)) == CONTENT


def test_a_part_that_the_server_cannot_go_on_from(site: Site, tmp_path: Path) -> None:
    whole = site.files["birds.zip"]
    listed = site.record()["files"][0]  # type: ignore[index]
    site.listed = {"birds.zip": {"size": len(whole) + 9, "checksum": listed["checksum"]}}
    (tmp_path / "birds.zip.part").write_bytes(whole)
    with pytest.raises(DataError, match=rf"found {len(whole)} bytes, expected {len(whole) + 9}"):
        get(site.remote("birds.zip"), tmp_path)
    assert [r for _, r in site.downloads] == [f"bytes={len(whole)}-", ""]


@pytest.mark.parametrize(
    ("size", "checksum", "message"),
    [
        (None, f"md5:{'0' * 32}", "found the MD5 [0-9a-f]+, expected 0"),
        (7, None, "expected at most 7 bytes"),
    ],
)
def test_another_file_than_was_published_is_removed(
    site: Site, tmp_path: Path, size: int | None, checksum: str | None, message: str
) -> None:
    (listed,) = site.record()["files"]  # type: ignore[misc]
    site.listed = {
        "birds.zip": {"size": size or listed["size"], "checksum": checksum or listed["checksum"]}
    }
    with pytest.raises(DataError, match=message):
        get(site.remote("birds.zip"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_real_sets() -> None:
    for name, remote in SETS.items():
        assert remote.name == name
        assert remote.licence
        assert set(remote.parts) <= set(PARTS)
        files = [file for archive in remote.archives for file in archive.files]
        assert all(file.url.startswith("https://") for file in files)
    noisy = [file.name[-4:] for file in SETS["fsdkaggle2019"].archives[-1].files]
    assert noisy == [".z01", ".z02", ".z03", ".z04", ".z05", ".z06", ".zip"]
    with pytest.raises(OptionError, match="'esc50' has no 'noisy'"):
        make_plan(SETS["esc50"], Path("nowhere"), ["noisy"])


def test_a_server_that_fails_for_a_while(site: Site, tmp_path: Path) -> None:
    site.failures = [500, 503, 429]
    assert content_of(get(site.remote("birds.zip"), tmp_path)) == CONTENT
    assert len(site.downloads) == 4


def test_a_server_that_keeps_failing(site: Site, tmp_path: Path) -> None:
    site.failures = [503] * 20
    with pytest.raises(DataError, match=r"birds\.zip: the server answers 503 .*Try again later"):
        get(site.remote("birds.zip"), tmp_path)
    assert len(site.downloads) == 5


def test_a_cut_that_repeats_keeps_what_came(site: Site, tmp_path: Path) -> None:
    site.cuts = [10000] + [0] * 20
    with pytest.raises(DataError, match=r"10000 bytes are kept, and the same command continues"):
        get(site.remote("birds.zip"), tmp_path)
    site.cuts = []
    assert content_of(get(site.remote("birds.zip"), tmp_path)) == CONTENT


def test_a_file_that_is_not_there_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    site.listed = {"bees.zip": {"size": 3, "checksum": f"md5:{'0' * 32}"}}
    with pytest.raises(DataError, match="the server answers 404"):
        get(site.remote("bees.zip"), tmp_path)
    assert len(site.downloads) == 1
    with pytest.raises(DataError, match=r"found bees\.zip, expected birds\.zip"):
        make_plan(site.remote("birds.zip"), tmp_path)


def test_a_record_that_cannot_be_had(site: Site, tmp_path: Path) -> None:
    remote = RemoteSet(**{**vars(site.remote("birds.zip")), "record": f"{site.address}/nothing"})
    with pytest.raises(DataError, match=r"/nothing: the server answers 404"):
        make_plan(remote, tmp_path)
    remote = RemoteSet(**{**vars(remote), "record": f"{site.address}/birds.zip"})
    with pytest.raises(DataError, match="not a record with a list of files"):
        make_plan(remote, tmp_path)
    remote = RemoteSet(**{**vars(remote), "record": "http://127.0.0.1:9/record"})
    with pytest.raises(DataError, match="no connection"):
        make_plan(remote, tmp_path)
    site.listed = {"birds.zip": {"size": "large", "checksum": "none"}}
    with pytest.raises(DataError, match="found size 'large' and checksum 'none'"):
        make_plan(site.remote("birds.zip"), tmp_path)


def test_a_server_without_a_record(site: Site, tmp_path: Path) -> None:
    plan = make_plan(site.remote("birds.zip", record=False), tmp_path)
    assert plan.sizes()[0] is None
    assert any("publishes no hash" in line for line in plan.lines())
    site.cuts = [10000]
    (tmp_path / "birds.zip.part").write_bytes(b"of another day")
    fetch(plan, pause=0.001)
    assert content_of(plan.data) == CONTENT
    assert all(r == "" for _, r in site.downloads), "two halves could not be told to fit"


@pytest.mark.parametrize("announced", [True, False])
def test_a_server_that_sends_another_much_larger_file(
    site: Site, tmp_path: Path, announced: bool
) -> None:
    plan = make_plan(site.remote("birds.zip", record=False), tmp_path)
    if announced:
        site.files["birds.zip"] = bytes(300_000)
    else:
        site.endless = (bytes(10_000), 0.0)
    found = "announces 300,000 bytes" if announced else "sends more and more"
    with pytest.raises(DataError, match=f"{found}, expected at most 200,000 bytes"):
        fetch(plan, pause=0.001)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("record", [True, False])
def test_a_server_that_hardly_sends_anything(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: bool
) -> None:
    plan = make_plan(site.remote("birds.zip", record=record), tmp_path)
    monkeypatch.setattr(download, "SLOW_TIME", 0.2)
    site.endless = (b"x", 0.01)
    with pytest.raises(DataError, match=r"sent \d+ bytes in 0 s, expected 1000 a second"):
        fetch(plan, pause=0.001)


def test_a_record_without_end(site: Site, tmp_path: Path) -> None:
    site.listed = {"x" * 20_000_000: {}}
    with pytest.raises(DataError, match="record: the server announces"):
        make_plan(site.remote("birds.zip"), tmp_path)


def test_no_space(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(40000))
    plan = make_plan(site.remote("birds.zip"), tmp_path)
    with pytest.raises(DataError, match=r"found 0\.04 MB of free space, expected about 0\.\d+ MB"):
        fetch(plan)
    assert site.downloads == []


def test_a_folder_in_the_way_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(DataError, match="already exists, but not from a finished"):
        get(site.remote("birds.zip"), tmp_path)
    assert content_of(tmp_path / "birds") == {"birds/mine.wav": b"mine"}
    assert site.asked == []


def test_the_command(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(catalogue.SETS, "esc50", site.remote("birds.zip"))
    try:
        arguments = ["data", "get", "esc50", "-o", str(tmp_path / "sets")]
        assert main([*arguments, "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert "licence: CC0" in said
        assert "to download: 1 files, 0.0303 MB" in said
        assert site.downloads == []
        assert not (tmp_path / "sets").exists()
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert "licence: CC0" in said
        assert f"semisonic data info {tmp_path / 'sets' / 'birds'}" in said
        assert main(arguments) == 0
        assert "already there: birds" in capsys.readouterr().out
        assert len(site.downloads) == 1
        assert main(["data", "get", "esc5"]) == 2
        assert "did you mean 'esc50'?" in capsys.readouterr().err
        assert main([*arguments, "--parts", "noisy"]) == 2
    finally:
        progress.show_progress(False)
