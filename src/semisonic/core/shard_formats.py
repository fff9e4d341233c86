"""The two formats of shards: tar and Parquet."""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
import threading
from collections import Counter, OrderedDict
from typing import Any

import numpy as np

from semisonic.core.files import read_at

# A tar file whose members are read from their places, without unpacking it.


_RECORD = 512


class TarShard:
    """The members of an uncompressed tar file; :func:`semisonic.core.shards.open_shard` opens it.

    Parameters
    ----------
    path : str

    Raises
    ------
    ValueError
        When it is no tar file, or a compressed one.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(path, "r:") as opened:
                tar: Any = opened
                while (info := tar.next()) is not None:
                    if info.isreg():
                        name = posixpath.normpath(info.name)
                        self._places[name] = (info.offset_data, info.size)
                    tar.members.clear()  # it would keep an object for each member
                behind = int(tar.offset)
        except tarfile.TarError as error:
            raise ValueError(
                f"no tar file that can be read in place ({error}): it is cut off, or compressed. "
                "Copy it again, or pack it without compression"
            ) from None
        self._check_end(behind)

    @property
    def names(self) -> list[str]:
        """The members, in their order."""
        return list(self._places)

    def __contains__(self, name: str) -> bool:
        return posixpath.normpath(name) in self._places

    def read(self, name: str) -> bytes:
        """The bytes of a member; KeyError for another name."""
        offset, size = self._places[posixpath.normpath(name)]
        with open(self.path, "rb", buffering=0) as file:
            data = read_at(file.fileno(), size, offset)
        if len(data) < size:
            raise OSError(5, "the tar file ends within a member", self.path)
        return data

    def size(self, name: str) -> int:
        """How many bytes a member has; KeyError for another name."""
        return self._places[posixpath.normpath(name)][1]

    def stamp(self, name: str) -> int:
        """The size: the shard's time of change tells the rest."""
        return self.size(name)

    def _check_end(self, behind: int) -> None:
        """ValueError unless an empty block, the end mark, stands behind the last member.

        tarfile takes a damaged head of a member for the end, too.
        """
        with open(self.path, "rb") as file:
            file.seek(behind)
            block = file.read(_RECORD)
        if len(block) < _RECORD:
            raise ValueError("the tar file is cut off: it has no end mark. Copy it again")
        if any(block):
            raise ValueError(
                f"the tar file is damaged: at byte {behind}, behind {len(self._places)} member(s), "
                "stands neither another one nor an end mark. Copy it again"
            )


# A Parquet table with recordings as bytes: a column ``audio`` of bytes and path, or ``bytes``.
#
# As Hugging Face's data sets have it. Rows are read by row group, and the last few of all shards
# are kept: rows that are read in their order cost one reading of each group.


_GROUPS_KEPT = 8
_COLUMNS = ("audio", "bytes")
_kept: OrderedDict[tuple[object, int], Any] = OrderedDict()
"""Row groups of all shards of this process by shard and number, the last one used at the end."""
_kept_lock = threading.Lock()


class ParquetShard:
    """The rows of a table as files; :func:`semisonic.core.shards.open_shard` opens it.

    A row is called as its path says, if it has one that no other row of the shard has, and else
    by its number, such as ``row-000017``.

    Parameters
    ----------
    path : str

    Raises
    ------
    ValueError
        When pyarrow is missing, or the file is no table with recordings.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            import pyarrow as pa
            import pyarrow.parquet as parquet
        except ImportError:
            raise ValueError(
                "reading Parquet needs pyarrow: pip install 'semisonic[shards]'"
            ) from None
        try:
            self._file: Any = parquet.ParquetFile(path, memory_map=True)
        except Exception as error:  # pyarrow has many
            raise ValueError(f"no Parquet table ({str(error).splitlines()[0]})") from None
        schema = self._file.schema_arrow
        self.column = next((name for name in _COLUMNS if name in schema.names), "")
        if not self.column:
            raise ValueError(
                f"found the columns {', '.join(schema.names)}; expected recordings in a column "
                "'audio' (bytes and path) or 'bytes'"
            )
        self._nested = pa.types.is_struct(schema.field(self.column).type)
        meta = self._file.metadata
        counts = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._row_of = {name: row for row, name in enumerate(self._name_rows())}
        self._lock = threading.Lock()
        self._sizes: dict[int, Any] = {}

    @property
    def names(self) -> list[str]:
        """The rows by name, in their order."""
        return list(self._row_of)

    def read(self, name: str) -> bytes:
        """The bytes of a row; KeyError for another name."""
        row = self._row_of[name]
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:
            column = self._group(group)
        found = column[row - int(self._starts[group])].as_py()
        if found is None:
            raise OSError(5, f"row '{name}' holds no bytes", self.path)
        return bytes(found)

    def __contains__(self, name: str) -> bool:
        return name in self._row_of

    def size(self, name: str) -> int:
        """How many bytes a row has; KeyError for another name. Its row group is read for it."""
        row = self._row_of[name]
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:
            if group not in self._sizes:
                import pyarrow.compute as compute

                lengths = compute.binary_length(self._group(group)).fill_null(0)
                self._sizes[group] = np.asarray(lengths, np.int64)
            return int(self._sizes[group][row - int(self._starts[group])])

    def stamp(self, name: str) -> int:
        """The size of the shard, since that of a row is not known without reading it."""
        return os.path.getsize(self.path)

    def columns(self) -> dict[str, list[Any]]:
        """All other columns of the table, with the names of classes instead of numbers."""
        names = [n for n in self._file.schema_arrow.names if n not in (self.column, "path")]
        table = self._file.read(columns=names)
        values = {name: table.column(name).to_pylist() for name in names}
        for name, classes in _class_names(self._file.schema_arrow).items():
            if name in values:
                values[name] = [classes[v] if isinstance(v, int) else v for v in values[name]]
        return values

    def _group(self, number: int) -> Any:
        """The recordings of a row group, (rows,)."""
        key = (self, number)
        with _kept_lock:
            if key in _kept:
                _kept.move_to_end(key)
                return _kept[key]
        leaf = f"{self.column}.bytes" if self._nested else self.column
        column = self._file.read_row_group(number, columns=[leaf]).column(self.column)
        column = column.combine_chunks()
        found = column.field("bytes") if self._nested else column
        with _kept_lock:
            _kept[key] = found
            while len(_kept) > _GROUPS_KEPT:
                _kept.popitem(last=False)
        return found

    def _name_rows(self) -> list[str]:
        n = int(self._starts[-1])
        leaf = "path"
        if self._nested:
            fields = {field.name for field in self._file.schema_arrow.field(self.column).type}
            leaf = f"{self.column}.path" if "path" in fields else ""
        elif "path" not in self._file.schema_arrow.names:
            leaf = ""
        paths: list[str | None] = [None] * n
        if leaf:
            column = self._file.read(columns=[leaf]).column(leaf.partition(".")[0])
            column = column.combine_chunks()
            paths = (column.field("path") if self._nested else column).to_pylist()
        named = [posixpath.normpath(path).lstrip("/") if path else "" for path in paths]
        count = Counter(named)
        return [
            name if name and count[name] == 1 else f"row-{row:06d}"
            for row, name in enumerate(named)
        ]


def _class_names(schema: Any) -> dict[str, list[str]]:
    """The names of the numbers of columns, where the table tells them."""
    told = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(told)["info"]["features"] if told else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return {
        name: list(about["names"])
        for name, about in features.items()
        if isinstance(about, dict) and isinstance(about.get("names"), list)
    }
