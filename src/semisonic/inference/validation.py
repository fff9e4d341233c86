"""What the history of a training holds of clips that are held out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic import evaluation


def validation_metrics(target: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float]:
    """What the history holds of validation clips.

    ``accuracy`` and ``loss`` (nats), or for clips with several labels ``lwlrap``, ``map`` and
    ``loss`` (binary cross-entropy, mean over classes, nats). ``choice`` is what tells the best
    epoch by default: the accuracy, and of epochs with the same one, which are common when few
    clips validate, the one with the lower loss; for several labels the lwlrap.
    """
    if target.ndim == 1:
        accuracy = evaluation.accuracy(target, scores.argmax(axis=1))
        loss = evaluation.log_loss(target, scores)
        # Accuracies differ by 1/n at least, so this term only ever decides between equal ones.
        choice = accuracy + 0.5 / len(target) / (1.0 + loss)
        return {"accuracy": accuracy, "loss": loss, "choice": choice}
    sure = np.clip(scores, 1e-7, 1.0 - 1e-7)
    loss = -float(np.mean(target * np.log(sure) + (1.0 - target) * np.log1p(-sure)))
    lwlrap = evaluation.lwlrap(target, scores)
    average = evaluation.mean_average_precision(target, scores)
    return {"lwlrap": lwlrap, "map": average, "loss": loss, "choice": lwlrap}
