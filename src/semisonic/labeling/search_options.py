"""The options of ``search``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option

MEASURES = COSINE, EUCLIDEAN = ("cosine", "euclidean")


@dataclass(frozen=True)
class SearchOptions:
    """Find the recordings that sound like an example."""

    index: Path = option(dataclasses.MISSING, "folder that 'embed' wrote")
    query: tuple[Path, ...] = option(
        (), "recordings to look for; the mean of several examples is looked for"
    )
    row: tuple[int, ...] = option((), "rows of the index as examples", minimum=0)
    start: float = option(0.0, "where the example begins in its recording", unit="s", minimum=0)
    end: float | None = option(
        None, "where the example ends; at the end of the recording if not given", unit="s",
        minimum=0,
    )  # fmt: skip
    k: int = option(10, "hits", minimum=1, maximum=10_000)
    by: str = option(COSINE, "what near means", choices=MEASURES)
    approximate: bool = option(
        False, "look in a graph of neighbours instead of at every row, which may miss some; "
        "needs the extra 'search'",
    )  # fmt: skip
    all_windows: bool = option(
        False, "each window is a hit; otherwise neighbouring ones of a recording are one"
    )
    other_files: bool = option(False, "leave out hits in the recordings of the examples")
    model: Path | None = option(None, "model that the index was made with, if it was moved")
    output: Path | None = option(None, "run folder for the table and a page with players")
    players: int = option(20, "hits on the page with a player", minimum=0, maximum=200)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
