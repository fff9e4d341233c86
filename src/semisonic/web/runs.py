"""Folders, models and reports that the page may open, and two runs side by side."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from semisonic.audio.find import AUDIO_SUFFIXES, find_audio
from semisonic.classifier.model_file import ENCODER, MODEL
from semisonic.classifier.run_comparison import ScoredRun, compare_runs, measured_in, scored_run
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.files import read_json
from semisonic.evaluation.plain import plain

# The folders that the page may open, and nothing outside them.


MOST_LISTED = 5000


class AllowedFolders:
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
                one.name
                for one in folder.iterdir()
                if one.is_dir() and not one.is_symlink() and not one.name.startswith(".")
            )[:MOST_LISTED]
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


# Models and reports below one folder, and nothing outside it.


RECORD = "run.json"
_DEEPEST = 3
_MOST_RUNS = 300


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes
    ----------
    name : str
        Its place below the folder of runs.
    path : Path
    record : dict
        What ``run.json`` says; empty without one.
    pages : tuple of str
        The HTML pages in it.
    """

    name: str
    path: Path
    record: dict[str, Any]
    pages: tuple[str, ...]

    @property
    def has_model(self) -> bool:
        """Whether a classifier lies in it."""
        return (self.path / MODEL).is_file()

    def facts(self) -> dict[str, Any]:
        """What the list shows."""
        known = {key: self.record.get(key) for key in ("command", "status", "started", "seconds")}
        kind = "model" if self.has_model else "encoder" if (self.path / ENCODER).is_file() else ""
        return {"name": self.name, "kind": kind, "pages": list(self.pages), **known}


class Runs:
    """The run folders below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Run]:
        """All of them, the newest first."""
        found = [self._open(path) for path in self._folders()]
        return sorted(found, key=lambda run: str(run.record.get("started", "")), reverse=True)

    def get(self, name: str) -> Run:
        """The run of a name.

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
        if not run.has_model:
            raise ModelError(f"the run '{name}' holds no classifier")
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


# Two runs of the list side by side, and where their clips are.


MOST_CLIPS = 200
_MOST_TRIED = 5
_PART = re.compile(r"(?P<file>.+)@(?P<start>\d+\.\d+)-(?P<end>\d+\.\d+|nan)")


@dataclass(frozen=True)
class ClipPlace:
    """A stretch of a recording: its file and name, start and end in seconds."""

    path: Path
    name: str
    start_time: float
    end_time: float


@dataclass(frozen=True)
class _Measured:
    """A chosen run, what it scored, the run that this stands in, and of which recordings."""

    scored: ScoredRun
    where: str
    data: Path


def side_by_side(runs: Runs, places: AllowedFolders, a: str, b: str) -> dict[str, Any]:
    """What stands between two runs, as plain values.

    A model is compared by the evaluations of it that lie in the folder of runs, those two that
    have most clips in common; without any, by its validation clips.

    Raises
    ------
    DataError
        When there is no such run, one has no scores, or they were measured on other clips.
    """
    pairs = itertools.product(_measured(runs, a), _measured(runs, b))
    one, other = max(
        pairs, key=lambda pair: len(pair[0].scored.clips.keys() & pair[1].scored.clips.keys())
    )
    found = compare_runs(one.scored, other.scored)
    test = found.comparison
    return {
        "names": [a, b],
        "where": [one.where, other.where],
        "parts": [one.scored.part, other.scored.part],
        "measures": found.measures,
        "verdict": found.reason if test is None else test.verdict(),
        "tests": None
        if test is None
        else plain(
            {
                "p_clips": test.p_clips,
                "p_folds": test.p_folds,
                "low": test.claimed_interval.low,
                "high": test.claimed_interval.high,
                "difference": test.difference,
            }
        ),
        "counts": [found.n_common, found.n_a, found.n_b],
        "by_precision": one.scored.is_multi_label or other.scored.is_multi_label,
        "classes": [asdict(pair) for pair in found.classes],
        "n_clips": len(found.clips),
        "clips": [
            {**asdict(pair), "is_open": _place(places, one.data, pair.clip) is not None}
            for pair in found.clips[:MOST_CLIPS]
        ],
        "data": str(one.data),
        "settings": found.settings,
        "cautions": [*found.cautions, *(() if test is None else test.cautions)],
    }


def clip_place(runs: Runs, places: AllowedFolders, run: str, clip: str) -> ClipPlace:
    """Where a run's clip is.

    Raises
    ------
    DataError
        When it is no clip of the run, or its recording is in no opened folder.
    """
    scored = scored_run(runs.get(run).path)
    if clip not in scored.clips:
        raise DataError(f"'{clip}' is no clip of '{run}'")
    data = _data_of(scored)
    found = _place(places, data, clip)
    if found is None:
        raise DataError(f"to hear it start the app with --folder {data}")
    return found


def _data_of(scored: ScoredRun) -> Path:
    return Path(str(scored.options.get("data", "")))


def _place(places: AllowedFolders, data: Path, clip: str) -> ClipPlace | None:
    """Where a clip is; None if that is no recording in an opened folder."""
    found = _PART.fullmatch(clip)
    file, start, end = clip, 0.0, math.inf
    if found is not None:
        file, start, end = found["file"], float(found["start"]), float(found["end"])
    for root in (data, data.parent):
        path = root / file
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and places.holds(path):
            return ClipPlace(path, file, start, math.inf if math.isnan(end) else end)
    return None


def _measured(runs: Runs, name: str) -> list[_Measured]:
    run = runs.get(name)
    if run.record.get("command") == "evaluate" or not run.has_model:
        return [_as_it_is(run)]
    others = {one.path: one for one in runs.all()}
    tests = [others[path] for path in measured_in(run.path, others)][:_MOST_TRIED]
    if not tests:
        return [_as_it_is(run)]
    return [_as_of(run, test) for test in tests]


def _as_of(run: Run, test: Run) -> _Measured:
    """What was measured in one run, under the name and with the options of the model's."""
    options = run.record.get("options", {})
    scored = scored_run(test.path)
    named = replace(scored, folder=run.path, options=options)
    return _Measured(named, test.name, _data_of(scored))


def _as_it_is(run: Run) -> _Measured:
    scored = scored_run(run.path)
    return _Measured(scored, run.name, _data_of(scored))
