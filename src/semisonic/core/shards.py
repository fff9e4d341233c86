"""Files inside of shards, named ``shard.tar::key.wav`` and ``shard.parquet::key.wav``."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol

SEPARATOR = "::"
TAR, PARQUET = ".tar", ".parquet"
SHARD_SUFFIXES = frozenset({TAR, PARQUET})

_OPEN_SHARDS = 32


class Shard(Protocol):
    """An opened shard."""

    @property
    def names(self) -> list[str]:
        """The members, in their order in the shard."""

    def __contains__(self, name: str) -> bool:
        """Whether there is a member of this name."""

    def read(self, name: str) -> bytes:
        """The bytes of a member; KeyError for another name."""

    def size(self, name: str) -> int:
        """How many bytes a member has; KeyError for another name."""

    def stamp(self, name: str) -> int:
        """A number that is cheap to have, and changes with the size of the member or the shard."""


@dataclass(frozen=True)
class ShardEntry:
    """A file inside of a shard."""

    shard: Path
    name: str


def member_of(path: str | os.PathLike[str]) -> ShardEntry | None:
    """The shard and the name that a path stands for; None for a file of its own."""
    text = os.fspath(path)
    if SEPARATOR not in text:
        return None
    start = 0
    while (at := text.find(SEPARATOR, start)) >= 0:
        if os.path.splitext(text[:at])[1].lower() in SHARD_SUFFIXES:
            return ShardEntry(Path(text[:at]), text[at + len(SEPARATOR) :])
        start = at + 1
    return None


def member_path(shard: str, name: str) -> str:
    """The path of a member."""
    return f"{shard}{SEPARATOR}{name}"


def open_shard(path: str | os.PathLike[str]) -> Shard:
    """A shard with its list of members, read once for each state of the file.

    Raises
    ------
    OSError
        When it cannot be opened.
    ValueError
        When it is damaged or not of its kind; for Parquet also when pyarrow is missing.
    """
    status = os.stat(path)
    return _shard_at(os.path.abspath(path), status.st_size, status.st_mtime_ns)


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, or a member of a shard, to read bytes from.

    Raises
    ------
    OSError
        When there is none.
    """
    found = member_of(path)
    return open(path, "rb") if found is None else io.BytesIO(read_member(found))


def read_member(member: ShardEntry) -> bytes:
    """The bytes of a member.

    Raises
    ------
    FileNotFoundError
        When the shard holds no such member, or there is no such shard.
    OSError
        When the shard cannot be read.
    """
    return _holding(member).read(member.name)


def size_of(path: str | os.PathLike[str]) -> int:
    """Bytes of a file, or of a member of a shard.

    Raises
    ------
    OSError
        When there is none.
    """
    found = member_of(path)
    return os.stat(path).st_size if found is None else _holding(found).size(found.name)


def stamp_of(path: str | os.PathLike[str]) -> tuple[int, int]:
    """What tells one state of a file or member from another: a size, and a time of change in ns.

    Raises
    ------
    OSError
        When there is none.
    """
    found = member_of(path)
    if found is None:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    return _holding(found).stamp(found.name), os.stat(found.shard).st_mtime_ns


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether a file, or a member of a shard, is there."""
    found = member_of(path)
    if found is None:
        return os.path.isfile(path)
    try:
        return found.name in _shard_of(found)
    except OSError:
        return False


def _holding(member: ShardEntry) -> Shard:
    shard = _shard_of(member)
    if member.name not in shard:
        raise FileNotFoundError(2, "no such member of the shard", member.name)
    return shard


def _shard_of(member: ShardEntry) -> Shard:
    try:
        return open_shard(member.shard)
    except ValueError as error:
        raise OSError(5, str(error), str(member.shard)) from None


@lru_cache(maxsize=_OPEN_SHARDS)
def _shard_at(path: str, size: int, changed: int) -> Shard:
    """``size`` and ``changed`` tell one state of the file from another."""
    if path.lower().endswith(PARQUET):
        from semisonic.core.shard_formats import ParquetShard

        return ParquetShard(path)
    from semisonic.core.shard_formats import TarShard

    return TarShard(path)
