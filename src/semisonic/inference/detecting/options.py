"""The options of ``detect``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.labels import FORMATS
from semisonic.engines.options import EngineOptions, workers_option
from semisonic.inference.event_options import EventOptions

CSV = "csv"
SCORE_OPTIONS = ("model", "events.hop", "events.times")
"""Options that scores depend on; with others, scores that are there are used again."""


@dataclass(frozen=True)
class DetectOptions:
    """Find sounds in recordings of any length: from when to when."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings of any length, or folders of recordings"
    )
    output: Path = option(Path("runs/detect"), "run folder")
    events: EventOptions = option(EventOptions(), "events")
    format: tuple[str, ...] = option(
        (CSV,), "files of events: csv is events.csv; those for other programs lie below labels",
        choices=FORMATS,
    )  # fmt: skip
    truth: Path | None = option(
        None, "label file of these recordings, or a folder of them: says how many events were "
        "found, and how many are none",
    )  # fmt: skip
    save_clips: Path | None = option(
        None, "folder to cut the sound of each event into, with a second before and after, for "
        "review; clips.csv there lists them",
    )  # fmt: skip
    players: int = option(1, "events of each class on the page, the surest first", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    where: EngineOptions = option(EngineOptions(), "engine")
