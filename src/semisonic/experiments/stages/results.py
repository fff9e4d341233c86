"""From finished jobs to numbers: lwlrap of each stage, comparisons, and what filters were worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.data.clips import Clips
from semisonic.evaluation.outcome import ArmAccuracy, Comparison
from semisonic.evaluation.tagging import TagScores, compare_tags, tag_arm
from semisonic.experiments.job_folder import read_job
from semisonic.experiments.stages.plan import StagesPlan
from semisonic.experiments.stages.recipe import StagesRecipe
from semisonic.experiments.stages.worker import DECISIONS, read_scores
from semisonic.inference.methods.label_filter import Decision, read_decisions


@dataclass(frozen=True)
class StageResult:
    """A row of the report: a stage over all folds and draws.

    Attributes
    ----------
    name : str
    lwlrap : ArmAccuracy
        0 to 1.
    mean_average_precision : float
        Mean over folds and draws, 0 to 1.
    comparisons : tuple of Comparison
        Against the stages that the recipe names.
    jobs : tuple of dict
        What each job wrote of itself.
    """

    name: str
    lwlrap: ArmAccuracy
    mean_average_precision: float
    comparisons: tuple[Comparison, ...]
    jobs: tuple[dict[str, Any], ...]

    def mean(self, key: str) -> float:
        """The mean of a number over jobs."""
        return float(np.mean([job[key] for job in self.jobs]))


@dataclass(frozen=True)
class Quality:
    """How many labels a filter kept and, where the truth is known, how many of them are right.

    Attributes
    ----------
    n_labels, n_kept : int
        Before and after.
    right_before, right_after : float
        Shares of right labels, 0 to 1; NaN where the truth is not known.
    right_kept : float
        Share of the right labels that were kept.
    """

    n_labels: int
    n_kept: int
    right_before: float
    right_after: float
    right_kept: float

    @classmethod
    def of(cls, decisions: list[Decision], truth: Mapping[str, tuple[str, ...]] | None) -> Quality:
        """The quality of some decisions; ``truth`` holds the true labels by clip."""
        kept = np.array([one.kept for one in decisions], np.bool_)
        nan = float("nan")
        if truth is None:
            return cls(len(kept), int(kept.sum()), nan, nan, nan)
        right = np.array([one.label in truth[one.clip] for one in decisions], np.bool_)
        return cls(
            len(kept), int(kept.sum()), _share(right), _share(right[kept]), _share(kept[right])
        )


@dataclass(frozen=True)
class StagesOutcome:
    """The numbers of a finished experiment.

    Attributes
    ----------
    stages : tuple of StageResult
        In the recipe's order.
    filters : dict of str to Quality
        By the stage that learns from what the filter left, over all folds and draws.
    by_class : dict of str to dict of str to Quality
        The same by class.
    seconds : float
        Training time of all jobs together.
    """

    stages: tuple[StageResult, ...]
    filters: dict[str, Quality]
    by_class: dict[str, dict[str, Quality]]
    seconds: float

    @property
    def comparisons(self) -> list[Comparison]:
        """Those of all stages, in order."""
        return [c for one in self.stages for c in one.comparisons]

    def of(self, name: str) -> StageResult:
        """The result of a stage."""
        return next(one for one in self.stages if one.name == name)


def collect_stages(
    recipe: StagesRecipe,
    plan: StagesPlan,
    folder: Path,
    truth: Mapping[str, tuple[str, ...]] | None,
) -> StagesOutcome:
    """Read all jobs of a finished plan.

    Parameters
    ----------
    truth : mapping of str to tuple of str, optional
        The true labels of clips, where they are known: to measure filters by, nothing else.
    """
    tables: dict[str, list[TagScores]] = defaultdict(list)
    jobs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    decisions: dict[str, list[Decision]] = defaultdict(list)
    for name, job in plan.cells:
        tables[name].append(read_scores(folder, job))
        jobs[name].append({**read_job(folder, job), "stage": name, "name": job.name})
        if job.filter is not None:
            decisions[name] += read_decisions(folder / job.filter.name / DECISIONS)
    stages = []
    for stage in recipe.stages:
        held = tuple(
            compare_tags(
                name,
                tables[name],
                stage.name,
                tables[stage.name],
                setting=f"{stage.name} against {name}",
            )
            for name in stage.against
        )
        stages.append(
            StageResult(
                stage.name,
                tag_arm(stage.name, tables[stage.name]),
                float(np.mean([one["mean_average_precision"] for one in jobs[stage.name]])),
                held,
                tuple(jobs[stage.name]),
            )
        )
    by_class = {
        name: {
            label: Quality.of([one for one in found if one.label == label], truth)
            for label in sorted({one.label for one in found})
        }
        for name, found in decisions.items()
    }
    seconds = sum(read_job(folder, job)["seconds"] for job in plan.jobs)
    filters = {name: Quality.of(found, truth) for name, found in decisions.items()}
    return StagesOutcome(tuple(stages), filters, by_class, float(seconds))


def true_labels(clips: Clips) -> dict[str, tuple[str, ...]]:
    """The labels of clips by their names."""
    return dict(zip(clips.ids, clips.labels, strict=True))


def _share(values: Any) -> float:
    return float(values.mean()) if len(values) else float("nan")
