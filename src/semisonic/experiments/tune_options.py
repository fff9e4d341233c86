"""The options of ``semisonic tune``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.experiments.options import ExperimentOptions

TPE, RANDOM, GRID = SAMPLERS = ("tpe", "random", "grid")
AUTO, MEDIAN, HYPERBAND, NO_PRUNER = PRUNERS = ("auto", "median", "hyperband", "none")
TRIALS = 20
"""How many points are tried where neither the user nor a grid says so."""


@dataclass(frozen=True)
class TuneOptions(ExperimentOptions):
    """Search over a recipe's options by results on training clips alone."""

    recipe: str = option("tune-demo", "recipe file, or the name of one that comes with the package")
    output: Path = option(Path("runs/tune"), "run folder; an interrupted search goes on")
    seed: int = option(0, "seed of the search, draws, splits and first weights", minimum=0)
    workers: int | None = option(
        None, "trials at once; if not given one per core, or one on a GPU. With 1 the same seed "
        "gives the same search", minimum=1,
    )  # fmt: skip
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
