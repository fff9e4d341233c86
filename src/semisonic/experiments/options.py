"""The options of ``semisonic run``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.options import option
from semisonic.data.readers import TableOptions
from semisonic.engines.options import EngineOptions
from semisonic.inference.options import GROUP, IN_BATCH, IN_BATCH_CHOICES, NEAR_COPIES, TABLE

COPIES = f"{NEAR_COPIES}; where folds are made, copies stay in one"

SYNTH = "synth"
"""Given as ``data``: the embedded set, made in the run's cache."""


@dataclass(frozen=True)
class ExperimentOptions:
    """What every verb that runs a recipe reads."""

    recipe: str = option(
        "demo",
        "recipe file, or the name of one that comes with the package: see semisonic run --list",
    )
    data: Path = option(
        Path(SYNTH), "labelled clips: a folder, a CSV, a data set, or 'synth' (made on the spot)"
    )
    unlabelled: Path | None = option(
        None, "pool for pre-training besides the training clips: a folder or a CSV"
    )
    source: Path | None = option(
        None, "another labelled set, for settings that begin from a classifier of it; made-up "
        "sounds if not given",
    )  # fmt: skip
    output: Path = option(Path("runs/experiment"), "run folder; an interrupted run goes on")
    quick: bool = option(False, "the recipe's short version: a look in minutes")
    group: str = option("auto", GROUP)
    table: TableOptions = option(TableOptions(), TABLE)
    near_copies: bool = option(True, COPIES)
    change: tuple[str, ...] = option(
        (), "change a key of the recipe, as in setting.train.epochs=20; may be repeated"
    )
    seed: int = option(0, "seed of draws, splits and first weights", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    workers: int | None = option(
        None, "trainings at once; if not given one per core, or one on a GPU", minimum=1
    )
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the run folder if not given"
    )
    where: EngineOptions = option(EngineOptions(), "engine")

    @property
    def changes(self) -> dict[str, Any]:
        """The recipe's keys that are changed, with TOML values."""
        return dict(parse_change(text) for text in self.change)


@dataclass(frozen=True)
class RunOptions(ExperimentOptions):
    """Run an experiment: every setting with and without pre-training, on all folds."""

    transductive: bool = option(
        False, "let pre-training hear the test clips, without labels; the report says so"
    )


def parse_change(text: str) -> tuple[str, Any]:
    """``"a.b=3"`` as ``("a.b", 3)``; a value that is no TOML value is text.

    Raises
    ------
    OptionError
        Without an equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise OptionError(f"option 'change': found '{text}', expected KEY=VALUE")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
