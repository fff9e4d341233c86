"""``embed``: recordings as rows of vectors, scores and a table, built once and continued after a
stop.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.classifier.detection.frame_scores import packed, unpacked
from semisonic.classifier.scoring import audible_windows
from semisonic.classifier.windows import Done, Windows
from semisonic.core.errors import DataError
from semisonic.core.files import csv_line, replacing, unguarded
from semisonic.core.parallel import LOCAL_ENGINE, Engine, engine_for, in_order
from semisonic.core.progress import bar
from semisonic.data.cache import ArrayCache, CachedRows, Key
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.sample_store import Stamp, clip_keys, file_stamps
from semisonic.labeling.embedder import Embedder, Vectors, embedded_windows
from semisonic.labeling.options import CLIP
from semisonic.training.devices import choose_device

# The head of a ``.npy`` file whose rows are written before their number is known.
#
# It has one length however many rows there are, so rows can be added to the file in place.


HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def header_of(n_rows: int, dim: int) -> bytes:
    """The first bytes of a file of float32, shape (n_rows, dim), as numpy's format 1.0 has them."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {dim}), }}"
    length = HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + length.to_bytes(2, "little") + (text.ljust(length - 1) + "\n").encode("ascii")


# What an index knows of its rows, packed for the cache and unpacked for the table.


Scores = NDArray[np.float64]


def row_type(n_classes: int) -> np.dtype[np.void]:
    """Of each row: seconds in its recording, if it is silent, each class's score as 16 bits."""
    return np.dtype(
        [("start", "<f8"), ("end", "<f8"), ("silent", "?"), ("scores", "<u2", (n_classes,))]
    )


