"""``embed``: recordings as rows of vectors, scores and a table, built once and continued after a
stop.

Clips are embedded in groups of neighbours in the table. A group is written down in the cache as
one line when all its rows are there, so what is left after a kill begins with a whole group: the
same clips meet in the same batches as if nothing had happened, and every byte is the same. What a
group gives depends on its clips alone, not on what was embedded before it, nor where.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from semisonic.audio.remote import path_text, url_of
from semisonic.classifier.detection.frame_scores import packed, unpacked
from semisonic.classifier.run_files import stamp
from semisonic.core.cluster import open_engine
from semisonic.core.errors import OptionError
from semisonic.core.files import read_json, replacing, write_csv
from semisonic.core.options import LOCAL, EngineOptions, check
from semisonic.core.parallel import Engine, engine_for, in_order
from semisonic.core.progress import bar
from semisonic.core.text import count_text, duration_text
from semisonic.data.cache import ArrayCache, CachedRows, Key
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures, gather, named_from
from semisonic.data.outputs import check_folder, placed, refuse_url
from semisonic.data.sample_store import Stamp, clip_keys, file_stamps
from semisonic.labeling.embedder import Embedder, Vectors, embed_windows, open_embedder
from semisonic.labeling.index import (
    ABOUT,
    NO_CLUSTER,
    SCORES,
    STORE,
    TABLE,
    VECTORS,
    EmbeddingIndex,
    IndexTable,
    write_about,
)
from semisonic.labeling.options import BATCH_SIZE, CLIP, WINDOW, EmbedOptions
from semisonic.training.devices import choose_device
from semisonic.training.run_folder import differences

BAD_FILES = "bad_files.csv"
GROUP_CLIPS = 32
GROUP_BYTES = 64 << 20
WORTH_PROCESSES = 5000
"""Clips from which on processes embed them sooner than threads."""
_BYTES_A_SECOND = 4 * 48000  # of a clip that is a part of its recording


@dataclass(frozen=True)
class EmbedResult:
    """What ``embed`` did.

    Attributes
    ----------
    index : EmbeddingIndex
    n_clips, n_new : int
        Clips named; those of them that were embedded now.
    failures : tuple of (str, str)
        Clips named that could not be read, and paths that hold nothing.
    seconds : float
    place : Path
        The folder of the index, or its URL; then ``index`` was read from a copy that is gone.
    """

    index: EmbeddingIndex
    n_clips: int
    n_new: int
    failures: Failures
    seconds: float
    place: Path

    def summary(self) -> str:
        """For a terminal."""
        index, took = self.index, duration_text(self.seconds)
        clips = f"{count_text(self.n_clips, 'clip')}: {self.n_new} embedded in {took}"
        if self.n_clips > self.n_new:
            clips += f", {self.n_clips - self.n_new} were there"
        files = count_text(len(set(index.clips.file.tolist())), "recording")
        lines = [clips, f"{count_text(len(index), 'row')} of {index.dim} numbers, {files}"]
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read: see {BAD_FILES}")
        lines.append(f"index: {path_text(self.place)}")
        return "\n".join(lines)


def embed(
    model: Any,
    files: Iterable[str | PathLike[str]] | str | PathLike[str] | Clips,
    output: str | PathLike[str] | None = None,
    *,
    per: str = WINDOW,
    hop: float | None = None,
    labels: str = "auto",
    group: str = "auto",
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    workers: int | None = None,
    engine: str = LOCAL,
    address: str | None = None,
) -> EmbeddingIndex:
    """Turn recordings into an index of vectors; what it holds already is not embedded again.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel or PretrainedEncoder
        A fitted classifier or an encoder, or the file of one.
    files : path, paths or Clips
        Recordings, folders, tables of clips. A recording that cannot be read disturbs no other:
        ``bad_files.csv`` in the folder lists it.
    output : path, optional
        Folder of the index; a new temporary one by default, which stays until you delete it.
    per : {"window", "clip"}
        A row for each window of the model's clip length, or for each clip.
    hop : float, optional
        Seconds between windows; the model's clip length by default.
    labels, group : str
        How folders and tables are read: see :func:`semisonic.load_clips`.
    batch_size : int
        Windows embedded at once.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    workers : int, optional
        Threads or processes; by default as many as there are processors.
    engine : {"local", "ray"}
        This machine, or a Ray cluster.
    address : str, optional
        Of the Ray cluster: see :class:`semisonic.core.parallel.EngineOptions`.

    Returns
    -------
    EmbeddingIndex

    Raises
    ------
    DataError
        When no file is found.
    OptionError
        When the folder holds something else, or an index of another model or other windows.

    Examples
    --------
    ::

        index = semisonic.embed("runs/birds", "recordings", "runs/index")
        index.search("example.wav", k=5)
    """
    folder = Path(tempfile.mkdtemp(prefix="semisonic-")) if output is None else Path(output)
    refuse_url(folder)
    named = [files] if isinstance(files, (str, PathLike)) else files
    options = EmbedOptions(
        model=Path(),
        files=(),
        output=folder,
        per=per,
        hop=hop,
        labels=labels,
        group=group,
        batch_size=batch_size,
        device=device,
        workers=workers,
        where=EngineOptions(engine, address),
    )
    return make_index(open_embedder(model), named, options).index


def run_embed(options: EmbedOptions) -> EmbedResult:
    """Make an index, or add to one what it does not hold.

    Raises
    ------
    DataError
        When no file is found.
    ModelError
        When the model file is missing or damaged.
    OptionError
        When the folder holds something else, or an index of another model or other windows.
    """
    check(options)
    if url_of(options.output) and not all(map(url_of, options.files)):
        raise OptionError(
            "output: found a URL, but recordings of this machine, which an index names from its "
            "folder; give a folder, or recordings by their URLs"
        )
    if not url_of(options.output):
        check_folder(options.output, "an index", {STORE})
    embedder = open_embedder(options.model)
    with placed(options.output) as folder:
        result = make_index(embedder, options.files, replace(options, output=folder))
    return replace(result, place=options.output)


def make_index(
    embedder: Embedder, files: Iterable[str | PathLike[str]] | Clips, options: EmbedOptions
) -> EmbedResult:
    """Make an index, or add to one, with a model at hand; see :func:`embed`.

    Parameters
    ----------
    embedder : Embedder
    files : paths or Clips
    options : EmbedOptions
        Of which ``model`` and ``files`` are not read.

    Raises
    ------
    DataError
        When no file is found.
    OptionError
        When the folder holds something else, or an index of another model or other windows.
    """
    began = time.perf_counter()
    folder = options.output
    check_folder(folder, "an index", {STORE})
    missing: Failures = ()
    if isinstance(files, Clips):
        clips = named_from(folder, [files])
    else:
        clips, missing = gather(
            files, folder, labels=options.labels, group=options.group, purpose="embed"
        )
    identity = {
        "model": embedder.hash,
        "dim": embedder.dim,
        "per": options.per,
        "hop": options.hop,
    }
    _check_same(folder, identity)
    with (
        open_engine(options.where) as engine,
        ArrayCache.open(
            folder / STORE,
            "embeddings",
            identity,
            row_bytes=4 * embedder.dim,
            header_bytes=HEADER_BYTES,
        ) as cache,
    ):
        n_new = _embed_missing(cache, embedder, clips, options, engine)
        _publish(folder, cache, embedder, options)
        reasons = {key: rows.about["reason"] for key, _, rows in cache.items()}
    named = zip(clip_keys(clips), clips.ids, strict=True)
    bad = tuple((name, reasons[key]) for key, name in named if reasons[key])
    index = EmbeddingIndex.open(folder, embedder)
    seconds = time.perf_counter() - began
    return EmbedResult(index, len(clips), n_new, (*missing, *bad), seconds, folder)


def _check_same(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse another model before anything is locked or read."""
    header = folder / STORE / "store.json"
    if not header.is_file():
        return
    try:
        found = read_json(header)["options"]
    except (ValueError, KeyError, TypeError):
        return  # the cache says what is wrong
    changed = differences(found, identity)
    if changed:
        raise OptionError(
            f"{folder}: made with another model or other windows: {'; '.join(changed)}. Choose "
            "another folder"
        )


