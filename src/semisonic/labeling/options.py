"""The options of ``suggest`` and of projects, and values shared by other labelling verbs.

Without torch and scikit-learn, as the command line reads this file.
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

    n: int = option(50, "number of segments in the queue", minimum=1, maximum=10_000)
    strategy: str = option(
        MIX,
        "segments to ask about: mix, uncertain ones that differ from each other (typical ones if "
        "there is no classifier) and some at random; uncertain, those of which the classifier is "
        "least sure; typical, the centres of groups without labels; random",
        choices=STRATEGIES,
    )
    random_share: float = option(
        RANDOM_SHARE,
        "share of the mix that is drawn at random; its answers measure accuracy",
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class ProjectOptions(JobOptions):
    """Start a project from a folder of recordings without labels."""

    recordings: Path = option(dataclasses.MISSING, "recordings: a folder, or a table of clips")
    output: Path = option(Path("runs/project"), "project folder")
    group: str = option("auto", GROUP)
    encoder: str = option(
        "auto",
        "what makes the embeddings: the file of an encoder or a classifier; synth, an encoder "
        "that has learned to name synthetic sounds; auto, synth, then trained by contrastive "
        "learning on the recordings if they give 100 windows or more. Or embeddings made "
        "elsewhere: .npy, .parquet or the folder of a perch-hoplite database; RECORDINGS is then "
        "their table, or the folder that their file names start from",
    )
    hop: float | None = option(
        None,
        "step between segments of long recordings; by default the encoder's clip length",
        unit="s",
        minimum=0.001,
    )
    clusters: str = option(
        "auto", "number of groups of segments; auto: 15 for 150 segments, 40 at most"
    )
    several_labels: bool = option(
        False,
        "allow several labels per clip; otherwise an answer has one, and 'project learn "
        "--several-labels' changes that later",
    )
    silence_db: float = option(
        SILENCE_DB,
        "leave out recordings that stay below this RMS level",
        unit="dBFS",
        minimum=-200,
        maximum=0,
    )
