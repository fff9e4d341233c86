"""Folders, models and reports that the page may open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from semisonic.audio.find import AUDIO_SUFFIXES, find_audio
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.files import read_json
from semisonic.core.text import count_text
from semisonic.labeling.rounds import estimates_of, read_history
from semisonic.models.model_file import read_about

# The folders that the page may open, and nothing outside them.


MOST_LISTED = 5000


class AllowedFolders:
    """Opened folders; a recording has the number of its folder and a path below it.

    Parameters
    ----------
    folders : iterable of Path
        What the page lists and opens.
    own : Path, optional
        A folder of recordings that the app made itself, for a project; it need not exist.

    Raises
    ------
    OptionError
        When a path is not a folder.
    """

    def __init__(self, folders: Iterable[Path], own: Path | None = None) -> None:
        self.folders = tuple(folders)
        self._own = () if own is None else (own,)
        for folder in self.folders:
            if not folder.is_dir():
                raise OptionError(f"option 'folder': '{folder}' is not a folder")

    def listing(self, number: int) -> tuple[list[str], int]:
        """The first recordings below a folder, and the number of all.

        Links that lead out of the folder are left out.
        """
        folder = self.folder(number)
        root = folder.resolve()
        unreadable: list[tuple[str, str]] = []
        found = [
            path.relative_to(folder).as_posix()
            for path in find_audio(folder, unreadable=unreadable)
            if Path(os.path.realpath(path)).is_relative_to(root)
        ]
        return found[:MOST_LISTED], len(found)

    def folder(self, number: int) -> Path:
        """The folder with a number.

        Raises
        ------
        DataError
            When there is none, or the folder does not exist any more.
        """
        if not 0 <= number < len(self.folders):
            raise DataError(f"found no folder {number}: {len(self.folders)} are open")
        folder = self.folders[number]
        if not folder.is_dir():
            raise DataError(f"the folder '{folder}' is not there any more. Is its disk connected?")
        return folder

    def recording(self, number: int, name: str) -> Path:
        """The file of a recording.

        Raises
        ------
        DataError
            When the path leads out of the folder, is hidden, or is not a recording.
        """
        folder = self.folder(number)
        parts = PurePosixPath(name).parts
        plain = "\\" not in name and "\0" not in name and not name.startswith("/")
        if not plain or not parts or any(part.startswith(".") for part in parts):
            raise DataError(f"'{name}': not a recording of this folder")
        path = folder.joinpath(*parts)
        inside = Path(os.path.realpath(path)).is_relative_to(folder.resolve())
        if not inside or path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            raise DataError(f"'{name}': not a recording of this folder")
        return path

    def parts(self, number: int) -> list[str]:
        """Names of the folders in a folder, sorted, without links and hidden ones."""
        folder = self.folder(number)
        try:
            return sorted(
                one.name
                for one in folder.iterdir()
                if one.is_dir() and not one.is_symlink() and not one.name.startswith(".")
            )[:MOST_LISTED]
        except OSError as error:
            raise DataError(f"{folder.name}: {error.strerror}") from None

    def folder_below(self, number: int, name: str) -> Path:
        """An opened folder, or a folder in it, to be read completely.

        Raises
        ------
        DataError
            When there is none, or a link in it leads out of the opened folders.
        """
        folder = self.folder(number)
        if name and name not in self.parts(number):
            raise DataError(f"'{name}': not a folder in '{folder.name}'")
        place = folder / name
        unreadable: list[tuple[str, str]] = []
        for path in find_audio(place, unreadable=unreadable):
            if not self.holds(path):
                raise DataError(
                    f"'{path.relative_to(folder).as_posix()}' is a link that leads out of the "
                    "folder; remove it, or start the project in the terminal"
                )
        return place

    def holds(self, path: Path) -> bool:
        """Whether a path is in an opened folder, after following links."""
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(folder.resolve()) for folder in (*self.folders, *self._own))

    def require(self, path: Path) -> None:
        """Check that a path is in an opened folder.

        Raises
        ------
        DataError
            When it is not.
        """
        if not self.holds(path):
            raise DataError(f"{path}: not in a folder that was opened with --folder")


# Models and reports below one folder, and nothing outside it.


RECORD = "run.json"
_DEEPEST = 3
_MOST_RUNS = 300


_USED = {"model": MODEL, "encoder": ENCODER}


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes
    ----------
    name : str
        Its path below the folder of runs.
    path : Path
    record : dict
        The content of ``run.json``; empty without it.
    pages : tuple of str
        The HTML pages in it.
    """

    name: str
    path: Path
    record: dict[str, Any]
    pages: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What it has: "model" (a classifier), "encoder" or "" (neither)."""
        return next((kind for kind, name in _USED.items() if (self.path / name).is_file()), "")

    @property
    def time(self) -> str:
        """When it started; without a ``run.json``, when its model or its folder changed last."""
        made = self.path / _USED.get(self.kind, "")
        changed = datetime.fromtimestamp(made.stat().st_mtime, UTC)
        return str(self.record.get("started") or changed.isoformat())

    def facts(self) -> dict[str, Any]:
        """The fields that the list shows."""
        known = {key: self.record.get(key) for key in ("command", "status", "seconds")}
        said = {"name": self.name, "kind": self.kind, "started": self.time}
        about = {"classes": list(self.classes), "accuracy": self.accuracy}
        return {**said, "pages": list(self.pages), **known, **about}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of its classifier; empty without one that can be read."""
        if self.kind != "model":
            return ()
        try:
            return tuple(read_about(self.path / MODEL)["classes"])
        except ModelError:
            return ()

    @property
    def accuracy(self) -> dict[str, Any] | None:
        """The measured ``accuracy`` of its classifier with its interval (``low``, ``high``), 0 to
        1, and ``on`` what; None if it was not measured.
        """
        if self.kind != "model":
            return None
        try:
            rounds = read_history(self.path).to_dict("records")
            if rounds:
                found = estimates_of({str(k): v for k, v in rounds[-1].items()})["by_random"]
                on = f"{found.n} segments drawn at random"
                return _measured(found.accuracy, found.low, found.high, on) if found.n else None
            metrics = read_json(self.path / "metrics.json")["validation"]
            on = count_text(int(metrics["n_clips"]), "validation clip")
            low, high = metrics["accuracy_interval"]
            return _measured(metrics["accuracy"], low, high, on)
        except (DataError, OSError, ValueError, TypeError, KeyError):
            return None


