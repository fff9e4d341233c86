"""What the processes of the tests do; they import this file, which takes no second."""

from __future__ import annotations

import os
import time
from pathlib import Path

from semisonic.core.parallel import Task, run_tasks


def nothing(*_: object) -> None:
    pass


def append(log: Path, name: str, wait: float = 0.0) -> None:
    time.sleep(wait)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{name}\n")


def hang(begun: Path) -> None:
    begun.touch()
    time.sleep(3600)
    begun.with_suffix(".end").touch()


def fail(_: Path) -> None:
    raise ValueError("on purpose")


def vanish(_: Path) -> None:
    os._exit(9)


def run(tasks: list[Task], workers: int) -> None:
    run_tasks(tasks, workers=workers, label="t", initializer=nothing, context=())
