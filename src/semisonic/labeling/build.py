"""Making an index: recordings to rows of a file, in constant memory, that a kill cannot spoil.

Clips are embedded in groups of neighbours in the table. A group is written down in the journal
as one line when all its rows are there, so what is left after a kill begins with a whole group:
the same clips meet in the same batches as if nothing had happened, and every byte is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.store_decode import Key
from semisonic.data.store_folder import DataFile, StoreFolder
from semisonic.data.store_index import Stamp, clip_keys, file_stamps
from semisonic.engines import LOCAL_ENGINE, Engine, in_order, spread
from semisonic.labeling.embedder import Embedder, Vectors
from semisonic.labeling.groups import Group, Work, embed_group, group_maker
from semisonic.labeling.npy import HEADER_BYTES, header_of
from semisonic.labeling.rows import Entry, known_entries
from semisonic.labeling.rows import in_order as rows_in_order
from semisonic.training import choose_device

GROUP_CLIPS = 32
WORTH_PROCESSES = 5000  # clips from which on processes embed them sooner than threads
GROUP_BYTES = 64 << 20
_BYTES_A_SECOND = 4 * 48000  # of a clip that is a part of its recording
_PIECE = 1 << 22


@dataclass(frozen=True)
class Built:
    """What a build did: the entries of all clips, and how many clips were embedded now."""

    known: Mapping[Key, Entry]
    n_new: int


def build(
    store: StoreFolder, embedder: Embedder, clips: Clips, work: Work, engine: Engine = LOCAL_ENGINE
) -> Built:
    """Embed the clips that the store does not hold; rows of files that changed are replaced."""
    return _Build(store, embedder, clips, work, engine).run()


class _Build:
    """One build."""

    def __init__(
        self, store: StoreFolder, embedder: Embedder, clips: Clips, work: Work, engine: Engine
    ) -> None:
        self.store, self.embedder, self.clips, self.work = store, embedder, clips, work
        self.engine = engine
        self.row_bytes = 4 * embedder.dim
        self.keys = clip_keys(clips)
        self.stamps: list[Stamp] = [(int(a), int(b)) for a, b in file_stamps(clips)]

    def run(self) -> Built:
        """Embed, tell the journal, and write how many rows there are."""
        with self.store.writing() as (data, journal):
            rows = max(0, data.size() - HEADER_BYTES) // self.row_bytes
            known = known_entries(journal, rows)
        now = dict(zip(self.keys, self.stamps, strict=True))
        stale = [key for key, entry in known.items() if now.get(key, entry.stamp) != entry.stamp]
        holes = any(known.pop(key).n for key in stale)
        if holes:
            known = self._rewrite(known)
        with self.store.writing() as (data, journal):
            self._tell_labels(journal, known)
            n_new = self._embed_rest(data, journal, known)
            journal.flush()
            n_rows = _end(known)
            data.resize(self._place(n_rows))
            data.write(np.frombuffer(header_of(n_rows, self.embedder.dim), np.uint8), 0)
            data.sync()
        return Built(known, n_new)

    def _rewrite(self, kept: Mapping[Key, Entry]) -> dict[Key, Entry]:
        """Copy the rows that are still good, closed up, into new files."""
        result: dict[Key, Entry] = {}
        end = 0
        with DataFile(self.store.data_path) as old, self.store.rewriting() as (data, journal):
            for entry in [*rows_in_order(kept), *(e for e in kept.values() if not e.n)]:
                n_bytes = entry.n * self.row_bytes
                for at in range(0, n_bytes, _PIECE):
                    piece = old.read(min(_PIECE, n_bytes - at), self._place(entry.first) + at)
                    data.write(np.frombuffer(piece, np.uint8), self._place(end) + at)
                result[entry.key] = replace(entry, first=end)
                journal.append([result[entry.key].record()])
                end += entry.n
        return result

    def _place(self, row: int) -> int:
        return HEADER_BYTES + row * self.row_bytes

    def _tell_labels(self, journal: Journal, known: dict[Key, Entry]) -> None:
        """Labels, recordings and folds of clips that are named again are those of now."""
        changed = []
        for row, key in enumerate(self.keys):
            if key in known and (now := known[key].told_as(self.clips, row)) != known[key]:
                known[key] = now
                changed.append(now.record())
        if changed:
            journal.append(changed)

    def _embed_rest(self, data: DataFile, journal: Journal, known: dict[Key, Entry]) -> int:
        rest = [row for row, key in enumerate(self.keys) if key not in known]
        end = _end(known)
        groups, engine = map(self._group, self._groups(rest)), self._engine_for(rest)
        with (
            bar(len(self.keys), "embed", "clip", initial=len(self.keys) - len(rest)) as shown,
            closing(self._embedded(groups, data, end, shown.update, engine)) as found,
        ):
            for entries in found:
                known.update((entry.key, entry) for entry in entries)
                journal.append([entry.record() for entry in entries])
        return len(rest)

    def _engine_for(self, rest: list[int]) -> Engine:
        """Processes for many clips on the processor; the engine asked for otherwise."""
        on_processor = choose_device(self.work.device).type == "cpu"
        worth = WORTH_PROCESSES if on_processor else len(rest) + 1
        return spread(self.engine, len(rest), worth, self.work.workers)

    def _embedded(
        self,
        groups: Iterator[Group],
        data: DataFile,
        end: int,
        update: Callable[[int], object],
        engine: Engine,
    ) -> Generator[list[Entry], None, None]:
        """The entries of each group, in order, whose vectors are written from row ``end`` on."""

        def write(vectors: Vectors, row: int) -> None:
            data.write(vectors, self._place(row))

        work = self.work
        if engine.in_threads:
            for group in groups:
                entries = []
                for entry in embed_group(self.embedder, work, group, write, end):
                    entries.append(entry)
                    end = entry.first + entry.n
                    update(1)
                yield entries
            return
        device = "cpu" if work.device == "auto" else work.device
        make = partial(group_maker, self.embedder, replace(work, device=device, workers=1))
        with engine.calls(make, workers=work.workers, device=device) as calls:
            for entries, vectors in in_order(calls, groups):
                if len(vectors):
                    write(vectors, end)
                yield [replace(entry, first=end + entry.first) for entry in entries]
                end += len(vectors)
                update(len(entries))

    def _group(self, rows: list[int]) -> Group:
        keys, stamps = [self.keys[row] for row in rows], [self.stamps[row] for row in rows]
        return Group(self.clips[np.array(rows)], keys, stamps)

    def _groups(self, rest: list[int]) -> Iterator[list[int]]:
        """Neighbours whose files are not too large together; a long recording stands alone."""
        group: list[int] = []
        size = 0
        for row in rest:
            own = self._size(row)
            if group and (len(group) == GROUP_CLIPS or size + own > GROUP_BYTES):
                yield group
                group, size = [], 0
            group.append(row)
            size += own
        if group:
            yield group

    def _size(self, row: int) -> int:
        length = float(self.clips.end_time[row] - self.clips.start_time[row])
        size = max(0, self.stamps[row][0])
        return size if np.isnan(length) else min(size, int(_BYTES_A_SECOND * length))


def _end(known: Mapping[Key, Entry]) -> int:
    """The row behind the last one in use."""
    return max((entry.first + entry.n for entry in known.values()), default=0)
