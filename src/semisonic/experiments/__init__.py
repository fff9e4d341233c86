"""Experiments: a recipe's folds, draws, settings and arms, run, compared and reported.

Names are imported when first used, so that reading the options does not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
from semisonic.experiments.curve_options import CurveOptions
from semisonic.experiments.options import RunOptions
from semisonic.experiments.tune_options import TuneOptions

if TYPE_CHECKING:
    from semisonic.experiments.curve import CurveResult, learning_curve
    from semisonic.experiments.recipe import Budget, Recipe, Setting
    from semisonic.experiments.recipe_file import read_recipe, recipe_kind
    from semisonic.experiments.run import ExperimentResult, run_recipe
    from semisonic.experiments.stages.recipe import Stage, StagesRecipe, read_stages
    from semisonic.experiments.stages.run import run_stages
    from semisonic.experiments.tuning.run import TuneResult, tune

__all__ = [
    "Budget",
    "CurveOptions",
    "CurveResult",
    "ExperimentResult",
    "Recipe",
    "RunOptions",
    "Setting",
    "Stage",
    "StagesRecipe",
    "TuneOptions",
    "TuneResult",
    "learning_curve",
    "read_recipe",
    "read_stages",
    "recipe_kind",
    "run_recipe",
    "run_stages",
    "tune",
]

_WHERE = {
    "curve": ("CurveResult", "learning_curve"),
    "recipe": ("Budget", "Recipe", "Setting"),
    "recipe_file": ("read_recipe", "recipe_kind"),
    "run": ("ExperimentResult", "run_recipe"),
    "stages.recipe": ("Stage", "StagesRecipe", "read_stages"),
    "stages.run": ("run_stages",),
    "tuning.run": ("TuneResult", "tune"),
}

__getattr__ = lazy_names(__name__, _WHERE)
