"""Fetching a data set, archive by archive: resumed after a cut, and checked by hash."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json, write_json
from semisonic.core.options import nearest
from semisonic.core.progress import bar
from semisonic.data.datasets.archives import unpack
from semisonic.data.datasets.catalogue import Archive, RemoteFile, RemoteSet

TIMEOUT = 60.0
"""Seconds without an answer after which a connection is given up."""
NETWORK_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)


def open_url(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Any:
    """Open an address; redirects are followed.

    Raises
    ------
    URLError, TimeoutError, ConnectionError, HTTPException
    """
    request = urllib.request.Request(
        url, method=method, headers={"User-Agent": "semisonic", **(headers or {})}
    )
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def asked(remote: RemoteSet, archive: Archive, listed: Mapping[str, Any] | None) -> Archive:
    """An archive with the sizes and hashes of its files, from its record or each file's server.

    Raises
    ------
    DataError
        When the record cannot be had, does not know a file, or contradicts a published hash.
    """
    if listed is None:
        files = [replace(file, size=_size(file.url)) for file in archive.files]
    else:
        files = [_listed(remote, file, listed) for file in archive.files]
    return replace(archive, files=tuple(files))


def _listed(remote: RemoteSet, file: RemoteFile, listed: Mapping[str, Any]) -> RemoteFile:
    entry = listed.get(file.name)
    if entry is None:
        raise DataError(
            f"{remote.record}: names no file {file.name}, but {', '.join(listed) or 'none'}. "
            f"The record has changed; fetch the set by hand from {remote.page}"
        )
    size, checksum = entry.get("size"), str(entry.get("checksum", ""))
    md5 = checksum.removeprefix("md5:").lower()
    if not re.fullmatch("[0-9a-f]{32}", md5) or not isinstance(size, int):
        raise DataError(
            f"{remote.record}: found size {size!r} and checksum '{checksum}' for {file.name}, "
            "expected a number and 'md5:' with 32 digits"
        )
    if file.md5 and file.md5 != md5:
        raise DataError(
            f"{remote.record}: {file.name} has the MD5 {md5}, but was published with {file.md5}. "
            f"The file has changed; look at {remote.page} before you fetch it by hand"
        )
    return replace(file, md5=md5, size=size)


def _record(url: str) -> dict[str, Any]:
    """The files of a record by their names."""
    try:
        with open_url(url) as answer:
            found = json.load(answer)
        return {str(file["key"]): file for file in found["files"]}
    except NETWORK_ERRORS as error:
        raise DataError(f"{url}: {why(error)}. Sizes and hashes stand there; try later") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{url}: not a record with a list of files ({error!r})") from error


def _size(url: str) -> int | None:
    try:
        with open_url(url, "HEAD") as answer:
            length = answer.headers.get("Content-Length")
    except NETWORK_ERRORS as error:
        raise DataError(f"{url}: {why(error)}. Try later") from error
    return int(length) if length else None


def why(error: BaseException) -> str:
    """A network error in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    return f"the connection broke ({error or type(error).__name__})"


# One file from a server: it goes on after a cut, and its size and hash are checked.


_log = logging.getLogger(__name__)
CHUNK = 1 << 20
ATTEMPTS = 5
"""Failures in a row, without a byte between them, after which a download is given up."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled after each."""
_TRANSIENT = frozenset({408, 429})


class _CutError(ConnectionError):
    """The server stopped before the end."""


