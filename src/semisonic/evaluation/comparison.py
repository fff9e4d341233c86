"""Compare two arms on the same clips: their difference, and whether it is shown.

Computed for an arm ``a`` (the control) and an arm ``b``:

- accuracy of each draw over all clips, its mean and spread over draws, and a bootstrap interval
  that draws recordings and draws;
- the difference ``b - a``: McNemar's exact test of each draw, its pooled exact form over recordings
  and draws, the paired bootstrap, and the corrected resampled t-test over all folds and draws.

A claim about a method must hold for other test clips and for other training clips. The outcome
says which of the two is shown:

- ``better`` or ``worse``: shown. The pooled McNemar test (other test clips) and the corrected
  t-test (other training clips) are both below the level, and no interval holds 0.
- ``better here`` or ``worse here``: the pooled McNemar test is below the level and the bootstrap
  interval leaves out 0, but the corrected t-test does not agree, or could not be asked, as with
  fewer than three folds and draws. True of these clips and draws; that it would be so with other
  training clips is not shown. The corrected t-test is strict: with five folds it asks for a gain of
  about the standard deviation over folds, however many draws there are.
- ``open``: no difference could be shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.files import json_ready
from semisonic.core.seeds import generator
from semisonic.core.text import count_text, p_text, percent_text, points_text
from semisonic.evaluation.metrics import label_precisions
from semisonic.evaluation.predictions import Predictions, in_order
from semisonic.evaluation.statistics import (
    UNKNOWN,
    Interval,
    bootstrap,
    corrected_resampled_t,
    mcnemar_exact,
    mcnemar_pooled,
)

ACCURACY, LWLRAP = "accuracy", "lwlrap"
"""The measures to compare; lwlrap is for clips with several labels."""
MINIMUM_FOR_T = 3
"""With fewer folds and draws, the t-test is left out."""
LEVEL = 0.95
"""Level of all intervals; a difference is shown if its p-values are below 1 minus this."""


@dataclass(frozen=True)
class ArmAccuracy:
    """One arm: mean accuracy over draws (0 to 1), its spread over draws, and its interval.

    ``spread`` is the sample standard deviation over draws, NaN for one draw.
    """

    name: str
    mean: float
    spread: float
    interval: Interval


@dataclass(frozen=True, eq=False)
class Comparison:
    """The outcome of :func:`compare`. Accuracies and differences are 0 to 1.

    ``folds`` has a row per draw and fold: ``draw``, ``seed``, ``fold``, ``n_clips``,
    ``accuracy_a``, ``accuracy_b``, ``difference``; ``draws`` a row per draw over all its clips,
    with McNemar's exact test: ``p``, ``n_only_a``, ``n_only_b``.

    ``interval`` is the bootstrap's, over recordings and draws; ``wide_interval`` also covers that
    of the corrected t-test. ``p_mcnemar`` is the pooled test's, ``p_folds`` the corrected t-test's
    (NaN with fewer than three folds and draws).

    Of clips with several labels accuracies are values of lwlrap, ``draws`` is empty, and
    ``p_mcnemar`` is NaN: the bootstrap asks about clips in its place.
    """

    setting: str
    a: ArmAccuracy
    b: ArmAccuracy
    n_clips: int
    n_recordings: int
    folds: pd.DataFrame
    draws: pd.DataFrame
    difference: float
    interval: Interval
    wide_interval: Interval
    p_mcnemar: float
    p_folds: float
    p_bootstrap: float
    level: float
    cautions: tuple[str, ...]

    @property
    def p_clips(self) -> float:
        """Of the test over clips: McNemar's or, where clips are not right or wrong, bootstrap."""
        return self.p_mcnemar if math.isfinite(self.p_mcnemar) else self.p_bootstrap

    @property
    def p(self) -> float:
        """The larger of the p-values over clips and over folds and draws."""
        return float(np.nanmax([self.p_clips, self.p_folds]))

    @property
    def is_shown(self) -> bool:
        """Whether the difference is shown for other test clips and other training clips."""
        asked = math.isfinite(self.p_folds)
        return asked and self.p < 1 - self.level and _leaves_out_zero(self.wide_interval)

    @property
    def outcome(self) -> str:
        """``better``, ``worse``, ``better here``, ``worse here`` or ``open``; see the module."""
        word = "better" if self.difference > 0 else "worse"
        if self.is_shown:
            return word
        here = self.p_clips < 1 - self.level and _leaves_out_zero(self.interval)
        return f"{word} here" if here else "open"

    @property
    def claimed_interval(self) -> Interval:
        """The interval of the outcome: the wide one, unless the outcome is "here" only."""
        return self.interval if self.outcome.endswith("here") else self.wide_interval

    @property
    def numbers(self) -> str:
        """The difference with interval and p: "+3.1 points (95 % interval 0.9 to 5.2, ...)"."""
        p = self.p_clips if self.outcome.endswith("here") else self.p
        low, high = map(points_text, self.claimed_interval)
        return (
            f"{points_text(self.difference, signed=True)} points "
            f"({100 * self.level:g} % interval {low} to {high}, {p_text(p)})"
        )

    def verdict(self, subject: str = "", name: str = "") -> str:
        """The outcome in words: one sentence, or two if the tests disagree.

        ``subject`` is what makes arm b differ from arm a, such as "Pre-training". Without one,
        arm b is called by ``name``, or by its own.
        """
        if self.outcome == "open":
            return f"No difference could be shown: {self.numbers}."
        gained, who = self.difference > 0, subject or f"'{name or self.b.name}'"
        word, than = "better" if gained else "worse", "" if subject else f" than '{self.a.name}'"
        if self.is_shown:
            claim = f"{who} {'helped' if gained else 'hurt'}" if subject else f"{who} is {word}"
            return f"{claim}{than}: {self.numbers}."
        asked = math.isfinite(self.p_folds)
        reason = (
            f"corrected t-test, {p_text(self.p_folds)}"
            if asked
            else "too few folds and draws to test it"
        )
        return (
            f"{who} did {word}{than} on these clips: {self.numbers}. "
            f"Whether it would with other training clips too is not shown ({reason})."
        )

    def _repr_html_(self) -> str:
        from semisonic.core.html import FIGURE_DPI, card, note, picture, table
        from semisonic.evaluation.plots.results import comparison_plot
        from semisonic.evaluation.report.document import figure_png

        rows = [(arm.name, percent_text(arm.mean)) for arm in (self.a, self.b)]
        of = f"{count_text(self.n_clips, 'clip')} of {count_text(self.n_recordings, 'recording')}"
        image = picture(
            figure_png(comparison_plot([self]), FIGURE_DPI), "The difference with its intervals"
        )
        title = f"Comparison: {self.setting}"
        return card(title, table(["", of], rows), note(self.verdict()), image)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a value that could not be computed is None."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        tables = {name: values[name].to_dict("records") for name in ("folds", "draws")}
        more = {"p": self.p, "outcome": self.outcome, "verdict": self.verdict()}
        result: dict[str, Any] = json_ready(values | tables | more)
        return result


