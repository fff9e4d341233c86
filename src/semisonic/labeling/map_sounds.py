"""Sounds of the map: short ones inside the page, or links to the recordings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from semisonic.audio import read_start
from semisonic.base.errors import AudioError, OptionError
from semisonic.base.progress import track
from semisonic.data.clips import Clips
from semisonic.evaluation.report.media import data_uri, sound_bytes

INSIDE, LINK, NONE = "inside", "link", "none"
RATE = 16000
"""Of sounds in the page, Hz."""


@dataclass(frozen=True)
class Sounds:
    """How the points of a map sound.

    Attributes
    ----------
    kind : str
        "inside", "link" or "none".
    sources : tuple of str
        An address for each point; empty where its recording cannot be read.
    megabytes : float
        In the page.
    reason : str
        Why links were taken where the choice was free.
    """

    kind: str
    sources: tuple[str, ...] = ()
    megabytes: float = 0.0
    reason: str = ""


def sounds_of(clips: Clips, folder: Path, how: str, *, snippet: float, megabytes: float) -> Sounds:
    """The sounds of some clips.

    Parameters
    ----------
    clips : Clips
    folder : Path
        Where the page will lie; links are relative to it.
    how : {"auto", "inside", "link", "none"}
    snippet : float
        Seconds of a sound inside the page, from the middle of its clip.
    megabytes : float
        What they may take.

    Raises
    ------
    OptionError
        When they must be inside and take more.
    """
    if how == NONE or not len(clips):
        return Sounds(NONE)
    if how == LINK:
        return Sounds(LINK, _links(clips, folder))
    sources: list[str] = []
    size = 0
    for row in track(range(len(clips)), "sounds", "clip"):
        sources.append(_snippet(clips, row, snippet))
        size += len(sources[-1])
        # Told early: the sounds so far are as large as the others will be.
        guess = size / len(sources) * len(clips) if len(sources) >= 20 else size
        if max(size, guess) > megabytes * 1e6:
            need = f"{len(clips)} sounds of {snippet:g} s need about {guess / 1e6:.0f} MB"
            if how == INSIDE:
                raise OptionError(
                    f"option 'sounds': {need}, more than the {megabytes:g} MB of the option "
                    "'megabytes'; allow more, shorten 'snippet', draw fewer points with 'most', "
                    "or link"
                )
            reason = f"{need}, more than {megabytes:g} MB: the page plays the recordings themselves"
            return Sounds(LINK, _links(clips, folder), reason=reason)
    return Sounds(INSIDE, tuple(sources), size / 1e6)


def _snippet(clips: Clips, row: int, length: float) -> str:
    start, end = float(clips.start_time[row]), float(clips.end_time[row])
    spare = 0.0 if np.isnan(end) else max(0.0, (end - start - length) / 2)
    try:
        samples = read_start(
            clips.root / str(clips.file[row]), duration=length, sample_rate=RATE,
            start_time=start + spare,
        )  # fmt: skip
    except AudioError:
        return ""
    if not np.isnan(end):
        samples = samples[: max(1, round((end - start - spare) * RATE))]
    return data_uri(*sound_bytes(samples, RATE))


def _links(clips: Clips, folder: Path) -> tuple[str, ...]:
    files: Sequence[str] = clips.file.tolist()
    place = folder.resolve()
    known = {}
    for file in dict.fromkeys(files):
        path = os.path.normpath(clips.root / file)
        known[file] = quote(Path(os.path.relpath(path, place)).as_posix(), errors="surrogateescape")
    return tuple(known[file] for file in files)
