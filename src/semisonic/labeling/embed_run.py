"""``embed`` as a run: from a model and recordings to an index folder."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from semisonic.audio.remote import path_text, url_of
from semisonic.classifier.detection.frame_scores import unpacked
from semisonic.classifier.run_files import stamp
from semisonic.core.errors import OptionError
from semisonic.core.files import read_json, replacing, write_csv, write_json
from semisonic.core.options import check
from semisonic.core.parallel import LOCAL, EngineOptions, open_engine
from semisonic.core.text import count_text, duration_text
from semisonic.data.cache import ArrayCache
from semisonic.data.clips import Clips
from semisonic.data.outputs import check_folder, placed, refuse_url
from semisonic.data.sample_store import clip_keys
from semisonic.labeling.embed import (
    HEADER_BYTES,
    BuiltIndex,
    EmbedJob,
    build,
    read_table,
    rows_in_order,
    write_entries,
)
from semisonic.labeling.embedder import Embedder, embedder_of, open_embedder
from semisonic.labeling.index import (
    ABOUT,
    SCORES,
    STORE,
    TABLE,
    VECTORS,
    EmbeddingIndex,
    Failures,
    gather,
    named_from,
)
from semisonic.labeling.options import BATCH_SIZE, WINDOW, EmbedOptions
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.sound_model import SoundModel
from semisonic.training.run_folder import differences

# From a model and recordings to an index: what ``embed`` does.


BAD_FILES = "bad_files.csv"


@dataclass(frozen=True)
class EmbedOutcome:
    """What became of the clips of one call.

    Attributes
    ----------
    index : EmbeddingIndex
    n_clips, n_new : int
        Clips named; those of them that were embedded now.
    failures : tuple of (str, str)
        Clips named that could not be read, and paths that hold nothing.
    """

    index: EmbeddingIndex
    n_clips: int
    n_new: int
    failures: Failures


def make_index(
    embedder: Embedder,
    files: Iterable[str | PathLike[str]] | Clips,
    options: EmbedOptions,
) -> EmbedOutcome:
    """Make an index, or add to one; see :func:`semisonic.embed`.

    Raises
    ------
    DataError
        When no file is found.
    OptionError
        When the folder holds something else, or an index of another model or other windows.
    """
    folder = options.output
    check_folder(folder, "an index", {STORE})
    missing: Failures = ()
    if isinstance(files, Clips):
        clips = named_from(folder, [files])
    else:
        clips, missing = gather(files, folder, labels=options.labels, group=options.group)
    identity = {
        "model": embedder.hash,
        "dim": embedder.dim,
        "per": options.per,
        "hop": options.hop,
    }
    _check_same(folder, identity)
    work = EmbedJob(options.per, options.hop, options.batch_size, options.device, options.workers)
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
        built = build(cache, embedder, clips, work, engine)
        _publish(folder, cache, built, embedder, options)
    failed = {key: entry.reason for key, entry in built.known.items() if entry.reason}
    rows = zip(clip_keys(clips), clips.ids, strict=True)
    bad = tuple((name, failed[key]) for key, name in rows if key in failed)
    index = EmbeddingIndex.open(folder, embedder)
    return EmbedOutcome(index, len(clips), built.n_new, (*missing, *bad))


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
    """
    folder = Path(tempfile.mkdtemp(prefix="semisonic-")) if output is None else Path(output)
    refuse_url(folder)
    named = [files] if isinstance(files, (str, PathLike)) else files
    if not isinstance(named, Clips):
        named = [Path(path) for path in named]
    options = EmbedOptions(
        Path(),
        (),
        folder,
        per,
        hop,
        labels,
        group,
        batch_size,
        EngineOptions(engine, address),
        device=device,
        workers=workers,
    )
    return make_index(_embedder(model), named, options).index


