"""The options of ``embed``, ``search``, ``map``, ``suggest`` and of a project.

No torch, no scikit-learn here: the command line reads this file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.core.options import DeviceOptions, EngineOptions, JobOptions, option
from semisonic.data.options import GROUP, LABEL_CHOICES

# The options of ``embed``. No torch here: the command line reads this file.


UNITS = WINDOW, CLIP = ("window", "clip")
BATCH_SIZE = 64
LABELS = (
    "where labels come from, for colours on the map; auto looks at the layout, none leaves "
    "them out, for folders that are no classes"
)


@dataclass(frozen=True)
class EmbedOptions(DeviceOptions):
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
        WINDOW,
        "a row for each window of the model's clip length, or for each clip: the mean of "
        "its windows",
        choices=UNITS,
    )
    hop: float | None = option(
        None, "step between windows; the model's clip length if not given", unit="s", minimum=0.001
    )
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)
    group: str = option("auto", GROUP)
    batch_size: int = option(BATCH_SIZE, "windows embedded at once", minimum=1)
    where: EngineOptions = option(EngineOptions(), "engine")


# The options of ``search``. No torch here: the command line reads this file.


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
        None,
        "where the example ends; at the end of the recording if not given",
        unit="s",
        minimum=0,
    )
    k: int = option(10, "hits", minimum=1, maximum=10_000)
    all_windows: bool = option(
        False, "each window is a hit; otherwise neighbouring ones of a recording are one"
    )
    other_files: bool = option(False, "leave out hits in the recordings of the examples")
    model: Path | None = option(None, "model that the index was made with, if it was moved")
    output: Path | None = option(None, "run folder for the table and a page with players")
    players: int = option(20, "hits on the page with a player", minimum=0, maximum=200)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")


# The options of ``map``. No torch, no scikit-learn here: the command line reads this file.


PROJECTIONS = TSNE, PCA = ("tsne", "pca")


@dataclass(frozen=True)
class MapOptions:
    """Draw recordings as points to listen to, those that sound alike near each other."""

    index: Path = option(dataclasses.MISSING, "folder that 'embed' wrote")
    output: Path | None = option(None, "run folder; if not given 'map' in the index")
    projection: str = option(
        TSNE, "tsne keeps neighbours together; pca is linear and quick", choices=PROJECTIONS
    )
    most: int = option(
        3000,
        "points on the map; of more rows so many are drawn at random",
        minimum=5,
        maximum=20_000,
    )
    clusters: str = option(
        "",
        "groups of rows that sound alike, written into the index: a number "
        "(k-means), or auto (HDBSCAN, which leaves outliers without a cluster)",
    )
    megabytes: float = option(
        20.0,
        "most that sounds in the page may take; of more, the page plays the recordings where "
        "they lie",
        unit="MB",
        minimum=0.0,
        maximum=500,
    )
    seed: int = option(0, "seed of everything random", minimum=0)


# The options of ``suggest``. No torch here: the command line reads this file.


MIX = "mix"
STRATEGIES = (MIX, "uncertain", "typical", "random")
RANDOM_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """Which segments a queue holds."""

    n: int = option(50, "segments in the queue", minimum=1, maximum=10_000)
    strategy: str = option(
        MIX,
        "mix: uncertain ones that differ from each other (without a classifier: what is typical) "
        "and a part at random; uncertain: what the classifier is least sure of; typical: the "
        "middle of groups without a label; random",
        choices=STRATEGIES,
    )
    random_share: float = option(
        RANDOM_SHARE,
        "part of the mix that is drawn at random: its answers measure accuracy",
        minimum=0.0,
        maximum=1.0,
    )


# The options of a project. No torch here: the command line reads this file.


@dataclass(frozen=True)
class ProjectOptions(JobOptions):
    """Start from a folder of recordings without a label."""

    recordings: Path = option(dataclasses.MISSING, "the recordings: a folder, or a table of clips")
    output: Path = option(Path("runs/project"), "folder of the project")
    group: str = option("auto", GROUP)
    encoder: str = option(
        "auto",
        "what makes vectors of sounds: the file of an encoder or a classifier; synth, one "
        "that learns to name synthetic sounds; auto: that, then trained by contrast on the "
        "recordings if they are 200 windows or more",
    )
    hop: float | None = option(
        None,
        "step between segments of long recordings; the encoder's clip length if not given",
        unit="s",
        minimum=0.001,
    )
    clusters: str = option("auto", "groups of segments: a number, or auto")
    several_labels: bool = option(
        False,
        "a clip may carry several labels at once; else an answer has one, and 'project "
        "learn --several-labels' changes that later",
    )
    silence_db: float = option(
        -60.0,
        "recordings all below this RMS level are left out",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    )
