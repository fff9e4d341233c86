"""One process a folder: a second one is refused while the first is at work.

The system releases the lock when the process ends, however it ends, so nothing is left
behind by a killed run. Where the system has no such locks (Windows) nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from semisonic.base.errors import OptionError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class FolderLock:
    """A lock on a folder, held until :meth:`release` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stream: IO[Any] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OptionError
            When another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        stream = (self.folder / NAME).open("a")
        try:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.close()
            raise OptionError(
                f"{self.folder}: another process is writing into this run; wait for it to end, "
                "or choose another folder"
            ) from error
        self._stream = stream

    def release(self) -> None:
        """Give the lock back and remove its file."""
        if self._stream is not None:
            (self.folder / NAME).unlink(missing_ok=True)
            self._stream.close()
            self._stream = None


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Wait until no other process is within a block for the same file; the file stays, empty."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
