"""Where each clip lies in a sample store, and how its journal says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import stamp_of
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.store_decode import SAMPLE_BYTES, Key, Place
from semisonic.data.store_folder import DataFile, StoreFolder

Stamp = tuple[int, int]
"""A version of a file: size in bytes and time of change in ns."""

Index = dict[Key, tuple[Stamp, Place]]


def clip_keys(clips: Clips) -> list[Key]:
    """File, start and end of each row, with None for "to the end"."""
    columns = zip(
        clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist(), strict=True
    )
    return [(file, start, None if end != end else end) for file, start, end in columns]


def file_stamps(clips: Clips) -> NDArray[np.int64]:
    """Size and time of change of each row's file, shape (n, 2); -1 where there is none."""
    stamps: dict[str, Stamp] = {}
    for file in dict.fromkeys(clips.file.tolist()):
        try:
            stamps[file] = stamp_of(clips.root / file)
        except OSError:
            stamps[file] = (-1, -1)
    return np.array([stamps[file] for file in clips.file.tolist()], np.int64).reshape(-1, 2)


def to_record(key: Key, stamp: list[int], place: Place) -> list[Any]:
    """The journal's line for a clip."""
    return [*key, *stamp, place.offset, place.n_samples, place.scale, list(place.notes)]


def read_places(journal: Journal, n_bytes: int) -> Index:
    """Where the newest version of each clip lies, as far as the data file goes."""
    known: Index = {}
    for record in journal.records():
        if len(record) != 9:
            continue
        file, start, end, size, changed, offset, n_samples, scale, notes = record
        if (offset + n_samples) * SAMPLE_BYTES <= n_bytes:
            place = Place(offset, n_samples, scale, tuple(notes))
            known[file, start, end] = ((size, changed), place)
    return known


def data_end(known: Index) -> int:
    """The sample behind the last one in use."""
    return max((place.offset + place.n_samples for _, place in known.values()), default=0)


def compact(store: StoreFolder, known: Index) -> Index:
    """Write the store anew without dead space; where the clips lie then."""
    result: Index = {}
    end = 0
    with DataFile(store.data_path) as old, store.rewriting() as (data, journal):
        for key, (stamp, place) in known.items():
            for at, values in _pieces(old, place):
                data.write(values, (end + at) * SAMPLE_BYTES)
            moved = Place(end, place.n_samples, place.scale, place.notes)
            journal.append(to_record(key, list(stamp), moved))
            result[key] = (stamp, moved)
            end += place.n_samples
    return result


def _pieces(data: DataFile, place: Place, n: int = 1 << 20) -> Iterator[tuple[int, NDArray[Any]]]:
    for at in range(0, place.n_samples, n):
        n_bytes = min(n, place.n_samples - at) * SAMPLE_BYTES
        yield at, np.frombuffer(data.read(n_bytes, (place.offset + at) * SAMPLE_BYTES), np.int16)
