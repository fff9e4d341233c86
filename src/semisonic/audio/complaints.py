"""What a C library prints while it decodes, heard and not shown.

libsndfile gives MP3 to libmpg123, which prints what is wrong with a frame, goes on, and tells
nobody: a line without the name of the file in the middle of a progress bar. There is no other way
to learn of it than to read the process's standard error. So MP3 is decoded by one thread at a
time; where there is much of it, processes decode.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO

_LOCK = threading.RLock()
_MARK, _NOTE = b"libmpg123", b"Note: "
_STDERR = 2


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Within the block, lines of libmpg123 are kept from the terminal; the list gets them after.

    What else is printed meanwhile comes out at the end of the block.
    """
    heard: list[str] = []
    with _LOCK:
        try:
            terminal = os.dup(_STDERR)
        except OSError:  # a program without standard error
            yield heard
            return
        told = _file(os.getpid())
        os.dup2(told.fileno(), _STDERR)
        try:
            yield heard
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)
            if os.fstat(told.fileno()).st_size:
                told.seek(0)
                for line in told.read().splitlines(keepends=True):
                    if _MARK in line or line.startswith(_NOTE):
                        heard.append(_meaning(line.decode("utf-8", "replace")))
                    else:
                        os.write(_STDERR, line)
                told.seek(0)
                told.truncate()


@cache
def _file(_process: int) -> IO[bytes]:
    """Where a process keeps what is printed."""
    return tempfile.TemporaryFile(buffering=0)


def _meaning(line: str) -> str:
    """The words of ``[src/libmpg123/layer3.c:do_layer3():1774] error: big_values too large``."""
    return line.strip().rpartition("] ")[2].removeprefix("error: ").removeprefix("Note: ")
