"""What only some systems have. A test of such a thing is skipped elsewhere, and says so."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(
    os.name == "nt",
    reason="Windows has other signals, pipes, locks, groups of processes and loads",
)


def _makes_links() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "link"
        try:
            link.symlink_to(folder, target_is_directory=True)
        except OSError:
            return False
        return link.is_symlink()


LINKS = pytest.mark.skipif(
    not _makes_links(), reason="symbolic links need a right on Windows that is not given here"
)
NAMES_OF_BYTES = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="file names are Unicode on this system"
)
