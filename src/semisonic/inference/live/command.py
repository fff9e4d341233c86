"""A command of the user's that is called at events, without holding up the stream."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.inference.live.events import LiveEvent

AT_ONCE = 4
"""Calls that run at the same time."""

WAITING = 100
"""Calls that may wait for that; more are left out, and counted."""

_log = logging.getLogger(__name__)


class EventCommand:
    """Calls a program with each event: as JSON on its standard input and in its environment.

    The line is split as a shell would, but no shell runs it. What the program prints goes to
    standard error. A call that takes too long is ended, with all it has started.

    Parameters
    ----------
    line : str
    timeout : float
        Seconds a call may take.

    Attributes
    ----------
    n_calls, n_failed, n_left_out : int
        Calls that ended, those of them that failed or took too long, and events that were
        left out because too many were waiting.

    Raises
    ------
    OptionError
        When there is no such program.
    """

    def __init__(self, line: str, timeout: float = 10.0) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise OptionError(f"option 'on_event': found '{line}' ({error})") from None
        if not self._words or shutil.which(self._words[0]) is None:
            raise OptionError(
                f"option 'on_event': found '{line}', expected a program that can be run; for a "
                "line of shell, give sh -c '...'"
            )
        self._timeout = timeout
        self.n_calls = self.n_failed = self.n_left_out = 0
        self._counting = threading.Lock()
        self._waiting: queue.Queue[LiveEvent | None] = queue.Queue(WAITING)
        self._threads = [
            threading.Thread(target=self._work, name="on-event", daemon=True)
            for _ in range(AT_ONCE)
        ]
        for thread in self._threads:
            thread.start()

    def call(self, event: LiveEvent) -> None:
        """Call the program soon; returns at once."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.n_left_out += 1
            _log.warning("on-event: %d calls wait, event %d is left out", WAITING, event.id)

    def close(self) -> None:
        """Wait for the calls that run or wait, for as long as one call may take."""
        deadline = time.monotonic() + self._timeout + 1.0
        for _ in self._threads:
            try:
                self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
            except queue.Full:
                break
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        n_left = self._waiting.qsize()
        if n_left and any(thread.is_alive() for thread in self._threads):
            self.n_left_out += n_left
            _log.warning("on-event: %d calls were still waiting at the end", n_left)

    def summary(self) -> str:
        """One line."""
        return f"on-event: {self.n_calls} calls, {self.n_failed} failed, {self.n_left_out} left out"

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            fault = self._run(event)
            with self._counting:
                self.n_calls += 1
                self.n_failed += bool(fault)
            if fault:
                _log.warning("on-event: %s: %s (event %d)", self._words[0], fault, event.id)

    def _run(self, event: LiveEvent) -> str:
        """What went wrong; empty if nothing did."""
        try:
            process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=2, env=_environment(event),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return f"cannot be run ({error.strerror})"
        try:
            process.communicate((event.to_json() + "\n").encode(), timeout=self._timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"took more than {self._timeout:g} s and was ended"
        return f"exit status {process.returncode}" if process.returncode else ""


def _environment(event: LiveEvent) -> dict[str, str]:
    found: dict[str, Any] = event.to_dict()
    return os.environ | {f"SEMISONIC_{key.upper()}": str(value) for key, value in found.items()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and, where the system knows groups, all that it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()
