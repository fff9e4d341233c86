"""Two arms scored on the same clips: by how much they differ, and whether that is shown.

What is computed, for an arm ``a`` (the control) and an arm ``b``:

- accuracy of each draw over all clips, its mean and spread over draws, and a bootstrap
  interval that draws recordings and draws;
- the difference ``b - a``: McNemar's exact test of each draw, its pooled exact form over
  recordings and draws, the paired bootstrap, and the corrected resampled t-test over all
  folds and draws.

What the outcome claims, and when, is said in :mod:`semisonic.evaluation.outcome`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.intervals import Interval, bootstrap_interval, paired_bootstrap
from semisonic.evaluation.outcome import ArmAccuracy, Comparison, DrawPair, FoldPair
from semisonic.evaluation.results import Predictions
from semisonic.evaluation.significance import (
    ResampledT,
    corrected_resampled_t,
    mcnemar_exact,
    mcnemar_pooled,
)

MINIMUM_FOR_T = 3
"""Below so many folds and draws the t-test says nothing, and is left out."""


def compare(
    predictions: Predictions,
    arm_a: str,
    arm_b: str,
    *,
    setting: str | None = None,
    test_train_ratio: float | None = None,
    level: float = 0.95,
    n_resamples: int = 5000,
    seed: int = 0,
) -> Comparison:
    """Hold arm b against arm a in one setting.

    Parameters
    ----------
    predictions : Predictions
        Both arms with the same draws and clips; :meth:`Predictions.check` is applied.
    setting : str, optional
        Needed when the table holds several.
    test_train_ratio : float, optional
        For the corrected t-test; by default 1 / (n_folds - 1).
    level : float
        Of the intervals; the test level is 1 - level.

    Raises
    ------
    DataError
        When a clip is missing or stands twice, or the arms were not run alike.
    """
    if setting is None:
        if len(predictions.settings) != 1:
            raise DataError(f"compare: name one of the settings {predictions.settings}")
        setting = predictions.settings[0]
    part = predictions.select(setting=setting)
    a, b = part.select(arm=arm_a), part.select(arm=arm_b)
    Predictions.concat([a, b]).check()
    passes = _passes(a)
    if set(passes) != set(_passes(b)):
        raise DataError(
            f"compare: setting '{setting}': arm '{arm_a}' has (draw, seed) {sorted(passes)}, "
            f"arm '{arm_b}' has {sorted(_passes(b))}; expected the same"
        )
    clips = np.unique(a.clip)
    right_a, right_b = _right(a, passes, clips), _right(b, passes, clips)
    first = a.select(draw=passes[0][0], seed=passes[0][1])
    order = np.argsort(first.clip)
    group, fold = first.group[order], first.fold[order]
    cautions = cautions_of(group, clips, fold, len(passes))
    if len(np.unique(group)) < 2:
        group = clips
    folds = _fold_pairs(passes, right_a, right_b, fold)
    draws = tuple(
        DrawPair(*key, float(x.mean()), float(y.mean()), mcnemar_exact(x, y))
        for key, x, y in zip(passes, right_a, right_b, strict=True)
    )
    options: dict[str, Any] = {"level": level, "n_resamples": n_resamples, "seed": seed}
    boot = paired_bootstrap(right_a, right_b, group, **options)
    test = t_test_of_folds(folds, test_train_ratio, level)
    return Comparison(
        setting=setting,
        a=_arm(arm_a, right_a, group, [f.accuracy_a for f in folds], options),
        b=_arm(arm_b, right_b, group, [f.accuracy_b for f in folds], options),
        n_clips=len(clips),
        n_recordings=len(np.unique(group)),
        folds=folds,
        draws=draws,
        difference=boot.difference,
        interval=Interval(boot.low, boot.high),
        wide_interval=hull(Interval(boot.low, boot.high), test.interval),
        p_mcnemar=mcnemar_pooled(right_a, right_b, group),
        p_folds=test.p,
        t=test.t,
        p_bootstrap=boot.p,
        level=level,
        cautions=cautions,
    )


def compare_settings(
    predictions: Predictions, arm_a: str, arm_b: str, **options: Any
) -> list[Comparison]:
    """:func:`compare` for each setting that has both arms, in their order."""
    return [
        compare(predictions, arm_a, arm_b, setting=name, **options)
        for name in predictions.settings
        if {arm_a, arm_b} <= set(predictions.select(setting=name).arms)
    ]


def arm_accuracy(predictions: Predictions, *, level: float = 0.95, seed: int = 0) -> ArmAccuracy:
    """Mean, spread and interval of one arm in one setting."""
    predictions.check()
    if len(predictions.arms) != 1 or len(predictions.settings) != 1:
        raise DataError("arm_accuracy: expected one arm in one setting; use select() first")
    passes, clips = _passes(predictions), np.unique(predictions.clip)
    right = _right(predictions, passes, clips)
    first = predictions.select(draw=passes[0][0], seed=passes[0][1])
    order = np.argsort(first.clip)
    group, fold = first.group[order], first.fold[order]
    if len(np.unique(group)) < 2:
        group = clips
    by_fold = [float(row[fold == number].mean()) for row in right for number in np.unique(fold)]
    options: dict[str, Any] = {"level": level, "seed": seed}
    return _arm(predictions.arms[0], right, group, by_fold, options)


def _passes(predictions: Predictions) -> list[tuple[int, int]]:
    pairs = zip(predictions.draw.tolist(), predictions.seed.tolist(), strict=True)
    return list(dict.fromkeys(pairs))


def _right(
    predictions: Predictions, passes: Iterable[tuple[int, int]], clips: NDArray[np.str_]
) -> NDArray[np.bool_]:
    """Right or wrong, shape (n_draws, n_clips), clips in sorted order."""
    rows = []
    for draw, seed in passes:
        one = predictions.select(draw=draw, seed=seed)
        rows.append(one.correct[np.argsort(one.clip)])
    right = np.stack(rows)
    if right.shape[1] != len(clips):
        raise DataError(f"compare: {right.shape[1]} scored rows for {len(clips)} clips")
    return right


def _fold_pairs(
    passes: list[tuple[int, int]],
    right_a: NDArray[np.bool_],
    right_b: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> tuple[FoldPair, ...]:
    pairs = []
    for (draw, seed), x, y in zip(passes, right_a, right_b, strict=True):
        for number in np.unique(fold).tolist():
            inside = fold == number
            means = float(x[inside].mean()), float(y[inside].mean())
            pairs.append(FoldPair(draw, seed, number, int(inside.sum()), *means))
    return tuple(pairs)


def _arm(
    name: str,
    right: NDArray[np.bool_],
    group: NDArray[np.str_],
    by_fold: list[float],
    options: dict[str, Any],
) -> ArmAccuracy:
    by_draw = right.mean(axis=1)
    interval = (
        bootstrap_interval(right, group, **options)
        if len(np.unique(group)) > 1
        else Interval(math.nan, math.nan)
    )
    return ArmAccuracy(
        name=name,
        mean=float(by_draw.mean()),
        spread=float(by_draw.std(ddof=1)) if len(by_draw) > 1 else math.nan,
        fold_spread=float(np.std(by_fold, ddof=1)) if len(by_fold) > 1 else math.nan,
        interval=interval,
    )


def t_test_of_folds(
    folds: tuple[FoldPair, ...], ratio: float | None = None, level: float = 0.95
) -> ResampledT:
    """The corrected t-test over folds and draws; all NaN with fewer than three."""
    if len(folds) < MINIMUM_FOR_T:
        return ResampledT(math.nan, math.nan, Interval(math.nan, math.nan))
    if ratio is None:
        n_folds = len({pair.fold for pair in folds})
        ratio = 1.0 / (n_folds - 1) if n_folds > 1 else 0.25
    return corrected_resampled_t([pair.difference for pair in folds], ratio, level)


def hull(first: Interval, second: Interval) -> Interval:
    """The interval that holds both; one of them may be NaN."""
    return Interval(
        float(np.nanmin([first.low, second.low])), float(np.nanmax([first.high, second.high]))
    )


def cautions_of(
    group: NDArray[np.str_], clips: NDArray[np.str_], fold: NDArray[np.int64], n_draws: int
) -> tuple[str, ...]:
    """What was not asked, or could not be, one sentence each."""
    found = []
    n_groups = len(np.unique(group))
    if n_groups == 1 and len(clips) > 1:
        found.append("All clips are of one recording; intervals take each clip for itself.")
    elif n_groups == len(clips):
        found.append(
            "No two clips share a recording, as far as the table says; if some do, "
            "the intervals are too narrow."
        )
    if n_draws == 1:
        found.append(
            "One draw only: how much another seed or other labels would change is not measured."
        )
    if len(np.unique(fold)) * n_draws < MINIMUM_FOR_T:
        found.append(
            "Too few folds and draws for the corrected t-test: whether the difference holds "
            "for other training clips was not asked."
        )
    return tuple(found)
