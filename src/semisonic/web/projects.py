"""Projects below the folder of runs: found, opened, and made in the background."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semisonic.classifier.model_file import encoder_file
from semisonic.classifier.start import SYNTH
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json
from semisonic.core.options import from_mapping, to_dict
from semisonic.data.outputs import check_folder
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import ABOUT, Project
from semisonic.labeling.start import AUTO, BEGUN, CONTRAST, STEPS
from semisonic.web.runs import AllowedFolders, Runs

_PATIENCE = 30.0
_NAME = re.compile(r"\w[\w .-]{0,59}")
_MOST_PROJECTS = 200
_log = logging.getLogger(__name__)


class Making:
    """A process that makes a project (see :mod:`semisonic.web.project_worker`).

    Its state is "runs", "done", "stopped" or "failed".

    Parameters
    ----------
    name : str
        What the page calls the project.
    options : ProjectOptions
    done : callable
        Is given the project's folder once it is finished.
    """

    def __init__(self, name: str, options: ProjectOptions, done: Callable[[Path], None]) -> None:
        self.name, self._folder, self._done = name, options.output, done
        self._began, self._said_stop = time.monotonic(), False
        # A step for which the recordings are too few is left out later.
        left_out = () if options.encoder == AUTO else (CONTRAST,)
        self._facts: dict[str, Any] = {
            "name": name,
            "state": "runs",
            "reason": "",
            "plan": [step for step in STEPS if step not in left_out],
            "steps": [],
            "at": {},
            "found": {},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "semisonic.web.project_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(to_dict(options), default=str) + "\n")
            self._process.stdin.flush()
        self._reading = threading.Thread(target=self._read, name="making", daemon=True)
        self._reading.start()

    @property
    def runs(self) -> bool:
        """Whether it is at work."""
        return bool(self._facts["state"] == "runs")

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        return {**self._facts, "seconds": time.monotonic() - self._began}

    def cancel(self) -> None:
        """Stop; what was done is kept.

        Raises
        ------
        DataError
            When nothing is at work.
        """
        if not self.runs:
            raise DataError("no project is being made")
        self._stop()

    def close(self) -> None:
        """Stop, and wait until it has stopped."""
        self._stop()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reading.join(2.0)

    def _stop(self) -> None:
        self._said_stop = True
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it was gone already
                self._process.stdin.close()

    def _read(self) -> None:
        last: dict[str, Any] = {}
        last_words = "no word"
        for line in self._process.stdout or ():
            try:
                last = json.loads(line)
            except ValueError:  # its last words, if it ends without telling why
                last_words = line.strip() or last_words
                continue
            # Facts are replaced, never changed: another thread may be showing them.
            if "step" in last:
                self._facts |= {"steps": [*self._facts["steps"], last["step"]], "at": {}}
            elif "label" in last:
                self._facts["at"] = last
        code = self._process.wait()
        if last.pop("done", False):
            ended = {"found": last, "state": "done"}
            try:
                self._done(self._folder)
            except Exception as error:
                _log.exception("a project that was made could not be opened")
                reason = f"it was made, but cannot be opened: {error}"
                ended = {"state": "failed", "reason": reason}
        elif "error" in last:
            ended = {"state": "failed", "reason": last["error"]}
        elif last.get("stopped") or self._said_stop:
            ended = {"state": "stopped"}
        else:
            reason = f"ended with status {code}: {last_words}"
            ended = {"state": "failed", "reason": reason}
        self._facts |= ended


class Projects:
    """What the page may make projects of, and those that are there.

    Parameters
    ----------
    runs : Runs
        Projects lie in its folder.
    folders : AllowedFolders
        Recordings lie in these.
    encoder : Path, optional
        One that new projects may use, beside those of runs.
    device : str
    """

    def __init__(
        self, runs: Runs, folders: AllowedFolders, encoder: Path | None = None, device: str = "auto"
    ) -> None:
        self._runs, self._folders, self._encoder = runs, folders, encoder
        self._device = device
        if encoder is not None:
            encoder_file(encoder)  # a wrong one is told when the app is started

    def all(self) -> list[dict[str, Any]]:
        """Name, whether it is finished, and where its recordings are; the newest first."""
        folder = self._runs.folder
        found = [
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if (path / BEGUN).is_file() or (path / ABOUT).is_file()
        ]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [self._facts(path) for path in found[:_MOST_PROJECTS]]

    def _facts(self, path: Path) -> dict[str, Any]:
        is_done = (path / ABOUT).is_file()
        try:
            about = read_json(path / (ABOUT if is_done else BEGUN))
            recordings = Path(os.path.abspath(path / str(about.get("recordings", ""))))
        except (OSError, ValueError):
            return {"name": path.name, "is_done": False, "recordings": "", "is_open": False}
        is_open = self._folders.holds(recordings)
        told = {"is_done": is_done, "recordings": str(recordings), "is_open": is_open}
        return {"name": path.name, **told}

    def encoders(self) -> list[dict[str, str]]:
        """What may make the vectors: a value to be asked for, and what it is."""
        titles = {
            AUTO: "Learn from these recordings (best; some minutes)",
            SYNTH: "Learn from synthetic sounds only (faster)",
        }
        if self._encoder is not None:
            titles = {"given": f"{self._encoder.name}, given with --encoder", **titles}
        names = (run.name for run in self._runs.all() if run.kind)
        titles |= {f"run:{name}": f"That of {name}" for name in names}
        return [{"value": value, "title": title} for value, title in titles.items()]

    def new(
        self,
        folder: int,
        below: str,
        name: str,
        encoder: str,
        clusters: str,
        several_labels: bool = False,
    ) -> ProjectOptions:
        """The options of a new project.

        Raises
        ------
        DataError
            When the folder is not opened or holds links that lead out of it, or the name is
            taken or no name.
        """
        recordings = self._folders.folder_below(folder, below)
        output = self._output(name)
        try:
            check_folder(output, "a project", ())
        except OptionError as error:
            raise DataError(f"'{name}' is there already; choose another name") from error
        return ProjectOptions(
            recordings,
            output,
            encoder=self._encoder_of(encoder),
            clusters=clusters or AUTO,
            several_labels=several_labels,
            device=self._device,
        )

    def again(self, name: str) -> ProjectOptions:
        """The options of a project that was begun, to go on.

        Raises
        ------
        DataError
            When there is none, or its recordings are not in an opened folder.
        """
        output = self._output(name)
        if not (output / BEGUN).is_file():
            raise DataError(f"no project '{name}' was begun below {self._runs.folder}")
        begun = read_json(output / BEGUN)
        self._folders.require(Path(begun["recordings"]))
        return from_mapping(ProjectOptions, {**begun, "output": output, "device": self._device})

    def finished(self, name: str) -> Project:
        """A project that is ready to be asked from.

        Raises
        ------
        DataError
            When there is none, or one of its recordings is not in an opened folder.
        """
        project = Project.open(self._output(name))
        clips = project.index.clips
        for file in sorted(set(clips.file.tolist())):
            self._folders.require(clips.root / file)
        return project

    def _output(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
            raise DataError(
                f"'{name}': not a name for a project; letters, digits, '-', '_' and spaces will do"
            )
        return self._runs.folder / name

    def _encoder_of(self, value: str) -> str:
        if value in (AUTO, SYNTH):
            return value
        if value == "given" and self._encoder is not None:
            return str(self._encoder)
        if value.startswith("run:"):
            return str(self._runs.get(value.removeprefix("run:")).path)
        raise DataError(f"'{value}': no encoder of this page")