# Embedding what the cache does not hold. The value of a clip in the cache is a mapping: ``rows``
# (see ``_pack``), ``reason`` (why it could not be read), and what the table says of the clip.


def _embed_missing(
    cache: ArrayCache, embedder: Embedder, clips: Clips, options: EmbedOptions, engine: Engine
) -> int:
    """Embed clips that are new or have changed; how many."""
    keys = clip_keys(clips)
    stamps: list[Stamp] = [(int(a), int(b)) for a, b in file_stamps(clips)]
    now = dict(zip(keys, stamps, strict=True))
    items = cache.items()
    stale = {key for key, version, _ in items if now.get(key, version) != version}
    if any(rows.n for key, _, rows in items if key in stale):
        good = [item for item in items if item[0] not in stale]
        cache.move(sorted(good, key=lambda item: (not item[2].n, item[2].first)))
    changed, missing = [], []
    for row, (key, stamp_) in enumerate(zip(keys, stamps, strict=True)):
        rows = cache.find(key, stamp_)
        if rows is None:
            missing.append(row)
            continue
        about = {**rows.about, **_described(clips, row)}  # labels and folds are those of now
        if about != rows.about:
            changed.append((key, stamp_, replace(rows, about=about)))
    cache.add(*changed)
    groups = list(_groups(clips, stamps, missing))
    end, n = cache.end, len(clips)
    with ExitStack() as stack:
        shown = stack.enter_context(bar(n, "embed", "clip", initial=n - len(missing)))
        parts = (clips[np.array(group)] for group in groups)
        found = _embedded(stack, embedder, options, engine, parts, len(missing))
        for group, (abouts, vectors) in zip(groups, found, strict=True):
            cache.write(vectors, end)
            records = []
            for row, (n_rows, about) in zip(group, abouts, strict=True):
                about |= _described(clips, row)
                records.append((keys[row], stamps[row], CachedRows(end, n_rows, about)))
                end += n_rows
            cache.add(*records)
            shown.update(len(group))
    cache.resize(end)
    cache.data.write(np.frombuffer(_npy_header(end, embedder.dim), np.uint8), 0)
    cache.flush()
    cache.data.sync()
    return len(missing)


