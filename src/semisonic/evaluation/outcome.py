"""What a comparison of two arms found, and what may be claimed of it.

A claim about a method needs to hold against two kinds of luck, and the outcome says which
it holds against:

- ``better`` or ``worse``: shown. The pooled McNemar test (other test clips) and the
  corrected t-test (other training clips) are both below the level, and no interval holds 0.
- ``better here`` or ``worse here``: the pooled McNemar test is below the level and the
  bootstrap interval leaves out 0, but the corrected t-test does not agree, or could not be
  asked, as with fewer than three folds and draws. True of these
  clips and draws; that it would be so with other training clips is not shown. The
  corrected t-test is strict: with five folds it asks for a gain of about the standard
  deviation over folds, however many draws there are.
- ``open``: no difference could be shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from semisonic.base.wording import p_text, points
from semisonic.evaluation.intervals import Interval
from semisonic.evaluation.plain import plain
from semisonic.evaluation.significance import McNemar


@dataclass(frozen=True)
class ArmAccuracy:
    """One arm: mean accuracy over draws (0 to 1), its spread over draws, and its interval.

    ``spread`` is the sample standard deviation over draws, NaN for one draw;
    ``fold_spread`` that over folds and draws.
    """

    name: str
    mean: float
    spread: float
    fold_spread: float
    interval: Interval


@dataclass(frozen=True)
class FoldPair:
    """Both arms in one fold of one draw."""

    draw: int
    seed: int
    fold: int
    n_clips: int
    accuracy_a: float
    accuracy_b: float

    @property
    def difference(self) -> float:
        """Accuracy of b minus accuracy of a."""
        return self.accuracy_b - self.accuracy_a


@dataclass(frozen=True)
class DrawPair:
    """Both arms over all clips of one draw, with McNemar's exact test."""

    draw: int
    seed: int
    accuracy_a: float
    accuracy_b: float
    mcnemar: McNemar


@dataclass(frozen=True)
class Comparison:
    """The outcome of :func:`compare`. Accuracies and differences are 0 to 1.

    ``interval`` is the bootstrap's, over recordings and draws; ``wide_interval`` reaches as
    far as that of the corrected t-test too. ``p_mcnemar`` is the pooled test's, ``p_folds``
    the corrected t-test's (NaN with fewer than three folds and draws).

    From :func:`~semisonic.evaluation.tagging.compare_tags` accuracies are values of lwlrap, there
    are no ``draws``, and ``p_mcnemar`` is NaN: the bootstrap asks about clips in its place.
    """

    setting: str
    a: ArmAccuracy
    b: ArmAccuracy
    n_clips: int
    n_recordings: int
    folds: tuple[FoldPair, ...]
    draws: tuple[DrawPair, ...]
    difference: float
    interval: Interval
    wide_interval: Interval
    p_mcnemar: float
    p_folds: float
    t: float
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
        """Whether the difference holds against both kinds of luck, and both were asked about."""
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
        """The interval that goes with the outcome: the wide one, unless it is "here" only."""
        return self.interval if self.outcome.endswith("here") else self.wide_interval

    @property
    def numbers(self) -> str:
        """The difference with interval and p: "+3.1 points (95 % interval 0.9 to 5.2, ...)"."""
        here, interval = self.outcome.endswith("here"), self.claimed_interval
        return (
            f"{points(self.difference, signed=True)} points "
            f"({100 * self.level:g} % interval {points(interval.low)} to "
            f"{points(interval.high)}, {p_text(self.p_clips if here else self.p)})"
        )

    def verdict(self, subject: str = "", name: str = "") -> str:
        """The outcome in plain words: one sentence, or two where the tests disagree.

        ``subject`` is what makes arm b differ from arm a, such as "Pre-training". Without one,
        arm b is called by ``name``, or by its own.
        """
        other = name or self.b.name
        gained = self.difference > 0
        if self.outcome == "open":
            return f"No difference could be shown: {self.numbers}."
        if self.is_shown:
            claim = f"{subject} {'helped' if gained else 'hurt'}"
            if not subject:
                word = "better" if gained else "worse"
                claim = f"'{other}' is {word} than '{self.a.name}'"
            return f"{claim}: {self.numbers}."
        word = "better" if gained else "worse"
        reason = (
            f"corrected t-test, {p_text(self.p_folds)}"
            if math.isfinite(self.p_folds)
            else "too few folds and draws to ask"
        )
        doubt = f"Whether it would with other training clips too is not shown ({reason})."
        if not subject:
            claim = f"'{other}' did {word} than '{self.a.name}' on these clips"
            return f"{claim}: {self.numbers}. {doubt}"
        return f"{subject} did {word} on these clips: {self.numbers}. {doubt}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a value that could not be computed is None."""
        extra = {"p": self.p, "outcome": self.outcome, "verdict": self.verdict()}
        result: dict[str, Any] = plain(self) | plain(extra)
        return result


def _leaves_out_zero(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0
