"""The options of a project. No torch here: the command line reads this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.engines import workers_option
from semisonic.inference.options import GROUP
from semisonic.labeling.learn_options import LearnOptions
from semisonic.labeling.suggest_options import MIX, RANDOM_SHARE, SPREAD, STRATEGIES


@dataclass(frozen=True)
class ProjectOptions:
    """Start from a folder of recordings without a label."""

    recordings: Path | None = option(None, "the recordings: a folder, or a table of clips")
    output: Path = option(Path("runs/project"), "folder of the project")
    group: str = option("auto", GROUP)
    encoder: str = option(
        "auto", "what makes vectors of sounds: the file of an encoder or a classifier; synth, one "
        "that learns to name made-up sounds; auto: that, then trained to tell the recordings apart "
        "if they are 200 windows or more",
    )  # fmt: skip
    hop: float | None = option(
        None, "step between stretches of long recordings; the encoder's clip length if not given",
        unit="s", minimum=0.001,
    )  # fmt: skip
    clusters: str = option("auto", "groups of stretches: a number, or auto")
    most_pretrained: int = option(
        10_000, "windows that the encoder learns to tell apart at most, drawn by chance", minimum=2
    )
    several_labels: bool = option(
        False, "a clip may carry several labels at once; else an answer has one, and 'project "
        "learn --several-labels' changes that later",
    )  # fmt: skip
    silence_db: float = option(
        -60.0, "recordings all below this RMS level are left out", unit="dBFS", minimum=-200,
        maximum=0,
    )  # fmt: skip
    seed: int = option(0, "seed of everything random", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the project's if not given"
    )


@dataclass(frozen=True)
class ProjectSuggestOptions:
    """Write the table of what to listen to next."""

    project: Path = option(Path("runs/project"), "folder of the project")
    output: Path | None = option(None, "the table; queue.csv in the project if not given")
    annotator: str = option("", "who filled in the queue before")
    n: int = option(20, "stretches in the queue", minimum=1, maximum=10_000)
    strategy: str = option(
        MIX,
        "as for 'semisonic suggest'; before there is a classifier the mix asks what is typical",
        choices=STRATEGIES,
    )  # fmt: skip
    random_share: float = option(
        RANDOM_SHARE, "part of the mix that is drawn by chance: its answers measure accuracy",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    apart: float = option(
        SPREAD, "time between stretches of one recording, as far as there are others", unit="s",
        minimum=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class ProjectLearnOptions:
    """Learn from all answers so far, and measure."""

    project: Path = option(Path("runs/project"), "folder of the project")
    answers: Path | None = option(
        None, "a queue whose column 'label' was filled in: its answers go into the log first"
    )
    annotator: str = option("", "who filled it in")
    several_labels: bool | None = option(
        None, "from now on a clip of the project may carry several labels at once, or with "
        "--no-several-labels one; as the project has it if not given",
    )  # fmt: skip
    learn: LearnOptions = option(LearnOptions(), "how answers become a classifier")
