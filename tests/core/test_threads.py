"""Threads of this process, and the memory that they free."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from semisonic.core.errors import OptionError
from semisonic.core.parallel import TASKS_PER_WORKER, count_workers, in_threads


def test_all_results_come_from_several_threads() -> None:
    seen = set()

    def work(n: int) -> int:
        seen.add(threading.get_ident())
        time.sleep(0.001)
        return n * n

    assert sorted(in_threads(work, range(50), 3)) == [n * n for n in range(50)]
    assert 2 <= len(seen) <= 3
    assert list(in_threads(work, [], 3)) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_are_taken_only_when_there_is_room(workers) -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield n

    for done, _ in enumerate(in_threads(abs, tasks(), workers)):
        # A result was counted before it is given out; up to as many more are at hand.
        assert taken <= done + 2 * TASKS_PER_WORKER * workers
    assert taken == 100


def test_an_error_stops_the_rest() -> None:
    done = []

    def work(n: int) -> None:
        if n == 3:
            raise ZeroDivisionError
        done.append(n)

    with pytest.raises(ZeroDivisionError):
        list(in_threads(work, range(1000), 1))
    assert len(done) < 10


def test_a_consumer_that_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = in_threads(abs, range(1000), 2)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_number_of_workers() -> None:
    assert count_workers(None) >= 1
    assert count_workers(5) == 5
    with pytest.raises(OptionError, match="found 0"):
        count_workers(0)


# Faults of pages, while blocks of the size of a clip are taken and given back in turns.
SCRIPT = """
import resource, sys
import numpy as np
from semisonic.core.parallel import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def turn():
    for n in (900_000, 450_000, 880_000):
        np.ones(n, np.uint8)
for _ in range(5):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
held = []
for _ in range(50):
    held = [np.ones(900_000, np.uint8), np.ones(450_000, np.uint8), np.ones(880_000, np.uint8)]
    held.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has the setting")
def test_no_new_pages_for_the_next_clip() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", SCRIPT, how], text=True))
        for how in ("keep", "leave")
    }
    assert faults["keep"] < 1000
    assert faults["keep"] < faults["leave"]
