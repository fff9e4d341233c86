"""Freed memory is kept where an application asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from semisonic.core import parallel as memory

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


def test_other_systems_are_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.keep_freed_memory()
