"""Models and reports below one folder, and nothing outside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError, ModelError
from semisonic.base.files import read_json
from semisonic.inference.modelfile import ENCODER, MODEL

RECORD = "run.json"
_DEEPEST = 3
_MOST = 300


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
            if RECORD in files or deep >= _DEEPEST or count >= _MOST:
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
