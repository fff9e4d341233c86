"""Archives: plain, split, damaged and hostile."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from get_server import content_of, zipped

from semisonic.core.errors import DataError
from semisonic.data.datasets import archives
from semisonic.data.datasets.archives import unpack

FILES = {
    "birds/a.wav": np.random.default_rng(1).bytes(50000),
    "birds/b/c.wav": b"tweet" * 30000,
    "birds/empty.txt": b"",
}


def tarred(files: dict[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return stream.getvalue()


def split(archive: bytes, size: int) -> list[bytes]:
    """Cut a zip into pieces as ``zip -s`` does: places become a piece and an offset in it."""
    data = b"PK\x07\x08" + archive
    cuts = list(range(0, len(data), size))

    def placed(place: int) -> tuple[int, int]:
        place += 4
        return place // size, place % size

    end = data.rfind(b"PK\x05\x06")
    n_entries, cd_size, cd_place = struct.unpack("<H2L", data[end + 10 : end + 20])
    out = bytearray(data)
    at = cd_place + 4
    for _ in range(n_entries):
        lengths = struct.unpack("<3H", data[at + 28 : at + 34])
        (place,) = struct.unpack("<L", data[at + 42 : at + 46])
        piece, offset = placed(place)
        out[at + 34 : at + 36] = struct.pack("<H", piece)
        out[at + 42 : at + 46] = struct.pack("<L", offset)
        at += 46 + sum(lengths)
    piece, offset = placed(cd_place)
    last = len(cuts) - 1
    out[end + 4 : end + 8] = struct.pack("<2H", last, piece)
    out[end + 12 : end + 20] = struct.pack("<2L", cd_size, offset)
    return [bytes(out[cut : cut + size]) for cut in cuts]


MAKERS = [zipped, tarred, lambda files: split(zipped(files), 7000)]


def saved(folder: Path, name: str, *pieces: bytes) -> list[Path]:
    names = [f"{name}.z{i:02d}" for i in range(1, len(pieces))]
    names.append(f"{name}.zip" if len(pieces) > 1 or pieces[0][:2] == b"PK" else f"{name}.tar.gz")
    paths = [folder / one for one in names]
    for path, data in zip(paths, pieces, strict=True):
        path.write_bytes(data)
    return paths


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("make", MAKERS)
def test_archives_become_one_folder(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes | list[bytes]], flat: bool
) -> None:
    inside = {name.removeprefix("birds/") if flat else name: data for name, data in FILES.items()}
    made = make({**inside, "__MACOSX/._a.wav": b"junk", "birds/.DS_Store": b"junk"})
    if flat:
        made = make(inside)
    files = saved(tmp_path, "all", *(made if isinstance(made, list) else [made]))
    assert unpack(files, tmp_path / "birds") == 3
    assert content_of(tmp_path / "birds") == FILES
    assert not list(tmp_path.glob(".unpacking*"))


@pytest.mark.skipif(shutil.which("zip") is None, reason="no program 'zip'")
@pytest.mark.parametrize("form", ["-fz-", "-fz"])
def test_a_split_zip_of_the_program_zip(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(2)
    content = {f"birds/{i:03d}.wav": rng.bytes(9000 * i) for i in range(8)}
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    command = ["zip", "-q", "-r", form, "-s", "64k", "all.zip", "birds"]
    subprocess.run(command, cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "birds")
    pieces = [*sorted(tmp_path.glob("all.z[0-9]*")), tmp_path / "all.zip"]
    assert len(pieces) > 3
    assert unpack(pieces, tmp_path / "birds") == 8
    assert content_of(tmp_path / "birds") == content


def test_a_piece_that_is_missing_or_damaged(tmp_path: Path) -> None:
    pieces = split(zipped(FILES), 7000)
    files = saved(tmp_path, "all", *pieces)
    with pytest.raises(DataError, match=rf"found {len(files) - 1} pieces, expected {len(files)}"):
        unpack(files[1:], tmp_path / "birds")
    files[2].write_bytes(bytes(len(pieces[2])))
    with pytest.raises(DataError, match=r"all\.zip: damaged"):
        unpack(files, tmp_path / "birds")
    files[-1].write_bytes(b"nothing")
    with pytest.raises(DataError, match="no directory at its end"):
        unpack(files, tmp_path / "birds")
    assert not (tmp_path / "birds").exists()


OUTSIDE = [
    "../evil.wav",
    "birds/../../evil.wav",
    "/evil.wav",
    "\\evil.wav",
    "..\\evil.wav",
    "C:/evil",
]


TWICE = ["birds/A.WAV", "birds/a.wav/b.wav", "birds/b", "Birds/B/c.wav"]


@pytest.fixture
def nothing_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a file out of an archive is an error."""

    def copy(*_: object) -> None:
        raise AssertionError("a file was written before all was checked")

    monkeypatch.setattr(shutil, "copyfileobj", copy)


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", [*OUTSIDE, *TWICE, f"birds/{'long' * 80}.wav"])
def test_names_that_lead_out_or_stand_twice_are_refused(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes | list[bytes]], name: str
) -> None:
    made = make({**FILES, name: b"evil"})
    (tmp_path / "in").mkdir()
    files = saved(tmp_path / "in", "all", *(made if isinstance(made, list) else [made]))
    wrong = "longer than 255" if "long" in name else "twice|is a file, and the folder"
    with pytest.raises(DataError, match="leads out of it" if "evil" in name else wrong):
        unpack(files, tmp_path / "in" / "birds")
    assert not list(tmp_path.rglob("evil*"))
    assert [path for path in (tmp_path / "in").iterdir() if path not in files] == []


