"""The user's cache: files that take long to make and do not depend on recordings.

All runs share it, so that each file is made once. Everything in it can be made again.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from semisonic.core.errors import OptionError

VARIABLE = "SEMISONIC_CACHE"
"""Environment variable with the folder, instead of the platform's folder."""

_log = logging.getLogger(__name__)
MARK = "CACHE.txt"
_TEXT = "Made by semisonic; everything here can be deleted ('semisonic cache clear').\n"


def user_cache() -> Path:
    """The folder of the user's cache, which may not exist yet.

    It is the value of ``SEMISONIC_CACHE``, else ``semisonic`` in the platform's folder for caches:
    ``$XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` on macOS, ``%LOCALAPPDATA%`` on
    Windows. A user without a home folder, as in a container, has a folder of the system's
    temporary folder, with a warning.

    Raises
    ------
    OptionError
        When that folder belongs to somebody else.
    """
    named = os.environ.get(VARIABLE, "")
    try:
        return Path(named).expanduser() if named else _usual_place()
    except RuntimeError:  # there is neither HOME nor an account
        return _place_without_home()


def _usual_place() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")).expanduser() / "semisonic"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/semisonic").expanduser()
    # As the standard has it, a path that is not absolute is none.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "semisonic"


@functools.cache
def _place_without_home() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"cache-of-semisonic-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid in (user, 0)
    except OSError:
        is_own = False
    if not is_own:
        raise OptionError(
            f"the home folder of this user is not known, and {folder} cannot be used instead; set "
            f"the environment variable {VARIABLE} to a writable folder"
        )
    _log.warning(
        "the home folder of this user is not known: %s is used, which may be deleted at any time; "
        "set %s to another folder to keep what is made",
        folder,
        VARIABLE,
    )
    return folder


def cache_part(name: str) -> Path:
    """A folder of the user's cache, created if needed.

    Raises
    ------
    OptionError
        When the folder cannot be created.
    """
    part = user_cache() / name
    try:
        part.mkdir(parents=True, exist_ok=True)
        mark = user_cache() / MARK
        if not mark.exists():
            mark.write_text(_TEXT, encoding="utf-8")
    except OSError as error:
        raise OptionError(
            f"{part}: cannot be created: {error.strerror}; set the environment variable "
            f"{VARIABLE} to a writable folder"
        ) from error
    return part


def disk_size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(disk_size(one) for one in path.iterdir())


def cache_entries() -> list[tuple[str, int]]:
    """The content of the cache, the largest first: names in the folder, and sizes in bytes."""
    folder = user_cache()
    if not (folder / MARK).is_file():
        return []
    things = (one for part in folder.iterdir() if part.is_dir() for one in part.iterdir())
    entries = [
        (one.relative_to(folder).as_posix(), disk_size(one))
        for one in things
        if not one.name.startswith(".")
    ]
    return sorted(entries, key=lambda one: (-one[1], one[0]))


def clear_cache() -> int:
    """Delete the content of the cache; return the number of bytes freed.

    Raises
    ------
    OptionError
        When the folder contains files but is not a cache of Semisonic, or cannot be emptied.
    """
    folder = user_cache()
    if not folder.is_dir() or not any(folder.iterdir()):
        return 0
    if not (folder / MARK).is_file():
        raise OptionError(
            f"{folder}: contains files but no {MARK}, so it is not a cache of Semisonic; nothing "
            f"was deleted. Check the environment variable {VARIABLE}"
        )
    freed = 0
    for part in folder.iterdir():
        if part.is_dir() and not part.is_symlink():
            freed += disk_size(part)
            try:
                shutil.rmtree(part)
            except OSError as error:
                raise OptionError(
                    f"{part}: cannot be deleted ({error.strerror}). Make the folder writable, or "
                    f"set the environment variable {VARIABLE} to another one"
                ) from error
    return freed
