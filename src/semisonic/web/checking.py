"""Decode an unknown file in another process, before anything else reads it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from semisonic.core.errors import AudioError

MEMORY_BYTES = 4 << 30
FILE_BYTES = 16 << 30
"""A recording of 12 hours in two channels at 48000 Hz, in floats."""
_START_SECONDS = 20.0
_REAL_TIME_FACTOR = 50.0
"""A decoder slower than this many times real time is stopped."""
_BLOCK = 1 << 15


class Checker:
    """Decodes recordings one after another, in a process that stays ready between them.

    The process ends with the app; if it fails or takes too long, it is replaced.

    Parameters
    ----------
    folder : Path
        For temporary files. The caller deletes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def check(self, path: Path, name: str, max_seconds: float) -> None:
        """Decode a recording.

        Parameters
        ----------
        path : Path
        name : str
            Name of the recording in errors.
        max_seconds : float
            Longest recording that is accepted.

        Raises
        ------
        AudioError
            When it is not a recording, damaged or too long, or the decoder fails in any way.
        """
        limit = _START_SECONDS + max_seconds / _REAL_TIME_FACTOR
        with self._turn:
            process = self._ready(name)
            late = threading.Event()
            timer = threading.Timer(limit, _give_up, (process, late))
            timer.start()
            try:
                reason = _asked(process, [os.fspath(path), max_seconds])
            finally:
                timer.cancel()
            if reason is None:
                process.kill()
        if late.is_set():
            raise AudioError(name, f"took more than {limit:.0f} s to decode")
        if reason is None:
            reason = "not audio, or damaged: the decoder failed"
        if reason:
            raise AudioError(name, reason)

    def close(self) -> None:
        """Stop decoding; nothing can be checked after that."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _ready(self, name: str) -> subprocess.Popen[str]:
        """The process, or a new one if it has ended."""
        with self._lock:
            if self._is_closed:
                raise AudioError(name, "the app was closed")
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", __name__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    encoding="utf-8",
                    env={**os.environ, "TMPDIR": os.fspath(self._folder)},
                )
            return self._process


def _give_up(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    process.kill()


def _asked(process: subprocess.Popen[str], question: list[object]) -> str | None:
    """The response of the process; None if it ends before."""
    if process.stdin is None or process.stdout is None:
        return None
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return str(json.loads(process.stdout.readline()))
    except (OSError, ValueError):
        return None


def _decode(path: str, max_seconds: float) -> str:
    """Why a recording cannot be used; empty if it can."""
    from semisonic.audio.media import forget_decoded
    from semisonic.audio.read import AudioReader

    try:
        with AudioReader(path) as source:
            if source.info.duration > max_seconds:
                hours, most = source.info.duration / 3600, max_seconds / 3600
                return f"{hours:.2f} h long; the limit is {most:g} h (--max-hours)"
            for _ in source.blocks(0.0, None, _BLOCK):
                pass
    except AudioError as error:
        return error.reason
    except MemoryError:
        return "takes too much memory to decode"
    finally:
        forget_decoded()
    return ""


def _limit() -> None:
    """Limit memory and the size of temporary files, if the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    for line in sys.stdin:  # the end of the input is that of the app
        sys.stdout.write(json.dumps(_decode(*json.loads(line))) + "\n")
        sys.stdout.flush()
