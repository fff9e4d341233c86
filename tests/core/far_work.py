"""What the workers of the tests do; they import this file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import locked


def make_sleeper(log: Path, seconds: float) -> Callable[[int], tuple[int, bytes]]:
    """Gives back its number and much to carry, and leaves a line when it begins."""

    import ray

    node = ray.get_runtime_context().get_node_id()

    def sleep(number: int) -> tuple[int, bytes]:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{number} {node}\n")
        time.sleep(seconds)
        return number, bytes(300_000)

    return sleep


def make_patient(log: Path) -> Callable[[float], None]:
    """Sleeps for some seconds, and leaves a line when it begins and one when it ends."""

    def sleep(seconds: float) -> None:
        note(f"begun {seconds:g}")
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end:  # an interrupt is noticed between two steps
                time.sleep(0.01)
        except KeyboardInterrupt:
            note(f"interrupted {seconds:g}")
            raise
        note(f"ended {seconds:g}")

    def note(line: str) -> None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    return sleep


def make_failing() -> Callable[[str], None]:
    return fail


def fail(how: str) -> None:
    if how == "ours":
        raise DataError("the table is wrong")
    if how == "sound":
        raise AudioError("a.wav", "empty", "Record it again")
    if how == "bug":
        raise ZeroDivisionError("on purpose")
    os._exit(9)


def who(base: int, x: int) -> tuple[int, int]:
    if x == 7:
        raise DataError("seven")
    if x == 8:
        os.kill(os.getpid(), 9)  # SIGKILL, which has no name on Windows
    return base + x, os.getpid()


def hold(lock: Path, x: int) -> int:
    """Holds a lock for longer than any test waits."""
    with locked(lock, wait=True):
        lock.with_suffix(".held").touch()
        time.sleep(3600)
    return x


def meet(folder: Path, x: int) -> tuple[int, int]:
    """Gives the number back once two processes are there."""
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return x, os.getpid()
