"""Settings of one experiment held against each other, arm by arm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from semisonic.evaluation.comparison import compare
from semisonic.evaluation.outcome import Comparison
from semisonic.evaluation.results import Predictions


def compare_setting_pairs(
    predictions: Predictions, pairs: Iterable[tuple[str, str]]
) -> list[Comparison]:
    """Hold the second setting of each pair against the first, in each arm that both have.

    Parameters
    ----------
    predictions : Predictions
        All settings on the same clips and draws.
    pairs : iterable of (str, str)
        Names of settings.

    Returns
    -------
    list of Comparison
        ``setting`` says who stands against whom; the arms are called by their settings.
    """
    found = []
    for first, second in pairs:
        a, b = predictions.select(setting=first), predictions.select(setting=second)
        arms = [arm for arm in a.arms if arm in b.arms]
        for arm in arms:
            title = f"{second} against {first}" + (f", {arm}" if len(arms) > 1 else "")
            both = Predictions.concat(
                [
                    _renamed(a.select(arm=arm), title, first),
                    _renamed(b.select(arm=arm), title, second),
                ]
            )
            found.append(compare(both, first, second))
    return found


def _renamed(part: Predictions, setting: str, arm: str) -> Predictions:
    n = len(part)
    return replace(
        part, setting=np.array([setting] * n, np.str_), arm=np.array([arm] * n, np.str_)
    )  # fmt: skip
