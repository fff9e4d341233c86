"""The making of a project in the background: how far it is, and how it ends."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError
from semisonic.base.options import to_dict
from semisonic.inference.synthetic import SYNTH
from semisonic.labeling.project_options import ProjectOptions
from semisonic.labeling.starting import APART, AUTO, MADE_UP, STEPS

RUNS, DONE, STOPPED, FAILED = "runs", "done", "stopped", "failed"
_PATIENCE = 30.0
_log = logging.getLogger(__name__)


class Making:
    """A process that makes a project (see :mod:`semisonic.apps.web.project_worker`).

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
            [sys.executable, "-m", "semisonic.apps.web.project_worker"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
        self._ask(to_dict(options))
        self._errors = ""
        self._reading = [
            threading.Thread(target=work, name="making", daemon=True)
            for work in (self._read, self._read_errors)
        ]
        for thread in self._reading:
            thread.start()

    @property
    def runs(self) -> bool:
        """Whether it is at work."""
        return self._state == RUNS

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        with self._lock:
            return {
                "name": self.name, "state": self._state, "reason": self._reason,
                "plan": self._plan, "steps": list(self._steps), "at": dict(self._at),
                "found": dict(self._found),
                "seconds": time.monotonic() - self._began,
            }  # fmt: skip

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
        for thread in self._reading:
            thread.join(2.0)

    def _ask(self, options: dict[str, Any]) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(options, default=str) + "\n")
            self._process.stdin.flush()

    def _close_input(self) -> None:
        stream = self._process.stdin
        if stream is not None and not stream.closed:
            try:
                stream.close()
            except OSError:
                _log.debug("the process was gone already")

    def _read_errors(self) -> None:
        """Keep the last words of the process: shown when it ends without telling why."""
        for line in self._process.stderr or ():
            self._errors = line.strip() or self._errors

    def _read(self) -> None:
        last: dict[str, Any] = {}
        for line in self._process.stdout or ():
            try:
                last = json.loads(line)
            except ValueError:
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
            state, reason = FAILED, f"ended with status {code}: {self._errors or 'no word'}"
        with self._lock:
            self._state, self._reason = state, reason
            self._found = {k: v for k, v in last.items() if k != "done"} if state == DONE else {}


def _planned(options: ProjectOptions) -> list[str]:
    """The steps that there will be; one for which the recordings are too few is left out later."""
    left_out = {AUTO: (), SYNTH: (APART,)}.get(options.encoder, (MADE_UP, APART))
    return [step for step in STEPS if step not in left_out]
