"""Download files and the data sets of ``catalogue.toml``, with resuming and hash checks."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import parse_json, read_json, write_json
from semisonic.core.options import nearest
from semisonic.core.progress import bar
from semisonic.data.datasets.archives import unpack
from semisonic.data.datasets.catalogue import Archive, RemoteFile, RemoteSet

JOURNAL = "downloads.json"
"""File in the user's folder that lists downloads, sources and hashes."""
TIMEOUT = 60.0
"""Seconds without an answer after which a connection ends."""
SLOWEST, SLOW_TIME = 1000, 60.0
"""A download ends that is slower than so many bytes a second, over so many seconds."""
MOST_TIMES = 2
"""How many times as large as its set says a download of unknown size may be."""
ATTEMPTS = 5
"""Consecutive failures without progress after which a download ends."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled after each."""
_UNPACKED = 1.5  # how much larger than its archives a set is taken to be
_CHUNK = 1 << 20
_MOST_LISTED = 10_000_000  # bytes of a record
_HASHES = {"md5": "MD5", "sha256": "SHA-256"}
_TRANSIENT = frozenset({408, 416, 429})
_NETWORK_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchPlan:
    """A planned download.

    Attributes
    ----------
    remote : RemoteSet
    folder : Path
    archives : tuple of Archive
        Archives to download, with sizes and hashes.
    done : tuple of str
        Folders of earlier downloads.
    """

    remote: RemoteSet
    folder: Path
    archives: tuple[Archive, ...]
    done: tuple[str, ...]

    @property
    def data(self) -> Path:
        """The path to read afterwards."""
        return self.folder / self.remote.data

    def sizes(self) -> tuple[int | None, int]:
        """Bytes to download (None if a server does not say), and free bytes needed.

        Space is needed for the largest archive and all unpacked files.
        """
        files = [file for archive in self.archives for file in archive.files]
        paths = [self.folder / file.name for file in files]
        n_there = sum(_length(path) + _length(_part_of(path)) for path in paths)
        known = all(file.size is not None for file in files)
        sizes = [sum(file.size or 0 for file in archive.files) for archive in self.archives]
        if not known:
            sizes = [round(self.remote.about_gb * 1e9)]
        space = round(_UNPACKED * sum(sizes)) + max(sizes, default=0) - n_there
        return sum(sizes) - n_there if known else None, space

    def lines(self) -> list[str]:
        """The plan as text: set, licence, source, size and checks."""
        remote = self.remote
        text = [remote.title, f"licence: {remote.licence}", f"from: {remote.page}"]
        if self.done:
            text.append(f"already there: {', '.join(self.done)}")
        if self.archives:
            n_files = sum(len(archive.files) for archive in self.archives)
            n_bytes, space = self.sizes()
            size = f"about {remote.about_gb:g} GB" if n_bytes is None else _gb(n_bytes)
            checked = "their published MD5"
            if not remote.record:
                checked = "the checksums in the archive, as the server publishes no hash"
            text += [
                f"to download: {n_files} files, {size}; needs {_gb(space)} of free space",
                f"checked by: {checked}",
            ]
        return text


def make_plan(remote: RemoteSet, folder: Path, parts: Sequence[str] = ()) -> FetchPlan:
    """Ask the server for sizes and hashes; nothing is downloaded or written.

    Parameters
    ----------
    remote : RemoteSet
    folder : Path
        Folder of the set.
    parts : sequence of str
        Parts of the set, such as "curated"; all if empty.

    Raises
    ------
    OptionError
        When the set has no such part.
    DataError
        When a folder is in the way, or the server does not answer.
    """
    for part in set(parts) - set(remote.parts):
        raise OptionError(f"parts: '{remote.name}' has no '{part}'; {nearest(part, remote.parts)}")
    wanted = [one for one in remote.archives if not parts or one.part in parts]
    done = [one.folder for one in wanted if (folder / one.folder).exists()]
    journal = _journal(folder)
    for name in done:
        if name not in journal:
            raise DataError(
                f"{folder / name}: already exists, but not from a finished download ({JOURNAL} "
                "does not list it). Choose another folder, or move it away"
            )
    left = [one for one in wanted if one.folder not in done]
    if left and remote.record:
        listed = _record(remote)
        left = [
            replace(one, files=tuple(_listed(remote, file, listed) for file in one.files))
            for one in left
        ]
    return FetchPlan(remote, folder, tuple(left), tuple(done))


