"""The model on statistics: it learns classes, one or several a clip, and knows what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.classifier.simple import JUDGE, fit_scores


def clusters(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 3
    x = rng.normal(0, 1, (n, 12)) + 3 * np.eye(3, 12)[target]
    return x.astype(np.float32), target


def test_it_learns_classes() -> None:
    x, y = clusters(90)
    more, truth = clusters(60, seed=1)
    scores = fit_scores(JUDGE, x, y, more, n_classes=4, seed=0, workers=1)
    assert scores.shape == (60, 4)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores[:, 3] == 0).all()  # no clip to learn from
    assert (scores.argmax(axis=1) == truth).mean() > 0.9
    np.testing.assert_array_equal(
        scores, fit_scores(JUDGE, x, y, more, n_classes=4, seed=0, workers=2)
    )


def test_it_learns_several_labels() -> None:
    x, y = clusters(90)
    targets = np.stack([y == 0, y <= 1, y < 0, y >= 0], axis=1).astype(np.float32)
    scores = fit_scores(JUDGE, x, targets, x, n_classes=4, seed=0, workers=1)
    assert ((scores >= 0.5) == targets).mean() > 0.95
    assert (scores[:, 2] == 0).all()  # heard in none
    assert (scores[:, 3] == 1).all()  # heard in all


def test_wrong_labels_of_others_do_not_decide() -> None:
    x, y = clusters(180)
    noisy = y.copy()
    noisy[::5] = (noisy[::5] + 1) % 3
    more, truth = clusters(60, seed=1)
    scores = fit_scores(JUDGE, x, noisy, more, n_classes=3, seed=0, workers=1)
    assert (scores.argmax(axis=1) == truth).mean() > 0.85


@pytest.mark.parametrize("seed", [0, 2**62])
def test_any_seed_will_do(seed: int) -> None:
    x, y = clusters(30)
    assert np.isfinite(fit_scores(JUDGE, x, y, x, n_classes=3, seed=seed, workers=1)).all()
