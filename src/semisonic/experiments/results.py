"""From finished jobs to numbers: predictions, comparisons and the tables people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semisonic.evaluation.comparison import compare_settings
from semisonic.evaluation.ensembles import ensemble
from semisonic.evaluation.outcome import Comparison
from semisonic.evaluation.results import Predictions
from semisonic.evaluation.setting_pairs import compare_setting_pairs
from semisonic.experiments.job_folder import read_job, read_predictions
from semisonic.experiments.plan import Plan, cell_name
from semisonic.experiments.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """The numbers of a finished experiment.

    Attributes
    ----------
    predictions : Predictions
        Every scored test clip of every setting, arm and draw; each exactly once.
    comparisons : tuple of Comparison
        The treated arm against the control, one a setting.
    pairs : tuple of Comparison
        Settings against settings, as the recipe's key ``against`` asks.
    jobs : tuple of dict
        What each job wrote of itself, with its ``cell``, the setting's name in tables. A job
        that serves several settings is there for each.
    """

    predictions: Predictions
    comparisons: tuple[Comparison, ...]
    jobs: tuple[dict[str, Any], ...]
    pairs: tuple[Comparison, ...] = ()


def collect(recipe: Recipe, plan: Plan, folder: Path) -> Outcome:
    """Read all jobs of a finished plan and compare the arms."""
    tables: list[Predictions] = []
    jobs: dict[tuple[str, str, str], dict[str, Any]] = {}
    for cell, job in plan.cells:
        tables.append(read_predictions(folder, job, cell))
        for one in (job, job.start):
            if one is not None:
                record = {**read_job(folder, one), "cell": cell, "name": one.name}
                if one is job:
                    record["arm"] = job.arm
                jobs.setdefault((cell, record.get("arm", ""), one.name), record)
    predictions = Predictions.concat(tables).check()
    for budget in recipe.budgets:
        for together in recipe.ensembles:
            members = [cell_name(name, budget, recipe) for name in together.of]
            name = cell_name(together.name, budget, recipe)
            predictions = ensemble(predictions, members, name)
    return Outcome(
        predictions,
        tuple(compare_settings(predictions, recipe.control, recipe.treated)),
        tuple(jobs.values()),
        tuple(compare_setting_pairs(predictions, _cells_of_pairs(recipe))),
    )


def _cells_of_pairs(recipe: Recipe) -> list[tuple[str, str]]:
    """The names in tables of settings that are held against each other, under each budget."""
    return [
        (cell_name(first, budget, recipe), cell_name(second, budget, recipe))
        for budget in recipe.budgets
        for first, second in recipe.against
    ]


def comparison_rows(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the main table, as text."""
    arms = [outcome.comparisons[0].a.name, outcome.comparisons[0].b.name]
    headers = ["setting", *arms, "difference", "95 % interval", "p", "shown"]
    rows = []
    for c in outcome.comparisons:
        low, high = 100 * c.claimed_interval.low, 100 * c.claimed_interval.high
        rows.append(
            [
                c.setting, _arm(c.a), _arm(c.b), f"{100 * c.difference:+.1f}",
                f"{low:+.1f} to {high:+.1f}", f"{c.p:.3f}",
                "yes" if c.is_shown else "here only" if c.outcome.endswith("here") else "no",
            ]
        )  # fmt: skip
    return headers, rows


@dataclass(frozen=True)
class Table:
    """Rows of texts under headers; as text aligned for a terminal, the first column to the left."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in [self.headers, *self.rows]) for i in range(self.width)]

        def line(row: Sequence[str]) -> str:
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            return "  ".join(cells).rstrip()

        ruler = ["-" * width for width in widths]
        return "\n".join([line(self.headers), line(ruler), *map(line, self.rows)])

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.headers)

    def to_frame(self) -> pd.DataFrame:
        """The same for pandas."""
        import pandas as pd

        return pd.DataFrame([list(row) for row in self.rows], columns=list(self.headers))


def _arm(arm: Any) -> str:
    spread = "" if np.isnan(arm.spread) else f" ± {100 * arm.spread:.1f}"
    return f"{100 * arm.mean:.1f}{spread}"
