"""Whether a disk has room for what is going to be written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.forecast import size


def need_room(folder: Path, n_bytes: int, what: str) -> None:
    """See that a disk has room for more.

    Parameters
    ----------
    folder : Path
        Where it will be written; need not exist yet.
    n_bytes : int
        How much will be written.
    what : str
        What it is, for the message.

    Raises
    ------
    DataError
        When there is less.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise DataError(
            f"'{folder}': {what} will take {size(n_bytes)} more, and the disk has "
            f"{size(free)} free. Make room, or name a folder on another disk with --cache"
        )


def taken(folders: Iterable[Path]) -> int:
    """Bytes that the files directly in some folders take on the disk; holes take none."""
    return sum(
        512 * file.stat().st_blocks
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.is_file()
    )
