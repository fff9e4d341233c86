"""The folders that the page may open, and nothing outside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from semisonic.audio import AUDIO_SUFFIXES, find_audio
from semisonic.base.errors import DataError, OptionError

MOST_LISTED = 5000


class Places:
    """Opened folders; a recording is named by the folder's number and a path below it.

    Raises
    ------
    OptionError
        When a folder is none.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        for folder in self.folders:
            if not folder.is_dir():
                raise OptionError(f"option 'folder': '{folder}' is no folder")

    def listing(self, number: int) -> tuple[list[str], int]:
        """Recordings below a folder, the first ones, and how many there are.

        Links that lead out of the folder are left out.
        """
        folder = self.folder(number)
        root = folder.resolve()
        unreadable: list[tuple[str, str]] = []
        found = [
            path.relative_to(folder).as_posix()
            for path in find_audio(folder, unreadable=unreadable)
            if path.resolve().is_relative_to(root)
        ]
        return found[:MOST_LISTED], len(found)

    def folder(self, number: int) -> Path:
        """The folder of a number.

        Raises
        ------
        DataError
            When there is none.
        """
        if not 0 <= number < len(self.folders):
            raise DataError(f"no folder {number}: {len(self.folders)} are open")
        return self.folders[number]

    def recording(self, number: int, name: str) -> Path:
        """The file of a recording.

        Raises
        ------
        DataError
            When the name leads out of the folder, is hidden, or is no recording's.
        """
        folder = self.folder(number)
        parts = PurePosixPath(name).parts
        plain = "\\" not in name and "\0" not in name and not name.startswith("/")
        if not plain or not parts or any(part.startswith(".") for part in parts):
            raise DataError(f"'{name}': not a recording of this folder")
        path = folder.joinpath(*parts)
        try:
            inside = path.resolve().is_relative_to(folder.resolve())
        except OSError:
            inside = False
        if not inside or path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            raise DataError(f"'{name}': not a recording of this folder")
        return path
