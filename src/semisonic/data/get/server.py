"""What a server says about files before they are fetched: size and hash."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from semisonic.base.errors import DataError
from semisonic.data.get.catalogue import RemoteFile, RemoteSet

TIMEOUT = 60.0
"""Seconds without an answer after which a connection is given up."""
NETWORK_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)


@dataclass(frozen=True)
class Known:
    """A file with its size in bytes (None when the server does not say)."""

    file: RemoteFile
    size: int | None


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


def ask(remote: RemoteSet, files: tuple[RemoteFile, ...]) -> list[Known]:
    """Sizes and hashes of some files of a set, from its record or from the server of each file.

    Raises
    ------
    DataError
        When the record cannot be had, does not know a file, or contradicts a published hash.
    """
    if not remote.record:
        return [Known(file, _size(file.url)) for file in files]
    listed = _record(remote.record)
    return [_known(remote, file, listed) for file in files]


def _known(remote: RemoteSet, file: RemoteFile, listed: Mapping[str, Any]) -> Known:
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
    return Known(replace(file, md5=md5), size)


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
