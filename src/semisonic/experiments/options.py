"""The options of ``run``, ``curve`` and ``tune``; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

from semisonic.classifier.config import AUTO, DEFAULT_MODEL, METHODS
from semisonic.classifier.options import IN_BATCH, IN_BATCH_CHOICES, NEAR_COPIES
from semisonic.core.errors import OptionError
from semisonic.core.files import parse_toml
from semisonic.core.options import EngineOptions, JobOptions, option
from semisonic.data.options import ReadOptions
from semisonic.features.options import MelOptions

SYNTH = "synth"
"""Value of ``data`` for the synthetic set, made in the run's cache."""
TPE, RANDOM, GRID = SAMPLERS = ("tpe", "random", "grid")
TRIALS = 20
"""Number of points to try if neither the user nor a grid gives it."""


@dataclass(frozen=True)
class RunOptions(ReadOptions, JobOptions):
    """Run an experiment: every setting in both arms, on all folds."""

    data: Path = option(
        Path(SYNTH),
        "labelled clips: a folder of class folders, a CSV table or a data set; or "
        "'synth', synthetic sounds",
    )
    unlabelled: Path | None = option(
        None, "recordings without labels to train on as well: a folder, a CSV table or a data set"
    )
    output: Path = option(
        Path("runs/experiment"), "run folder; the same command continues an interrupted run"
    )
    near_copies: bool = option(True, f"{NEAR_COPIES}; if folds are made, copies stay in one fold")
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    where: EngineOptions = option(EngineOptions(), "engine")
    recipe: str = option(
        "demo",
        "recipe file, or the name of a recipe of the package (see 'semisonic run --list')",
    )
    source: Path | None = option(
        None,
        "another labelled set, for settings that start from a classifier of it; by default "
        "synthetic sounds",
    )
    quick: bool = option(False, "run the short version of the recipe: a first look in minutes")
    change: tuple[str, ...] = option(
        (), "change a key of the recipe, as in setting.fit.epochs=20; may be repeated"
    )
    transductive: bool = option(
        False, "use the test clips in pre-training, without labels; the report says so"
    )
    _: KW_ONLY
    seed: int = option(0, "seed of everything random: draws, splits, first weights", minimum=0)
    workers: int | None = option(
        None, "number of trainings at once; by default one per core, or one on a GPU", minimum=1
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The changed keys of the recipe, with TOML values."""
        return {key: toml_or_text(value) for key, value in pairs("change", self.change)}


def pairs(option_name: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """``["a.b = 3"]`` as ``[("a.b", "3")]``; OptionError for a text without an equals sign."""
    found = [(text, *map(str.strip, text.partition("=")[::2])) for text in texts]
    for text, key, _ in found:
        if not key or "=" not in text:
            raise OptionError(f"option '{option_name}': found '{text}', expected KEY=VALUE")
    return [(key, value) for _, key, value in found]


def toml_or_text(text: str) -> Any:
    """The TOML value of a text; other texts stay text."""
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


@dataclass(frozen=True)
class CurveOptions(RunOptions):
    """Accuracy against labels per class: how many labels do I need, and does my pool help?"""

    recipe: ClassVar[str] = "curve"  # type: ignore[misc]  # it has one of its own
    source: ClassVar[None] = None  # type: ignore[misc]
    quick: ClassVar[bool] = False  # type: ignore[misc]
    change: ClassVar[tuple[str, ...]] = ()  # type: ignore[misc]
    transductive: ClassVar[bool] = False  # type: ignore[misc]

    output: Path = option(
        Path("runs/curve"), "run folder; the same command continues an interrupted run"
    )
    labels: tuple[int, ...] = option(
        (1, 2, 4, 8, 16, 0),
        "labels per class to try; 0: all; numbers larger than the rarest class are left out",
        minimum=0,
    )
    draws: int = option(3, "number of draws of labels for each of them", minimum=1)
    folds: tuple[int, ...] = option((), "test folds to run; by default all", minimum=1)
    method: str = option(
        AUTO,
        "how to learn from labels and pool, in comparison with labels alone",
        choices=(AUTO, *METHODS[1:]),
    )
    model: str = option(DEFAULT_MODEL, "name of an architecture, or architecture notation")
    goals: tuple[float, ...] = option(
        (0.7, 0.8, 0.9),
        "accuracies for which to report the number of labels",
        minimum=0.01,
        maximum=1.0,
    )
    steps: int = option(
        0,
        "number of steps of each training, except for a probe; 0: as the method sets",
        minimum=0,
    )
    mel: MelOptions = option(MelOptions(), "front end")


@dataclass(frozen=True)
class TuneOptions(RunOptions):
    """Search for the best options of a recipe, by results on training clips only."""

    transductive: ClassVar[bool] = False  # type: ignore[misc]  # no search hears the test clips

    recipe: str = option("tune-demo", "recipe file, or the name of a recipe of the package")
    output: Path = option(
        Path("runs/tune"), "run folder; the same command continues an interrupted search"
    )
    search: tuple[str, ...] = option(
        (),
        "what to search, as in 'setting.fit.learning_rate=1e-4..1e-2 log' or "
        "'setting.model=small,cnn3'; may be repeated, and replaces the recipe's [tune]",
    )
    trials: int | None = option(
        None, f"number of points to try; by default {TRIALS}, or the whole grid", minimum=1
    )
    sampler: str = option(
        TPE,
        "how points are chosen: tpe, by earlier results; random; grid, all points",
        choices=SAMPLERS,
    )
    inner_folds: int = option(
        3,
        "number of parts of the training clips, by recording; each trial scores each part once",
        minimum=2,
    )
    test_folds: tuple[int, ...] = option(
        (1,), "folds that the search does not use, to measure the result on", minimum=1
    )
    setting: str = option("", "setting to search around, if the recipe has several")
