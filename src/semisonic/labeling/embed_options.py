"""The options of ``embed``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import LABEL_CHOICES
from semisonic.engines.options import EngineOptions, workers_option
from semisonic.inference.options import GROUP

UNITS = WINDOW, CLIP = ("window", "clip")
BATCH_SIZE = 64
LABELS = (
    "where labels come from, for colours on the map; auto looks at the layout, none leaves "
    "them out, for folders that are no classes"
)


@dataclass(frozen=True)
class EmbedOptions:
    """Turn recordings into vectors that a search and a map can use."""

    model: Path = option(
        dataclasses.MISSING, "classifier or encoder: its file, or the run folder it lies in"
    )
    files: tuple[Path, ...] = option(
        dataclasses.MISSING, "recordings, folders of recordings, or tables of clips"
    )
    output: Path = option(
        Path("runs/embed"), "folder of the index; what it holds already is not embedded again"
    )
    per: str = option(
        WINDOW, "a row for each window of the model's clip length, or for each clip: the mean of "
        "its windows", choices=UNITS,
    )  # fmt: skip
    hop: float | None = option(
        None, "step between windows; the model's clip length if not given", unit="s", minimum=0.001
    )
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)
    group: str = option("auto", GROUP)
    batch_size: int = option(BATCH_SIZE, "windows embedded at once", minimum=1)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    where: EngineOptions = option(EngineOptions(), "engine")
