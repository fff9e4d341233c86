"""The best settings as a recipe: the recipe's own values against the tuned ones, on the test folds.

Both are trained as the recipe says and scored once, so that what the search brought is measured on
clips that had no say in it.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semisonic.base.toml import toml_tables
from semisonic.experiments.recipe import Budget, Recipe, Setting, SourceTraining
from semisonic.experiments.recipe_file import put
from semisonic.experiments.tune_options import TuneOptions
from semisonic.experiments.tuning.space import Point
from semisonic.experiments.tuning.target import BATCH, SETTING, Target, value_of

FILE = "best.toml"
ARMS = ("as the recipe has it", "tuned")
_PLAIN = ("pretraining", "method", "pool")
"""What a control leaves out unless it says otherwise."""


def best_recipe(target: Target, point: Point, test_folds: Sequence[int]) -> str:
    """A recipe file that measures a point against the recipe's own values.

    Parameters
    ----------
    target : Target
    point : mapping of str to value
        The best values, by dotted name.
    test_folds : sequence of int
        The folds that the search never heard.
    """
    recipe, base = target.recipe, target.base
    tuned = target.at(point)
    setting = _changed(tuned, Setting())
    setting["name"] = ARMS[1]
    control: dict[str, Any] = {name: getattr(base, name) for name in _PLAIN}
    for name in point:
        short = name.removeprefix(SETTING)
        for place in (f"pretrain.{BATCH}", f"train.{BATCH}") if short == BATCH else (short,):
            put(control, place, _plain(value_of(base, place)))
    head = {
        "title": f"Tuned, and as it was: {recipe.title}",
        "question": "What a search over settings brought, on clips that it never heard.",
        "folds": list(test_folds),
        "arms": list(ARMS),
        **_of_recipe(recipe),
        "budgets": [_changed(budget, Budget()) for budget in recipe.budgets],
        "setting": setting,
        "control": control,
    }
    for name, plain in (("synth", recipe.synth), ("source", recipe.source)):
        changed = _changed(plain, SourceTraining() if name == "source" else type(plain)())
        if changed:
            head[name] = changed
    return "# Written by a search over settings: [control] holds the recipe's own values.\n" + (
        toml_tables(head)
    )


def measuring_command(
    options: TuneOptions, recipe_file: Path, folds_file: Path | None, output: Path
) -> str:
    """The command that scores the test folds, once.

    Parameters
    ----------
    recipe_file : Path
        What :func:`best_recipe` was written to.
    folds_file : Path, optional
        The clips with their folds, where the data had none.
    output : Path
        The run folder of the measurement.
    """
    parts = ["semisonic", "run", recipe_file, "--data", folds_file or options.data]
    for name in ("unlabelled", "source"):
        if getattr(options, name) is not None:
            parts += [f"--{name}", getattr(options, name)]
    if folds_file is None and options.group != "auto":
        parts += ["--group", options.group]
    if options.table.separator != ";":
        parts += ["--separator", options.table.separator]
    parts += ["--no-merge-parts"] * (not options.table.merge_parts)
    parts += ["--allow-missing"] * options.table.allow_missing
    parts += ["--no-near-copies"] * (not options.near_copies)
    parts += ["--seed", options.seed] if options.seed else []
    return shlex.join(str(part) for part in [*parts, "-o", output])


def _of_recipe(recipe: Recipe) -> dict[str, Any]:
    """What the experiment takes over from the recipe as it is."""
    kept: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in ("precision", "validation", "pretrain_draws", "validation_fold")
    }
    groups: dict[str, list[str]] = {}
    for name, group in recipe.categories:
        groups.setdefault(group, []).append(name)
    return kept | ({"categories": groups} if groups else {})


def _changed(options: Any, defaults: Any) -> dict[str, Any]:
    """The options that are not as they are by default, groups of options as mappings."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value, default = getattr(options, field.name), getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            below = _changed(value, default)
            if below:
                found[field.name] = below
        elif value != default:
            found[field.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
