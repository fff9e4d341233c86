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
from semisonic.classifier.pretrain import SYNTH
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json
from semisonic.core.options import from_mapping, to_dict
from semisonic.data.outputs import check_folder
from semisonic.labeling.options import ProjectOptions
from semisonic.labeling.project import ABOUT, Project
from semisonic.labeling.start import AUTO, BEGUN, CONTRAST, STEPS, SYNTHETIC
from semisonic.web.runs import AllowedFolders, Runs

# The making of a project in the background: how far it is, and how it ends.


RUNS, DONE, STOPPED, FAILED = "runs", "done", "stopped", "failed"
_PATIENCE = 30.0
_log = logging.getLogger(__name__)


class Making:
    """A process that makes a project (see :mod:`semisonic.web.project_worker`).

    Parameters
    ----------
    name : str
        What the page calls the project.
    options : ProjectOptions
    done : callable
        Is given the project's folder once it is finished.
    """

    def __init__(self, name: str, options: ProjectOptions, done: Callable[[Path], None]) -> None:
        self.name, self.folder = name, options.output
        self._done = done
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._state, self._reason = RUNS, ""
        self._plan, self._steps = _planned(options), list[str]()
        self._at: dict[str, Any] = {}
        self._found: dict[str, Any] = {}
        self._said_stop = False
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
        self._last_words = ""
        self._reading = threading.Thread(target=self._read, name="making", daemon=True)
        self._reading.start()

    @property
    def runs(self) -> bool:
        """Whether it is at work."""
        return self._state == RUNS

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        with self._lock:
            return {
                "name": self.name,
                "state": self._state,
                "reason": self._reason,
                "plan": self._plan,
                "steps": list(self._steps),
                "at": dict(self._at),
                "found": dict(self._found),
                "seconds": time.monotonic() - self._began,
            }

    def cancel(self) -> None:
        """Stop; what was done is kept.

        Raises
        ------
        DataError
            When nothing is at work.
        """
        if not self.runs:
            raise DataError("no project is being made")
        self._said_stop = True
        self._close_input()

    def close(self) -> None:
        """Stop, and wait until it has stopped."""
        self._said_stop = True
        self._close_input()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reading.join(2.0)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it was gone already
                self._process.stdin.close()

    def _read(self) -> None:
        last: dict[str, Any] = {}
        for line in self._process.stdout or ():
            try:
                last = json.loads(line)
            except ValueError:  # its last words, if it ends without telling why
                self._last_words = line.strip() or self._last_words
                continue
            with self._lock:
                if "step" in last:
                    self._steps.append(last["step"])
                    self._at = {}
                elif "label" in last:
                    self._at = last
        code = self._process.wait()
        self._end(last, code)

    def _end(self, last: dict[str, Any], code: int) -> None:
        state, reason = STOPPED, ""
        if last.get("done"):
            state = DONE
            try:
                self._done(self.folder)
            except Exception as error:
                _log.exception("a project that was made could not be opened")
                state, reason = FAILED, f"it was made, but cannot be opened: {error}"
        elif "error" in last:
            state, reason = FAILED, last["error"]
        elif not last.get("stopped") and not self._said_stop:
            state, reason = FAILED, f"ended with status {code}: {self._last_words or 'no word'}"
        with self._lock:
            self._state, self._reason = state, reason
            self._found = {k: v for k, v in last.items() if k != "done"} if state == DONE else {}


def _planned(options: ProjectOptions) -> list[str]:
    """The steps that there will be; one for which the recordings are too few is left out later."""
    left_out = {AUTO: (), SYNTH: (CONTRAST,)}.get(options.encoder, (SYNTHETIC, CONTRAST))
    return [step for step in STEPS if step not in left_out]


# Projects below the folder of runs, made of opened folders and nothing else.


_NAME = re.compile(r"\w[\w .-]{0,59}")
_MOST_PROJECTS = 200


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
        if not folder.is_dir():
            return []
        found = [
            path
            for path in folder.iterdir()
            if (path / BEGUN).is_file() or (path / ABOUT).is_file()
        ]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [self._facts(path) for path in found[:_MOST_PROJECTS]]

    def encoders(self) -> list[dict[str, str]]:
        """What may make the vectors: a value to be asked for, and what it is."""
        given = []
        if self._encoder is not None:
            given.append({"value": "given", "title": f"{self._encoder.name}, given with --encoder"})
        kinds = {run.name: run.facts()["kind"] for run in self._runs.all()}
        return [
            *given,
            {"value": AUTO, "title": "Learn from these recordings (best; some minutes)"},
            {"value": SYNTH, "title": "Learn from synthetic sounds only (faster)"},
            *(
                {"value": f"run:{name}", "title": f"That of {name}"}
                for name, kind in kinds.items()
                if kind
            ),
        ]

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

    def _facts(self, path: Path) -> dict[str, Any]:
        is_done = (path / ABOUT).is_file()
        try:
            about = read_json(path / (ABOUT if is_done else BEGUN))
            recordings = Path(os.path.abspath(path / str(about.get("recordings", ""))))
        except (OSError, ValueError):
            return {"name": path.name, "is_done": False, "recordings": "", "is_open": False}
        return {
            "name": path.name,
            "is_done": is_done,
            "recordings": str(recordings),
            "is_open": self._folders.holds(recordings),
        }

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
