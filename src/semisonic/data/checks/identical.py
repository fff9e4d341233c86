"""Clips with the same bytes, whatever their files are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisonic.base.files import content_hash
from semisonic.base.progress import track
from semisonic.data.checks.pair import Duplicate, Sound, make_pair, may_pair
from semisonic.data.clips import Clips


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
    """A name for the content of each file: equal for equal bytes. Hashes only equal sizes."""
    by_size: dict[int, list[Path]] = {}
    names = {}
    for file in sorted(files):
        names[file] = str(file)
        try:
            by_size.setdefault(file.stat().st_size, []).append(file)
        except OSError:
            continue  # a missing file is like no other; reading it will report it
    doubtful = [file for same in by_size.values() if len(same) > 1 for file in same]
    for file in track(doubtful, "hash files of equal size", "file"):
        names[file] = content_hash(file)
    return names
