"""The options of ``run``, ``curve`` and ``tune``; without torch."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

from semisonic.classifier.config import AUTO, DEFAULT_MODEL, METHODS
from semisonic.classifier.options import IN_BATCH, IN_BATCH_CHOICES, NEAR_COPIES
from semisonic.core.errors import OptionError
from semisonic.core.options import EngineOptions, JobOptions, option
from semisonic.data.options import ReadOptions
from semisonic.features.options import MelOptions

SYNTH = "synth"
"""Given as ``data``: the embedded set, made in the run's cache."""
TPE, RANDOM, GRID = SAMPLERS = ("tpe", "random", "grid")
TRIALS = 20
"""How many points are tried where neither the user nor a grid says so."""


@dataclass(frozen=True)
class RunOptions(ReadOptions, JobOptions):
    """Run an experiment: every setting with and without pre-training, on all folds."""

    data: Path = option(
        Path(SYNTH), "labelled clips: a folder, a CSV, a data set, or 'synth' (made on the spot)"
    )
    unlabelled: Path | None = option(
        None, "pool to learn from without labels, besides the training clips: a folder or a CSV"
    )
    output: Path = option(Path("runs/experiment"), "run folder; an interrupted run goes on")
    near_copies: bool = option(True, f"{NEAR_COPIES}; where folds are made, copies stay in one")
    in_batch: str = option("auto", IN_BATCH, choices=IN_BATCH_CHOICES)
    where: EngineOptions = option(EngineOptions(), "engine")
    recipe: str = option(
        "demo",
        "recipe file, or the name of one that comes with the package: see semisonic run --list",
    )
    source: Path | None = option(
        None,
        "another labelled set, for settings that begin from a classifier of it; synthetic "
        "sounds if not given",
    )
    quick: bool = option(False, "the recipe's short version: a look in minutes")
    change: tuple[str, ...] = option(
        (), "change a key of the recipe, as in setting.fit.epochs=20; may be repeated"
    )
    transductive: bool = option(
        False, "let pre-training hear the test clips, without labels; the report says so"
    )
    _: KW_ONLY
    seed: int = option(0, "seed of everything random: draws, splits, first weights", minimum=0)
    workers: int | None = option(
        None, "trainings at once; if not given one per core, or one on a GPU", minimum=1
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The recipe's keys that are changed, with TOML values."""
        return {key: toml_or_text(value) for key, value in pairs("change", self.change)}


def pairs(option_name: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """``["a.b = 3"]`` as ``[("a.b", "3")]``; OptionError for a text without an equals sign."""
    found = [(text, *map(str.strip, text.partition("=")[::2])) for text in texts]
    for text, key, _ in found:
        if not key or "=" not in text:
            raise OptionError(f"option '{option_name}': found '{text}', expected KEY=VALUE")
    return [(key, value) for _, key, value in found]


def toml_or_text(text: str) -> Any:
    """The TOML value that a text is; what is none stays text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@dataclass(frozen=True)
class CurveOptions(RunOptions):
    """Accuracy against labels per class: how many labels do I need, and does my pool help?"""

    recipe: ClassVar[str] = "curve"  # type: ignore[misc]  # it has one of its own
    source: ClassVar[None] = None  # type: ignore[misc]
    quick: ClassVar[bool] = False  # type: ignore[misc]
    change: ClassVar[tuple[str, ...]] = ()  # type: ignore[misc]
    transductive: ClassVar[bool] = False  # type: ignore[misc]

    output: Path = option(Path("runs/curve"), "run folder; an interrupted run goes on")
    labels: tuple[int, ...] = option(
        (1, 2, 4, 8, 16, 0),
        "labels per class to try; 0: all there are. Numbers that are more than the rarest class "
        "has are left out",
        minimum=0,
    )
    draws: int = option(3, "how often labels are drawn for each of them", minimum=1)
    folds: tuple[int, ...] = option((), "test folds to run; all if not given", minimum=1)
    method: str = option(
        AUTO,
        "how labels and pool are learned from, compared with labels alone",
        choices=(AUTO, *METHODS[1:]),
    )
    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    goals: tuple[float, ...] = option(
        (0.7, 0.8, 0.9), "accuracies to tell the number of labels for", minimum=0.01, maximum=1.0
    )
    steps: int = option(
        0,
        "steps of each training, which a probe does not have; 0: as many as the method asks for",
        minimum=0,
    )
    mel: MelOptions = option(MelOptions(), "front end")


@dataclass(frozen=True)
class TuneOptions(RunOptions):
    """Search over a recipe's options by results on training clips alone."""

    transductive: ClassVar[bool] = False  # type: ignore[misc]  # no search hears the test clips

    recipe: str = option("tune-demo", "recipe file, or the name of one that comes with the package")
    output: Path = option(Path("runs/tune"), "run folder; an interrupted search goes on")
    search: tuple[str, ...] = option(
        (),
        "what to search, as in 'setting.fit.learning_rate=1e-4..1e-2 log' or "
        "'setting.model=small,cnn3'; may be repeated, and takes the place of the recipe's [tune]",
    )
    trials: int | None = option(
        None, f"points to try; if not given {TRIALS}, or the whole grid", minimum=1
    )
    sampler: str = option(
        TPE,
        "how points are chosen: by what was found so far, at random, or all there are",
        choices=SAMPLERS,
    )
    inner_folds: int = option(
        3, "parts of the training clips, by recording; each is scored once a trial", minimum=2
    )
    test_folds: tuple[int, ...] = option(
        (1,), "folds that the search never hears, to measure the result on", minimum=1
    )
    setting: str = option("", "the setting to search around, in a recipe that has several")
