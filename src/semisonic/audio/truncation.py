"""Whether a recording holds less than its header promises.

libsndfile shortens such a recording without a word to the caller; only its log tells. An
Ogg stream promises nothing, but its last page must carry an end mark.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import soundfile as sf

from semisonic.base.members import open_binary

TOLERANCE = 0.01
"""Seconds that may be missing: some writers count their header as sound."""

_LOG_SIZE = re.compile(r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", re.M)
_LOG_RF64 = re.compile(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_LARGEST_PAGE = 65307
_END_MARK = 4


def missing_share(path: Path, handle: sf.SoundFile) -> float:
    """Which part of what the header promises is not in the file.

    Parameters
    ----------
    path : Path
        The file.
    handle : SoundFile
        The open file.

    Returns
    -------
    float
        From 0 (all is there, or nothing was promised) to 1; NaN if something is missing,
        and nobody knows how much.
    """
    if handle.format == "OGG":
        return 0.0 if is_closed_ogg(path) else math.nan
    found = _LOG_RF64.search(handle.extra_info)
    if found:
        there, promised = map(int, found.groups())
    else:
        found = _LOG_SIZE.search(handle.extra_info)
        if not found or _is_unknown(int(found[1])):
            return 0.0
        promised, there = map(int, found.groups())
    return max(0.0, 1.0 - there / max(promised, 1))


def describe_truncation(duration: float, missing: float) -> str:
    """The reason why a recording is not whole; empty if it is.

    Parameters
    ----------
    duration : float
        Seconds that are there.
    missing : float
        What :func:`missing_share` found.
    """
    if math.isnan(missing):
        return f"truncated: no end mark, {duration:.2f} s are there"
    promised = duration / (1.0 - missing) if missing < 1.0 else math.inf
    if promised - duration <= TOLERANCE:
        return ""
    return f"truncated: the header promises {promised:.2f} s, {duration:.2f} s are there"


def is_closed_ogg(path: Path) -> bool:
    """Whether the last page of an Ogg file is whole and marked as the end."""
    with open_binary(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * _LARGEST_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return False
    n_segments = tail[page + 26]
    segments = tail[page + 27 : page + 27 + n_segments]
    whole = len(segments) == n_segments and page + 27 + n_segments + sum(segments) <= len(tail)
    return whole and bool(tail[page + 5] & _END_MARK)


def _is_unknown(size: int) -> bool:
    """Whether a size stands for "not known yet", as programs write into a pipe."""
    return 0x7FFFF000 <= size <= 0x7FFFFFFF or 0xFFFFF000 <= size <= 0xFFFFFFFF
