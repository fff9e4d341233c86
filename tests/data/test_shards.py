"""Recordings in shards are read like files of their own, sample for sample."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.read import probe, read, read_blocks
from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import content_hash
from semisonic.core.shards import is_there, member_of, open_shard, size_of, stamp_of
from semisonic.data.clips import Clips, without_copies
from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.datasets.shards import pack
from semisonic.data.duplicates import find_duplicates
from semisonic.data.options import ShardOptions
from semisonic.data.sample_store import SampleStore

RATE = 8000
FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with three recordings each, in four formats."""
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for kind in ("bell", "owl"):
        (root / kind).mkdir()
        for i, suffix in enumerate(FORMATS):
            wave = 0.2 * rng.normal(size=RATE // 2 + 100 * i)
            sf.write(root / kind / f"{i} ü.x{suffix}", wave, RATE, format=FORMATS[suffix])
    return root


def packed(files: Path, folder: Path, kind: str, per_shard: int = 3) -> Path:
    pack(load_clips(files), folder, ShardOptions(per_shard, kind))
    return folder


def inner(clips: Clips) -> list[str]:
    """Names without their shard."""
    return [file.partition("::")[2] for file in clips.file.tolist()]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_the_table_and_all_samples_are_those_of_the_files(
    files: Path, tmp_path: Path, kind: str
) -> None:
    shards = packed(files, tmp_path / "shards", kind)
    assert len(list(shards.glob(f"*.{kind}"))) == 3
    expected, found = load_clips(files), load_clips(shards)
    assert "shards" in describe_layout(shards)
    order = np.argsort(inner(found))
    assert np.array(inner(found))[order].tolist() == expected.file.tolist()
    assert [found.labels[i] for i in order] == list(expected.labels)
    assert found.classes == expected.classes
    stores = [
        SampleStore.build(clips, tmp_path / f"store{i}", sample_rate=6000, workers=2)
        for i, clips in enumerate((expected, found[order]))
    ]
    assert len(stores[0]) == len(stores[1]) == len(expected)
    for row in range(len(expected)):
        mine = stores[1].clips.file.tolist().index(found.file[order[row]])
        np.testing.assert_array_equal(stores[0][row], stores[1][mine])
    again = SampleStore.build(found, tmp_path / "store1", sample_rate=6000)
    assert again.report.n_decoded == 0


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_member_is_a_recording_like_any_other(files: Path, tmp_path: Path, kind: str) -> None:
    shards = packed(files, tmp_path / "shards", kind)
    for member in load_clips(shards).paths:
        name = str(member).partition("::")[2]
        x, rate = read(files / name)
        y, same = read(member)
        np.testing.assert_array_equal(x, y)
        assert rate == same
        part = read(member, start_time=0.1, end_time=0.3)[0]
        np.testing.assert_array_equal(part, read(files / name, start_time=0.1, end_time=0.3)[0])
        blocks = list(read_blocks(member, block_time=0.1, sample_rate=4000))
        expected = list(read_blocks(files / name, block_time=0.1, sample_rate=4000))
        np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(expected))
        assert probe(member).duration == probe(files / name).duration
        assert content_hash(member) == content_hash(files / name)
        assert size_of(member) == (files / name).stat().st_size
        assert is_there(member)
    assert not is_there(f"{member}x")


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_copies_are_found_across_files_and_shards(files: Path, tmp_path: Path, kind: str) -> None:
    in_shards = load_clips(packed(files, tmp_path / "shards", kind))
    left, dropped = without_copies(in_shards, load_clips(files)[:3])
    assert len(dropped) == 3
    assert len(left) == len(in_shards) - 3
    found = find_duplicates(load_clips(files), in_shards, near=False)
    assert len(found) == len(in_shards)


def test_all_that_is_known_of_clips_goes_along(files: Path, tmp_path: Path) -> None:
    rows = [
        {
            "file": "bell/0 ü.x.wav",
            "labels": ["bell", "wind"],
            "start_time": 0.0,
            "end_time": 0.2,
            "group": "g1",
            "fold": 2,
        },
        {"file": "bell/0 ü.x.wav", "labels": [], "start_time": 0.2, "end_time": 0.5, "group": "g1"},
        {"file": "owl/1 ü.x.flac", "labels": "owl", "label_type": "uncertain", "group": "g2"},
    ]
    clips = Clips.from_rows(files, rows, classes=["wind", "owl", "bell"])
    pack(clips, tmp_path, ShardOptions())
    found = load_clips(tmp_path)
    assert inner(found) == clips.file.tolist()
    for column in ("start_time", "end_time", "fold", "group", "label_type"):
        np.testing.assert_array_equal(getattr(found, column), getattr(clips, column))
    assert found.labels == clips.labels
    assert found.classes == clips.classes
    with pytest.raises(DataError, match="pack as tar"):
        pack(clips, tmp_path / "other", ShardOptions(format="parquet"))


