"""One file from a server: it goes on after a cut, and its size and hash are checked."""

from __future__ import annotations

import hashlib
import logging
import re
import time
import urllib.error
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.base.progress import bar
from semisonic.data.get.server import NETWORK_ERRORS, Known, open_url, why

_log = logging.getLogger(__name__)
CHUNK = 1 << 20
ATTEMPTS = 5
"""Failures in a row, without a byte between them, after which a download is given up."""
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled after each."""
_TRANSIENT = frozenset({408, 429})


class _CutError(ConnectionError):
    """The server stopped before the end."""


def download(known: Known, target: Path, *, pause: float = FIRST_PAUSE) -> Path:
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
    if target.is_file() and _is_right(known, target):
        return target
    if not known.file.md5:
        part.unlink(missing_ok=True)
    _fetch_all(known, part, pause)
    _check(known, part)
    part.replace(target)
    return target


def part_of(target: Path) -> Path:
    """Where the first bytes of a file lie until it is whole."""
    return target.with_name(target.name + ".part")


def _fetch_all(known: Known, part: Path, pause: float) -> None:
    failures = 0
    with bar(known.size, known.file.name, "B", _length(part), scaled=True) as shown:
        while known.size is None or _length(part) < known.size:
            before = _length(part)
            try:
                _fetch(known, part, shown)
                return
            except NETWORK_ERRORS as error:
                if isinstance(error, urllib.error.HTTPError) and _is_final(error, part):
                    raise _refused(known, part, why(error)) from error
                failures = 1 if _length(part) > before else failures + 1
                if failures >= ATTEMPTS:
                    raise _refused(known, part, why(error)) from error
                _log.info("%s: %s; trying again", known.file.name, why(error))
                time.sleep(pause * 2 ** (failures - 1))


def _fetch(known: Known, part: Path, shown: Any) -> None:
    """One request: the rest of the file, or all of it when the server gives no part."""
    have = _length(part) if known.file.md5 else 0
    with open_url(known.file.url, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
        goes_on = answer.status == 206 and _starts_at(answer) == have
        if have and not goes_on:
            _log.warning("%s: the server sends it from its start again", known.file.name)
            if answer.status == 206:
                part.unlink()
                raise _CutError("it sends another part than was asked for")
        begin = have if goes_on else 0
        shown.n = begin
        shown.refresh()
        length = answer.headers.get("Content-Length")
        end = begin + int(length) if length else known.size
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


def _refused(known: Known, part: Path, reason: str) -> DataError:
    kept = f"; {_length(part)} bytes are kept, and the same command goes on from there"
    return DataError(
        f"{known.file.url}: {reason}{kept if _length(part) and known.file.md5 else ''}. "
        "Try later, or fetch it by hand"
    )


def _check(known: Known, part: Path) -> None:
    size = _length(part)
    if known.size is not None and size != known.size:
        part.unlink()
        raise DataError(
            f"{known.file.url}: found {size} bytes, expected {known.size}; what was fetched has "
            "been removed. Run the same command again"
        )
    if known.file.md5 and (found := md5_of(part)) != known.file.md5:
        part.unlink()
        raise DataError(
            f"{known.file.url}: found the MD5 {found}, expected {known.file.md5}; what was fetched "
            "has been removed. Run the same command again; if it ends like this again, the file "
            "on the server is another one or somebody changes it on the way"
        )


def _is_right(known: Known, target: Path) -> bool:
    return bool(known.file.md5) and md5_of(target) == known.file.md5


def md5_of(path: Path) -> str:
    """The MD5 of a file, as Zenodo publishes it: it finds damage, and proves no authorship."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