_EmbeddedGroup = tuple[list[tuple[int, dict[str, Any]]], Vectors]


def _embedded(
    stack: ExitStack,
    embedder: Embedder,
    options: EmbedOptions,
    engine: Engine,
    groups: Iterator[Clips],
    n_clips: int,
) -> Iterator[_EmbeddedGroup]:
    """The groups of clips embedded, in their order: by processes where it is worth it."""
    on_processor = choose_device(options.device).type == "cpu"
    worth = WORTH_PROCESSES if on_processor else n_clips + 1
    engine = engine_for(engine, n_clips, worth, options.workers)
    if engine.in_threads:
        return map(partial(_embed_group, embedder, options), groups)
    device = "cpu" if options.device == "auto" else options.device
    alone = replace(options, device=device, workers=1)
    calls = engine.calls(
        partial(partial, _embed_group, embedder, alone), workers=options.workers, device=device
    )
    return in_order(stack.enter_context(calls), groups)


def _embed_group(embedder: Embedder, options: EmbedOptions, clips: Clips) -> _EmbeddedGroup:
    """How many rows each clip has, with what is known of them, and the vectors of all."""
    abouts, vectors = [], [np.zeros((0, embedder.dim), np.float32)]
    for clip in embed_windows(
        embedder,
        clips,
        hop=options.hop,
        batch_size=options.batch_size,
        device=options.device,
        workers=options.workers,
    ):
        rows = clip.mean() if options.per == CLIP and not clip.reason else clip
        text = _pack(rows.times, rows.scores, rows.silent)
        abouts.append((len(rows.times), {"rows": text, "reason": clip.reason}))
        vectors.append(rows.vectors)
    return abouts, np.concatenate(vectors)


def _described(clips: Clips, row: int) -> dict[str, Any]:
    """What a table says of a clip besides where it is."""
    return {
        "labels": list(clips.labels[row]),
        "group": str(clips.group[row]),
        "fold": int(clips.fold[row]),
        "label_type": str(clips.label_type[row]),
    }


