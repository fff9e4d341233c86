"""A file from somewhere is decoded once in another process, before anything else reads it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from semisonic.core.errors import AudioError

MEMORY_BYTES = 4 << 30
_START_SECONDS = 20.0
_REAL_TIME_FACTOR = 50.0
"""A decoder that is slower than this many times real time is given up."""
_BLOCK = 1 << 15


class Checker:
    """Decodes recordings, each in a process of its own that may not outlive the app."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_closed = False

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
        command = [sys.executable, "-m", __name__, str(path), str(max_seconds)]
        quiet = subprocess.DEVNULL
        with self._lock:
            if self._is_closed:
                raise AudioError(name, "the app was closed")
            process = subprocess.Popen(
                command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, encoding="utf-8"
            )
            self._running.add(process)
        try:
            reason, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise AudioError(name, f"took more than {limit:.0f} s to decode") from None
        finally:
            process.kill()
            process.communicate()
            self._running.discard(process)
        if process.returncode:
            reason = "not audio, or damaged: the decoder failed"
        if reason:
            raise AudioError(name, reason)

    def close(self) -> None:
        """End what is being decoded; nothing is checked after that."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                process.kill()


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
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(_decode(sys.argv[1], float(sys.argv[2])))