def _embedder(model: Any) -> Embedder:
    if isinstance(model, (str, PathLike)):
        return open_embedder(model)
    found = getattr(model, "model_", model)
    if not isinstance(found, (SoundModel, PretrainedEncoder)):
        raise OptionError(
            f"model: found {type(model).__name__}, expected the file of a model, a fitted "
            "SoundClassifier, or a model"
        )
    return embedder_of(found)


def _check_same(folder: Path, identity: dict[str, Any]) -> None:
    """Refuse another model before anything is locked or read."""
    header = folder / STORE / "store.json"
    if not header.is_file():
        return
    try:
        found = read_json(header)["options"]
    except (ValueError, KeyError, TypeError):
        return  # the store says what is wrong
    changed = differences(found, identity)
    if changed:
        raise OptionError(
            f"{folder}: made with another model or other windows: {'; '.join(changed)}. Choose "
            "another folder"
        )


def _publish(
    folder: Path, cache: ArrayCache, built: BuiltIndex, embedder: Embedder, options: EmbedOptions
) -> None:
    """Write what readers read: vectors, table, description, failures."""
    clusters = _old_clusters(folder, cache.generation)
    with replacing(folder / VECTORS) as part:
        _same_file(cache.data_path, part)
    n_rows = write_entries(folder / TABLE, rows_in_order(built.known), embedder.classes, clusters)
    if embedder.classes and n_rows:
        _write_scores(folder / SCORES, built, (n_rows, len(embedder.classes)))
    bad = sorted((key[0], entry.reason) for key, entry in built.known.items() if entry.reason)
    write_csv(folder / BAD_FILES, ["file", "reason"], bad)
    said = stamp("embed", options)
    about = {
        "format": 1,
        "rows": n_rows,
        "generation": cache.generation,
        "model": embedder.told(),
        "per": options.per,
        "hop": options.hop,
        **{name: said[name] for name in ("created", "versions", "commit")},
    }
    write_json(folder / ABOUT, about)


def _write_scores(path: Path, built: BuiltIndex, shape: tuple[int, int]) -> None:
    with replacing(path) as part:
        table = open_memmap(part, "w+", np.float32, shape)
        row = 0
        for entry in rows_in_order(built.known):
            table[row : row + entry.n] = unpacked(entry.rows["scores"])
            row += entry.n
        table.flush()
        del table


def _same_file(data: Path, path: Path) -> None:
    """A second name of the store's file, so that vectors are on the disk once."""
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
    return read_table(folder / TABLE, folder.resolve(), "").cluster


# ``embed``: recordings to vectors.


@dataclass(frozen=True)
class EmbedResult:
    """What ``embed`` did.

    Attributes
    ----------
    index : EmbeddingIndex
    n_clips, n_new : int
        Clips named; those of them that were embedded now.
    failures : tuple of (str, str)
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
        index = self.index
        clips = f"{count_text(self.n_clips, 'clip')}: {self.n_new} embedded in {duration_text(self.seconds)}"
        if self.n_clips > self.n_new:
            clips += f", {self.n_clips - self.n_new} were there"
        files = count_text(len(set(index.clips.file.tolist())), "recording")
        lines = [clips, f"{count_text(len(index), 'row')} of {index.dim} numbers, {files}"]
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read: see {BAD_FILES}")
        lines.append(f"index: {path_text(self.place)}")
        return "\n".join(lines)


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
    began = time.perf_counter()
    if url_of(options.output) and not all(map(url_of, options.files)):
        raise OptionError(
            "output: found a URL, but recordings of this machine, which an index names from its "
            "folder; give a folder, or recordings by their URLs"
        )
    if not url_of(options.output):
        check_folder(options.output, "an index", {STORE})
    embedder = open_embedder(options.model)
    with placed(options.output) as folder:
        made = make_index(embedder, options.files, dataclasses.replace(options, output=folder))
    return EmbedResult(
        made.index,
        made.n_clips,
        made.n_new,
        made.failures,
        time.perf_counter() - began,
        options.output,
    )
