"""Fetch a data set: what would be done, and then doing it, archive by archive."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.base.errors import DataError, OptionError
from semisonic.base.files import read_json, write_json
from semisonic.base.options import nearest
from semisonic.data.get.catalogue import Archive, RemoteSet
from semisonic.data.get.download import FIRST_PAUSE, download, md5_of, part_of
from semisonic.data.get.server import Known, ask
from semisonic.data.get.unpack import unpack

_log = logging.getLogger(__name__)
JOURNAL = "downloads.json"
"""In the folder of the user: what was fetched, from where, with which hash."""
UNPACKED = 1.5
"""How much larger than its archives a set is taken to be, as long as nobody knows."""


@dataclass(frozen=True)
class Plan:
    """What is to be fetched.

    Attributes
    ----------
    remote : RemoteSet
    folder : Path
    archives : tuple of (Archive, list of Known)
        Those still to be fetched, with sizes and hashes.
    done : tuple of str
        Folders that an earlier call fetched.
    """

    remote: RemoteSet
    folder: Path
    archives: tuple[tuple[Archive, list[Known]], ...]
    done: tuple[str, ...]

    @property
    def n_bytes(self) -> int | None:
        """Bytes still to come; None when a server does not say."""
        sizes = [known.size for _, files in self.archives for known in files]
        if None in sizes:
            return None
        return sum(size or 0 for size in sizes) - self._n_there

    @property
    def _n_there(self) -> int:
        names = [known.file.name for _, files in self.archives for known in files]
        places = [self.folder / name for name in names]
        found = [path for place in places for path in (place, part_of(place)) if path.is_file()]
        return sum(path.stat().st_size for path in found)

    @property
    def space(self) -> int:
        """Free bytes that are wanted: for the largest archive and for everything unpacked."""
        sizes = [sum(known.size or 0 for known in files) for _, files in self.archives]
        if self.n_bytes is None:
            sizes = [round(self.remote.about_gb * 1e9)]
        return round(UNPACKED * sum(sizes)) + max(sizes, default=0) - self._n_there

    def lines(self) -> list[str]:
        """The plan for people: what, under which licence, how large, checked how."""
        n_files = sum(len(files) for _, files in self.archives)
        size = f"about {self.remote.about_gb:g} GB" if self.n_bytes is None else _gb(self.n_bytes)
        hashed = all(known.file.md5 for _, files in self.archives for known in files)
        checked = (
            "their MD5, as published"
            if hashed
            else "the checksums in the archive: the "
            + ("server packs it anew and publishes no hash")
        )
        text = [
            self.remote.title,
            f"licence: {self.remote.licence}",
            f"from: {self.remote.page}",
        ]
        if self.done:
            text.append(f"there already: {', '.join(self.done)}")
        if self.archives:
            text.append(f"to fetch: {n_files} files, {size}; wants {_gb(self.space)} of free space")
            text.append(f"checked by: {checked}")
        return text


@dataclass(frozen=True)
class Fetched:
    """What was done: the place to read, and how many files each new folder got."""

    data: Path
    folders: dict[str, int]


def make_plan(remote: RemoteSet, folder: Path, parts: Sequence[str] = ()) -> Plan:
    """Ask the server what there is; nothing is fetched or written.

    Parameters
    ----------
    remote : RemoteSet
    folder : Path
        Where the set is to lie.
    parts : sequence of str
        Parts of the set, such as "curated"; all when empty.

    Raises
    ------
    OptionError
        When the set has no such part.
    DataError
        When a folder is in the way, the server cannot be asked, or the disk is too small.
    """
    for part in parts:
        if part not in remote.parts:
            raise OptionError(
                f"parts: '{remote.name}' has no '{part}'; {nearest(part, remote.parts)}"
            )
    wanted = [one for one in remote.archives if not parts or one.part in parts]
    journal = _journal(folder)
    done = [
        one.folder for one in wanted if one.folder in journal and (folder / one.folder).is_dir()
    ]
    left = [one for one in wanted if one.folder not in done]
    for archive in left:
        if (folder / archive.folder).exists():
            raise DataError(
                f"{folder / archive.folder}: is there already, and was not put there by a "
                f"finished download ({JOURNAL} does not name it). Choose another folder, or move "
                "it away"
            )
    listed = (
        {k.file.name: k for k in ask(remote, tuple(f for one in left for f in one.files))}
        if left
        else {}
    )
    archives = tuple((one, [listed[file.name] for file in one.files]) for one in left)
    return Plan(remote, folder, archives, tuple(done))


def fetch(plan: Plan, *, keep_archives: bool = False, pause: float = FIRST_PAUSE) -> Fetched:
    """Download, check and unpack what a plan names; the same plan goes on after a cut.

    An archive is removed when it is unpacked, unless ``keep_archives``. ``pause`` is how long to
    wait, in seconds, before the first new attempt after a failure.

    Raises
    ------
    DataError
        When there is too little space, a server fails, or an archive is not what was published.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(plan.folder).free
    if plan.space > free:
        raise DataError(
            f"{plan.folder}: {_gb(free)} free, and about {_gb(plan.space)} are wanted to fetch and "
            f"unpack {plan.remote.name}. Make room, choose another folder, or fetch parts: "
            f"{', '.join(plan.remote.parts)}"
        )
    folders = {}
    for archive, files in plan.archives:
        paths = [download(known, plan.folder / known.file.name, pause=pause) for known in files]
        n_files = unpack(paths, plan.folder / archive.folder)
        _write_down(plan, archive, files, paths, n_files)
        folders[archive.folder] = n_files
        for path in paths if not keep_archives else ():
            path.unlink()
    return Fetched(plan.folder / plan.remote.data, folders)


def _journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); move it away") from error
    return found if isinstance(found, dict) else {}


def _write_down(
    plan: Plan, archive: Archive, files: Sequence[Known], paths: Sequence[Path], n_files: int
) -> None:
    rows = [
        {"url": known.file.url, "bytes": path.stat().st_size, "md5": known.file.md5 or md5_of(path)}
        for known, path in zip(files, paths, strict=True)
    ]
    entry = {
        "set": plan.remote.name,
        "licence": plan.remote.licence,
        "files": n_files,
        "from": rows,
    }
    write_json(plan.folder / JOURNAL, {**_journal(plan.folder), archive.folder: entry})


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.3g} MB"
