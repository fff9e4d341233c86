"""Making an index: recordings to rows of a file, in constant memory, that a kill cannot spoil.

Clips are embedded in groups of neighbours in the table. A group is written down in the journal
as one line when all its rows are there, so what is left after a kill begins with a whole group:
the same clips meet in the same batches as if nothing had happened, and every byte is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.store_folder import DataFile, StoreFolder
from semisonic.data.store_index import Key, Stamp, clip_keys, file_stamps
from semisonic.inference.pipeline import Done
from semisonic.labeling.batching import embedded_windows
from semisonic.labeling.collecting import Collected
from semisonic.labeling.embed_options import CLIP
from semisonic.labeling.embedder import Embedder
from semisonic.labeling.npy import HEADER_BYTES, header_of
from semisonic.labeling.rows import Entry, described, in_order, known_entries, pack

GROUP_CLIPS = 32
GROUP_BYTES = 64 << 20
_BYTES_A_SECOND = 4 * 48000  # of a clip that is a part of its recording
_PIECE = 1 << 22


@dataclass(frozen=True)
class Work:
    """How clips are embedded: see :class:`EmbedOptions`."""

    per: str
    hop: float | None
    batch_size: int
    device: str
    workers: int | None


@dataclass(frozen=True)
class Built:
    """What a build did: the entries of all clips, and how many clips were embedded now."""

    known: Mapping[Key, Entry]
    n_new: int


def build(store: StoreFolder, embedder: Embedder, clips: Clips, work: Work) -> Built:
    """Embed the clips that the store does not hold; rows of files that changed are replaced."""
    return _Build(store, embedder, clips, work).run()


class _Build:
    """One build."""

    def __init__(self, store: StoreFolder, embedder: Embedder, clips: Clips, work: Work) -> None:
        self.store, self.embedder, self.clips, self.work = store, embedder, clips, work
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
            for entry in [*in_order(kept), *(e for e in kept.values() if not e.n)]:
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
        with bar(len(self.keys), "embed", "clip", initial=len(self.keys) - len(rest)) as shown:
            for rows in self._groups(rest):
                entries = []
                for entry in self._embed(data, rows, end):
                    entries.append(entry)
                    end = entry.first + entry.n
                    shown.update()
                known.update((entry.key, entry) for entry in entries)
                journal.append([entry.record() for entry in entries])
        return len(rest)

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

    def _embed(self, data: DataFile, rows: list[int], end: int) -> Iterator[Entry]:
        """The entries of some clips, in order, their rows written from row ``end`` on."""
        work = self.work
        clip = Collected(work.per == CLIP)
        found = embedded_windows(
            self.embedder, self.clips[np.array(rows)], hop=work.hop, batch_size=work.batch_size,
            device=work.device, workers=work.workers,
        )  # fmt: skip
        for item, vectors, scores in found:
            if not isinstance(item, Done):
                if not clip.is_mean:
                    data.write(vectors, self._place(end + clip.n_windows))
                clip.add(item.times, vectors, scores)
                continue
            reason = item.reason or ("" if clip.n_windows else "holds no sound")
            told = [] if reason else clip.told()
            if clip.is_mean and told:
                data.write(clip.mean, self._place(end))
            row = rows[item.row]
            yield Entry(
                self.keys[row], self.stamps[row], end, len(told), pack(told), reason,
                **described(self.clips, row),
            )  # fmt: skip
            end += len(told)
            clip = Collected(clip.is_mean)


def _end(known: Mapping[Key, Entry]) -> int:
    """The row behind the last one in use."""
    return max((entry.first + entry.n for entry in known.values()), default=0)
