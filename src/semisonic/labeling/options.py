"""The options of ``suggest`` and of a project, and the words that other verbs of labelling take.

No torch, no scikit-learn here: the command line reads this file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.core.options import JobOptions, option
from semisonic.data.options import GROUP

UNITS = WINDOW, CLIP = ("window", "clip")
BATCH_SIZE = 64
PROJECTIONS = TSNE, PCA = ("tsne", "pca")
MIX = "mix"
STRATEGIES = (MIX, "uncertain", "typical", "random")
RANDOM_SHARE = 0.2
SILENCE_DB = -60.0


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


@dataclass(frozen=True)
class ProjectOptions(JobOptions):
    """Start from a folder of recordings without a label."""

    recordings: Path = option(dataclasses.MISSING, "the recordings: a folder, or a table of clips")
    output: Path = option(Path("runs/project"), "folder of the project")
    group: str = option("auto", GROUP)
    encoder: str = option(
        "auto",
        "what makes vectors of sounds: the file of an encoder or a classifier; synth, one "
        "that has learned to name synthetic sounds; auto: that, then trained by contrast on the "
        "recordings if they are 100 windows or more. Or vectors made elsewhere: .npy, .parquet or "
        "the folder of a perch-hoplite database; RECORDINGS is then their table, or the folder "
        "that they name recordings from",
    )
    hop: float | None = option(
        None,
        "step between segments of long recordings; the encoder's clip length if not given",
        unit="s",
        minimum=0.001,
    )
    clusters: str = option(
        "auto", "groups of segments: a number, or auto: 15 for 150 segments, 40 at most"
    )
    several_labels: bool = option(
        False,
        "a clip may carry several labels at once; else an answer has one, and 'project "
        "learn --several-labels' changes that later",
    )
    silence_db: float = option(
        SILENCE_DB,
        "recordings all below this RMS level are left out",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    )
