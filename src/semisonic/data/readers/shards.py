"""Shards: tar files as WebDataset has them, and Parquet tables with recordings as bytes.

In a tar file the members of one sample share a name: ``dog-1.wav`` is the recording, and
``dog-1.json``, ``dog-1.cls`` or ``dog-1.txt`` beside it tells its label. The JSON file holds
``label`` (a name or a list of names) and, if known, ``group``, ``fold``, ``label_type``; or
``clips``, a list of such with ``start_time`` and ``end_time``. A number in ``.cls`` is a line,
from 0, of ``classes.txt`` beside the shards, if that is there. In a Parquet table the columns
``label`` (or ``labels``), ``group`` and ``fold`` say the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from semisonic.audio import AUDIO_SUFFIXES
from semisonic.base.errors import DataError
from semisonic.base.members import Shard, member_path, open_shard
from semisonic.base.parquet_shard import ParquetShard
from semisonic.base.progress import track
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.readers.groups import known_or_given
from semisonic.data.readers.place import Place, ReadOptions

CLASSES_FILE = "classes.txt"
LABEL_SUFFIXES = (".json", ".cls", ".txt")
_COLUMNS = ("group", "fold", "start_time", "end_time", "label_type")

Row = dict[str, Any]

_log = logging.getLogger(__name__)


def recognise(place: Place) -> str | None:
    """A shard, or a folder with shards and no recordings of their own."""
    if place.is_shard:
        return "one shard"
    if place.shards and not place.audio:
        return f"{counted(len(place.shards), 'shard')} and no recordings beside them"
    return None


def read(place: Place, options: ReadOptions) -> Clips:
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
    rows: list[Row] = []
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
    n_shards = counted(len(shards), "shard")
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
    n = counted(len(rows) - len(broken), "clip")
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
) -> Iterator[Row]:
    if isinstance(opened, ParquetShard):
        yield from _table_rows(opened, shard, named, separator)
    else:
        yield from _tar_rows(opened, root / shard, shard, named, separator)


def _tar_rows(
    opened: Shard, path: Path, shard: str, named: Sequence[str], separator: str
) -> Iterator[Row]:
    names = opened.names
    told = {name for name in names if os.path.splitext(name)[1].lower() in LABEL_SUFFIXES}
    for name in names:
        if os.path.splitext(name)[1].lower() not in AUDIO_SUFFIXES:
            continue
        row: Row = {"file": member_path(shard, name)}
        beside = next((stem + end for stem in _stems(name) for end in LABEL_SUFFIXES
                       if stem + end in told), None)  # fmt: skip
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


def _about(path: Path, name: str, data: bytes, named: Sequence[str], separator: str) -> Row:
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


def _known(told: Row, named: Sequence[str], separator: str) -> Row:
    """Those values that a clip table has columns for."""
    row = {name: told[name] for name in _COLUMNS if told.get(name) is not None}
    label = told.get("labels", told.get("label"))
    if label is not None and label != "":
        row["labels"] = [
            named[int(one)] if str(one).isdecimal() and int(str(one)) < len(named) else str(one)
            for one in _as_list(label, separator)
        ]
    return row


def _table_rows(
    opened: ParquetShard, shard: str, named: Sequence[str], separator: str
) -> Iterator[Row]:
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
