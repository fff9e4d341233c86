"""Unpack an archive that nobody vouches for: nothing is written outside the folder meant for it.

Refused are names that lead out of the folder, links and devices, names that stand twice, files
that are larger than they say, and archives that would fill the disk. What macOS leaves in archives
(``__MACOSX``, ``._name``, ``.DS_Store``) is passed over.
"""

from __future__ import annotations

import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from semisonic.base.errors import DataError
from semisonic.base.progress import bar
from semisonic.data.get.split_zip import SplitZip

_CHUNK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, RuntimeError,
    NotImplementedError,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its size as the archive says, and how its content is had."""

    name: str
    size: int
    is_plain: bool
    content: Callable[[], Iterator[bytes]]


def unpack(files: Sequence[Path], folder: Path) -> int:
    """Unpack an archive into a new folder; when anything goes wrong there is no folder.

    Parameters
    ----------
    files : sequence of Path
        A ``.zip``, a ``.tar.gz`` or the pieces of a split zip in order.
    folder : Path
        What the archive becomes. When everything in it lies in a folder of this name, that one.

    Returns
    -------
    int
        How many files were unpacked.

    Raises
    ------
    DataError
        When the folder is there already, or the archive is damaged, hostile or too large.
    """
    if folder.exists():
        raise DataError(f"{folder}: is there already; choose another folder, or move it away")
    temporary = folder.with_name(f".unpacking-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        n_files = _write_all(files, temporary)
        inner = temporary / folder.name
        whole = [path.name for path in temporary.iterdir()] == [folder.name] and inner.is_dir()
        (inner if whole else temporary).rename(folder)
    except _BROKEN as error:
        raise DataError(f"{files[-1]}: damaged ({error}); remove it and fetch it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return n_files


def _write_all(files: Sequence[Path], root: Path) -> int:
    archive = files[-1]
    seen: set[str] = set()
    with bar(None, f"unpack {archive.name}", "file") as shown:
        for member in _members(files, root):
            parts = _parts(archive, member)
            if not parts:
                continue
            name = "/".join(parts)
            if name.casefold() in seen:
                raise DataError(f"{archive}: {name} stands twice in it; it is not unpacked")
            seen.add(name.casefold())
            _write(archive, member, root.joinpath(*parts))
            shown.update()
    if not seen:
        raise DataError(f"{archive}: nothing in it")
    return len(seen)


def _parts(archive: Path, member: _Member) -> list[str]:
    """The path of a member in its parts; empty for what is passed over.

    Raises
    ------
    DataError
        When it leads out of the folder or is no plain file.
    """
    name = member.name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f:]", name) or not parts:
        raise DataError(f"{archive}: the name {member.name!r} leads out of it; it is not unpacked")
    if not member.is_plain:
        raise DataError(f"{archive}: {member.name} is a link or a device; it is not unpacked")
    junk = parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store"
    return [] if junk else parts


def _write(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as stream:
        for data in member.content():
            written += len(data)
            if written > member.size:
                break
            stream.write(data)
    if written != member.size:
        raise DataError(
            f"{archive}: {member.name} says that it has {member.size} bytes, and has "
            f"{'more' if written > member.size else written}; it is not unpacked"
        )


def _members(files: Sequence[Path], root: Path) -> Iterator[_Member]:
    if len(files) > 1:
        yield from _of_split_zip(files, root)
    elif files[0].suffix == ".zip":
        yield from _of_zip(files[0], root)
    else:
        yield from _of_tar(files[0], root)


def _of_split_zip(files: Sequence[Path], root: Path) -> Iterator[_Member]:
    archive = SplitZip(files)
    _check_space(files[-1], sum(entry.size for entry in archive.entries), root)
    for entry in archive.entries:
        if not entry.name.endswith("/"):
            content = lambda entry=entry: archive.unpacked(entry)  # noqa: E731
            yield _Member(entry.name, entry.size, _is_plain(entry.mode), content)


def _of_zip(file: Path, root: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        _check_space(file, sum(info.file_size for info in infos), root)
        for info in infos:
            if not info.is_dir():
                content = lambda info=info: _chunks(archive.open(info))  # noqa: E731
                yield _Member(
                    info.filename, info.file_size, _is_plain(info.external_attr >> 16), content
                )


def _of_tar(file: Path, root: Path) -> Iterator[_Member]:
    # As a stream: a compressed tar has no directory, so it is read once, in order.
    with gzip.open(file) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
        for info in archive:
            if not info.isdir():
                _check_space(file, info.size, root)
                content = lambda info=info: _chunks(archive.extractfile(info))  # noqa: E731
                yield _Member(info.name, info.size, info.isreg(), content)
        while plain.read(_CHUNK):  # to the end, where the checksum stands
            pass


def _chunks(stream: IO[bytes] | None) -> Iterator[bytes]:
    if stream is not None:
        with stream:
            while data := stream.read(_CHUNK):
                yield data


def _is_plain(mode: int) -> bool:
    """Whether a Unix mode, 0 for none, is that of a file."""
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _check_space(archive: Path, size: int, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if size > free:
        raise DataError(
            f"{archive}: needs {size / 1e9:.3g} GB unpacked, and {root.parent} has "
            f"{free / 1e9:.3g} GB free; make room, or choose another folder"
        )
