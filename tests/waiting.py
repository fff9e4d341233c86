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

_BETWEEN, _SHARE = 0.005, 4
"""Seconds between two looks, and how many times as long as a look: asking takes no work away."""


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
    while not (found := _looked(condition)):
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with status {process.returncode}", process.communicate())
        assert time.monotonic() < limit, f"still {found!r} after {LONG:g} s"
    return found


def _looked(condition: Callable[[], Found]) -> Found:
    """What the condition gives now, after a pause where that is nothing yet."""
    begun = time.monotonic()
    if not (found := condition()):
        time.sleep(max(_BETWEEN, _SHARE * (time.monotonic() - begun)))
    return found
