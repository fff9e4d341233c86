"""A tar file whose members are read from their places, without unpacking it."""

from __future__ import annotations

import posixpath
import tarfile
from typing import Any

from semisonic.base.positions import read_at

_RECORD = 512


class TarShard:
    """The members of an uncompressed tar file; :func:`semisonic.base.members.open_shard` opens it.

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
