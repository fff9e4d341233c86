"""All recordings that the page has open, and the temporary folder for those given to it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
from pathlib import Path, PurePath

from semisonic.apps.web.sound import Sound
from semisonic.audio import AUDIO_SUFFIXES
from semisonic.base.errors import DataError
from semisonic.base.lock import LOCK, FolderLock, held

MOST_LISTED, MOST_UNLISTED = 200, 64
"""Recordings that stay open: those that the page lists, and those that are only labelled."""
_PREFIX = "semisonic-app-"
_LONGEST_NAME = 120


class Shelf:
    """Recordings by id.

    Parameters
    ----------
    max_bytes : int
        Room for files that are given to the page, all of them together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        _clear_left_over()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._alive = FolderLock(Path(self._folder.name))
        self._alive.acquire()
        self._sounds: dict[str, Sound] = {}
        self._lock = threading.Lock()

    def new_file(self, name: str) -> tuple[str, str, Path]:
        """An id, a name fit to be shown, and a place for a file that will be given to us."""
        identity = secrets.token_urlsafe(9)
        shown = PurePath(name.replace("\\", "/")).name
        shown = "".join(c for c in shown if c.isprintable())[-_LONGEST_NAME:] or "sound"
        suffix = PurePath(shown).suffix.lower()
        suffix = suffix if suffix in AUDIO_SUFFIXES else ".audio"
        return identity, shown, Path(self._folder.name) / f"{identity}{suffix}"

    def used(self) -> int:
        """Bytes of the files given to us."""
        return sum(f.stat().st_size for f in Path(self._folder.name).iterdir() if f.is_file())

    def folder_of(self, sound: Sound) -> Path:
        """A folder for what is made from a recording."""
        return Path(self._folder.name) / f"{sound.id}.made"

    def add(self, sound: Sound) -> Sound:
        """Put a recording on the shelf; the one that was there under its id, if any, stays."""
        with self._lock:
            return self._used(self._sounds.setdefault(sound.id, sound))

    def too_many(self, kept: Sound) -> list[Sound]:
        """Those of a recording's kind, listed or not, that have to go: the least recently used."""
        most = MOST_LISTED if kept.is_listed else MOST_UNLISTED
        with self._lock:
            alike = [one for one in self._sounds.values() if one.is_listed == kept.is_listed]
        return alike[: max(0, len(alike) - most)]

    def has(self, identity: str) -> bool:
        """Whether a recording is open."""
        with self._lock:
            return identity in self._sounds

    def get(self, identity: str) -> Sound:
        """The recording of an id.

        Raises
        ------
        DataError
            When there is none.
        """
        with self._lock:
            if identity not in self._sounds:
                raise DataError("this recording is not open any more")
            return self._used(self._sounds[identity])

    def all(self) -> list[Sound]:
        """All of them, the last one used first."""
        with self._lock:
            return list(self._sounds.values())[::-1]

    def remove(self, identity: str) -> None:
        """Close a recording."""
        with self._lock:
            sound = self._sounds.pop(identity, None)
        if sound is not None:
            sound.close()

    def close(self) -> None:
        """Close all, and remove what was given to us."""
        for sound in self.all():
            sound.close()
        self._alive.release()
        self._folder.cleanup()

    def _used(self, sound: Sound) -> Sound:
        self._sounds[sound.id] = self._sounds.pop(sound.id)  # to the end
        return sound


def _clear_left_over() -> None:
    """Remove what killed apps left: folders of ours that no process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not (folder / LOCK).is_file():
            continue
        with contextlib.suppress(OSError), held(folder / LOCK, wait=False) as is_free:
            if is_free:
                shutil.rmtree(folder)
