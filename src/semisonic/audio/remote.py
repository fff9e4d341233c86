"""Recordings in object storage, named by URLs such as ``s3://bucket/folder``, read by fsspec.

A URL can be given wherever a recording is named. As a path it loses a slash (``s3:/bucket``), so a
path is a URL if one of its parts is a scheme with a colon; the parts before it are ignored. A
recording is copied to a temporary file when it is opened. A process keeps the last few copies, so
that parts of a long recording are not fetched one by one.
"""

from __future__ import annotations

import os
import re
import weakref
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

from semisonic.audio.find import AUDIO_SUFFIXES
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.temporary import temporary_folder

COPIES = 4
"""Number of temporary copies that a process keeps when nobody reads them."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


def url_of(path: str | os.PathLike[str]) -> str | None:
    """The URL that a path means; None for a path on this machine.

    >>> url_of("data/s3:/bucket/owl.wav")
    's3://bucket/owl.wav'
    >>> url_of("data/owl.wav") is None
    True

    Parameters
    ----------
    path : path

    Returns
    -------
    str or None
    """
    text = os.fspath(path)
    if ":" not in text:
        return None
    parts = Path(text).parts
    for i, part in enumerate(parts):
        if _SCHEME.fullmatch(part) and not os.path.lexists(Path(*parts[: i + 1])):
            slashes = "///" if part == "file:" else "//"
            return part + slashes + "/".join(parts[i + 1 :])
    return None


def path_text(path: Path) -> str:
    """A path for messages: the URL, or with forward slashes."""
    return url_of(path) or path.as_posix()


def files_at(url: str) -> list[str]:
    """The URLs of all recordings at a URL: itself, or those below it, sorted.

    Parameters
    ----------
    url : str

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        When there are none, or the URL cannot be reached.
    OptionError
        When fsspec, or its package for this kind of storage, is not installed.
    """
    files, place = storage(url)
    try:
        if files.isfile(place):
            return [url]
        names = files.find(place)
    except Exception as error:  # each kind of storage has errors of its own
        raise DataError(f"{url}: cannot be listed ({_reason(error)})") from error
    base = place.rstrip("/")
    below = sorted(name[len(base) :].lstrip("/") for name in names)
    recordings = [
        f"{url.rstrip('/')}/{name}"
        for name in below
        if Path(name).suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in name.split("/"))
    ]
    if not recordings:
        raise DataError(f"{url}: found no recordings")
    return recordings


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What differs once a file is another one; for a URL, what the storage knows.

    The modification time can be set, and ``cp -p`` and ``rsync -t`` set it to that of the original.
    The status time (ctime) cannot, and no program that replaces a file leaves it as it was. The
    number of the inode is not used: on FAT and exFAT, as on memory cards, it is another one
    whenever the disk is mounted, and everything would be read again. Windows and file systems
    without a status time give another constant time instead.

    Parameters
    ----------
    path : Path

    Returns
    -------
    size, modified, changed : int
        Bytes, and times in ns; 0 for a time that the storage does not know.

    Raises
    ------
    OSError
        When it does not exist.
    """
    url = url_of(path)
    if url is None:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns
    files, place = storage(url)
    try:
        changed = files.modified(place)
        return int(files.size(place)), round(changed.timestamp() * 1e9), 0
    except NotImplementedError:
        return int(files.size(place)), 0, 0
    except OSError:
        raise
    except Exception as error:
        raise OSError(_reason(error)) from error


class LocalCopy:
    """A file on this machine with a recording's bytes: the recording itself, or a temporary copy.

    A temporary copy is deleted when nobody refers to it any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path


def temporary_copy(suffix: str) -> LocalCopy:
    """A temporary file for the bytes of a recording, deleted when nobody refers to it any more.

    Parameters
    ----------
    suffix : str
        Of the file, with the dot.
    """
    # In a folder of its own, since whoever reads a table looks at what lies beside it.
    held = ExitStack()
    copy = LocalCopy(held.enter_context(temporary_folder()) / f"copy{suffix}")
    weakref.finalize(copy, held.close)
    return copy


@lru_cache(maxsize=COPIES)
def _fetched(url: str) -> LocalCopy:
    files, place = storage(url)
    copy = temporary_copy(Path(url).suffix)
    try:
        files.get_file(place, os.fspath(copy.path))
    except Exception as error:  # each kind of storage has errors of its own
        reason = "no such file" if isinstance(error, FileNotFoundError) else _reason(error)
        raise AudioError(url, f"cannot be fetched ({reason})") from error
    return copy


def local_copy(path: Path) -> LocalCopy:
    """The file itself, or a copy of its URL; AudioError when it cannot be fetched."""
    url = url_of(path)
    return LocalCopy(path) if url is None else _fetched(url)


def storage(url: str) -> tuple[Any, str]:
    """The file system of a URL, and its name for the place.

    Parameters
    ----------
    url : str

    Returns
    -------
    files : fsspec file system
    place : str

    Raises
    ------
    OptionError
        When fsspec, or its package for this kind of storage, is not installed.
    """
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except ImportError as error:
        raise OptionError(
            f"{url}: {_reason(error)}; URLs need fsspec (pip install 'semisonic[cluster]') and, "
            "for most kinds of storage, another package such as s3fs or gcsfs"
        ) from error
    except ValueError as error:
        raise OptionError(f"{url}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
