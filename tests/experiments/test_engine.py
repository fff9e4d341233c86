import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from semisonic.base.errors import SemisonicError
from semisonic.experiments.engine import Task, run_tasks


def nothing(*_: object) -> None:
    pass


def append(log: Path, name: str, wait: float = 0.0) -> None:
    time.sleep(wait)
    with log.open("a") as stream:
        stream.write(f"{name}\n")


def fail(_: Path) -> None:
    raise ValueError("on purpose")


def vanish(_: Path) -> None:
    os._exit(9)


def run(tasks: list[Task], workers: int) -> None:
    run_tasks(tasks, workers=workers, label="t", initializer=nothing, context=())


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_run_once_and_after_those_they_wait_for(tmp_path: Path, workers: int) -> None:
    log = tmp_path / "log"
    tasks = [
        Task("last", append, (log, "last"), ("slow", "quick", "done long ago")),
        Task("slow", append, (log, "slow", 0.3)),
        Task("quick", append, (log, "quick"), ("slow",)),
    ]
    run(tasks, workers)
    assert log.read_text().split() == ["slow", "quick", "last"]


def test_an_error_stops_the_rest_and_is_raised(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tasks = [Task("bad", fail, (log,)), Task("next", append, (log, "next"), ("bad",))]
    with pytest.raises(ValueError, match="on purpose"):
        run(tasks, 2)
    assert not log.exists()


SLEEP = """
import sys, time
sys.path.insert(0, {folder!r})
from semisonic.experiments.engine import Task
from test_engine import append, run
if __name__ == "__main__":
    log = __import__("pathlib").Path({log!r})
    run([Task(name, append, (log, name, 60.0)) for name in "abcd"], 2)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
@pytest.mark.parametrize("after", [0.3, 6.0])
def test_ctrl_c_ends_all_processes_soon_and_calmly(tmp_path: Path, after: float) -> None:
    """While they start, and while they work."""
    script = tmp_path / "sleep.py"
    log = tmp_path / "log"
    script.write_text(SLEEP.format(folder=str(Path(__file__).parent), log=str(log)))
    process = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(after + 1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=40)
    assert error.count("Traceback") <= 1  # that of the script itself
    assert "Process Spawn" not in error
    assert not log.exists()


def test_a_killed_worker_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SemisonicError, match="worker process ended"):
        run([Task("x", vanish, (tmp_path,)), Task("y", append, (tmp_path / "log", "y", 1.0))], 2)


def test_tasks_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    tasks = [Task("a", fail, (tmp_path,), ("b",)), Task("b", fail, (tmp_path,), ("a",))]
    with pytest.raises(ValueError, match="wait for each other"):
        run(tasks, 1)
