"""A file from somewhere is decoded once in another process, before anything else reads it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from semisonic.core.errors import AudioError

MEMORY_BYTES = 4 << 30
_START_SECONDS = 20.0
_REAL_TIME_FACTOR = 50.0
"""A decoder that is slower than this many times real time is given up."""
_BLOCK = 1 << 15


class Checker:
    """Decodes recordings in another process, one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def check(self, path: Path, name: str, max_seconds: float) -> None:
        """Decode a recording.

        Parameters
        ----------
        path : Path
        name : str
            What to call it in errors.
        max_seconds : float
            Longest recording that is taken.

        Raises
        ------
        AudioError
            When it is no recording, damaged, too long, or makes the decoder fail in any way.
        """
        limit = _START_SECONDS + max_seconds / _REAL_TIME_FACTOR
        with self._lock:
            try:
                self._ask({"path": str(path), "max_seconds": max_seconds})
                said: dict[str, Any] = json.loads(self._answers.get(timeout=limit))
            except queue.Empty:
                self._end()
                raise AudioError(name, f"took more than {limit:.0f} s to decode") from None
            except (OSError, ValueError):
                self._end()
                raise AudioError(name, "not audio, or damaged: the decoder failed") from None
        if said["reason"]:
            raise AudioError(name, said["reason"])

    def close(self) -> None:
        """End the process, with what it decodes; nothing is checked after that."""
        self._is_closed = True
        self._end()

    def _ask(self, what: dict[str, Any]) -> None:
        process = self._process
        if self._is_closed:
            raise ValueError("closed")
        if process is None or process.poll() is not None:  # not yet, or it was killed
            self._answers = queue.SimpleQueue()
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
            reading = threading.Thread(target=_read, args=(process, self._answers), daemon=True)
            reading.start()
        if process.stdin is not None:
            process.stdin.write(json.dumps(what) + "\n")
            process.stdin.flush()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[str]) -> None:
    """Hand on each line, and an empty one at the end."""
    with contextlib.suppress(OSError, ValueError):
        for line in process.stdout or ():
            answers.put(line)
    answers.put("")
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()


def _decode(path: str, max_seconds: float) -> str:
    """Why a recording cannot be used; empty if it can."""
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
    return ""


def _limit() -> None:
    """Bound memory, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _limit()
    for line in sys.stdin:
        asked = json.loads(line)
        said = {"reason": _decode(asked["path"], asked["max_seconds"])}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