def download(file: RemoteFile, target: Path, *, pause: float = FIRST_PAUSE) -> Path:
    """Fetch a file; what an earlier call fetched is kept.

    Until it is whole and checked the file is called ``target`` with ``.part`` behind it. A file
    without a hash is fetched from its start again, since nobody could tell whether two halves
    belong together.

    Raises
    ------
    DataError
        When the server refuses or keeps failing, or the file is not the one that was published.
    """
    part = part_of(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file() and _is_right(file, target):
        return target
    if not file.md5:
        part.unlink(missing_ok=True)
    _fetch_all(file, part, pause)
    _check(file, part)
    part.replace(target)
    return target


def part_of(target: Path) -> Path:
    """Where the first bytes of a file lie until it is whole."""
    return target.with_name(target.name + ".part")


def _fetch_all(file: RemoteFile, part: Path, pause: float) -> None:
    failures = 0
    with bar(file.size, file.name, "B", _length(part), scaled=True) as shown:
        while file.size is None or _length(part) < file.size:
            before = _length(part)
            try:
                _fetch(file, part, shown)
                return
            except NETWORK_ERRORS as error:
                if isinstance(error, urllib.error.HTTPError) and _is_final(error, part):
                    raise _refused(file, part, why(error)) from error
                failures = 1 if _length(part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise _refused(file, part, why(error)) from error
                _log.info("%s: %s; trying again", file.name, why(error))
                time.sleep(pause * 2 ** (failures - 1))


def _fetch(file: RemoteFile, part: Path, shown: Any) -> None:
    """One request: the rest of the file, or all of it when the server gives no part."""
    have = _length(part) if file.md5 else 0
    with open_url(file.url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
        goes_on = answer.status == 206 and _starts_at(answer) == have
        if have and not goes_on:
            _log.warning("%s: the server sends it from its start again", file.name)
            if answer.status == 206:
                part.unlink()
                raise _CutError("it sends another part than was asked for")
        begin = have if goes_on else 0
        shown.n = begin
        shown.refresh()
        length = answer.headers.get("Content-Length")
        end = begin + int(length) if length else file.size
        with part.open("ab" if goes_on else "wb") as stream:
            while data := answer.read(CHUNK):
                stream.write(data)
                shown.update(len(data))
    if end is not None and _length(part) < end:
        raise _CutError(f"it ended after {_length(part)} of {end} bytes")


def _starts_at(answer: Any) -> int:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _is_final(error: urllib.error.HTTPError, part: Path) -> bool:
    """Whether asking again is useless; a part that the server cannot go on from is dropped."""
    if error.code == 416 and part.is_file():
        part.unlink()
        return False
    return 400 <= error.code < 500 and error.code not in _TRANSIENT


def _refused(file: RemoteFile, part: Path, reason: str) -> DataError:
    kept = f"; {_length(part)} bytes are kept, and the same command goes on from there"
    return DataError(
        f"{file.url}: {reason}{kept if _length(part) and file.md5 else ''}. "
        "Try later, or fetch it by hand"
    )


def _check(file: RemoteFile, part: Path) -> None:
    size = _length(part)
    if file.size is not None and size != file.size:
        part.unlink()
        raise DataError(
            f"{file.url}: found {size} bytes, expected {file.size}; what was fetched has "
            "been removed. Run the same command again"
        )
    if file.md5 and (found := md5_of(part)) != file.md5:
        part.unlink()
        raise DataError(
            f"{file.url}: found the MD5 {found}, expected {file.md5}; what was fetched "
            "has been removed. Run the same command again; if it ends like this again, the file "
            "on the server is another one or somebody changes it on the way"
        )


def _is_right(file: RemoteFile, target: Path) -> bool:
    return bool(file.md5) and md5_of(target) == file.md5


def md5_of(path: Path) -> str:
    """The MD5 of a file, as Zenodo publishes it: it finds damage, and proves no authorship."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


# Fetch a data set: what would be done, and then doing it, archive by archive.


JOURNAL = "downloads.json"
"""In the folder of the user: what was fetched, from where, with which hash."""
UNPACKED = 1.5
"""How much larger than its archives a set is taken to be, as long as nobody knows."""


@dataclass(frozen=True)
class FetchPlan:
    """What is to be fetched.

    Attributes
    ----------
    remote : RemoteSet
    folder : Path
    archives : tuple of Archive
        Those still to be fetched, with sizes and hashes.
    done : tuple of str
        Folders that an earlier call fetched.
    """

    remote: RemoteSet
    folder: Path
    archives: tuple[Archive, ...]
    done: tuple[str, ...]

    @property
    def files(self) -> list[RemoteFile]:
        """The files of all archives."""
        return [file for archive in self.archives for file in archive.files]

    @property
    def n_bytes(self) -> int | None:
        """Bytes still to come; None when a server does not say."""
        sizes = [file.size for file in self.files]
        if None in sizes:
            return None
        return sum(size or 0 for size in sizes) - self._n_there

    @property
    def _n_there(self) -> int:
        paths = [self.folder / file.name for file in self.files]
        found = [one for path in paths for one in (path, part_of(path)) if one.is_file()]
        return sum(path.stat().st_size for path in found)

    @property
    def space(self) -> int:
        """Free bytes that are wanted: for the largest archive and for everything unpacked."""
        sizes = [sum(file.size or 0 for file in archive.files) for archive in self.archives]
        if self.n_bytes is None:
            sizes = [round(self.remote.about_gb * 1e9)]
        return round(UNPACKED * sum(sizes)) + max(sizes, default=0) - self._n_there

    def lines(self) -> list[str]:
        """The plan for people: what, under which licence, how large, checked how."""
        size = f"about {self.remote.about_gb:g} GB" if self.n_bytes is None else _gb(self.n_bytes)
        checked = "their MD5, as published"
        if not all(file.md5 for file in self.files):
            checked = "the checksums in the archive: the server packs it anew and publishes no hash"
        text = [
            self.remote.title,
            f"licence: {self.remote.licence}",
            f"from: {self.remote.page}",
        ]
        if self.done:
            text.append(f"there already: {', '.join(self.done)}")
        if self.archives:
            wanted = f"wants {_gb(self.space)} of free space"
            text.append(f"to fetch: {len(self.files)} files, {size}; {wanted}")
            text.append(f"checked by: {checked}")
        return text


@dataclass(frozen=True)
class Fetched:
    """What was done: the place to read, and how many files each new folder got."""

    data: Path
    folders: dict[str, int]


def make_plan(remote: RemoteSet, folder: Path, parts: Sequence[str] = ()) -> FetchPlan:
    """Ask the server what there is; nothing is fetched or written.

    Parameters
    ----------
    remote : RemoteSet
    folder : Path
        Where the set is to lie.
    parts : sequence of str
        Parts of the set, such as "curated"; all when empty.

    Raises
    ------
    OptionError
        When the set has no such part.
    DataError
        When a folder is in the way, the server cannot be asked, or the disk is too small.
    """
    for part in parts:
        if part not in remote.parts:
            raise OptionError(
                f"parts: '{remote.name}' has no '{part}'; {nearest(part, remote.parts)}"
            )
    wanted = [one for one in remote.archives if not parts or one.part in parts]
    journal = _journal(folder)
    done = [
        one.folder for one in wanted if one.folder in journal and (folder / one.folder).is_dir()
    ]
    left = [one for one in wanted if one.folder not in done]
    for archive in left:
        if (folder / archive.folder).exists():
            raise DataError(
                f"{folder / archive.folder}: is there already, and was not put there by a "
                f"finished download ({JOURNAL} does not name it). Choose another folder, or move "
                "it away"
            )
    listed = _record(remote.record) if left and remote.record else None
    archives = tuple(asked(remote, archive, listed) for archive in left)
    return FetchPlan(remote, folder, archives, tuple(done))


def fetch(plan: FetchPlan, *, keep_archives: bool = False, pause: float = FIRST_PAUSE) -> Fetched:
    """Download, check and unpack what a plan names; the same plan goes on after a cut.

    An archive is removed when it is unpacked, unless ``keep_archives``. ``pause`` is how long to
    wait, in seconds, before the first new attempt after a failure.

    Raises
    ------
    DataError
        When there is too little space, a server fails, or an archive is not what was published.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(plan.folder).free
    if plan.space > free:
        raise DataError(
            f"{plan.folder}: {_gb(free)} free, and about {_gb(plan.space)} are wanted to fetch and "
            f"unpack {plan.remote.name}. Make room, choose another folder, or fetch parts: "
            f"{', '.join(plan.remote.parts)}"
        )
    folders = {}
    for archive in plan.archives:
        paths = [download(file, plan.folder / file.name, pause=pause) for file in archive.files]
        n_files = unpack(paths, plan.folder / archive.folder)
        _write_down(plan, archive, paths, n_files)
        folders[archive.folder] = n_files
        for path in paths if not keep_archives else ():
            path.unlink()
    return Fetched(plan.folder / plan.remote.data, folders)


def _journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); move it away") from error
    return found if isinstance(found, dict) else {}


def _write_down(
    plan: FetchPlan,
    archive: Archive,
    paths: Sequence[Path],
    n_files: int,
) -> None:
    rows = [
        {"url": file.url, "bytes": path.stat().st_size, "md5": file.md5 or md5_of(path)}
        for file, path in zip(archive.files, paths, strict=True)
    ]
    entry = {
        "set": plan.remote.name,
        "licence": plan.remote.licence,
        "files": n_files,
        "from": rows,
    }
    write_json(plan.folder / JOURNAL, {**_journal(plan.folder), archive.folder: entry})


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.3g} MB"
