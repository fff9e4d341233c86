"""The options of ``suggest``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.engines import workers_option

MIX = "mix"
STRATEGIES = (MIX, "uncertain", "diverse", "typical", "random")
WITH_SCORES = ("uncertain",)
"""Strategies that cannot do without a classifier."""
DOUBTS = MARGIN, ENTROPY = ("margin", "entropy")
RANDOM_SHARE = 0.2
SPREAD = 30.0


@dataclass(frozen=True)
class SuggestOptions:
    """Say which stretches of recordings to listen to and to label next."""

    model: Path = option(
        dataclasses.MISSING,
        "classifier or encoder: its file, or the run folder it lies in; 'synth': an encoder that "
        "first learns to name made-up sounds, where there is no model yet",
    )
    data: Path = option(
        dataclasses.MISSING,
        "recordings without labels, a table of clips, or the folder of an index",
    )
    output: Path = option(Path("queue.csv"), "table with the stretches, in the order to listen")
    n: int = option(50, "stretches in the queue", minimum=1, maximum=10_000)
    strategy: str = option(
        MIX,
        "mix: doubts that differ from each other (without a classifier: what is typical) and a "
        "part by chance; uncertain: the largest doubts; diverse: unlike all that is labelled; "
        "typical: the middle of groups without a label; random",
        choices=STRATEGIES,
    )
    random_share: float = option(
        RANDOM_SHARE, "part of the mix that is drawn by chance: its answers measure accuracy",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    doubt: str = option(
        MARGIN, "what doubts are measured by, with one label per clip: margin, between the two "
        "best classes; entropy, of all scores", choices=DOUBTS,
    )  # fmt: skip
    log: Path | None = option(
        None, "label log, or a table with labels such as a queue that was filled in: what is "
        "answered in it is not asked again",
    )  # fmt: skip
    apart: float = option(
        SPREAD, "time between stretches of one recording, as far as there are others", unit="s",
        minimum=0.0,
    )  # fmt: skip
    cache: Path | None = option(
        None, "folder that keeps the vectors of recordings; beside the table if not given"
    )
    seed: int = option(0, "seed of everything random; keep it from round to round", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = workers_option()
