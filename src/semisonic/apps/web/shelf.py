"""All recordings that the page has open, and the temporary folder for those given to it."""

from __future__ import annotations

import secrets
import tempfile
import threading
from pathlib import Path, PurePath

from semisonic.apps.web.sound import Sound
from semisonic.audio import AUDIO_SUFFIXES
from semisonic.base.errors import DataError

MOST_OPEN = 200
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
        self._folder = tempfile.TemporaryDirectory(
            prefix="semisonic-app-", ignore_cleanup_errors=True
        )
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
        """Put a recording on the shelf; the one that was there under its id, if any, stays.

        Raises
        ------
        DataError
            When too many are open.
        """
        with self._lock:
            if sound.id in self._sounds:
                return self._sounds[sound.id]
            if len(self._sounds) >= MOST_OPEN:
                raise DataError(f"{MOST_OPEN} recordings are open; close some of them first")
            self._sounds[sound.id] = sound
            return sound

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
            return self._sounds[identity]

    def all(self) -> list[Sound]:
        """All of them, the newest first."""
        with self._lock:
            return list(self._sounds.values())[::-1]

    def remove(self, identity: str) -> None:
        """Close a recording."""
        sound = self.get(identity)
        with self._lock:
            self._sounds.pop(identity, None)
        sound.close()

    def close(self) -> None:
        """Close all, and remove what was given to us."""
        for sound in self.all():
            sound.close()
        self._folder.cleanup()
