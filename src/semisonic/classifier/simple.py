"""Simple classifiers on statistics of a clip: k-NN, forests, linear models; no network.

scikit-learn and torch are imported where they are used: recipes read the names.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.options import MelOptions, MfccInput

# The simple classifiers by name, each with its hyper-parameters.
#
# ``knn``, ``forest`` and ``svm`` are the baselines of Piczak, "ESC: Dataset for Environmental Sound
# Classification" (ACM Multimedia 2015), whose hyper-parameters were not published; the rest is
# what else one would try first. They are scikit-learn's; where inputs have to be alike in scale,
# they are standardised by the clips that are learned from.


Scores = NDArray[np.float64]
NEIGHBOURS = 8
"""Number of neighbours, chosen on training folds: 3 to 10 are alike, standardised inputs are
worse.
"""
TREES = 500
N_TREES = 300
"""Number of trees of the forest that judges labels."""
JUDGE = "pair"
"""Judges labels in ``suspects``. A strongly regularised linear model and a forest of extremely
randomised trees (Geurts, Ernst and Wehenkel 2006) make different mistakes, so the mean of their
scores is better than either, and neither can learn single wrong labels by heart in a way that
would show in the scores of other recordings."""


class Classifier(NamedTuple):
    """A named way to learn.

    Attributes
    ----------
    title : str
        What it is called in tables.
    text : str
        Its hyper-parameters in words.
    is_random : bool
        Whether its result depends on the seed.
    """

    title: str
    text: str
    is_random: bool = False


CLASSIFIERS = {
    "knn": Classifier(
        "k-nearest neighbours",
        f"{NEIGHBOURS} neighbours, Euclidean, weighted by distance, inputs not standardised",
    ),
    "forest": Classifier("random forest", f"{TREES} trees, grown fully", True),
    "svm": Classifier(
        "linear SVM",
        "one class against the rest, squared hinge, C 0.1, inputs standardised; scores are the "
        "softmax of the decision function, not calibrated",
    ),
    "logistic": Classifier("logistic regression", "multinomial, C 1, inputs standardised"),
    "boosting": Classifier(
        "gradient boosting",
        "histograms, 60 rounds, 8 leaves, learning rate 0.1, at least 5 clips a leaf (fewer with "
        "under 100 clips)",
    ),
    "mlp": Classifier(
        "small perceptron",
        "one hidden layer of 128, ReLU, L2 0.01, Adam, at most 500 epochs, inputs standardised",
        True,
    ),
    JUDGE: Classifier(
        "linear model and trees",
        "mean of logistic regression (C 0.01, inputs standardised) and 300 extremely randomised "
        "trees: used to judge labels in 'suspects'",
        True,
    ),
}
"""By the name that recipes give them."""


def _estimators(name: str, seed: int, n: int, n_jobs: int) -> list[Any]:
    """New models for ``n`` clips to learn from; their scores are averaged."""
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    def scaled(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    if name == "knn":
        return [KNeighborsClassifier(min(NEIGHBOURS, n), weights="distance", n_jobs=n_jobs)]
    if name == "forest":
        return [RandomForestClassifier(TREES, random_state=seed, n_jobs=n_jobs)]
    if name == "svm":
        return [scaled(LinearSVC(C=0.1, dual=False, max_iter=5000))]
    if name == "logistic":
        return [scaled(LogisticRegression(C=1.0, max_iter=5000))]
    if name == "boosting":
        return [
            HistGradientBoostingClassifier(
                max_iter=60,
                max_leaf_nodes=8,
                min_samples_leaf=max(1, min(5, n // 20)),
                early_stopping=False,
                random_state=0,
            )
        ]
    if name == "mlp":
        return [scaled(MLPClassifier((128,), alpha=0.01, max_iter=500, random_state=seed))]
    return [
        scaled(LogisticRegression(C=0.01, max_iter=2000)),
        ExtraTreesClassifier(N_TREES, random_state=seed, n_jobs=n_jobs),
    ]


def fit_scores(
    name: str,
    learn_from: NDArray[Any],
    target: NDArray[Any],
    to_score: NDArray[Any],
    *,
    n_classes: int,
    seed: int,
    workers: int | None = 1,
) -> Scores:
    """Learn from some clips' numbers and score others.

    Parameters
    ----------
    name : str
        One of :data:`CLASSIFIERS`.
    learn_from : ndarray, shape (n, d)
    target : ndarray
        Class numbers (n,), or for several labels per clip 0 and 1, (n, n_classes).
    to_score : ndarray, shape (m, d)
    n_classes : int
    seed : int
    workers : int, optional
        Threads that grow trees; None is one per core.

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

    Examples
    --------
    >>> x = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> fit_scores("knn", x, np.array([0, 0, 1, 1]), x[:1], n_classes=3, seed=0).tolist()
    [[1.0, 0.0, 0.0]]
    """
    if name not in CLASSIFIERS:
        raise OptionError(f"classifier '{name}': {nearest(name, CLASSIFIERS)}")
    if not len(target):
        raise DataError("classifier: found no labelled clips for training")
    if target.ndim == 2:
        answers = target.astype(np.int64).T
        of_yes = [
            fit_scores(name, learn_from, a, to_score, n_classes=2, seed=seed, workers=workers)[:, 1]
            for a in answers
        ]
        return np.stack(of_yes, axis=1)
    scores = np.zeros((len(to_score), n_classes))
    known = np.unique(target)
    if len(known) == 1:
        scores[:, known] = 1.0
        return scores
    models = _estimators(name, seed % 2**32, len(target), workers or -1)
    with warnings.catch_warnings():
        # A perceptron that still improves after its last epoch is fine.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        for model in models:
            model.fit(learn_from, target)
            scores[:, known] += _probabilities(model, to_score) / len(models)
    return scores


def _probabilities(model: Any, x: NDArray[Any]) -> Scores:
    """Scores that sum to one; if a model has none, the softmax of its decision function."""
    from scipy.special import softmax

    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x), np.float64)
    decision = np.asarray(model.decision_function(x), np.float64)
    if decision.ndim == 1:
        decision = np.stack([np.zeros_like(decision), decision], axis=1)
    return np.asarray(softmax(decision, axis=1))


# What simple classifiers see of a clip: statistics of cepstra, or of a spectrogram.


CEPSTRUM, MEL = INPUTS = ("mfcc-zcr", "mel")
INPUTS_HELP = (
    "input of a classifier: mfcc-zcr, 26 statistics of cepstra and zero crossings; mel, "
    "statistics of the spectrogram"
)


def front_of(inputs: str, mel: MelOptions) -> MelOptions | MfccInput:
    """The front end whose features the inputs are made from."""
    if inputs == CEPSTRUM:
        return MfccInput(mel.sample_rate, mel.duration)
    return mel


def vectors(inputs: str, features: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The numbers of some clips, shape (len(rows), d).

    Parameters
    ----------
    inputs : str
        One of :data:`INPUTS`.
    features : ndarray, shape (n, channel, mel, frame)
        Of the front end that :func:`front_of` names.
    rows : ndarray of int64
    """
    if inputs == CEPSTRUM:
        return np.asarray(features[rows], np.float64).reshape(len(rows), -1)
    from semisonic.features.statistics import mel_statistics

    return mel_statistics(features[rows]).astype(np.float64)
