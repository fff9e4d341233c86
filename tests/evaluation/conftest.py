"""Made-up predictions of two arms, with as much skill and luck as a test asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semisonic.evaluation.predictions import Predictions

CLASSES = ("dog", "rain", "sea waves", "crying baby")
Maker = Callable[..., Predictions]


def make_predictions(
    skills: dict[str, float],
    *,
    n_clips: int = 80,
    n_folds: int = 4,
    n_draws: int = 1,
    settings: tuple[str, ...] = ("default",),
    classes: tuple[str, ...] = CLASSES,
    seed: int = 0,
) -> Predictions:
    """Two clips per recording; each arm is right with its skill as the chance."""
    rng = np.random.default_rng(seed)
    recording = np.arange(n_clips) // 2
    target, fold = recording % len(classes), 1 + recording % n_folds
    parts = []
    for setting in settings:
        for draw in range(n_draws):
            for arm, skill in skills.items():
                right = rng.random(n_clips) < skill
                other = (target + rng.integers(1, len(classes), n_clips)) % len(classes)
                scores = rng.dirichlet(np.ones(len(classes)), n_clips) * 0.5
                scores[np.arange(n_clips), np.where(right, target, other)] += 0.5
                parts.append(
                    Predictions.of(
                        [f"clip-{i:03d}.wav" for i in range(n_clips)],
                        target,
                        scores,
                        classes,
                        group=[f"rec-{r}" for r in recording],
                        fold=fold,
                        draw=draw,
                        seed=100 + draw,
                        setting=setting,
                        arm=arm,
                    )
                )
    return Predictions.concat(parts)


@pytest.fixture(scope="session")
def predictions_of() -> Maker:
    """The maker of predictions: ``predictions_of({"control": 0.6, "treated": 0.8}, ...)``."""
    return make_predictions
