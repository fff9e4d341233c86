"""Work in the background, step by step; and errors in words for the page."""

from __future__ import annotations

import collections
import errno
import logging
import threading
from collections.abc import Callable, Generator

from semisonic.core.errors import AudioError, SemisonicError

# Errors in words for the page. No web framework here: the process that makes projects reads it.


def in_words(error: BaseException) -> str:
    """What went wrong, for people; an error of ours in the code is named as one."""
    if isinstance(error, AudioError):
        return error.reason
    if isinstance(error, SemisonicError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"{where}the disk is full. What was saved before is safe; free some space and "
                "try again"
            )
        return f"{where}{error.strerror or error}"
    return f"failed: {type(error).__name__}: {error}"


# Work in the background, step by step, so that a long piece does not hold up a short one.


Work = Generator[None, None, None]
Failed = Callable[[BaseException], None]
_log = logging.getLogger(__name__)


class BackgroundWorker:
    """A thread that goes through its pieces of work in turn, one step of each.

    It ends with the program: a step that takes long does not keep the program alive.
    """

    def __init__(self, name: str) -> None:
        self._waiting: collections.deque[tuple[Work, Failed]] = collections.deque()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, work: Work, failed: Failed) -> None:
        """Do this soon; ``failed`` is given what it raises."""
        with self._changed:
            self._waiting.append((work, failed))
            self._changed.notify()

    def stop(self, patience: float = 2.0) -> None:
        """Begin no further step, and wait a moment for the one that runs."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(patience)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_stopped)
                if self._is_stopped:
                    return
                work, failed = self._waiting.popleft()
            try:
                next(work)
            except StopIteration:
                continue
            except Exception as error:
                _log.debug("background work failed", exc_info=True)
                failed(error)
                continue
            with self._changed:
                self._waiting.append((work, failed))
