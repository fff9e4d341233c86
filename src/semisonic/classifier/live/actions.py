"""Actions at an event: save its sound, run a command."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.write import write
from semisonic.classifier.live.scorer import START, LiveEvent
from semisonic.core.errors import AudioError, OptionError

LONGEST = 60.0
"""Most seconds of an event that are saved, from its start."""

PADDING = 1.0
"""Seconds of sound before and after an event that are saved with it, if available."""

_log = logging.getLogger(__name__)


def write_clip(
    folder: Path,
    number: int,
    label: str,
    moment: datetime | None,
    sound: NDArray[np.float32],
    sample_rate: int,
) -> Path:
    """Write the sound of an event to a file named by time, class and number.

    An existing file is never overwritten.

    Parameters
    ----------
    folder : Path
    number : int
        Of the event.
    label : str
    moment : datetime, optional
        When the event began.
    sound : ndarray of float32, shape (n,)
    sample_rate : int
        Hz.

    Raises
    ------
    OSError, AudioError
        If it cannot be written.
    """
    when = "" if moment is None else moment.strftime("%Y%m%dT%H%M%S_")
    name = re.sub(r"[^\w-]+", "_", label)[:60]
    stem = f"{when}{name}_{number:04d}"
    file, others = folder / f"{stem}.wav", count(2)
    while file.exists():
        file = folder / f"{stem}_{next(others)}.wav"
    write(file, sound, sample_rate, overload="scale")
    return file


class ClipSaver:
    """Keeps the latest sound in memory and writes the sound of events, as 16-bit WAV at its own
    rate.

    Parameters
    ----------
    folder : Path
        Made when the first event is saved.
    sample_rate : int
        Hz.
    memory : float
        Longest time in seconds between a sound and the end of its event: the window, the mean, the
        delays.

    Attributes
    ----------
    n_failed : int
        Files that could not be written.
    """

    def __init__(self, folder: Path, sample_rate: int, memory: float) -> None:
        self._folder, self._rate = folder, sample_rate
        self._memory = LONGEST + 2 * PADDING + memory
        self._pieces: deque[tuple[float, NDArray[np.float32]]] = deque()  # start, samples
        self._long: dict[int, tuple[LiveEvent, str]] = {}  # open events; their file if saved early
        self.n_failed = 0

    def add(self, start: float, samples: NDArray[np.float32]) -> None:
        """Take samples that start at this second of the stream."""
        self._pieces.append((start, samples))
        end = start + len(samples) / self._rate
        while self._pieces[0][0] < end - self._memory - 1:
            self._pieces.popleft()
        for number, (event, clip) in self._long.items():
            if not clip and end >= event.start_time + LONGEST + PADDING:
                self._long[number] = (event, self._save(event, event.start_time + LONGEST))

    def note(self, event: LiveEvent) -> LiveEvent:
        """Take an event; at its end, return it with the file of its sound."""
        if event.kind == START:
            self._long[event.id] = (event, "")
            return event
        clip = self._long.pop(event.id, (event, ""))[1]
        end = event.start_time if event.end_time is None else event.end_time
        return replace(event, clip=clip or self._save(event, min(end, event.start_time + LONGEST)))

    def _save(self, event: LiveEvent, end: float) -> str:
        first, last = event.start_time - PADDING, end + PADDING
        parts = [np.zeros(0, np.float32)]
        for begin, samples in self._pieces:
            low, high = (max(0, round((at - begin) * self._rate)) for at in (first, last))
            parts.append(samples[low:high])
        sound, name = np.concatenate(parts), (event.id, event.label, event.start_at)
        try:
            return str(write_clip(self._folder, *name, sound, self._rate))
        except (OSError, AudioError) as error:
            self.n_failed += 1
            _log.warning("the sound of an event was not saved: %s", error)
            return ""


AT_ONCE = 4
"""Calls that run at the same time."""

TIMEOUT = 30.0
"""Longest time for a call, in seconds."""

WAITING = 100
"""Most calls that may wait; more are left out and counted."""


class EventCommand:
    """Runs a program with each event, as JSON on its standard input and in its environment.

    The line is split at spaces outside quotes, and no shell runs it; a backslash escapes the next
    character, except on Windows, where it is part of a path. The output of the program goes to
    standard error. A call that takes too long is ended, with the processes it started if the
    system has process groups.

    Parameters
    ----------
    line : str

    Attributes
    ----------
    n_calls, n_failed, n_left_out : int
        Calls that ended, calls that failed or took too long, and events left out because too many
        calls were waiting.

    Raises
    ------
    OptionError
        If the program does not exist.
    """

    def __init__(self, line: str) -> None:
        try:
            words, why = _words(line), "expected an executable program"
        except ValueError as error:
            words, why = [], str(error)
        program = shutil.which(words[0]) if words else None
        if program is None:
            shell = 'cmd /c "..."' if os.name == "nt" else "sh -c '...'"
            raise OptionError(
                f"option 'on_event': found '{line}', {why}; for a shell command, give {shell}"
            )
        self._words = [program, *words[1:]]  # whole: Windows looks for nothing but .exe by itself
        self.n_calls = self.n_failed = self.n_left_out = 0
        self._pool = ThreadPoolExecutor(AT_ONCE, "on-event")
        self._calls: list[Future[str]] = []  # that are not counted

    def call(self, event: LiveEvent) -> None:
        """Queue a call of the program; returns at once."""
        self._count()
        if len(self._calls) < AT_ONCE + WAITING:
            self._calls.append(self._pool.submit(self._run, event))
        else:
            self.n_left_out += 1
            _log.warning("on-event: %d calls are waiting, event %d is left out", WAITING, event.id)

    def close(self) -> None:
        """Wait for running and waiting calls, for as long as one call may take."""
        wait(self._calls, TIMEOUT + 1.0)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if n_left := sum(call.cancelled() for call in self._calls):
            _log.warning("on-event: %d calls were still waiting at the end", n_left)
        self._count()

    def summary(self) -> str:
        """One line of text."""
        return f"on-event: {self.n_calls} calls, {self.n_failed} failed, {self.n_left_out} left out"

    def _count(self) -> None:
        for call in [call for call in self._calls if call.done()]:
            self._calls.remove(call)
            self.n_left_out += call.cancelled()
            self.n_calls += not call.cancelled()
            self.n_failed += not call.cancelled() and bool(call.result())

    def _run(self, event: LiveEvent) -> str:
        """The error; empty if there was none."""
        own = {f"SEMISONIC_{key.upper()}": str(value) for key, value in event.to_dict().items()}
        fault = ""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=2,
                env=os.environ | own,
                start_new_session=True,
            )
            process.communicate((event.to_json() + "\n").encode(), timeout=TIMEOUT)
            fault = f"exit status {process.returncode}" if process.returncode else ""
        except OSError as error:
            fault = f"cannot be run ({error.strerror})"
        except subprocess.TimeoutExpired:
            fault = f"took more than {TIMEOUT:g} s and was ended"
            if hasattr(os, "killpg"):  # with all that it has started, where there are groups
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.communicate()
        if fault:
            _log.warning("on-event: %s: %s (event %d)", self._words[0], fault, event.id)
        return fault


def _words(line: str) -> list[str]:
    """The words of a command; ValueError for an unclosed quote."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters = True, ""
    if os.name == "nt":
        reader.escape = ""
    return list(reader)
