"""The options of ``detect``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.labels import FORMATS
from semisonic.engines.options import EngineOptions, workers_option
from semisonic.inference.event_options import AUTO, BACKGROUND, CLASSES, NO_EVENTS, THRESHOLD

FRAMES, WINDOWS = "frames", "windows"
TIMES = (AUTO, FRAMES, WINDOWS)
EDGE_OF_FRAMES, EDGE_OF_WINDOWS = 0.6, 0.8
CSV = "csv"
SCORE_OPTIONS = ("model", "hop", "times")
"""Options that scores depend on; with others, scores that are there are used again."""


@dataclass(frozen=True)
class DetectOptions:
    """Find sounds in recordings of any length: from when to when."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings of any length, or folders of recordings"
    )
    output: Path = option(Path("runs/detect"), "run folder")
    threshold: str = option(AUTO, THRESHOLD)
    hop: float | None = option(
        None, "step between windows; a quarter of the model's clip length if not given",
        unit="s", minimum=0.001,
    )  # fmt: skip
    times: str = option(
        AUTO, "what times come from: frames, the network's answer along time, which is sharper; "
        "windows, its answers to whole windows; auto: frames where the network has them",
        choices=TIMES,
    )  # fmt: skip
    edge: float | None = option(
        None, "an event reaches as far as its score is at least this share of its largest; if not "
        "given 0.6 with frames, 0.8 with windows",
        minimum=0.05, maximum=1.0,
    )  # fmt: skip
    merge_gap: float = option(
        0.3, "events of a class with at most this between them are one", unit="s", minimum=0.0
    )
    min_duration: float = option(0.1, "shorter events are left out", unit="s", minimum=0.0)
    classes: tuple[str, ...] = option((), CLASSES)
    background: tuple[str, ...] = option(BACKGROUND, NO_EVENTS)
    format: tuple[str, ...] = option(
        (CSV,), "files of events: csv is events.csv; those for other programs lie below labels",
        choices=FORMATS,
    )  # fmt: skip
    truth: Path | None = option(
        None, "label file of these recordings, or a folder of them: says how many events were "
        "found, and how many are none",
    )  # fmt: skip
    players: int = option(1, "events of each class on the page, the surest first", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    where: EngineOptions = option(EngineOptions(), "engine")
