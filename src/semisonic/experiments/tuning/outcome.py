"""What a search found: trials as plain records, the best of them, and what mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import read_json
from semisonic.evaluation.chosen import ChosenBest, chosen_best
from semisonic.experiments.recipe import Setting
from semisonic.experiments.tuning.space import Choice, Dimension, Space, label_of
from semisonic.experiments.tuning.study import ACCURACIES, REASON, SECONDS, optuna, point_of
from semisonic.experiments.tuning.trial import DEFAULT, SearchContext, answers_of, plan_for

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
_STATES = {"COMPLETE": COMPLETE, "PRUNED": PRUNED, "FAIL": FAILED}
LEAST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class Trial:
    """One point of the space and what it reached.

    Attributes
    ----------
    number : int
        From 0, in the order of beginning; -1 for the recipe's own values.
    state : str
        "complete"; "pruned", given up after some inner folds; or "failed".
    score : float
        Mean accuracy of the inner folds that were scored, 0 to 1; NaN for a failed trial.
    accuracies : tuple of float
        Of each inner fold.
    point : mapping of str to value
    seconds : float
        Of training.
    reason : str
        Why it failed.
    """

    number: int
    state: str
    score: float
    accuracies: tuple[float, ...]
    point: Mapping[str, Any]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """A finished search.

    Attributes
    ----------
    trials : tuple of Trial
    default : Trial
        The recipe's own values.
    best : Trial or None
        The complete trial with the highest score, the first of equal ones.
    importance : mapping of str to float
        The share of the scores' variance that each option explains alone (functional ANOVA);
        empty where there are too few complete trials, or one option.
    chosen : ChosenBest or None
        What the best would reach without the luck of being chosen, from the same answers.
    """

    trials: tuple[Trial, ...]
    default: Trial
    best: Trial | None
    importance: Mapping[str, float]
    chosen: ChosenBest | None

    @property
    def keeps_recipe(self) -> bool:
        """Whether no trial does better than the recipe's own values."""
        best, default = self.best, self.default
        return default.state == COMPLETE and (best is None or best.score <= default.score)

    def of(self, state: str) -> list[Trial]:
        """The trials that ended so."""
        return [trial for trial in self.trials if trial.state == state]


def read_outcome(study: Any, search: SearchContext) -> Outcome:
    """Read the finished study, and what the jobs of complete trials answered."""
    space = search.target.space
    found = [
        _read(one, space) for one in study.get_trials(deepcopy=False) if one.state.is_finished()
    ]
    record = read_json(search.folder / DEFAULT)
    scores = tuple(record[ACCURACIES])
    default = Trial(
        -1, FAILED if record[REASON] else COMPLETE, float(np.mean(scores)) if scores else np.nan,
        scores, {}, record[SECONDS], record[REASON],
    )  # fmt: skip
    complete = [trial for trial in found if trial.state == COMPLETE]
    best = max(complete, key=lambda trial: (trial.score, -trial.number), default=None)
    return Outcome(
        tuple(found), default, best, _importance(complete, space, search.seed),
        _without_luck(search, complete, default),
    )  # fmt: skip


def _read(one: Any, space: Space) -> Trial:
    accuracies = tuple(one.user_attrs.get(ACCURACIES, ()))
    state = _STATES[one.state.name]
    score = float(np.mean(accuracies)) if accuracies and state != FAILED else np.nan
    return Trial(
        one.number, state, score, accuracies, point_of(one.params, space),
        float(one.user_attrs.get(SECONDS, 0.0)), one.user_attrs.get(REASON, ""),
    )  # fmt: skip


def _importance(complete: list[Trial], space: Space, seed: int) -> dict[str, float]:
    """Functional ANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) of the complete trials.

    Optuna weighs all values of a range alike. So that of a logarithmic one all ratios count
    alike, it is given their logarithms.
    """
    if len(space) < 2 or len(complete) < LEAST_FOR_IMPORTANCE:
        return {}
    if len({trial.score for trial in complete}) == 1:
        return {}
    package = optuna()
    study = package.create_study(direction="maximize")
    kinds = {one.name: _distribution(one) for one in space}
    for trial in complete:
        params = {one.name: _on_its_scale(one, trial.point[one.name]) for one in space}
        study.add_trial(
            package.trial.create_trial(params=params, distributions=kinds, value=trial.score)
        )
    evaluator = package.importance.FanovaImportanceEvaluator(seed=seed % (1 << 31))
    return {name: float(share) for name, share in evaluator.evaluate(study).items()}


def _distribution(one: Dimension) -> Any:
    kinds = optuna().distributions
    if isinstance(one, Choice):
        return kinds.CategoricalDistribution(one.labels)
    return kinds.FloatDistribution(*(_on_its_scale(one, end) for end in one.ends))


def _on_its_scale(one: Dimension, value: Any) -> Any:
    if isinstance(one, Choice):
        return label_of(value)
    return math.log10(value) if one.log else float(value)


def _without_luck(
    search: SearchContext, complete: list[Trial], default: Trial
) -> ChosenBest | None:
    """The score of the best as if it were chosen on other clips than it is scored on."""
    if len(complete) < 2:
        return None
    settings = [search.target.at(trial.point) for trial in complete]
    answers = [right_answers(search, setting) for setting in settings]
    own = right_answers(search, search.target.base)[0] if default.state == COMPLETE else None
    right = np.stack([one for one, _ in answers])
    return chosen_best(right, answers[0][1], against=own, seed=search.seed)


def right_answers(
    search: SearchContext, setting: Setting
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Of each clip how often a setting that was scored is right, over draws; and its recording."""
    by_clip: dict[str, list[bool]] = {}
    group: dict[str, str] = {}
    for _, job in plan_for(search, setting).cells:
        answers = answers_of(search, job)
        for clip, name, right in zip(answers.clip, answers.group, answers.correct, strict=True):
            by_clip.setdefault(str(clip), []).append(bool(right))
            group[str(clip)] = str(name)
    clips = sorted(by_clip)
    shares = np.array([np.mean(by_clip[clip]) for clip in clips])
    return shares, np.array([group[clip] for clip in clips])
