"""Locks between processes, on every system that Python knows (by the library ``filelock``).

The system releases a lock when its process ends, however it ends. The file of a lock stays where
it is, empty: removing it while others wait for it would let two of them in at once.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from semisonic.core.errors import OptionError

LOCK = ".lock"
"""Name of the lock of a folder, in that folder."""
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

log = logging.getLogger(__name__)


@contextmanager
def locked(file: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock within the block.

    Parameters
    ----------
    file : Path
        Made if it is not there, with its folder.
    wait : bool
        Whether to wait until another process gives the lock back.

    Yields
    ------
    bool
        Whether the lock is held: False when another process holds it and nobody waits.

    Raises
    ------
    OSError
        When the file cannot be made.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = _taken(file, -1 if wait else 0)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _taken(file: Path, timeout: float) -> BaseFileLock | None:
    locks = (FileLock(file, thread_local=False), SoftFileLock(f"{file}.held", thread_local=False))
    for lock in locks:
        try:
            lock.acquire(timeout)
            return lock
        except Timeout:
            return None
        except OSError as error:
            # on a network disk without locks, a second file is there while the lock is held
            if error.errno not in _UNSUPPORTED or lock is locks[-1]:
                raise
    return None


@contextmanager
def exclusive(file: Path, *, message: str = "") -> Iterator[None]:
    """Wait until no other process is within a block for the same file.

    Parameters
    ----------
    file : Path
        The file of the lock.
    message : str
        A warning to log when one has to wait; none if empty.

    Raises
    ------
    OSError
        When the file cannot be made.
    """
    with ExitStack() as stack:
        if not stack.enter_context(locked(file, wait=not message)):
            log.warning(message)
            stack.enter_context(locked(file, wait=True))
        yield


class FolderLock:
    """A lock on a folder, held until :meth:`release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held = ExitStack()

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OptionError
            When another process holds it.
        """
        if not self._held.enter_context(locked(self.folder / LOCK, wait=False)):
            raise OptionError(
                f"{self.folder}: another process is writing into this run; wait for it to end, "
                "or choose another folder"
            )

    def release(self) -> None:
        """Give the lock back."""
        self._held.close()