def _leaves_out_zero(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0


def compare(
    predictions: Predictions,
    arm_a: str,
    arm_b: str,
    *,
    setting: str | None = None,
    measure: str = ACCURACY,
    n_resamples: int = 5000,
    n_clips: int | None = None,
) -> Comparison:
    """Compare arm b with arm a in one setting.

    Parameters
    ----------
    predictions : Predictions
        Both arms with the same draws and clips; :meth:`Predictions.check` is applied.
    setting : str, optional
        Required if the table has several.
    measure : {"accuracy", "lwlrap"}
        With lwlrap a paired bootstrap over recordings and draws asks what McNemar's test asks.
    n_resamples : int
        Of the bootstrap.
    n_clips : int, optional
        Clips of all folds, if some folds were not tested: those that are not tested were trained
        on. The corrected t-test needs the number.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        If a clip is missing or occurs twice, or the arms have different draws.
    """
    if setting is None:
        if len(predictions.settings) != 1:
            raise DataError(
                f"compare: found several settings, expected one of {predictions.settings}"
            )
        setting = predictions.settings[0]
    part = predictions.select(setting=setting)
    tables = [part.select(arm=arm) for arm in (arm_a, arm_b)]
    return _compare(tables, (arm_a, arm_b), setting, measure, n_resamples, n_clips)


def compare_settings(
    predictions: Predictions, arm_a: str, arm_b: str, *, n_clips: int | None = None
) -> list[Comparison]:
    """Run :func:`compare` for each setting that has both arms, in their order."""
    return [
        compare(predictions, arm_a, arm_b, setting=name, n_clips=n_clips)
        for name in predictions.settings
        if {arm_a, arm_b} <= set(predictions.select(setting=name).arms)
    ]


def compare_setting_pairs(
    predictions: Predictions,
    pairs: Iterable[tuple[str, str]],
    *,
    measure: str = ACCURACY,
    n_clips: int | None = None,
) -> list[Comparison]:
    """Compare the second setting of each pair with the first, in each arm that both have.

    Parameters
    ----------
    predictions : Predictions
        All settings on the same clips and draws.
    pairs : iterable of (str, str)
        Names of settings.
    measure : {"accuracy", "lwlrap"}
    n_clips : int, optional
        Clips of all folds, as in :func:`compare`.

    Returns
    -------
    list of Comparison
        ``setting`` names the two settings; the arms have the names of their settings.
    """
    found = []
    for pair in pairs:
        first, second = (predictions.select(setting=name) for name in pair)
        arms = [arm for arm in first.arms if arm in second.arms]
        for arm in arms:
            title = f"{pair[1]} against {pair[0]}" + (f", {arm}" if len(arms) > 1 else "")
            tables = [part.select(arm=arm) for part in (first, second)]
            found.append(_compare(tables, pair, title, measure, n_clips=n_clips))
    return found


def arm_accuracy(predictions: Predictions, *, measure: str = ACCURACY) -> ArmAccuracy:
    """Compute mean, spread and interval of one arm in one setting.

    Parameters
    ----------
    predictions : Predictions
        Of one arm and setting; :meth:`Predictions.check` is applied.
    measure : {"accuracy", "lwlrap"}

    Returns
    -------
    ArmAccuracy

    Raises
    ------
    DataError
        For several arms or settings, or clips that are not scored once.
    """
    predictions.check()
    if len(predictions.arms) != 1 or len(predictions.settings) != 1:
        raise DataError("arm_accuracy: expected one arm in one setting; use select() first")
    return _accuracy(predictions.arms[0], _values(predictions, measure))


def _values(predictions: Predictions, measure: str) -> pd.DataFrame:
    """What the measure is the mean of, by draw and clip: right or wrong, or a value a label."""
    table = in_order(predictions)
    rows = table.frame[["draw", "seed", "clip", "group", "fold"]]
    if measure == ACCURACY:
        return rows.assign(value=table.correct)
    owner, _ = np.nonzero(table.targets)
    precisions = label_precisions(table.targets, table.probabilities)
    return rows.iloc[owner].assign(value=precisions)


def _by_draw(values: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values, shape (n_draws, n), and what the bootstrap draws: recordings, or lone clips."""
    n_draws = len(values[["draw", "seed"]].drop_duplicates())
    table = values["value"].to_numpy().reshape(n_draws, -1)
    several = values["group"].nunique() > 1
    units = values["group" if several else "clip"].to_numpy()
    return table, units[: table.shape[1]]


def _accuracy(name: str, values: pd.DataFrame, n_resamples: int = 5000) -> ArmAccuracy:
    """Mean, spread and interval; no interval of a single clip."""
    table, units = _by_draw(values)
    means, interval = table.mean(axis=1), UNKNOWN
    if len(np.unique(units)) > 1:
        found = bootstrap(table, units, n_resamples=n_resamples)
        interval = Interval(found.low, found.high)
    spread = float(means.std(ddof=1)) if len(means) > 1 else math.nan
    return ArmAccuracy(name, float(means.mean()), spread, interval)


def _compare(
    tables: Sequence[Predictions],
    names: tuple[str, str],
    setting: str,
    measure: str,
    n_resamples: int = 5000,
    n_clips: int | None = None,
) -> Comparison:
    """Compare the second of two tables, each of one arm and setting, with the first."""
    Predictions.concat(tables).check()
    a, b = (_values(table, measure) for table in tables)
    draws = [list(map(tuple, x[["draw", "seed"]].drop_duplicates().to_numpy())) for x in (a, b)]
    if draws[0] != draws[1]:
        raise DataError(
            f"compare: setting '{setting}': '{names[0]}' has (draw, seed) {draws[0]}, "
            f"'{names[1]}' has {draws[1]}; expected the same"
        )
    by_fold = ["draw", "seed", "fold"]
    folds = a.groupby(by_fold).agg(n_clips=("clip", "nunique"), accuracy_a=("value", "mean"))
    folds["accuracy_b"] = b.groupby(by_fold)["value"].mean()
    folds["difference"] = folds["accuracy_b"] - folds["accuracy_a"]
    folds = folds.reset_index()
    (first, units), (second, _) = _by_draw(a), _by_draw(b)
    boot = bootstrap(second.astype(np.float64) - first, units, n_resamples=n_resamples)
    p_folds, around = math.nan, UNKNOWN
    if len(folds) >= MINIMUM_FOR_T:
        tested = a["clip"].nunique() / folds["fold"].nunique()
        trained = (n_clips or a["clip"].nunique()) - tested
        ratio = tested / trained if trained > 0 else 0.25
        _, p_folds, around = corrected_resampled_t(folds["difference"], ratio, LEVEL)
    by_draw, p_mcnemar = [], math.nan
    if measure == ACCURACY:
        by_draw = [
            (*key, x.mean(), y.mean(), *mcnemar_exact(x, y))
            for key, x, y in zip(draws[0], first, second, strict=True)
        ]
        p_mcnemar = mcnemar_pooled(first, second, units)
    columns = ["draw", "seed", "accuracy_a", "accuracy_b", "p", "n_only_a", "n_only_b"]
    return Comparison(
        setting=setting,
        a=_accuracy(names[0], a, n_resamples),
        b=_accuracy(names[1], b, n_resamples),
        n_clips=a["clip"].nunique(),
        n_recordings=a["group"].nunique(),
        folds=folds,
        draws=pd.DataFrame(by_draw, columns=columns),
        difference=boot.mean,
        interval=Interval(boot.low, boot.high),
        wide_interval=Interval(
            float(np.fmin(boot.low, around.low)), float(np.fmax(boot.high, around.high))
        ),
        p_mcnemar=p_mcnemar,
        p_folds=p_folds,
        p_bootstrap=boot.p,
        level=LEVEL,
        cautions=_cautions(a),
    )


def _cautions(values: pd.DataFrame) -> tuple[str, ...]:
    """The limits of the comparison, one sentence each."""
    n_groups, n_clips = values["group"].nunique(), values["clip"].nunique()
    n_draws, n_folds = values["draw"].nunique(), values["fold"].nunique()
    cautions = {
        "All clips are of one recording, so intervals treat each clip as independent.": n_groups
        == 1
        and n_clips > 1,
        "According to the table, no two clips share a recording; if some do, the intervals are "
        "too narrow.": n_groups == n_clips,
        "There is only one draw, so the effect of another seed or other labels is not measured.": (
            n_draws == 1
        ),
        "There are too few folds and draws for the corrected t-test, so it is not known whether "
        "the difference holds for other training clips.": n_folds * n_draws < MINIMUM_FOR_T,
    }
    return tuple(text for text, holds in cautions.items() if holds)


class ChosenBest(NamedTuple):
    """The score of the best setting, on clips that were not used to choose it.

    Attributes
    ----------
    mean : float
        Of all drawings, 0 to 1.
    low, high : float
        The 2.5th and the 97.5th percentile of the drawings.
    gain, gain_low, gain_high : float
        The same of the difference to another setting on the same clips; NaN without one. Each
        drawing scores about a third of the recordings, so the interval is a wide one.
    """

    mean: float
    low: float
    high: float
    gain: float = math.nan
    gain_low: float = math.nan
    gain_high: float = math.nan

    @property
    def is_gain(self) -> bool:
        """Whether the interval of the gain is above zero."""
        return self.gain_low > 0


def chosen_best(
    right: NDArray[np.float64],
    group: NDArray[np.str_],
    *,
    against: NDArray[np.float64] | None = None,
    seed: int = 0,
    n_bootstraps: int = 1000,
) -> ChosenBest:
    """Estimate the score to expect of the best of several settings.

    The highest of many scores is partly luck. Here the choice is repeated on some recordings, and
    the chosen setting is scored on the others: the bootstrap bias corrected cross-validation of I.
    Tsamardinos, E. Greasidou and G. Borboudakis (Machine Learning 107, 2018). Where we differ:
    whole recordings are drawn, and a search whose early trials decided where to look is treated as
    if all its settings had been given beforehand, so some luck is left.

    Parameters
    ----------
    right : ndarray of float, shape (n_settings, n_clips)
        1 if a setting is right about a clip that it was not trained on, else 0; or how often.
    group : ndarray of str, shape (n_clips,)
        The recording of each clip.
    against : ndarray of float, shape (n_clips,), optional
        The answers of a setting that was not part of the choice.
    seed : int
    n_bootstraps : int

    Returns
    -------
    ChosenBest

    Raises
    ------
    DataError
        With fewer than two recordings, or no setting.
    """
    names, index = np.unique(group, return_inverse=True)
    if right.ndim != 2 or right.shape[1] != len(group) or not len(right) or len(names) < 2:
        raise DataError(
            f"best of several: found answers of shape {right.shape} to clips of {len(names)} "
            "recordings, expected (settings, clips) and at least two recordings"
        )
    rows = right if against is None else np.vstack([right, against])
    sums = np.stack([np.bincount(index, row, len(names)) for row in rows])
    sizes = np.bincount(index, minlength=len(names)).astype(np.float64)
    rng = generator(seed, "best of several")
    found: list[NDArray[np.float64]] = []
    while len(found) < n_bootstraps:
        times = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        out = times == 0
        if not out.any():
            continue
        best = int((sums[: len(right)] @ times).argmax())  # of equal ones the first
        found.append(sums[[best, -1]][:, out].sum(axis=1) / sizes[out].sum())
    chosen, other = np.array(found).T
    columns = [chosen] if against is None else [chosen, chosen - other]
    return ChosenBest(
        *(float(one) for x in columns for one in (x.mean(), *np.percentile(x, [2.5, 97.5])))
    )