def _groups(clips: Clips, stamps: Sequence[Stamp], rows: Iterable[int]) -> Iterator[list[int]]:
    """Neighbours whose files are not too large together; a long recording stands alone."""
    group: list[int] = []
    size = 0
    for row in rows:
        own = max(0, stamps[row][0])
        length = float(clips.end_time[row] - clips.start_time[row])
        if length == length:
            own = min(own, int(_BYTES_A_SECOND * length))
        if group and (len(group) == GROUP_CLIPS or size + own > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += own
    if group:
        yield group


def _row_type(n_classes: int) -> np.dtype[np.void]:
    """Of each row: seconds in its recording, if it is silent, each class's score as 16 bits."""
    return np.dtype(
        [("start", "<f8"), ("end", "<f8"), ("silent", "?"), ("scores", "<u2", (n_classes,))]
    )


def _pack(
    times: NDArray[np.float64], scores: NDArray[np.float64], silent: NDArray[np.bool_]
) -> str:
    """Start and end, shape (n, 2), scores, (n, n_classes), and silence of rows as text."""
    rows = np.zeros(len(times), _row_type(scores.shape[1]))
    rows["start"], rows["end"] = times.T
    rows["scores"], rows["silent"] = packed(scores), silent
    return b64encode(rows.tobytes()).decode("ascii")


# The head of a ``.npy`` file has one length however many rows there are, so rows can be added to
# the file in place.


HEADER_BYTES = 128
_MAGIC = b"\x93NUMPY\x01\x00"


def _npy_header(n_rows: int, dim: int) -> bytes:
    """The first bytes of a file of float32, shape (n_rows, dim), as numpy's format 1.0 has them."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {dim}), }}"
    length = HEADER_BYTES - len(_MAGIC) - 2
    return _MAGIC + length.to_bytes(2, "little") + (text.ljust(length - 1) + "\n").encode("ascii")


# What readers read: vectors, table, scores, description, failures.


def _publish(folder: Path, cache: ArrayCache, embedder: Embedder, options: EmbedOptions) -> None:
    clusters = _old_clusters(folder, cache.generation)
    with replacing(folder / VECTORS) as part:
        _link(cache.data_path, part)
    items = cache.items()
    table = _write_scores(folder, [item for item in items if item[2].n], embedder.classes)
    table.cluster[: len(clusters)] = clusters
    table.write(folder / TABLE)
    bad = ((key[0], rows.about["reason"]) for key, _, rows in items if rows.about["reason"])
    write_csv(folder / BAD_FILES, ["file", "reason"], sorted(bad))
    made = stamp("embed", options)
    write_about(
        folder,
        len(table.clips),
        embedder.describe(),
        options.per,
        options.hop,
        generation=cache.generation,
        **{name: made[name] for name in ("created", "versions", "commit")},
    )


def _write_scores(
    folder: Path, items: list[tuple[Key, Stamp, CachedRows]], classes: Sequence[str]
) -> IndexTable:
    """Write the scores of all rows; the table of the index, without clusters."""
    items = sorted(items, key=lambda item: item[2].first)
    n, n_classes = sum(rows.n for _, _, rows in items), len(classes)
    times, score = np.zeros((n, 2)), np.full(n, np.nan)
    predicted = np.full(n, "", dtype=object)
    with ExitStack() as stack:
        scores: np.memmap[Any, np.dtype[np.float32]] | None = None
        if n and n_classes:
            part = stack.enter_context(replacing(folder / SCORES))
            scores = open_memmap(part, "w+", np.float32, (n, n_classes))
        for _, _, rows in items:
            own = slice(rows.first, rows.first + rows.n)
            known = np.frombuffer(b64decode(rows.about["rows"]), _row_type(n_classes))
            times[own] = np.stack([known["start"], known["end"]], axis=1)
            if scores is not None:
                scores[own] = found = unpacked(known["scores"])
                best = found.argmax(axis=1)
                predicted[own] = np.where(known["silent"], "", np.array(classes)[best])
                score[own] = np.where(known["silent"], np.nan, found.max(axis=1))
        if scores is not None:
            scores.flush()
            del scores
    owner = np.repeat(np.arange(len(items)), np.array([rows.n for _, _, rows in items], np.int64))
    abouts = [rows.about for _, _, rows in items]
    labels = [tuple(about["labels"]) for about in abouts]
    clips = Clips(
        root=folder.resolve(),
        file=np.array([key[0] for key, _, _ in items], np.str_)[owner],
        start_time=times[:, 0],
        end_time=times[:, 1],
        labels=tuple(labels[i] for i in owner),
        group=np.array([about["group"] for about in abouts], np.str_)[owner],
        fold=np.array([about["fold"] for about in abouts], np.int64)[owner],
        label_type=np.array([about["label_type"] for about in abouts], np.str_)[owner],
        classes=tuple(sorted({label for names in labels for label in names})),
        name="recordings",
    )
    return IndexTable(clips, predicted.astype(np.str_), score, np.full(n, NO_CLUSTER))


def _link(data: Path, path: Path) -> None:
    """A second name of the cache's file, so that vectors are on the disk once."""
    try:
        os.link(data, path)
    except OSError:  # a file system without such names
        shutil.copyfile(data, path)


def _old_clusters(folder: Path, generation: int) -> NDArray[np.int64]:
    """Clusters of the rows that were there; none when rows have got other numbers."""
    if not ((folder / TABLE).is_file() and (folder / ABOUT).is_file()):
        return np.zeros(0, np.int64)
    if read_json(folder / ABOUT)["generation"] != generation:
        return np.zeros(0, np.int64)
    return IndexTable.read(folder / TABLE, folder.resolve(), "").cluster
