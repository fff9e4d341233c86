"""The simple classifiers by name, each with its hyper-parameters.

``knn``, ``forest`` and ``svm`` are the baselines of Piczak, "ESC: Dataset for Environmental Sound
Classification" (ACM Multimedia 2015), whose hyper-parameters were not published; the rest is
what else one would try first. They are scikit-learn's; where inputs have to be alike in scale,
they are standardised by the clips that are learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.inference.simple.fitting import Scores, mean_scores

NEIGHBOURS = 8
"""Of training folds, with inputs as they are: 3 to 10 are alike, standardised ones are worse."""

TREES = 500


@dataclass(frozen=True)
class Classifier:
    """A named way to learn.

    Attributes
    ----------
    title : str
        What it is called in tables.
    text : str
        Its hyper-parameters in words.
    is_random : bool
        Whether what it learns depends on the seed.
    make : callable
        New models from (seed, number of clips to learn from); their scores are averaged.
    """

    title: str
    text: str
    is_random: bool
    make: Callable[[int, int], Sequence[Any]]


def fit_scores(
    name: str,
    learn_from: NDArray[Any],
    target: NDArray[np.int64],
    to_score: NDArray[Any],
    *,
    n_classes: int,
    seed: int,
) -> Scores:
    """Learn from some clips' numbers and score others.

    Parameters
    ----------
    name : str
        One of :data:`CLASSIFIERS`.
    learn_from : ndarray, shape (n, d)
    target : ndarray of int64, shape (n,)
    to_score : ndarray, shape (m, d)
    n_classes : int
    seed : int

    Returns
    -------
    ndarray of float64, shape (m, n_classes)
        Probabilities; 0 for a class that no clip to learn from has.

    Raises
    ------
    OptionError
        For an unknown name.
    DataError
        Without clips to learn from.
    """
    if name not in CLASSIFIERS:
        raise OptionError(f"classifier '{name}': {nearest(name, CLASSIFIERS)}")
    models = CLASSIFIERS[name].make(seed % 2**32, len(target))
    return mean_scores(models, learn_from, target, to_score, n_classes)


def _standardised(model: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model)


def _knn(seed: int, n: int) -> list[Any]:
    from sklearn.neighbors import KNeighborsClassifier

    return [KNeighborsClassifier(min(NEIGHBOURS, n), weights="distance")]


def _forest(seed: int, n: int) -> list[Any]:
    from sklearn.ensemble import RandomForestClassifier

    return [RandomForestClassifier(TREES, random_state=seed)]


def _svm(seed: int, n: int) -> list[Any]:
    from sklearn.svm import LinearSVC

    return [_standardised(LinearSVC(C=0.1, dual=False, max_iter=5000))]


def _logistic(seed: int, n: int) -> list[Any]:
    from sklearn.linear_model import LogisticRegression

    return [_standardised(LogisticRegression(C=1.0, max_iter=5000))]


def _boosting(seed: int, n: int) -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    few = max(1, min(5, n // 20))
    return [
        HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=few, early_stopping=False,
            random_state=0,
        )
    ]  # fmt: skip


def _mlp(seed: int, n: int) -> list[Any]:
    from sklearn.neural_network import MLPClassifier

    return [_standardised(MLPClassifier((128,), alpha=0.01, max_iter=500, random_state=seed))]


def _pair(seed: int, n: int) -> list[Any]:
    from semisonic.inference.statistics_model import models

    return models(seed, 1)


CLASSIFIERS = {
    "knn": Classifier(
        "k-nearest neighbours",
        f"{NEIGHBOURS} neighbours, Euclidean, weighted by distance, inputs not standardised",
        False,
        _knn,
    ),
    "forest": Classifier("random forest", f"{TREES} trees, grown fully", True, _forest),
    "svm": Classifier(
        "linear SVM",
        "one class against the rest, squared hinge, C 0.1, inputs standardised; scores are the "
        "softmax of the decision function, not calibrated",
        False,
        _svm,
    ),
    "logistic": Classifier(
        "logistic regression", "multinomial, C 1, inputs standardised", False, _logistic
    ),
    "boosting": Classifier(
        "gradient boosting",
        "histograms, 60 rounds, 8 leaves, learning rate 0.1, at least 5 clips a leaf (fewer with "
        "under 100 clips)",
        False,
        _boosting,
    ),
    "mlp": Classifier(
        "small perceptron",
        "one hidden layer of 128, ReLU, L2 0.01, Adam, at most 500 epochs, inputs standardised",
        True,
        _mlp,
    ),
    "pair": Classifier(
        "linear model and trees",
        "mean of logistic regression (C 0.01, inputs standardised) and 300 extremely randomised "
        "trees: what judges labels in 'suspects'",
        True,
        _pair,
    ),
}
"""By the name that recipes give them."""