def test_finished_shards_are_kept_and_others_written(files: Path, tmp_path: Path) -> None:
    clips = load_clips(files)
    first = pack(clips, tmp_path, ShardOptions(3))
    times = [shard.stat().st_mtime_ns for shard in first.shards]
    first.shards[1].write_bytes(first.shards[1].read_bytes()[:700])
    again = pack(clips, tmp_path, ShardOptions(3))
    assert (again.n_files, again.n_kept) == (8, 5)
    now = [shard.stat().st_mtime_ns for shard in again.shards]
    assert [a == b for a, b in zip(times, now, strict=True)] == [True, False, True]
    assert len(load_clips(tmp_path)) == 8


def test_other_shards_in_the_folder_are_no_part_of_a_packing(files: Path, tmp_path: Path) -> None:
    folder = packed(files, tmp_path / "shards", "tar", per_shard=3)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for options in (ShardOptions(100, "tar"), ShardOptions(3, "parquet")):
        with pytest.raises(DataError, match=r"holds 'shard-00000.\.tar'.*twice.*another folder"):
            pack(load_clips(files), folder, options)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert len(load_clips(folder)) == len(load_clips(files))


def test_shards_can_be_packed_anew_and_missing_files_are_listed(
    files: Path, tmp_path: Path
) -> None:
    shutil.copytree(files, tmp_path / "files")
    clips = load_clips(tmp_path / "files")
    (tmp_path / "files" / "owl" / "1 ü.x.flac").unlink()
    done = pack(clips, tmp_path / "a", ShardOptions(2))
    assert [name for name, _ in done.failures] == ["owl/1 ü.x.flac"]
    pack(load_clips(tmp_path / "a"), tmp_path / "b", ShardOptions(100, "parquet"))
    assert sorted(inner(load_clips(tmp_path / "b"))) == sorted(inner(load_clips(tmp_path / "a")))


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_shards_of_webdataset(files: Path, tmp_path: Path) -> None:
    sound = (files / "owl" / "0 ü.x.wav").read_bytes()
    long = "n" * 150
    _tar(
        tmp_path / "a.tar",
        {
            "./001.wav": sound,
            "./001.cls": b"1",
            "x/002.mic.flac": sound,
            "x/002.txt": b"owl\n",
            "003.ogg": sound,
            "003.json": json.dumps({"label": "bell", "fold": 3}).encode(),
            f"{long}.wav": sound,
            "005.wav": sound,
            "005.cls": b"7",
            "about.md": b"#",
        },
    )
    (tmp_path / "classes.txt").write_text("owl\nbell\n")
    clips = load_clips(tmp_path / "a.tar")
    labels = dict(zip(inner(clips), clips.labels, strict=True))
    assert labels == {
        "001.wav": ("bell",),
        "x/002.mic.flac": ("owl",),
        "003.ogg": ("bell",),
        f"{long}.wav": (),
        "005.wav": ("7",),
    }
    assert clips.classes == ("owl", "bell", "7")
    assert clips.fold[inner(clips).index("003.ogg")] == 3
    assert len(read(clips.paths[0])[0]) > 0


def test_tables_of_hugging_face(files: Path, tmp_path: Path) -> None:
    sound = (files / "owl" / "0 ü.x.wav").read_bytes()
    about = {"info": {"features": {"label": {"names": ["owl", "bell"], "_type": "ClassLabel"}}}}
    audio = [{"bytes": sound, "path": name} for name in ("a.wav", "a.wav", None, "b.wav")]
    table = pa.table({"audio": audio, "label": [0, 1, 1, 0], "other": [1.5, 2.5, 3.5, 4.5]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    parquet.write_table(table, tmp_path / "train-00000.parquet", row_group_size=2)
    clips = load_clips(tmp_path)
    assert inner(clips) == ["b.wav", "row-000000", "row-000001", "row-000002"]
    assert clips.labels == (("owl",), ("owl",), ("bell",), ("bell",))
    plain = pa.table({"bytes": [sound, b""], "label": ["owl", None]})
    parquet.write_table(plain, tmp_path / "plain.parquet")
    clips = load_clips(tmp_path / "plain.parquet")
    assert clips.labels == (("owl",), ())
    np.testing.assert_array_equal(read(clips.paths[0])[0], read(files / "owl" / "0 ü.x.wav")[0])
    with pytest.raises(AudioError, match="0 bytes"):
        read(clips.paths[1])


def test_what_is_wrong_with_a_shard_is_said(files: Path, tmp_path: Path) -> None:
    sound = (files / "owl" / "0 ü.x.wav").read_bytes()
    whole = _tar(tmp_path / "whole.tar", {"a.wav": sound, "b.wav": sound[:300], "c.wav": b"no"})
    for name, reason in (("x.wav", "no such member"), ("b.wav", "truncated"), ("c.wav", "not aud")):
        with pytest.raises(AudioError, match=reason):
            read(f"{whole}::{name}")
    with pytest.raises(AudioError, match="no such file"):
        read(tmp_path / "none.tar::a.wav")
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:3000])
    with tarfile.open(whole) as tar:
        second = tar.getmembers()[1].offset
    (tmp_path / "short.tar").write_bytes(whole.read_bytes()[:second])  # between two members
    damaged = bytearray(whole.read_bytes())
    damaged[second : second + 3] = b"zzz"
    (tmp_path / "damaged.tar").write_bytes(damaged)
    with tarfile.open(tmp_path / "zip.tar", "w:gz") as tar:
        tar.add(files / "owl" / "0 ü.x.wav", "a.wav")
    (tmp_path / "text.parquet").write_text("no table")
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    _tar(tmp_path / "empty.tar", {"a.md": b"#"})
    _tar(tmp_path / "bad.tar", {"a.wav": sound, "a.json": b"{"})
    for name, reason in (
        ("cut.tar", "cut off"),
        ("short.tar", "no end mark"),
        ("damaged.tar", f"damaged: at byte {second}, behind 1 member"),
        ("zip.tar", "compressed"),
        ("text.parquet", "no Parquet"),
        ("other.parquet", "found the columns x"),
        ("empty.tar", "no recordings in 1 shard. "),
        ("bad.tar", "bad.tar::a.json: no label can be read"),
    ):
        with pytest.raises(DataError, match=reason):
            load_clips(tmp_path / name)
    clips = Clips.from_rows(tmp_path, [{"file": f"whole.tar::{n}.wav"} for n in "abcd"])
    store = SampleStore.build(clips, tmp_path / "store", sample_rate=RATE)
    assert [name for name, _ in store.report.failures] == [f"whole.tar::{n}.wav" for n in "bcd"]


