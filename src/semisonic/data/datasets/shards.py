"""Shards: recordings packed into tar files (WebDataset) or Parquet tables.

In a tar file the members of one sample share a name: ``dog-1.wav`` is the recording, and
``dog-1.json``, ``dog-1.cls`` or ``dog-1.txt`` beside it tells its label. The JSON file holds
``label`` (a name or a list of names) and, if known, ``group``, ``fold``, ``label_type``; or
``clips``, a list of such with ``start_time`` and ``end_time``. A number in ``.cls`` is a line,
from 0, of ``classes.txt`` beside the shards, if that is there. In a Parquet table the columns
``label`` (or ``labels``), ``group`` and ``fold`` say the same.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.audio.find import AUDIO_SUFFIXES
from semisonic.core.errors import DataError
from semisonic.core.files import replacing, write_json, write_text
from semisonic.core.progress import bar, track
from semisonic.core.shard_formats import ParquetShard
from semisonic.core.shards import (
    SHARD_SUFFIXES,
    Shard,
    member_of,
    member_path,
    open_binary,
    open_shard,
    stamp_of,
)
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import DatasetPath, ReadOptions
from semisonic.data.options import ShardOptions
from semisonic.data.outputs import check_folder
from semisonic.data.recording_names import known_or_given

CLASSES_FILE = "classes.txt"
LABEL_SUFFIXES = (".json", ".cls", ".txt")
_MEMBER_COLUMNS = ("group", "fold", "start_time", "end_time", "label_type")

ShardRow = dict[str, Any]

_log = logging.getLogger(__name__)


def recognise(place: DatasetPath) -> str | None:
    """A shard, or a folder with shards and no recordings of their own."""
    if place.is_shard:
        return "one shard"
    if place.shards and not place.audio:
        return f"{count_text(len(place.shards), 'shard')} and no recordings beside them"
    return None


def read(place: DatasetPath, options: ReadOptions) -> Clips:
    """List the recordings in all shards with what is told of them; none is decoded.

    Of several shards, one that cannot be read is a clip of its own without a label: whoever would
    decode it says why it cannot be, and the others go on.

    Raises
    ------
    DataError
        When no shard can be read, or none holds a recording.
    """
    root = place.path.parent if place.is_shard else place.path
    shards = [place.path.name] if place.is_shard else list(place.shards)
    named = _class_names(root)
    rows: list[ShardRow] = []
    broken: dict[str, DataError] = {}
    for shard in track(shards, "list shards", "shard"):
        try:
            opened = _opened(root / shard)
        except DataError as error:
            broken[shard] = error
            continue
        rows += _rows(opened, root, shard, named, options.separator)
    if not rows and broken:
        raise next(iter(broken.values()))
    for shard, reason in broken.items():
        _log.warning("%s. Its recordings are missing; the other shards are read", reason)
        rows.append({"file": shard})
    n_shards = count_text(len(shards), "shard")
    if not rows:
        raise DataError(
            f"{place.path}: no recordings in {n_shards}. Looked for members with the "
            f"endings {', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    files = [row["file"] for row in rows]
    known = [str(row.get("group") or row["file"]) for row in rows]
    for row, group in zip(rows, known_or_given(files, known, options.group), strict=True):
        row["group"] = group
    found = {label for row in rows for label in _as_list(row.get("labels"))}
    classes = [*named, *sorted(found - set(named))] if named else None
    n = count_text(len(rows) - len(broken), "clip")
    notes = [f"{n} listed in {n_shards}; nothing was unpacked", *map(str, broken.values())]
    return Clips.from_rows(root, rows, classes, options.name or place.name, notes)


def _opened(path: Path) -> Shard:
    try:
        return open_shard(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _rows(
    opened: Shard, root: Path, shard: str, named: Sequence[str], separator: str
) -> Iterator[ShardRow]:
    if isinstance(opened, ParquetShard):
        yield from _table_rows(opened, shard, named, separator)
    else:
        yield from _tar_rows(opened, root / shard, shard, named, separator)


def _tar_rows(
    opened: Shard, path: Path, shard: str, named: Sequence[str], separator: str
) -> Iterator[ShardRow]:
    names = opened.names
    told = {name for name in names if os.path.splitext(name)[1].lower() in LABEL_SUFFIXES}
    for name in names:
        if os.path.splitext(name)[1].lower() not in AUDIO_SUFFIXES:
            continue
        row: ShardRow = {"file": member_path(shard, name)}
        beside = next(
            (stem + end for stem in _stems(name) for end in LABEL_SUFFIXES if stem + end in told),
            None,
        )
        if beside is None:
            yield row
            continue
        about = _about(path, beside, opened.read(beside), named, separator)
        parts = about.pop("clips", None) or [{}]
        for part in parts:
            yield row | about | _known(part, named, separator)


def _stems(name: str) -> tuple[str, str]:
    """What a label file beside a recording may be called, without its ending.

    The name without its last ending, and, as WebDataset cuts it, up to its first dot.
    """
    folder, _, base = name.rpartition("/")
    first = base[: base.index(".", 1)] if "." in base[1:] else base
    return os.path.splitext(name)[0], f"{folder}/{first}" if folder else first


def _about(path: Path, name: str, data: bytes, named: Sequence[str], separator: str) -> ShardRow:
    """What a label file says."""
    try:
        text = data.decode("utf-8").strip()
        if not name.lower().endswith(".json"):
            return _known({"label": text}, named, separator)
        told = json.loads(text)
    except ValueError as error:
        raise DataError(f"{member_path(str(path), name)}: no label can be read ({error})") from None
    if not isinstance(told, dict):
        told = {"label": told}
    about = _known(told, named, separator)
    if isinstance(told.get("clips"), list):
        about["clips"] = told["clips"]
    return about


def _known(told: ShardRow, named: Sequence[str], separator: str) -> ShardRow:
    """Those values that a clip table has columns for."""
    row = {name: told[name] for name in _MEMBER_COLUMNS if told.get(name) is not None}
    label = told.get("labels", told.get("label"))
    if label is not None and label != "":
        row["labels"] = [
            named[int(one)] if str(one).isdecimal() and int(str(one)) < len(named) else str(one)
            for one in _as_list(label, separator)
        ]
    return row


def _table_rows(
    opened: ParquetShard, shard: str, named: Sequence[str], separator: str
) -> Iterator[ShardRow]:
    columns = opened.columns()
    for i, name in enumerate(opened.names):
        about = _known({key: values[i] for key, values in columns.items()}, named, separator)
        yield {"file": member_path(shard, name)} | about


def _as_list(value: Any, separator: str = "") -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str) and separator:
        return [part for part in (one.strip() for one in value.split(separator)) if part]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _class_names(root: Path) -> list[str]:
    """The lines of ``classes.txt`` beside the shards; none without it."""
    try:
        text = (root / CLASSES_FILE).read_text(encoding="utf-8")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


# Packing a clip table into shards, as :mod:`semisonic.data.datasets.shards` reads them.
#
# The bytes of each recording are copied as they are, so that whatever is computed from a shard is
# what is computed from the files. A shard that is there already with the same recordings is kept:
# after an interruption the same command goes on.


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


PackedRecording = tuple[str, Any]
"""A file of the table, and the rows of its clips."""


def _readable(
    clips: Clips, names: Sequence[str], rows: Sequence[Any]
) -> tuple[list[PackedRecording], list[tuple[str, str]]]:
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


def _holds(shard: Path, recordings: Sequence[PackedRecording]) -> bool:
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


def _write(shard: Path, clips: Clips, recordings: Sequence[PackedRecording]) -> None:
    write = _write_parquet if shard.suffix == ".parquet" else _write_tar
    try:
        with replacing(shard) as part:
            write(part, clips, recordings)
    except OSError as error:
        raise DataError(
            f"{shard}: writing failed ({error.strerror}). Make room on the disk and start again; "
            "finished shards are kept"
        ) from error


def _write_tar(path: Path, clips: Clips, recordings: Sequence[PackedRecording]) -> None:
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


def _write_parquet(path: Path, clips: Clips, recordings: Sequence[PackedRecording]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(
            "writing Parquet needs pyarrow: pip install 'semisonic[shards]'; or pack as tar"
        ) from None
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [
            ("audio", audio),
            ("labels", pa.list_(pa.string())),
            ("group", pa.string()),
            ("fold", pa.int64()),
            ("label_type", pa.string()),
        ]
    )
    with parquet.ParquetWriter(path, schema, compression="none") as writer:
        for group in _groups(clips, recordings):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(clips: Clips, recordings: Sequence[PackedRecording]) -> Iterator[list[dict[str, Any]]]:
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
