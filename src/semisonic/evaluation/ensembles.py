"""Several settings of one experiment answering together: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from semisonic.base.errors import DataError
from semisonic.evaluation.results import Predictions


def ensemble(predictions: Predictions, settings: Sequence[str], name: str) -> Predictions:
    """The predictions with one setting more: others averaged, in each arm that all have.

    Parameters
    ----------
    predictions : Predictions
        The settings on the same clips and draws.
    settings : sequence of str
        Two or more names.
    name : str
        What the new setting is called.

    Raises
    ------
    DataError
        For fewer than two settings, a name that is taken, or clips that one of them lacks.
    """
    if len(settings) < 2 or name in predictions.settings:
        raise DataError(
            f"ensemble '{name}' of {list(settings)}: expected two or more settings and a new name"
        )
    members = [predictions.select(setting=one) for one in settings]
    arms = [arm for arm in members[0].arms if all(arm in member.arms for member in members)]
    parts = [predictions]
    for arm in arms:
        sorted_parts = [_in_order(member.select(arm=arm)) for member in members]
        first = sorted_parts[0]
        for other in sorted_parts[1:]:
            if not _same_work(first, other):
                raise DataError(
                    f"ensemble '{name}': its settings were not tested on the same clips"
                )
        mean = np.mean([part.probabilities for part in sorted_parts], axis=0).astype(np.float32)
        parts.append(
            replace(
                first,
                setting=np.array([name] * len(first), np.str_),
                predicted=mean.argmax(axis=1).astype(np.int64),
                probabilities=mean,
            )
        )
    return Predictions.concat(parts)


def _in_order(part: Predictions) -> Predictions:
    return part[np.lexsort((part.clip, part.seed, part.draw))]


def _same_work(a: Predictions, b: Predictions) -> bool:
    columns = ("clip", "draw", "seed", "fold", "target")
    return len(a) == len(b) and all(
        np.array_equal(getattr(a, column), getattr(b, column)) for column in columns
    )
