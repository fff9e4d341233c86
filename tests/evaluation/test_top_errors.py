"""The most confident errors of a classifier."""

from __future__ import annotations

import numpy as np

from semisonic.evaluation.predictions import Predictions, top_errors


def test_the_surest_mistake_comes_first_and_each_clip_once() -> None:
    first = Predictions.of(
        ["a", "b", "c", "d"],
        [0, 0, 1, 1],
        [[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.7, 0.3]],
        ["x", "y"],
    )
    second = Predictions.of(
        ["d", "c", "b", "a"],
        [1, 1, 0, 0],
        [[0.1, 0.9], [0.8, 0.2], [0.2, 0.8], [0.8, 0.2]],
        ["x", "y"],
        draw=1,
    )
    found = top_errors(Predictions.concat([first, second]))
    assert [wrong.clip for wrong in found] == ["b", "c"]
    assert (found[0].target, found[0].predicted) == ("x", "y")
    np.testing.assert_allclose([found[0].score, found[0].true_score], [0.85, 0.15], atol=1e-6)
    assert (found[1].n_wrong, found[1].n_scored) == (2, 2)
    assert len(top_errors(first, n=1)) == 1