@dataclass(frozen=True)
class IndexRow:
    """A clip of an index.

    Attributes
    ----------
    key : (file, start, end)
    stamp : (size in bytes, time of change in ns)
        Of the file when it was embedded.
    first, n : int
        Its rows; none when it could not be read.
    packed : str
        What is known of them: an array of :func:`row_type`, in base64.
    reason : str
        Why it could not be read, empty if it could.
    labels, group, fold, label_type
        As in :class:`Clips`.
    """

    key: Key
    stamp: Stamp
    first: int
    n: int
    packed: str
    reason: str
    labels: tuple[str, ...]
    group: str
    fold: int
    label_type: str

    @property
    def rows(self) -> NDArray[np.void]:
        """What is known of the rows, shape (n,) of :func:`row_type`."""
        content = b64decode(self.packed)
        n_classes = (len(content) // self.n - row_type(0).itemsize) // 2 if self.n else 0
        return np.frombuffer(content, row_type(n_classes))

    def record(self) -> tuple[Key, Stamp, CachedRows]:
        """The entry as the cache holds it."""
        about = (self.packed, self.reason, self.labels, self.group, self.fold, self.label_type)
        return self.key, self.stamp, CachedRows(self.first, self.n, about)

    @classmethod
    def from_record(cls, key: Key, stamp: tuple[Any, ...], rows: CachedRows) -> IndexRow:
        """Read what :meth:`record` gave."""
        packed, reason, labels, *rest = rows.about
        size, changed = stamp
        return cls(key, (size, changed), rows.first, rows.n, packed, reason, tuple(labels), *rest)

    def told_as(self, clips: Clips, row: int) -> IndexRow:
        """The entry with labels, recording and fold of a row of a table."""
        return replace(self, **described(clips, row))


def described(clips: Clips, row: int) -> dict[str, Any]:
    """What a table says of a clip besides where it is."""
    return {
        "labels": clips.labels[row],
        "group": str(clips.group[row]),
        "fold": int(clips.fold[row]),
        "label_type": str(clips.label_type[row]),
    }


def pack(times: NDArray[np.float64], scores: Scores, silent: NDArray[np.bool_]) -> str:
    """Start and end, shape (n, 2), scores, (n, n_classes), and silence of rows as text."""
    rows = np.zeros(len(times), row_type(scores.shape[1]))
    rows["start"], rows["end"] = times.T
    rows["scores"], rows["silent"] = packed(scores), silent
    return b64encode(rows.tobytes()).decode("ascii")


def known_entries(cache: ArrayCache) -> dict[Key, IndexRow]:
    """The newest entry of each clip."""
    return {item[0]: IndexRow.from_record(*item) for item in cache.items()}


def rows_in_order(known: Mapping[Key, IndexRow]) -> Iterator[IndexRow]:
    """The entries with rows, in the order of their rows."""
    return iter(sorted((e for e in known.values() if e.n), key=lambda entry: entry.first))


# The rows of one clip while its windows are coming: one per window, or their mean.


class RowCollector:
    """What is known of a clip so far.

    Parameters
    ----------
    is_mean : bool
        Whether the clip has one row, the mean of its windows.
    """

    def __init__(self, is_mean: bool) -> None:
        self.is_mean = is_mean
        self.n_windows = 0
        self._times: list[NDArray[np.float64]] = []
        self._scores: list[Scores] = []
        self._silent: list[NDArray[np.bool_]] = []
        self._vectors: list[NDArray[np.float64]] = []  # sums: of silent windows, of the others

    def add(self, item: Windows, vectors: Vectors, scores: Scores) -> None:
        """Add windows: vectors (n, dim), scores (n, class)."""
        self._times.append(item.times)
        self._scores.append(scores)
        self._silent.append(item.is_silent)
        if self.is_mean:
            sums = [
                vectors[rows].sum(axis=0, dtype=np.float64)
                for rows in (item.is_silent, ~item.is_silent)
            ]
            before = self._vectors or [np.zeros(vectors.shape[1])] * 2
            self._vectors = [old + new for old, new in zip(before, sums, strict=True)]
        self.n_windows += len(item.times)

    @property
    def mean(self) -> Vectors:
        """The mean of the vectors that count, shape (1, dim): see :func:`counting`."""
        silent = np.concatenate(self._silent)
        total = self._vectors[0 if silent.all() else 1]
        return np.asarray(total / audible_windows(silent).sum(), np.float32)[None]

    @property
    def n_rows(self) -> int:
        """Rows of the clip."""
        return 1 if self.is_mean and self.n_windows else self.n_windows

    def packed(self) -> str:
        """What is known of the rows, as :class:`semisonic.labeling.embed.IndexRow` keeps it."""
        if not self.n_windows:
            return ""
        times, scores = np.concatenate(self._times), np.concatenate(self._scores)
        silent = np.concatenate(self._silent)
        if self.is_mean:
            times = np.array([[times[0, 0], times[:, 1].max()]])
            scores = scores[audible_windows(silent)].mean(axis=0, keepdims=True)
            silent = np.array([silent.all()])
        return pack(times, scores, silent)


# Embedding one group of clips, here or on a cluster.
#
# What a group gives depends on its clips alone: not on what was embedded before it, nor where.


@dataclass(frozen=True)
class EmbedJob:
    """How clips are embedded: see :class:`EmbedOptions`."""

    per: str
    hop: float | None
    batch_size: int
    device: str
    workers: int | None


@dataclass(frozen=True)
class EmbeddedGroup:
    """Some clips that are neighbours, with what they are known by."""

    clips: Clips
    keys: list[Key]
    stamps: list[Stamp]


Write = Callable[[Vectors, int], None]
"""Takes vectors, shape (n, dim), and the row of the first."""


def embed_group(
    embedder: Embedder, work: EmbedJob, group: EmbeddedGroup, write: Write, end: int
) -> Iterator[IndexRow]:
    """The entries of some clips, in order, their vectors written from row ``end`` on."""
    clip = RowCollector(work.per == CLIP)
    found = embedded_windows(
        embedder,
        group.clips,
        hop=work.hop,
        batch_size=work.batch_size,
        device=work.device,
        workers=work.workers,
    )
    for item, vectors, scores in found:
        if not isinstance(item, Done):
            if not clip.is_mean:
                write(vectors, end + clip.n_windows)
            clip.add(item, vectors, scores)
            continue
        reason = item.reason or ("" if clip.n_windows else "holds no sound")
        n_rows, told = (0, "") if reason else (clip.n_rows, clip.packed())
        if clip.is_mean and n_rows:
            write(clip.mean, end)
        yield IndexRow(
            group.keys[item.row],
            group.stamps[item.row],
            end,
            n_rows,
            told,
            reason,
            **described(group.clips, item.row),
        )
        end += n_rows
        clip = RowCollector(clip.is_mean)


Given = tuple[list[IndexRow], Vectors]


def group_maker(embedder: Embedder, work: EmbedJob) -> Callable[[EmbeddedGroup], Given]:
    """A function that gives the entries and the vectors of a group, rows counted from 0."""
    return partial(_given, embedder, work)


def _given(embedder: Embedder, work: EmbedJob, group: EmbeddedGroup) -> Given:
    pieces: list[tuple[int, Vectors]] = []
    entries = list(
        embed_group(embedder, work, group, lambda rows, at: pieces.append((at, rows)), 0)
    )
    vectors = np.zeros((sum(entry.n for entry in entries), embedder.dim), np.float32)
    for at, rows in pieces:  # rows of a clip that broke off are written over, as in a file
        vectors[at : at + len(rows)] = rows[: max(0, len(vectors) - at)]
    return entries, vectors


# Making an index: recordings to rows of a file, in constant memory, that a kill cannot spoil.
#
# Clips are embedded in groups of neighbours in the table. A group is written down in the cache
# as one line when all its rows are there, so what is left after a kill begins with a whole group:
# the same clips meet in the same batches as if nothing had happened, and every byte is the same.


GROUP_CLIPS = 32
WORTH_PROCESSES = 5000  # clips from which on processes embed them sooner than threads
GROUP_BYTES = 64 << 20
_BYTES_A_SECOND = 4 * 48000  # of a clip that is a part of its recording


@dataclass(frozen=True)
class BuiltIndex:
    """What a build did: the entries of all clips, and how many clips were embedded now."""

    known: Mapping[Key, IndexRow]
    n_new: int


def build(
    cache: ArrayCache,
    embedder: Embedder,
    clips: Clips,
    work: EmbedJob,
    engine: Engine = LOCAL_ENGINE,
) -> BuiltIndex:
    """Embed the clips that the cache does not hold; rows of files that changed are replaced."""
    return _IndexBuild(cache, embedder, clips, work, engine).run()


class _IndexBuild:
    """One build."""

    def __init__(
        self, cache: ArrayCache, embedder: Embedder, clips: Clips, work: EmbedJob, engine: Engine
    ) -> None:
        self.cache, self.embedder, self.clips, self.work = cache, embedder, clips, work
        self.engine = engine
        self.keys = clip_keys(clips)
        self.stamps: list[Stamp] = [(int(a), int(b)) for a, b in file_stamps(clips)]

    def run(self) -> BuiltIndex:
        """Embed what is missing, and write how many rows there are."""
        now = dict(zip(self.keys, self.stamps, strict=True))
        items = self.cache.items()
        stale = {key for key, stamp, _ in items if now.get(key, stamp) != stamp}
        if any(rows.n for key, _, rows in items if key in stale):
            good = [item for item in items if item[0] not in stale]
            self.cache.move(sorted(good, key=lambda item: (not item[2].n, item[2].first)))
        known = {key: row for key, row in known_entries(self.cache).items() if key not in stale}
        self._tell_labels(known)
        n_new = self._embed_rest(known)
        n_rows = _end(known)
        self.cache.resize(n_rows)
        self.cache.data.write(np.frombuffer(header_of(n_rows, self.embedder.dim), np.uint8), 0)
        self.cache.flush()
        self.cache.data.sync()
        return BuiltIndex(known, n_new)

    def _tell_labels(self, known: dict[Key, IndexRow]) -> None:
        """Labels, recordings and folds of clips that are named again are those of now."""
        changed = []
        for row, key in enumerate(self.keys):
            if key in known and (now := known[key].told_as(self.clips, row)) != known[key]:
                known[key] = now
                changed.append(now.record())
        self.cache.add(*changed)

    def _embed_rest(self, known: dict[Key, IndexRow]) -> int:
        rest = [row for row, key in enumerate(self.keys) if key not in known]
        end = _end(known)
        groups, engine = map(self._group, self._groups(rest)), self._engine_for(rest)
        with (
            bar(len(self.keys), "embed", "clip", initial=len(self.keys) - len(rest)) as shown,
            closing(self._embedded(groups, end, shown.update, engine)) as found,
        ):
            for entries in found:
                known.update((entry.key, entry) for entry in entries)
                self.cache.add(*(entry.record() for entry in entries))
        return len(rest)

    def _engine_for(self, rest: list[int]) -> Engine:
        """Processes for many clips on the processor; the engine asked for otherwise."""
        on_processor = choose_device(self.work.device).type == "cpu"
        worth = WORTH_PROCESSES if on_processor else len(rest) + 1
        return engine_for(self.engine, len(rest), worth, self.work.workers)

    def _embedded(
        self,
        groups: Iterator[EmbeddedGroup],
        end: int,
        update: Callable[[int], object],
        engine: Engine,
    ) -> Generator[list[IndexRow], None, None]:
        """The entries of each group, in order, whose vectors are written from row ``end`` on."""

        write, work = self.cache.write, self.work
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

    def _group(self, rows: list[int]) -> EmbeddedGroup:
        keys, stamps = [self.keys[row] for row in rows], [self.stamps[row] for row in rows]
        return EmbeddedGroup(self.clips[np.array(rows)], keys, stamps)

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


def _end(known: Mapping[Key, IndexRow]) -> int:
    """The row behind the last one in use."""
    return max((entry.first + entry.n for entry in known.values()), default=0)


# ``index.csv``: what is known of each row of ``embeddings.npy``.


COLUMNS = (
    "row",
    "file",
    "start_time",
    "end_time",
    "label",
    "predicted",
    "score",
    "cluster",
    "group",
    "fold",
    "label_type",
)
NO_CLUSTER = -1


@dataclass(frozen=True)
class IndexTable:
    """The columns of an index.

    Attributes
    ----------
    clips : Clips
        A row a vector.
    predicted : ndarray of str, shape (n,)
        The best class; empty where the model names none, and in digital silence.
    score : ndarray of float64, shape (n,)
        Its score, 0 to 1; NaN where there is none.
    cluster : ndarray of int64, shape (n,)
        From 0; -1 for an outlier, or where no clusters were made.
    """

    clips: Clips
    predicted: NDArray[np.str_]
    score: NDArray[np.float64]
    cluster: NDArray[np.int64]


def write_entries(
    path: Path, entries: Iterable[IndexRow], classes: Sequence[str], clusters: NDArray[np.int64]
) -> int:
    """Write the rows of all entries; those beyond ``clusters`` have none. The number of rows."""
    number = 0
    with _writing(path) as write:
        for entry in entries:
            rows = entry.rows
            table = unpacked(rows["scores"])
            columns = rows["start"], rows["end"], rows["silent"], table
            for start, end, silent, scores in zip(*columns, strict=True):
                cluster = clusters[number] if number < len(clusters) else NO_CLUSTER
                best = int(scores.argmax()) if len(scores) and not silent else None
                write(
                    number,
                    entry.key[0],
                    start,
                    end,
                    entry.labels,
                    "" if best is None else classes[best],
                    np.nan if best is None else scores[best],
                    int(cluster),
                    entry.group,
                    entry.fold,
                    entry.label_type,
                )
                number += 1
    return number


def write_table(path: Path, table: IndexTable) -> None:
    """Write a table that was read, as with other clusters."""
    clips = table.clips
    columns = zip(
        clips.file,
        clips.start_time,
        clips.end_time,
        clips.labels,
        table.predicted,
        table.score,
        table.cluster.tolist(),
        clips.group,
        clips.fold.tolist(),
        clips.label_type,
        strict=True,
    )
    with _writing(path) as write:
        for number, cells in enumerate(columns):
            write(number, *cells)


def read_table(path: Path, root: Path, name: str) -> IndexTable:
    """Read what was written; files are named from ``root``.

    Raises
    ------
    DataError
        When it is no table of an index.
    """
    # object: strings that pyarrow holds, where it is installed, cannot be names of any bytes
    text = dict.fromkeys(("file", "label", "predicted", "group", "label_type"), object)
    try:
        frame = pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,
            encoding_errors="surrogateescape",
            na_values={column: [""] for column in ("score", "cluster", "fold")},
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as the table of an index: {error}") from error
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing or frame["row"].tolist() != list(range(len(frame))):
        what = f"no column '{missing[0]}'" if missing else "rows that are not numbered in order"
        raise DataError(f"{path}: found {what}; 'semisonic embed' writes the table anew")
    for column in text:
        cells = [unguarded(cell) for cell in frame[column]]
        frame[column] = pd.Series(cells, dtype=object)
    labels = tuple(tuple(filter(None, cell.split(LABEL_SEPARATOR))) for cell in frame["label"])
    clips = Clips(
        root=root,
        file=frame["file"].to_numpy().astype(np.str_),
        start_time=frame["start_time"].to_numpy(np.float64),
        end_time=frame["end_time"].to_numpy(np.float64),
        labels=labels,
        group=frame["group"].to_numpy().astype(np.str_),
        fold=frame["fold"].fillna(0).to_numpy(np.int64),
        classes=tuple(sorted({label for row in labels for label in row})),
        name=name,
        label_type=frame["label_type"].to_numpy().astype(np.str_),
    )
    return IndexTable(
        clips,
        frame["predicted"].to_numpy().astype(np.str_),
        frame["score"].to_numpy(np.float64),
        frame["cluster"].fillna(NO_CLUSTER).to_numpy(np.int64),
    )


@contextmanager
def _writing(path: Path) -> Iterator[Callable[..., None]]:
    """A function that writes a row, in the order of ``COLUMNS``."""
    with (
        replacing(path) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        stream.write(csv_line(COLUMNS))

        def write(
            number: int,
            file: str,
            start: float,
            end: float,
            labels: Sequence[str],
            best: str,
            score: float,
            cluster: int,
            group: str,
            fold: int,
            kind: str,
        ) -> None:
            stream.write(
                csv_line(
                    [
                        number,
                        file,
                        f"{start:.3f}",
                        f"{end:.3f}",
                        LABEL_SEPARATOR.join(labels),
                        best,
                        f"{score:.4f}" if best else "",
                        "" if cluster == NO_CLUSTER else cluster,
                        group,
                        fold or "",
                        kind,
                    ]
                )
            )

        yield write
