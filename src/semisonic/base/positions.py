"""Reading and writing at a place of an open file that threads share, on every system."""

from __future__ import annotations

import os
import threading

_position = threading.Lock()
"""Held while threads share the one position that a file has where there is no ``pread``."""


def read_at(descriptor: int, n_bytes: int, offset: int) -> bytes:
    """The bytes at a place of an open file; fewer where the file ends. Threads may share it."""
    data = bytearray()
    while len(data) < n_bytes:
        more = _pread(descriptor, n_bytes - len(data), offset + len(data))
        if not more:
            break
        data += more
    return bytes(data)


def write_at(descriptor: int, view: memoryview, offset: int) -> None:
    """Write bytes to a place of an open file. Threads may share it."""
    while view:
        n = _pwrite(descriptor, view, offset)
        view, offset = view[n:], offset + n


def _pread(descriptor: int, n_bytes: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, n_bytes, offset)
    with _position:  # Windows
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, n_bytes)


def _pwrite(descriptor: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, view, offset)
    with _position:  # Windows
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, view)
