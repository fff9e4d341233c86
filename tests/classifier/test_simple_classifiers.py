"""Simple classifiers: they learn, give probabilities, and can name the group first."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.classifier.simple import CLASSIFIERS, JUDGE, fit_scores, front_of, vectors
from semisonic.core.errors import DataError, OptionError
from semisonic.experiments.worker import fit_hierarchy
from semisonic.features.options import MelOptions, MfccInput
from semisonic.features.statistics import mel_statistics


def clusters(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 4
    return rng.normal(0, 1, (n, 6)) + 4 * np.eye(4, 6)[target], target


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_each_learns_and_gives_probabilities(name: str) -> None:
    x, y = clusters(80)
    more, truth = clusters(40, seed=1)
    scores = fit_scores(name, x, y, more, n_classes=5, seed=3)
    assert scores.shape == (40, 5)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores[:, 4] == 0).all()  # no clip to learn from
    assert (scores.argmax(axis=1) == truth).mean() > 0.85
    again, other = (fit_scores(name, x, y, x + 0.7, n_classes=5, seed=s) for s in (3, 4))
    np.testing.assert_array_equal(again, fit_scores(name, x, y, x + 0.7, n_classes=5, seed=3))
    assert np.array_equal(other, again) is not CLASSIFIERS[name].is_random
    x, y = clusters(4)  # one clip a class is enough
    np.testing.assert_allclose(fit_scores(name, x, y, x, n_classes=4, seed=0).sum(axis=1), 1)


def test_the_judge_of_labels_learns_several_and_is_not_led_by_single_wrong_ones() -> None:
    x, y = clusters(160)
    targets = np.stack([y == 0, y <= 1, y < 0, y >= 0], axis=1).astype(np.float32)
    scores = fit_scores(JUDGE, x, targets, x, n_classes=4, seed=0, workers=1)
    assert ((scores >= 0.5) == targets).mean() > 0.95
    assert (scores[:, 2] == 0).all()  # no clip has it
    assert (scores[:, 3] == 1).all()  # all clips have it
    noisy = np.where(np.arange(160) % 5 == 0, (y + 1) % 4, y)
    more, truth = clusters(60, seed=1)
    scores = fit_scores(JUDGE, x, noisy, more, n_classes=4, seed=2**62, workers=1)
    assert (scores.argmax(axis=1) == truth).mean() > 0.85
    again = fit_scores(JUDGE, x, noisy, more, n_classes=4, seed=2**62, workers=2)
    np.testing.assert_array_equal(scores, again)


def test_two_classes_and_one(recwarn: pytest.WarningsRecorder) -> None:
    x, y = clusters(40)
    two = y < 2
    scores = fit_scores("svm", x[two], y[two], x[two], n_classes=4, seed=0)
    assert (scores.argmax(axis=1) == y[two]).mean() > 0.9
    only = fit_scores("svm", x[y == 3], y[y == 3], x, n_classes=4, seed=0)
    assert (only[:, 3] == 1).all()


def test_wrong_use_is_told() -> None:
    x, y = clusters(8)
    with pytest.raises(OptionError, match="did you mean 'forest'"):
        fit_scores("forrest", x, y, x, n_classes=4, seed=0)
    with pytest.raises(DataError, match="no labelled clips"):
        fit_scores("knn", x[:0], y[:0], x, n_classes=4, seed=0)


def test_the_group_first_multiplies_probabilities() -> None:
    x, y = clusters(80)
    more, truth = clusters(40, seed=1)
    group_of = [0, 0, 1, 1]
    scores = fit_hierarchy("logistic", x, y, more, group_of=group_of, seed=0)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    groups = fit_scores("logistic", x, y // 2, more, n_classes=2, seed=0)
    np.testing.assert_allclose(scores[:, :2].sum(axis=1), groups[:, 0])
    within = fit_scores("logistic", x[y < 2], y[y < 2], more, n_classes=4, seed=0)
    np.testing.assert_allclose(scores[:, 0], groups[:, 0] * within[:, 0])
    assert (scores.argmax(axis=1) == truth).mean() > 0.85


def test_a_group_without_labels_and_a_group_of_one_class() -> None:
    x, y = clusters(60)
    some = y < 3
    scores = fit_hierarchy("knn", x[some], y[some], x, group_of=[0, 0, 1, 2], seed=0)
    assert (scores[:, 3] == 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores.argmax(axis=1) == y)[some].mean() > 0.9


def test_inputs_come_from_their_front_end() -> None:
    mel = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    assert front_of("mfcc-zcr", mel) == MfccInput(8000, 0.5)
    assert front_of("mel", mel) is mel
    features = np.random.default_rng(0).normal(-40, 9, (5, *mel.shape)).astype(np.float16)
    rows = np.array([3, 1])
    np.testing.assert_array_equal(vectors("mel", features, rows), mel_statistics(features[rows]))
    cepstra = features[:, :, :13, :2].reshape(5, 1, 26, 1)
    np.testing.assert_array_equal(vectors("mfcc-zcr", cepstra, rows), cepstra[rows, 0, :, 0])
