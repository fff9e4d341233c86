"""``embed``: recordings as vectors, scores and a table, computed once and continued after a stop.

Clips are embedded in groups of neighbours in the table. A complete group becomes one line in the
cache, so after a kill the rest begins with a whole group: batches have the same clips, and every
byte is the same. The result of a group depends only on its clips.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import path_text, url_of
from semisonic.classifier.run_files import stamp
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json, write_csv
from semisonic.core.options import LOCAL, EngineOptions, check, nearest
from semisonic.core.parallel import LOCAL_ENGINE, Engine, engine_for, in_order
from semisonic.core.progress import bar
from semisonic.core.temporary import temporary_folder
from semisonic.core.text import count_text, duration_text
from semisonic.data.cache import ArrayCache, Key, Stamp, clip_keys, file_stamps
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import Failures, gather, named_from
from semisonic.data.outputs import check_folder, placed, refuse_url
from semisonic.labeling.embedder import Embedder, Rows, embed_windows, mean_row, open_embedder
from semisonic.labeling.index import NO_CLUSTER, STORE, EmbeddingIndex
from semisonic.labeling.options import BATCH_SIZE, CLIP, UNITS, WINDOW
from semisonic.labeling.vectors import holds_vectors, read_vectors
from semisonic.training.devices import choose_device
from semisonic.training.run_folder import differences

BAD_FILES = "bad_files.csv"
GROUP_CLIPS = 32
GROUP_BYTES = 64 << 20
WORTH_PROCESSES = 5000
"""Number of clips from which processes embed them faster than threads."""
_BYTES_A_SECOND = 4 * 48000  # of a clip that is a part of its recording


@dataclass(frozen=True)
class EmbedResult:
    """The result of ``embed``.

    Attributes
    ----------
    index : EmbeddingIndex
    n_clips, n_new : int
        Number of clips, and of those embedded now.
    failures : tuple of (str, str)
        Clips that could not be read, and empty paths.
    seconds : float
    place : Path
        The folder of the index, or its URL; then ``index`` was read from a deleted copy.
    """

    index: EmbeddingIndex
    n_clips: int
    n_new: int
    failures: Failures
    seconds: float
    place: Path

    def summary(self) -> str:
        """Text for a terminal."""
        index, took = self.index, duration_text(self.seconds)
        clips = f"{count_text(self.n_clips, 'clip')}: {self.n_new} embedded in {took}"
        if self.n_clips > self.n_new:
            clips += f", {self.n_clips - self.n_new} already there"
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
    """Turn recordings into an index of vectors; existing rows are not embedded again.

    Parameters
    ----------
    model : path, SoundClassifier, SoundModel or PretrainedEncoder
        A fitted classifier or an encoder, or its file. Or vectors made elsewhere: see
        :func:`semisonic.labeling.vectors.read_vectors`.
    files : path, paths or Clips
        Recordings, folders, tables of clips. Unreadable recordings are listed in ``bad_files.csv``
        in the folder. For vectors: their table, or the folder that their file names start from.
    output : path, optional
        Folder of the index; by default a temporary one, removed when the program ends.
    per : {"window", "clip"}
        One row per window of the model's clip length, or per clip.
    hop : float, optional
        Seconds between windows; by default the model's clip length.
    labels, group : str
        How folders and tables are read: see :func:`semisonic.load_clips`.
    batch_size : int
        Number of windows embedded at once.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    workers : int, optional
        Number of threads or processes; by default the number of processors.
    engine : {"local", "ray"}
        This machine, or a Ray cluster.
    address : str, optional
        Address of the Ray cluster: see :class:`semisonic.core.parallel.EngineOptions`.

    Returns
    -------
    EmbeddingIndex

    Raises
    ------
    DataError
        When no file is found.
    OptionError
        When the folder contains something else, or an index of another model or windows.

    Examples
    --------
    >>> index = embed("runs/tones", "recordings", "runs/index")
    >>> hits = index.search("recordings/site0.wav", k=3)
    >>> len(hits), hits[0].file.endswith("site0.wav")
    (3, True)
    """
    folder = _until_the_end() if output is None else Path(output)
    refuse_url(folder)
    if per not in UNITS:
        raise OptionError(f"option 'per': found {per!r}; {nearest(str(per), UNITS)}")
    for name, value in (("hop", hop), ("batch_size", batch_size)):
        if value is not None and not value > 0:
            raise OptionError(f"option '{name}': found {value}, expected more than 0")
    return embed_files(
        model,
        [files] if isinstance(files, (str, PathLike)) else files,
        folder,
        check(EngineOptions(engine, address)),
        per=per,
        hop=hop,
        labels=labels,
        group=group,
        batch_size=batch_size,
        device=device,
        workers=workers,
    ).index


def embed_files(
    model: Any,
    files: Iterable[str | PathLike[str]] | Clips,
    output: Path,
    where: EngineOptions,
    **how: Any,
) -> EmbedResult:
    """Make an index, or add to one, as :func:`embed` does, and report it; a URL is allowed."""
    if url_of(output) and (isinstance(files, Clips) or not all(map(url_of, files))):
        raise OptionError(
            "output: found a URL, but recordings on this machine, whose paths start from the "
            "folder of the index; give a folder, or URLs of recordings"
        )
    if holds_vectors(model):
        return _take_vectors(Path(model), files, output)
    if not url_of(output):
        check_folder(output, "an index", {STORE})
    embedder = open_embedder(model)
    with placed(output) as folder, open_engine(where) as engine:
        result = make_index(embedder, files, folder, engine, **how)
    return replace(result, place=output)


def _until_the_end() -> Path:
    """A temporary folder for as long as the program runs."""
    held = ExitStack()
    atexit.register(held.close)
    return held.enter_context(temporary_folder())


def _take_vectors(vectors: Path, files: Any, output: Path) -> EmbedResult:
    """An index of vectors made elsewhere."""
    began = time.perf_counter()
    places = [] if isinstance(files, Clips) else list(files)
    if len(places) != 1:
        raise OptionError(
            f"files: found {len(places)} paths beside the vectors {vectors}, expected one: the "
            "table that they belong to row by row, or the folder that their file names start from"
        )
    found = read_vectors(vectors, Path(places[0]))
    index = EmbeddingIndex.from_vectors(found.vectors, found.frame, output, model=found.made_by)
    return EmbedResult(index, len(index), len(index), (), time.perf_counter() - began, output)


def make_index(
    embedder: Embedder,
    files: Iterable[str | PathLike[str]] | Clips,
    folder: Path,
    engine: Engine = LOCAL_ENGINE,
    *,
    per: str = WINDOW,
    hop: float | None = None,
    labels: str = "none",
    group: str = "auto",
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    workers: int | None = None,
) -> EmbedResult:
    """Make an index, or add to one, with an open model; see :func:`embed`.

    Raises
    ------
    DataError
        When no file is found.
    OptionError
        When the folder contains something else, or an index of another model or windows.
    """
    began = time.perf_counter()
    check_folder(folder, "an index", {STORE})
    missing: Failures = ()
    if isinstance(files, Clips):
        clips = named_from(folder, [files])
    else:
        clips, missing = gather(files, folder, labels=labels, group=group, purpose="embed")
    identity = {"model": embedder.hash, "dim": embedder.dim, "per": per, "hop": hop}
    _check_same(folder, identity)
    keys = clip_keys(clips)
    with ArrayCache.open(folder / STORE, "embeddings", identity, embedder.dtype) as cache:
        stamps = file_stamps(clips)  # the folder that they are named from is there now
        rest = _missing(cache, clips, keys, stamps)
        groups = list(_groups(clips, stamps, rest))
        parts = (clips[np.array(group)] for group in groups)
        worth = WORTH_PROCESSES if choose_device(device).type == "cpu" else len(rest) + 1
        engine = engine_for(engine, len(rest), worth, workers)
        place = device if engine.in_threads or device != "auto" else "cpu"
        work = partial(_embed_group, embedder, per, hop, batch_size, place)
        with ExitStack() as stack:
            n = len(clips)
            shown = stack.enter_context(bar(n, "embed", "clip", initial=n - len(rest)))
            found: Iterator[list[tuple[Rows, str]]] = map(partial(work, workers), parts)
            if not engine.in_threads:
                make: Any = partial(partial, work, 1)
                calls = stack.enter_context(engine.calls(make, workers=workers, device=place))
                found = in_order(calls, parts)
            for some, embedded in zip(groups, found, strict=True):
                cache.add(
                    *(
                        (keys[row], stamps[row], rows, {"reason": why, **_described(clips, row)})
                        for row, (rows, why) in zip(some, embedded, strict=True)
                    )
                )
                shown.update(len(some))
        reasons = {key: rows.about["reason"] for key, _, rows in cache.items()}
        _publish(folder, cache, embedder, {"per": per, "hop": hop})
    bad = tuple((name, reasons[k]) for k, name in zip(keys, clips.ids, strict=True) if reasons[k])
    index = EmbeddingIndex.open(folder, embedder)
    seconds = time.perf_counter() - began
    return EmbedResult(index, len(clips), len(rest), (*missing, *bad), seconds, folder)


def _check_same(folder: Path, identity: dict[str, Any]) -> None:
    """Raise an error for another model before anything is locked or read."""
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


# What is known of a clip in the cache: ``reason`` (why it could not be read), and what the table
# says of it besides where it is.


def _described(clips: Clips, row: int) -> dict[str, Any]:
    return {
        "labels": list(clips.labels[row]),
        "group": str(clips.group[row]),
        "fold": int(clips.fold[row]),
        "label_type": str(clips.label_type[row]),
    }


def _missing(
    cache: ArrayCache, clips: Clips, keys: Sequence[Key], stamps: Sequence[Stamp]
) -> list[int]:
    """Clips that are new or changed; for the others the stored facts are updated."""
    rest, changed = [], []
    for row, (key, version) in enumerate(zip(keys, stamps, strict=True)):
        rows = cache.find(key, version)
        if rows is None:
            rest.append(row)
        elif rows.about != (about := {**rows.about, **_described(clips, row)}):
            changed.append((key, version, rows._replace(about=about)))
    cache.note(*changed)
    return rest


def _embed_group(
    embedder: Embedder,
    per: str,
    hop: float | None,
    batch_size: int,
    device: str,
    workers: int | None,
    clips: Clips,
) -> list[tuple[Rows, str]]:
    """The rows of each clip, or the reason why it has none."""
    found = embed_windows(
        embedder, clips, hop=hop, batch_size=batch_size, device=device, workers=workers
    )
    return [(mean_row(rows) if per == CLIP and len(rows) else rows, why) for rows, why in found]


def _groups(clips: Clips, stamps: Sequence[Stamp], rows: Iterable[int]) -> Iterator[list[int]]:
    """Groups of neighbours with limited total size; a long recording is its own group."""
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


def _publish(folder: Path, cache: ArrayCache, embedder: Embedder, windows: dict[str, Any]) -> None:
    """Write the files of the index: vectors, scores, table, description, failures."""
    items = sorted(cache.items(), key=lambda item: item[2].first)
    bad = ((key[0], one.about["reason"]) for key, _, one in items if one.about["reason"])
    write_csv(folder / BAD_FILES, ["file", "reason"], sorted(bad))
    items = [item for item in items if item[2].n]
    rows: NDArray[np.void] = np.zeros(0, embedder.dtype)
    if items:
        rows = np.memmap(cache.data_path, embedder.dtype, "r", shape=(cache.end,))
        for _, _, one in items:
            one.check(rows[one.first : one.first + one.n], cache.data_path)
    if sum(one.n for _, _, one in items) < len(rows):  # files have changed since
        rows = np.concatenate([rows[one.first : one.first + one.n] for _, _, one in items])
    predicted, score = np.full(len(rows), "", object), np.full(len(rows), np.nan)
    if embedder.classes:
        heard = np.flatnonzero(~rows["silent"])
        best = rows["scores"][heard].argmax(axis=1)
        predicted[heard] = np.array(embedder.classes, object)[best]
        score[heard] = rows["scores"][heard, best]
    owner = np.repeat(np.arange(len(items)), [one.n for _, _, one in items]).astype(np.int64)
    about = [one.about for _, _, one in items]
    labels = [tuple(one["labels"]) for one in about]
    clips = Clips(
        root=folder.resolve(),
        file=np.array([key[0] for key, _, _ in items], np.str_)[owner],
        start_time=np.array(rows["start"]),
        end_time=np.array(rows["end"]),
        labels=tuple(labels[i] for i in owner),
        group=np.array([one["group"] for one in about], np.str_)[owner],
        fold=np.array([one["fold"] for one in about], np.int64)[owner],
        label_type=np.array([one["label_type"] for one in about], np.str_)[owner],
        classes=tuple(sorted({label for names in labels for label in names})),
        name="recordings",
    )
    cluster = np.full(len(rows), NO_CLUSTER)
    with suppress(DataError):  # there is no index yet, or one that was not finished
        before = EmbeddingIndex.open(folder)
        known = dict(zip(before.clips.ids, before.cluster.tolist(), strict=True))
        cluster = np.array([known.get(name, NO_CLUSTER) for name in clips.ids], np.int64)
    made = {name: stamp("embed")[name] for name in ("created", "versions", "commit")}
    index = EmbeddingIndex(
        folder,
        rows["vector"],
        clips,
        {"model": embedder.describe(), **windows, **made},
        predicted=predicted.astype(np.str_),
        score=score,
        cluster=cluster,
    )
    index.save(rows["scores"] if embedder.classes else None)
