"""Data sets that can be downloaded, their sources and licences: see ``catalogue.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server: its size in bytes, and its checksum such as ``"md5:..."``, if known."""

    name: str
    url: str
    checksum: str = ""
    size: int | None = None


@dataclass(frozen=True)
class Archive:
    """An archive for one folder: one file, or the pieces of a split zip, ``.zip`` last."""

    folder: str
    part: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class RemoteSet:
    """A data set that can be downloaded.

    Attributes
    ----------
    name, title, licence, page : str
    about_gb : float
        Approximate size of all archives in 10^9 bytes.
    archives : tuple of Archive
    record : str
        Address of the record that lists sizes and hashes, as on Zenodo; empty without one.
    data : str
        The path to read afterwards, relative to the folder given.
    """

    name: str
    title: str
    licence: str
    page: str
    about_gb: float
    archives: tuple[Archive, ...]
    record: str = ""
    data: str = "."

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that can be downloaded separately."""
        return tuple(dict.fromkeys(archive.part for archive in self.archives))


def _archive(entry: dict[str, Any]) -> Archive:
    files = tuple(
        RemoteFile(url.rpartition("/")[2].partition("?")[0], url) for url in entry["urls"]
    )
    return Archive(entry["folder"], entry["part"], files)


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SETS = {
    name: RemoteSet(**{**about, "name": name, "archives": tuple(map(_archive, about["archives"]))})
    for name, about in _TABLES.items()
}
PARTS = tuple(dict.fromkeys(part for remote in SETS.values() for part in remote.parts))
