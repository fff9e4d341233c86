import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine_tasks import append, fail, run, vanish

from semisonic.core.errors import SemisonicError
from semisonic.core.parallel import Task
from systems import POSIX
from waiting import LONG, until


def tell_threads(log: Path) -> None:
    log.write_text(str(torch.get_num_threads()), encoding="utf-8")


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_run_once_and_after_those_they_wait_for(tmp_path, workers) -> None:
    log = tmp_path / "log"
    tasks = [
        Task("last", append, (log, "last"), ("slow", "quick", "done long ago")),
        Task("slow", append, (log, "slow", 0.3)),
        Task("quick", append, (log, "quick"), ("slow",)),
    ]
    run(tasks, workers)
    assert log.read_text(encoding="utf-8").split() == ["slow", "quick", "last"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_has_one_thread_so_that_its_numbers_are_the_same_everywhere(
    tmp_path, workers
) -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run([Task("t", tell_threads, (tmp_path / "log",))], workers)
        assert (tmp_path / "log").read_text(encoding="utf-8") == "1"
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(n_threads)


def test_an_error_stops_the_rest_and_is_raised(tmp_path) -> None:
    log = tmp_path / "log"
    tasks = [Task("bad", fail, (log,)), Task("next", append, (log, "next"), ("bad",))]
    with pytest.raises(ValueError, match="on purpose"):
        run(tasks, 2)
    assert not log.exists()


SLEEP = """
import sys
sys.path[:0] = [{folder!r}, {above!r}]
from semisonic.core.parallel import Task
from engine_tasks import hang, run
if __name__ == "__main__":
    print("started", flush=True)
    begun = __import__("pathlib").Path({begun!r})
    run([Task(name, hang, (begun,)) for name in "abcd"], 2)
"""


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("when", ["they start", "they work"])
def test_ctrl_c_ends_all_processes_soon_and_calmly(tmp_path, when) -> None:
    script, begun, here = tmp_path / "sleep.py", tmp_path / "begun", Path(__file__).parent
    script.write_text(
        SLEEP.format(folder=str(here), above=str(here.parent), begun=str(begun)), encoding="utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    if when == "they work":
        until(begun.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=LONG)
    assert error.count("Traceback") <= 1  # that of the script itself
    assert "Process Spawn" not in error
    assert not begun.with_suffix(".end").exists()


def test_a_killed_worker_is_a_clear_error(tmp_path) -> None:
    with pytest.raises(SemisonicError, match="worker process ended"):
        run([Task("x", vanish, (tmp_path,)), Task("y", append, (tmp_path / "log", "y", 1.0))], 2)


def test_tasks_that_wait_for_each_other_are_refused(tmp_path) -> None:
    tasks = [Task("a", fail, (tmp_path,), ("b",)), Task("b", fail, (tmp_path,), ("a",))]
    with pytest.raises(ValueError, match="wait for each other"):
        run(tasks, 1)
