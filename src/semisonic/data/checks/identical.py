"""Clips with the same bytes, whatever their files are called."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from semisonic.base.files import content_hash
from semisonic.base.members import open_binary, size_of
from semisonic.base.progress import track
from semisonic.data.checks.pair import Duplicate, Sound, make_pair, may_pair
from semisonic.data.clips import Clips

_SAMPLE_BYTES = 4096


def identical(
    tables: Sequence[Clips], sounds: Sequence[Sound]
) -> tuple[list[Duplicate], dict[Sound, list[Sound]]]:
    """Pairs of byte-identical clips, none of them within the second table.

    Returns
    -------
    pairs : list of Duplicate
        Each copy with the first clip of its set.
    copies_of : dict of Sound to list of Sound
        The first clip of each set of identical ones, with its copies, if any.
    """
    paths = [table.paths for table in tables]
    files = {paths[s.table][s.row] for s in sounds}
    names = _content_names(files)
    sets: dict[tuple[str, float, float], list[Sound]] = {}
    for sound in sounds:
        table = tables[sound.table]
        end = float(table.end_time[sound.row])
        name = names[paths[sound.table][sound.row]]
        key = (name, float(table.start_time[sound.row]), -1.0 if np.isnan(end) else end)
        sets.setdefault(key, []).append(sound)
    copies_of = {first: copies for first, *copies in sets.values()}
    pairs = [
        make_pair("identical", tables, first, copy, (1.0, 0.0, np.nan))
        for first, copies in copies_of.items()
        for copy in copies
        if first.table == 0 and may_pair(tables, first, copy)
    ]
    return pairs, copies_of


def _content_names(files: set[Path]) -> dict[Path, str]:
    """A name for the content of each file: equal for equal bytes.

    A recorder makes thousands of files of one size, so only those are read as a whole whose size,
    beginning, middle and end are equal.
    """
    by_size: dict[int, list[Path]] = {}
    names = {}
    for file in sorted(files):
        names[file] = str(file)
        try:
            by_size.setdefault(size_of(file), []).append(file)
        except OSError:
            continue  # a missing file is like no other; reading it will report it
    doubtful = [file for same in by_size.values() if len(same) > 1 for file in same]
    by_sample: dict[bytes, list[Path]] = {}
    for file in doubtful:
        with suppress(OSError):
            by_sample.setdefault(_sample(file), []).append(file)
    alike = [file for same in by_sample.values() if len(same) > 1 for file in same]
    for file in track(alike, "hash files that look alike", "file"):
        names[file] = content_hash(file)
    return names


def _sample(file: Path) -> bytes:
    """Size, beginning, middle and end of a file."""
    with open_binary(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        parts = [size.to_bytes(8, "little")]
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            parts.append(stream.read(_SAMPLE_BYTES))
    return hashlib.sha256(b"".join(parts)).digest()