def with_link(kind: bytes) -> bytes:
    """An archive that holds a link or a device; a zip for none of the kinds of a tar."""
    if kind:
        info = tarfile.TarInfo("birds/link")
        info.type, info.linkname = kind, "../../secret"
        return tarred(FILES, info)
    stream = io.BytesIO(zipped(FILES))
    with zipfile.ZipFile(stream, "a") as archive:
        link = zipfile.ZipInfo("birds/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../../secret")
    return stream.getvalue()


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b""])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    made = with_link(kind)
    for pieces in ([made], *([] if kind else [split(made, 7000)])):
        files = saved(tmp_path, "all", *pieces)
        with pytest.raises(DataError, match="is a link or a device"):
            unpack(files, tmp_path / "birds")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_more_than_the_disk_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[dict[str, bytes]], bytes],
) -> None:
    class Usage(NamedTuple):
        free: int

    files = saved(tmp_path, "all", make({"birds/large.wav": bytes(300_000)}))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(200_000))
    with pytest.raises(DataError, match=r"needs 0\.3 MB unpacked or more, .* 0\.2 MB free"):
        unpack(files, tmp_path / "birds")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_damaged_archives(tmp_path: Path, make: Callable[[dict[str, bytes]], bytes]) -> None:
    whole = make(FILES)
    middle = bytearray(whole)
    middle[20000:20100] = bytes(100)
    for data in (whole[:40000], bytes(middle)):
        files = saved(tmp_path, "all", data)
        with pytest.raises(DataError, match="damaged"):
            unpack(files, tmp_path / "birds")
        assert not (tmp_path / "birds").exists()
    with pytest.raises(DataError, match=r": empty$"):
        unpack(saved(tmp_path, "all", make({})), tmp_path / "birds")


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("make", [zipped, tarred])
def test_archives_that_are_made_to_fill_a_disk(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    zeros = bytes(2 << 20)
    files = saved(tmp_path, "all", make({f"birds/{i}.wav": zeros for i in range(50)}))
    assert files[0].stat().st_size < 1_000_000
    with pytest.raises(DataError, match="expected at most 100 MB"):
        unpack(files, tmp_path / "birds")


def header_without_end() -> bytes:
    """An archive whose header of one file has 100 MB."""
    info = tarfile.TarInfo("birds/a.wav")
    info.pax_headers = {"comment": "x" * 100_000_000}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    return stream.getvalue()


@pytest.mark.parametrize("made", ["header", "zeros"])
def test_what_belongs_to_no_file_has_an_end(tmp_path: Path, made: str) -> None:
    data = header_without_end() if made == "header" else tarred(FILES)
    if made == "zeros":
        data += gzip.compress(bytes(100_000_000), 1)
    with pytest.raises(DataError, match=r"follow a file and belong to none"):
        unpack(saved(tmp_path, "all", data), tmp_path / "birds")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_more_files_than_any_set_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    with pytest.raises(DataError, match="more than 2 files"):
        unpack(saved(tmp_path, "all", make({**FILES, "birds/d.wav": b"d"})), tmp_path / "birds")
