"""The recordings that are listened to: which there are, how long, and whether they are whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from semisonic.audio.remote import stamp_of, url_of
from semisonic.base.errors import OptionError
from semisonic.base.files import digest
from semisonic.data.windows import read_headers
from semisonic.engines import LOCAL_ENGINE, Engine
from semisonic.inference.inputs import gather
from semisonic.inference.prepare import Failures


@dataclass(frozen=True)
class Recording:
    """A recording.

    Attributes
    ----------
    root : Path
    file : str
        Below ``root``; as the user named it.
    identity : str
        Changes when the file's place, size or time of change does.
    duration : float
        Seconds, as far as it can be read.
    damage : str
        Why it cannot be read as a whole; empty if nothing is known.
    """

    root: Path
    file: str
    identity: str
    duration: float
    damage: str = ""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.root / self.file

    @property
    def end_time(self) -> float | None:
        """Up to where it is read: None, to its end, unless it is known to be damaged."""
        return self.duration if self.damage else None

    def n_samples(self, sample_rate: int) -> int:
        """Its length at a rate."""
        return int(self.duration * sample_rate)


def list_recordings(
    files: Iterable[str | PathLike[str]],
    workers: int | None = None,
    engine: Engine = LOCAL_ENGINE,
) -> tuple[list[Recording], Failures]:
    """The recordings that some paths stand for; headers are read, nothing is decoded.

    Returns
    -------
    recordings : list of Recording
        Sorted by name.
    failures : tuple of (str, str)
        What cannot be opened, and why.

    Raises
    ------
    DataError
        When none of the paths exists.
    OptionError
        For a table that names parts of recordings.
    """
    clips, missing = gather(files)
    if (clips.start_time > 0).any() or not np.isnan(clips.end_time).all():
        raise OptionError(
            "found a table with times; expected whole recordings, as 'detect' finds the times. "
            "For a table of clips take 'predict'"
        )
    found, failures = [], list(missing)
    for header in read_headers(clips, clips.file.tolist(), workers, engine):
        if header.info is None:
            failures.append((header.file, header.reason))
            continue
        path = clips.root / header.file
        identity = digest(url_of(path) or path.resolve(), *stamp_of(path))
        found.append(
            Recording(clips.root, header.file, identity, header.info.duration, header.reason)
        )
    return found, tuple(failures)
