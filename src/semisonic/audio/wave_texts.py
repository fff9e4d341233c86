"""Texts that recorders write to WAV files: comments, and GUANO metadata.

Only the headers of chunks are read, so the length of a file does not matter.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_LONGEST = 1 << 20  # bytes of a text that anybody may have meant
_MOST_CHUNKS = 1000


def wave_texts(file: str | os.PathLike[str]) -> dict[str, str]:
    """The texts of a WAV file by the name of their chunk; none for anything else.

    ``guan`` is GUANO metadata; ``ICMT`` (comment), ``IART`` (artist), ``ICRD`` (date) and others
    are those of the ``INFO`` list. A damaged or truncated file gives the texts before the damage.

    Parameters
    ----------
    file : path

    Returns
    -------
    dict of str to str

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    texts: dict[str, str] = {}
    with open(file, "rb") as stream:
        for name, size in wave_chunks(stream):
            if name == b"guan" and size <= _LONGEST:
                texts["guan"] = _text(stream.read(size))
            elif name == b"LIST" and 4 <= size <= _LONGEST:
                texts.update(_info_texts(stream.read(size)))
    return texts


def wave_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The chunks of a WAV file, as name and size; none for anything else.

    The stream is at the content of each chunk when it is yielded.

    Parameters
    ----------
    stream : binary file

    Yields
    ------
    name : bytes
    size : int
    """
    start = stream.read(12)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:12] != b"WAVE":
        return
    at = 12
    for _ in range(_MOST_CHUNKS):
        stream.seek(at)
        header = stream.read(8)
        if len(header) < 8:
            return
        name, size = struct.unpack("<4sI", header)
        yield name, size
        if size == 0xFFFFFFFF and name == b"data":
            return
        at += 8 + size + size % 2


def _info_texts(content: bytes) -> dict[str, str]:
    """The texts of an INFO list."""
    texts = {}
    at = 4 if content[:4] == b"INFO" else len(content)
    while at + 8 <= len(content):
        name, size = struct.unpack("<4sI", content[at : at + 8])
        texts[name.decode("latin-1")] = _text(content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return texts


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").replace("\0", "").strip()
