"""The options of ``scan``. No torch, no scipy here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import LABEL_CHOICES


@dataclass(frozen=True)
class ScanOptions:
    """Look at a disk of recordings: what is there, since when, and what is wrong with it."""

    data: Path | None = option(None, "the folder; all folders below it are looked at")
    output: Path = option(Path("runs/scan"), "run folder")
    labels: str = option(
        "auto",
        "where labels come from; auto looks at the layout, and takes folders for sites where most "
        "names are those of field recorders",
        choices=LABEL_CHOICES,
    )
    group: str = option(
        "auto",
        "what a recording is: auto (what the data set says, else the site), file, folder, site, "
        "day, a column of the table of labels, a pattern, or copies (auto, and recordings that are "
        "the same sound are one)",
    )
    silence_db: float = option(
        -60.0,
        "RMS level below which a tenth of a second counts as silent; another one decodes anew",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    )
    near_copies: bool = option(
        True, "look for copies that were cut or encoded anew, besides equal bytes"
    )
    near_most: int = option(
        5000, "leave out the search for such copies among more recordings than this", minimum=0
    )
    thumbnails: int = option(
        24, "recordings in the page with a spectrogram and a player", minimum=0, maximum=200
    )
    json: bool = option(False, "print the counts as JSON, as they stand in scan.json")
    workers: int | None = option(None, "threads that decode; by default one per core", minimum=1)
