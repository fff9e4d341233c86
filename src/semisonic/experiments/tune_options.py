"""The options of ``semisonic tune``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semisonic.base.options import option
from semisonic.engines.options import EngineOptions
from semisonic.experiments.options import COPIES, SYNTH, parse_change

TPE, RANDOM, GRID = SAMPLERS = ("tpe", "random", "grid")
AUTO, MEDIAN, HYPERBAND, NO_PRUNER = PRUNERS = ("auto", "median", "hyperband", "none")
TRIALS = 20
"""How many points are tried where neither the user nor a grid says so."""


@dataclass(frozen=True)
class TuneOptions:
    """Search over a recipe's options by results on training clips alone."""

    recipe: str = option("tune-demo", "recipe file, or the name of one that comes with the package")
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
    output: Path = option(Path("runs/tune"), "run folder; an interrupted search goes on")
    search: tuple[str, ...] = option(
        (), "what to search, as in 'setting.train.learning_rate=1e-4..1e-2 log' or "
        "'setting.model=small,cnn3'; may be repeated, and takes the place of the recipe's [tune]",
    )  # fmt: skip
    space: Path | None = option(
        None, "TOML file with a [tune] table, which takes the place of the recipe's"
    )
    trials: int | None = option(
        None, f"points to try; if not given {TRIALS}, or the whole grid", minimum=1
    )
    sampler: str = option(
        TPE, "how points are chosen: by what was found so far, by chance, or all there are",
        choices=SAMPLERS,
    )  # fmt: skip
    pruner: str = option(
        AUTO, "when a trial is given up after some of its inner folds: below the median of the "
        "others, by successive halving, or never; auto: median, and never in a grid",
        choices=PRUNERS,
    )  # fmt: skip
    inner_folds: int = option(
        3, "parts of the training clips, by recording; each is scored once a trial", minimum=2
    )
    test_folds: tuple[int, ...] = option(
        (1,), "folds that the search never hears, to measure the result on", minimum=1
    )
    setting: str = option("", "the setting to search around, in a recipe that has several")
    quick: bool = option(False, "the recipe's short version: a look in minutes")
    near_copies: bool = option(True, COPIES)
    change: tuple[str, ...] = option(
        (), "change a key of the recipe, as in setting.train.epochs=20; may be repeated"
    )
    seed: int = option(0, "seed of the search, draws, splits and first weights", minimum=0)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps")
    workers: int | None = option(
        None, "trials at once; if not given one a core, or one on a GPU. With 1 the same seed "
        "gives the same search", minimum=1,
    )  # fmt: skip
    cache: Path | None = option(
        None, "folder for decoded clips; 'cache' in the run folder if not given"
    )
    where: EngineOptions = option(EngineOptions(), "engine")

    @property
    def changes(self) -> dict[str, Any]:
        """The recipe's keys that are changed, with TOML values."""
        return dict(parse_change(text) for text in self.change)
