"""What only some systems have. A test of such a thing is skipped elsewhere, and says so."""

from __future__ import annotations

import os
import sys

import pytest

POSIX = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no such signals, pipes or groups of processes"
)
NAMES_OF_BYTES = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="file names are Unicode on this system"
)
