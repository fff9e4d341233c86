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

    def parts(self, number: int) -> list[str]:
        """Folders right below a folder, by name; links and hidden ones are left out."""
        folder = self.folder(number)
        try:
            return sorted(
                one.name for one in folder.iterdir()
                if one.is_dir() and not one.is_symlink() and not one.name.startswith(".")
            )[:MOST_LISTED]  # fmt: skip
        except OSError as error:
            raise DataError(f"{folder.name}: {error.strerror}") from None

    def folder_below(self, number: int, name: str) -> Path:
        """A whole folder, or one right below it, to be read with all that is in it.

        Raises
        ------
        DataError
            When there is none, or a link in it leads out of what was opened.
        """
        folder = self.folder(number)
        if name and name not in self.parts(number):
            raise DataError(f"'{name}': not a folder in this one")
        place = folder / name
        unreadable: list[tuple[str, str]] = []
        for path in find_audio(place, unreadable=unreadable):
            if not self.holds(path):
                raise DataError(
                    f"'{path.relative_to(folder).as_posix()}' is a link that leads out of the "
                    "folder; take it away, or start the project in the terminal"
                )
        return place

    def holds(self, path: Path) -> bool:
        """Whether a path is in an opened folder, links followed."""
        try:
            real = path.resolve()
        except OSError:
            return False
        return any(real.is_relative_to(folder.resolve()) for folder in self.folders)

    def require(self, path: Path) -> None:
        """See that a path is in an opened folder.

        Raises
        ------
        DataError
            When it is not.
        """
        if not self.holds(path):
            raise DataError(f"{path}: not in a folder that was opened with --folder")
