"""Waiting for what happens in other processes, threads and pages: for events, never for a time.

``LONG`` is no expectation. It is there so that a test of a broken program ends at last; on the
busiest machine it is not reached. A test that needs a program to be in the middle of its work waits
until the program has written that it is.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")

LONG = 300.0
"""Seconds after which a test gives up."""

_BETWEEN = 0.005


def until(condition: Callable[[], Found], process: subprocess.Popen[Any] | None = None) -> Found:
    """What the condition gives, once it is true.

    Parameters
    ----------
    condition : callable
        Asked again and again.
    process : Popen, optional
        What is waited for; its end before that is a failure.
    """
    limit = time.monotonic() + LONG
    while not (found := condition()):
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with status {process.returncode}", process.communicate())
        assert time.monotonic() < limit, f"still {found!r} after {LONG:g} s"
        time.sleep(_BETWEEN)
    return found
