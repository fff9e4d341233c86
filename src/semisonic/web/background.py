"""Work in the background, step by step; and errors in words for the page."""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from semisonic.core.errors import AudioError, DataError, SemisonicError, is_of_memory

# Errors in words for the page. No web framework here: the worker process imports this module.


def in_words(error: BaseException) -> str:
    """What went wrong, for people; a bug is called a failure."""
    if isinstance(error, AudioError):
        return error.reason
    if isinstance(error, SemisonicError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"{where}the disk is full. What was saved before is safe; free some space and "
                "try again"
            )
        return f"{where}{error.strerror or error}"
    if is_of_memory(error):
        return "this needs more memory than is free; close other programs and try again"
    return f"failed: {type(error).__name__}: {error}"


# Work in the background, step by step, so that a long piece does not hold up a short one.


Work = Generator[None, None, None]
Failed = Callable[[BaseException], None]
_log = logging.getLogger(__name__)


class BackgroundWorker:
    """A thread that does several pieces of work in turn, one step of each.

    It ends with the program, even during a long step.
    """

    def __init__(self, name: str) -> None:
        self._waiting: collections.deque[tuple[Work, Failed]] = collections.deque()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, work: Work, failed: Failed) -> None:
        """Do this soon; ``failed`` is called with its exception."""
        with self._changed:
            self._waiting.append((work, failed))
            self._changed.notify()

    def stop(self, patience: float = 2.0) -> None:
        """Begin no further step, and wait a moment for the current one."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_stopped)
                if self._is_stopped:
                    return
                work, failed = self._waiting.popleft()
            try:
                next(work)
            except StopIteration:
                continue
            except Exception as error:
                _log.debug("background work failed", exc_info=True)
                failed(error)
                continue
            with self._changed:
                self._waiting.append((work, failed))


# Long work in a process of its own.


PROJECT, FIND, IMPROVE = "project", "find", "improve"
"""The tasks of :mod:`semisonic.web.worker`."""
SOUNDS = "sounds"
"""The first step of a demo: its recordings are made."""
_PATIENCE = 30.0


class BackgroundProcess:
    """Long work in a process of its own; see :mod:`semisonic.web.worker`.

    Its state is "runs", "done", "stopped" or "failed".

    Parameters
    ----------
    task : {"project", "find", "improve"}
    name : str
        What the page calls it.
    asked : mapping
        Parameters of the task.
    plan : sequence of str
        Its steps; some may be left out.
    done : callable
        Called when it is finished.
    """

    def __init__(
        self,
        task: str,
        name: str,
        asked: Mapping[str, Any],
        plan: Sequence[str],
        done: Callable[[], None],
    ) -> None:
        self.name, self._done = name, done
        self._began, self._said_stop = time.monotonic(), False
        self._facts: dict[str, Any] = {
            "name": name,
            "state": "runs",
            "reason": "",
            "plan": list(plan),
            "steps": [],
            "at": {},
            "found": {},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "semisonic.web.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps({**asked, "task": task}, default=str) + "\n")
            self._process.stdin.flush()
        self._reading = threading.Thread(target=self._read, name=task, daemon=True)
        self._reading.start()

    @property
    def runs(self) -> bool:
        """Whether it is running."""
        return bool(self._facts["state"] == "runs")

    def facts(self) -> dict[str, Any]:
        """What the page shows."""
        return {**self._facts, "seconds": time.monotonic() - self._began}

    def cancel(self) -> None:
        """Stop; finished work is kept.

        Raises
        ------
        DataError
            When nothing is running.
        """
        if not self.runs:
            raise DataError(f"nothing is running for '{self.name}'")
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
        last_words = "no message"
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
                self._done()
            except Exception as error:
                _log.exception("what was made could not be opened")
                reason = f"the work is done, but its result cannot be opened: {error}"
                ended = {"state": "failed", "reason": reason}
        elif "error" in last:
            ended = {"state": "failed", "reason": last["error"]}
        elif last.get("stopped") or self._said_stop:
            ended = {"state": "stopped"}
        else:
            reason = f"the process ended with status {code}: {last_words}"
            ended = {"state": "failed", "reason": reason}
        self._facts |= ended