def test_a_damaged_shard_stops_no_other(
    files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sound = (files / "owl" / "0 ü.x.wav").read_bytes()
    whole = _tar(tmp_path / "a.tar", {"a.wav": sound, "a.cls": b"owl", "b.wav": sound})
    (tmp_path / "b.tar").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "c.parquet").write_text("no table")
    clips = load_clips(tmp_path)
    assert clips.file.tolist() == ["a.tar::a.wav", "a.tar::b.wav", "b.tar", "c.parquet"]
    assert clips.labels == (("owl",), (), (), ())
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [("b.tar: " in text, "c.parquet: " in text) for text in warned] == [
        (True, False),
        (False, True),
    ]
    store = SampleStore.build(clips, tmp_path / "store", sample_rate=RATE)
    assert len(store) == 2
    (tar, cut), (table, text) = store.report.failures
    assert (tar, table) == ("b.tar", "c.parquet")
    assert "cut off" in cut
    assert "no Parquet" in text
    with pytest.raises(AudioError, match="a shard, not a recording"):
        read(whole)
    whole.unlink()
    with pytest.raises(DataError, match="cut off"):
        load_clips(tmp_path)


def test_memory_for_parquet_does_not_grow_with_the_number_of_shards(tmp_path: Path) -> None:
    rng, size = np.random.default_rng(0), 200_000
    for number in range(16):
        rows = [{"bytes": rng.bytes(size), "path": f"{i}.wav"} for i in range(2)]
        table = pa.table({"audio": pa.array(rows)})
        parquet.write_table(table, tmp_path / f"{number}.parquet", row_group_size=1)
    before = pa.total_allocated_bytes()
    for number in range(16):
        shard = open_shard(tmp_path / f"{number}.parquet")
        assert [len(shard.read(name)) for name in shard.names] == [size, size]
    assert pa.total_allocated_bytes() - before < 12 * size


def test_a_shard_that_changes_is_read_anew(files: Path, tmp_path: Path) -> None:
    sound = (files / "owl" / "0 ü.x.wav").read_bytes()
    shard = _tar(tmp_path / "a.tar", {"a.wav": sound})
    before = stamp_of(f"{shard}::a.wav")
    assert open_shard(shard).names == ["a.wav"]
    _tar(shard, {"b.wav": sound, "a.wav": sound})
    assert open_shard(shard).names == ["b.wav", "a.wav"]
    assert stamp_of(f"{shard}::a.wav") != before
    assert len(read(f"{shard}::a.wav")[0]) > 0


def test_recordings_beside_shards_are_read_instead(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "owl" / "0 ü.x.wav", tmp_path / "a.wav")
    _tar(tmp_path / "backup.tar", {"b.wav": b"x"})
    assert load_clips(tmp_path).file.tolist() == ["a.wav"]


NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0/:"), min_size=1, max_size=12)


@settings(max_examples=30)
@given(st.dictionaries(NAME.filter(lambda n: n not in (".", "..")), st.binary(), max_size=5))
def test_bytes_of_any_tar_are_those_of_tarfile(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]
) -> None:
    path = _tar(tmp_path_factory.mktemp("tar") / "a.tar", members)
    shard = open_shard(path)
    with tarfile.open(path) as tar:
        for name in members:
            taken = tar.extractfile(name)
            assert taken is not None
            assert shard.read(name) == taken.read() == members[name]
            assert shard.size(name) == len(members[name])
    assert shard.names == list(members)


def test_names_with_colons_are_files_unless_a_shard_stands_before_them(tmp_path: Path) -> None:
    assert member_of("a::b.wav") is None
    assert member_of("/x/a::b.tar::c::d.wav").name == "c::d.wav"  # type: ignore[union-attr]
    (tmp_path / "a::b.wav").write_bytes(b"x")
    assert is_there(tmp_path / "a::b.wav")
