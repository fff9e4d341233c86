"""Packing a clip table into shards, as :mod:`semisonic.data.readers.shards` reads them.

The bytes of each recording are copied as they are, so that whatever is computed from a shard is
what is computed from the files. A shard that is there already with the same recordings is kept:
after an interruption the same command goes on.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.files import replacing, write_json, write_text
from semisonic.base.members import SHARD_SUFFIXES, member_of, open_binary, open_shard, stamp_of
from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.outputs import check_folder
from semisonic.data.readers.shards import CLASSES_FILE
from semisonic.data.shards.options import ShardOptions

ABOUT = "shards.json"
"""Tells the folder of shards from others."""
_GROUP_BYTES = 16 << 20
"""Recordings of a row group of Parquet: what must be read to have one of them."""


@dataclass(frozen=True)
class Packed:
    """What became of a table.

    Attributes
    ----------
    shards : tuple of Path
    n_files, n_kept : int
        Recordings in all shards, and those in shards that were there already.
    failures : tuple of (str, str)
        Recordings that could not be read, and the reason.
    """

    shards: tuple[Path, ...]
    n_files: int
    n_kept: int
    failures: tuple[tuple[str, str], ...]


def pack(clips: Clips, folder: Path, options: ShardOptions) -> Packed:
    """Copy the recordings of a table into shards.

    Parameters
    ----------
    clips : Clips
        Labels, groups, folds and times go along. What one file holds stays together.
    folder : Path
        Of the shards.
    options : ShardOptions

    Raises
    ------
    DataError
        When the disk is full, pyarrow is missing for Parquet, or the folder holds other shards.
    OptionError
        When the folder holds something else.
    """
    _check_ending(clips)
    starts = range(0, len(set(clips.file.tolist())), options.per_shard)
    paths = [folder / f"shard-{n:06d}.{options.format}" for n in range(len(starts))]
    _check_others(folder, paths)
    about = {
        "format": options.format,
        "per_shard": options.per_shard,
        "recordings": len(set(clips.file.tolist())),
    }
    write_json(folder / ABOUT, about)
    if clips.classes:
        write_text(folder / CLASSES_FILE, "\n".join(clips.classes) + "\n")
    order = np.argsort(clips.file, kind="stable")
    names, first = np.unique(clips.file[order], return_index=True)
    ends = [*first[1:].tolist(), len(order)]
    rows = [order[a:b] for a, b in zip(first.tolist(), ends, strict=True)]
    shards, failures, n_files, n_kept = [], list[tuple[str, str]](), 0, 0
    with bar(len(names), "pack", "file") as shown:
        for shard, start in zip(paths, starts, strict=True):
            part = slice(start, start + options.per_shard)
            found, bad = _readable(clips, names[part].tolist(), rows[part])
            failures += bad
            kept = bool(found) and _holds(shard, found)
            if found and not kept:
                _write(shard, clips, found)
            if found:
                shards.append(shard)
            n_files, n_kept = n_files + len(found), n_kept + kept * len(found)
            shown.update(len(names[part]))
    return Packed(tuple(shards), n_files, n_kept, tuple(failures))


Recording = tuple[str, Any]
"""A file of the table, and the rows of its clips."""


def _readable(
    clips: Clips, names: Sequence[str], rows: Sequence[Any]
) -> tuple[list[Recording], list[tuple[str, str]]]:
    """The recordings that are there, and why the others cannot be read."""
    found, bad = [], []
    for name, mine in zip(names, rows, strict=True):
        try:
            stamp_of(clips.root / name)
        except OSError as error:
            bad.append((name, f"cannot be opened ({error.strerror})"))
        else:
            found.append((name, mine))
    return found, bad


def _holds(shard: Path, recordings: Sequence[Recording]) -> bool:
    """Whether an earlier run finished this shard."""
    if not shard.is_file():
        return False
    try:
        there = set(open_shard(shard).names)
    except (OSError, ValueError):
        return False
    return {_inside(name) for name, _ in recordings} == {n for n in there if not _tells(n)}


def _tells(name: str) -> bool:
    return name.endswith(".json")


def _inside(name: str) -> str:
    """What a recording is called in its shard: without a shard that it came from."""
    found = member_of(name)
    inner = name if found is None else found.name
    return "/".join(part for part in inner.split("/") if part not in ("", ".", ".."))


def _write(shard: Path, clips: Clips, recordings: Sequence[Recording]) -> None:
    write = _write_parquet if shard.suffix == ".parquet" else _write_tar
    try:
        with replacing(shard) as part:
            write(part, clips, recordings)
    except OSError as error:
        raise DataError(
            f"{shard}: writing failed ({error.strerror}). Make room on the disk and start again; "
            "finished shards are kept"
        ) from error


def _write_tar(path: Path, clips: Clips, recordings: Sequence[Recording]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, rows in recordings:
            inside = _inside(name)
            _add(tar, inside, _bytes(clips, name))
            told = json.dumps(_told(clips, rows), ensure_ascii=False).encode()
            _add(tar, os.path.splitext(inside)[0] + ".json", told)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _write_parquet(path: Path, clips: Clips, recordings: Sequence[Recording]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(
            "writing Parquet needs pyarrow: pip install 'semisonic[shards]'; or pack as tar"
        ) from None
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("audio", audio), ("labels", pa.list_(pa.string())), ("group", pa.string()),
         ("fold", pa.int64()), ("label_type", pa.string())]
    )  # fmt: skip
    with parquet.ParquetWriter(path, schema, compression="none") as writer:
        for group in _groups(clips, recordings):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(clips: Clips, recordings: Sequence[Recording]) -> Iterator[list[dict[str, Any]]]:
    """Rows of Parquet in groups of bounded size."""
    group: list[dict[str, Any]] = []
    size = 0
    for name, rows in recordings:
        told = _told(clips, rows)
        if "clips" in told:
            raise DataError(
                f"{name}: its clips have times, for which Parquet has no place here; pack as tar"
            )
        data = _bytes(clips, name)
        labels = told.pop("label", [])
        group.append({"audio": {"bytes": data, "path": _inside(name)}, "labels": labels, **told})
        size += len(data)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _bytes(clips: Clips, name: str) -> bytes:
    with open_binary(clips.root / name) as file:
        return file.read()


def _told(clips: Clips, rows: Any) -> dict[str, Any]:
    """What is known of the clips of a file."""
    parts = [_part(clips, int(row)) for row in rows]
    whole = len(parts) == 1 and not {"start_time", "end_time"} & set(parts[0])
    return parts[0] if whole else {"clips": parts}


def _part(clips: Clips, row: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if clips.labels[row]:
        told["label"] = list(clips.labels[row])
    if clips.group[row] != clips.file[row]:
        told["group"] = str(clips.group[row])
    if clips.fold[row]:
        told["fold"] = int(clips.fold[row])
    if clips.start_time[row] > 0:
        told["start_time"] = float(clips.start_time[row])
    if clips.end_time[row] == clips.end_time[row]:
        told["end_time"] = float(clips.end_time[row])
    if clips.label_type[row] != "positive":
        told["label_type"] = str(clips.label_type[row])
    return told


def _check_others(folder: Path, paths: Sequence[Path]) -> None:
    """DataError where shards would stay in the folder that this packing does not write."""
    check_folder(folder, "shards", {ABOUT})
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [file for file in there if file.suffix in SHARD_SUFFIXES and file not in paths]
    if others:
        raise DataError(
            f"'{folder}' holds '{others[0].name}', which is none of the {len(paths)} shard(s) to "
            "write: recordings could stand there twice. Take another folder, or delete it first"
        )


def _check_ending(clips: Clips) -> None:
    """DataError where two recordings would have one name for what is told of them."""
    stems: dict[str, str] = {}
    for name in dict.fromkeys(clips.file.tolist()):
        stem = os.path.splitext(_inside(name))[0]
        if stem in stems:
            raise DataError(
                f"'{stems[stem]}' and '{name}' have one name but for the ending, and would share "
                "a label in a shard; rename one of them"
            )
        stems[stem] = name