def fetch(
    plan: FetchPlan, *, keep_archives: bool = False, pause: float = FIRST_PAUSE
) -> dict[str, int]:
    """Download, check and unpack the archives of a plan; continues after an interruption.

    Unpacked archives are deleted unless ``keep_archives``. ``pause`` is the time in seconds before
    the first new attempt after a failure.

    Returns
    -------
    dict of str to int
        The new folders with their numbers of files.

    Raises
    ------
    DataError
        When there is too little space, a server fails, or an archive differs from the published
        one.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    free, (_, space) = shutil.disk_usage(plan.folder).free, plan.sizes()
    if space > free:
        raise DataError(
            f"{plan.folder}: found {_gb(free)} of free space, expected about {_gb(space)} to "
            f"download and unpack {plan.remote.name}. Free space, choose another folder, or "
            f"download parts: {', '.join(plan.remote.parts)}"
        )
    folders = {}
    for archive in plan.archives:
        most = round(MOST_TIMES * plan.remote.about_gb * 1e9)
        paths = [
            download(file, plan.folder / file.name, most, pause=pause) for file in archive.files
        ]
        folders[archive.folder] = unpack(paths, plan.folder / archive.folder)
        entry = {
            "set": plan.remote.name,
            "licence": plan.remote.licence,
            "files": folders[archive.folder],
            "from": [
                {"url": file.url, "bytes": _length(path), "md5": _md5_of(file, path)}
                for file, path in zip(archive.files, paths, strict=True)
            ],
        }
        write_json(plan.folder / JOURNAL, {**_journal(plan.folder), archive.folder: entry})
        for path in paths if not keep_archives else ():
            path.unlink()
    return folders


def _journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    try:
        return dict(read_json(path)) if path.is_file() else {}
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); move it away") from error


def _record(remote: RemoteSet) -> dict[str, Any]:
    """The files of a record by their names."""
    try:
        with _open(remote.record) as answer:
            text = b"".join(_body(answer, remote.record, _MOST_LISTED))
        return {str(file["key"]): file for file in parse_json(text)["files"]}
    except _NETWORK_ERRORS as error:
        why = f"{_why(error)}. It lists sizes and hashes; try again later"
        raise DataError(f"{remote.record}: {why}") from error
    except DataError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        why = f"not a record with a list of files ({error!r})"
        raise DataError(f"{remote.record}: {why}") from error


def _listed(remote: RemoteSet, file: RemoteFile, listed: Mapping[str, Any]) -> RemoteFile:
    """A file with the size and the hash that its record lists."""
    if file.name not in listed:
        raise DataError(
            f"{remote.record}: found {', '.join(listed) or 'no files'}, expected {file.name}. "
            f"The record has changed; download the set manually from {remote.page}"
        )
    size, checksum = listed[file.name].get("size"), str(listed[file.name].get("checksum"))
    found = re.fullmatch("md5:([0-9a-f]{32})", checksum)
    if not found or not isinstance(size, int):
        raise DataError(
            f"{remote.record}: found size {size!r} and checksum '{checksum}' for {file.name}, "
            "expected a number and 'md5:' with 32 digits"
        )
    return replace(file, checksum=checksum, size=size)


def download(
    file: RemoteFile, target: Path, most: int | None = None, *, pause: float = FIRST_PAUSE
) -> Path:
    """Download a file, continuing an earlier download.

    Until it is complete and checked, the file is called ``target`` with ``.part`` appended. A file
    without a checksum is continued only if the server gives its version (ETag) and still has the
    same one, as otherwise the halves might not match.

    Parameters
    ----------
    file : RemoteFile
    target : Path
    most : int, optional
        Bytes after which a file of unknown size is refused.
    pause : float
        Seconds before the first new attempt after a failure.

    Returns
    -------
    Path
        The target.

    Raises
    ------
    DataError
        When the server fails or hardly sends anything, or the file is larger than expected or
        differs from the expected one.
    """
    part = _part_of(target)
    kind, _, expected = file.checksum.partition(":")
    if target.is_file() and file.checksum and _hash_of(target, kind) == expected:
        return target
    failures = 0
    with bar(file.size, file.name, "B", _length(part), scaled=True) as shown:
        while file.size is None or _length(part) < file.size:
            before = _length(part)
            try:
                _fetch(file, part, shown, most if file.size is None else file.size)
                break
            except _TooLargeError:
                part.unlink(missing_ok=True)
                raise
            except _NETWORK_ERRORS as error:
                failures = 1 if _length(part) >= before + SLOWEST else failures + 1
                code = error.code if isinstance(error, urllib.error.HTTPError) else 0
                if failures >= ATTEMPTS or (400 <= code < 500 and code not in _TRANSIENT):
                    kept = (
                        f"{_length(part)} bytes are kept, and the same command continues from there"
                    )
                    kept = f"; {kept}" if _can_resume(file, part) else ""
                    why = f"{_why(error)}{kept}. Try again later, or download it manually"
                    raise DataError(f"{file.url}: {why}") from error
                if code == 416:  # there is nothing behind what was fetched
                    part.unlink(missing_ok=True)
                _log.info("%s: %s; trying again", file.name, _why(error))
                time.sleep(pause * 2 ** (failures - 1))
    wrong = ""
    if file.size is not None and (size := _length(part)) != file.size:
        wrong = f"found {size} bytes, expected {file.size}"
    elif file.checksum and (found := _hash_of(part, kind)) != expected:
        wrong = f"found the {_HASHES[kind]} {found}, expected {expected}"
    if wrong:
        part.unlink()
        raise DataError(
            f"{file.url}: {wrong}; the download was deleted. Run the same command again; if it "
            "fails again, the file on the server differs or is changed in transit"
        )
    part.replace(target)
    _tag_of(part).unlink(missing_ok=True)
    return target


class _TooLargeError(DataError):
    """A server sends more than was expected."""


def _body(answer: Any, url: str, most: int | None, have: int = 0) -> Iterator[bytes]:
    """What a server sends, to its end.

    Parameters
    ----------
    answer : HTTP response
    url : str
        For messages.
    most : int or None
        Bytes that are expected at most, with those before.
    have : int
        Bytes of the file that came before.
    """
    expected = f"expected at most {most or 0:,} bytes; is it another file?"
    declared = answer.headers.get("Content-Length") or ""
    if most is not None and declared.isdecimal() and have + int(declared) > most:
        n = have + int(declared)
        raise _TooLargeError(f"{url}: the server announces {n:,} bytes, {expected}")
    began, n = time.monotonic(), 0
    while data := answer.read1(_CHUNK):  # what has come; 'read' would wait for all of it
        n, have = n + len(data), have + len(data)
        if most is not None and have > most:
            raise _TooLargeError(f"{url}: the server sends more and more, {expected}")
        yield data
        passed = time.monotonic() - began
        if passed > SLOW_TIME:
            if n < SLOWEST * passed:
                raise DataError(
                    f"{url}: the server sent {n} bytes in {passed:.0f} s, expected "
                    f"{SLOWEST} a second or more. Try again later, or download it manually"
                )
            began, n = time.monotonic(), 0


def _fetch(file: RemoteFile, part: Path, shown: Any, most: int | None) -> None:
    """One request for the rest of the file, or for all of it if the server does not send parts."""
    have = _length(part) if _can_resume(file, part) else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and not file.checksum:
        headers["If-Range"] = _tag_of(part).read_text(encoding="ascii")
    with _open(file.url, headers) as answer:
        if have and answer.status != 206:
            _log.warning("%s: the server sends it from the start again", file.name)
            have = 0
        tag = answer.headers.get("ETag", "")
        if not file.checksum and not have:
            _tag_of(part).unlink(missing_ok=True)
            if tag.startswith('"') and tag.isascii():  # a weak one, W/"...", promises no bytes
                _tag_of(part).write_text(tag, encoding="ascii")
        shown.n = have
        shown.refresh()
        length = answer.headers.get("Content-Length")
        end = have + int(length) if (length or "").isdecimal() else file.size
        with part.open("ab" if have else "wb") as stream:
            for data in _body(answer, file.url, most, have):
                stream.write(data)
                shown.update(len(data))
    if end is not None and _length(part) < end:
        raise ConnectionError(f"it ended after {_length(part)} of {end} bytes")


def _can_resume(file: RemoteFile, part: Path) -> bool:
    """Whether a download can continue: the file will be checked, or its version is known."""
    return _length(part) > 0 and bool(file.checksum or _tag_of(part).is_file())


def _open(url: str, headers: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "semisonic", **(headers or {})})
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def _why(error: BaseException) -> str:
    """A short description of a network error."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection ({error.reason})"
    return f"the connection broke ({error or type(error).__name__})"


def _part_of(target: Path) -> Path:
    """The path of an incomplete file."""
    return target.with_name(target.name + ".part")


def _tag_of(part: Path) -> Path:
    """The path that keeps the ETag of an incomplete file."""
    return part.with_name(part.name + ".etag")


def _hash_of(path: Path, kind: str) -> str:
    """The MD5 (as published by Zenodo; it detects only damage) or the SHA-256 of a file."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False))
    return found.hexdigest()


def _md5_of(file: RemoteFile, path: Path) -> str:
    """The MD5 of a download: the one used for its check, if there was one."""
    return file.checksum.removeprefix("md5:") or _hash_of(path, "md5")


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.3g} MB"
