"""Temporary folders that are always removed, also after a process was killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from semisonic.core.files import locked

_PREFIX = "semisonic-"
_IN_USE = ".in-use"
"""The lock in a temporary folder, held while a process uses the folder."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder, and remove it with its content at the end of the block.

    Folders that killed processes left are removed first. The folder contains a hidden file, its
    lock.

    Yields
    ------
    Path

    Raises
    ------
    OSError
        When no folder can be created.

    Examples
    --------
    >>> with temporary_folder() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    _clear_left_over()
    with ExitStack() as held:
        folder = _new_folder(held)
        try:
            yield folder
        finally:
            held.close()
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder(held: ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Another process may take it for one that was left, before the lock is held.
        with suppress(FileNotFoundError):
            held.enter_context(locked(folder / _IN_USE, wait=True))
            if (folder / _IN_USE).exists():
                return folder


def _clear_left_over() -> None:
    """Remove our folders that no process uses."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not (folder / _IN_USE).is_file():
            continue
        with suppress(OSError), locked(folder / _IN_USE, wait=False) as is_free:
            if is_free:  # a process it started may be ending, and removing files of its own
                shutil.rmtree(folder, ignore_errors=True)
