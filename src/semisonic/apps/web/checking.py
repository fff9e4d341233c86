"""A file from somewhere is decoded once in a process of its own, before anything else reads it.

What makes a decoder crash, hang or fill the memory ends that process, not the app.
Run as ``python -m semisonic.apps.web.checking FILE MAX_SECONDS``.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from semisonic.base.errors import AudioError

MEMORY_BYTES = 4 << 30
_START_SECONDS = 20.0
_REAL_TIME_FACTOR = 50.0
"""A decoder that is slower than this many times real time is given up."""
_BLOCK = 1 << 15


def check_file(path: Path, name: str, max_seconds: float) -> None:
    """Decode a recording in another process.

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
    command = [sys.executable, "-m", __name__, str(path), str(max_seconds)]
    limit = _START_SECONDS + max_seconds / _REAL_TIME_FACTOR
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        raise AudioError(name, f"took more than {limit:.0f} s to decode") from None
    try:
        said: dict[str, Any] = json.loads(done.stdout or b"")
    except ValueError:
        raise AudioError(name, "not audio, or damaged: the decoder failed") from None
    if said["reason"]:
        raise AudioError(name, said["reason"])


def _decode(path: str, max_seconds: float) -> str:
    """Why a recording cannot be used; empty if it can."""
    from semisonic.audio.source import Source

    try:
        with Source(path) as source:
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
    sys.stdout.write(json.dumps({"reason": _decode(sys.argv[1], float(sys.argv[2]))}))