def _measured(accuracy: float, low: float, high: float, on: str) -> dict[str, Any]:
    return {"accuracy": float(accuracy), "low": float(low), "high": float(high), "on": on}


class Runs:
    """The run folders below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Run]:
        """All runs, the newest first."""
        found = [self._open(path) for path in self._folders()]
        return sorted(found, key=lambda run: run.time, reverse=True)

    def get(self, name: str) -> Run:
        """The run with a name.

        Raises
        ------
        DataError
            When there is none.
        """
        for path in self._folders():
            if self._name(path) == name:
                return self._open(path)
        raise DataError(f"no run '{name}' below {self.folder}")

    def model(self, name: str) -> Path:
        """The folder of a run with a classifier.

        Raises
        ------
        ModelError
            When it has none.
        """
        run = self.get(name)
        if run.kind != "model":
            raise ModelError(f"the run '{name}' has no classifier")
        return run.path

    def page(self, name: str, page: str) -> str:
        """A page of a run.

        Raises
        ------
        DataError
            When there is none.
        """
        run = self.get(name)
        if page not in run.pages:
            raise DataError(f"the run '{name}' has no page '{page}'")
        return (run.path / page).read_text(encoding="utf-8")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _folders(self) -> Iterator[Path]:
        count = 0
        for place, below, files in os.walk(self.folder):
            path = Path(place)
            deep = len(path.relative_to(self.folder).parts)
            if RECORD in files or MODEL in files:
                count += 1
                yield path
            if RECORD in files or deep >= _DEEPEST or count >= _MOST_RUNS:
                below.clear()
            below[:] = sorted(name for name in below if not name.startswith("."))

    def _open(self, path: Path) -> Run:
        try:
            record = read_json(path / RECORD)
        except (OSError, ValueError):
            record = {}
        root = self.folder.resolve()
        pages = sorted(
            page.name for page in path.glob("*.html") if page.resolve().is_relative_to(root)
        )
        return Run(self._name(path), path, record if isinstance(record, dict) else {}, tuple(pages))
