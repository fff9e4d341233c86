"""The end of every training: the decision and the event layer of the new model."""

from __future__ import annotations

import torch

from semisonic.classifier.calibration import decide_after_training
from semisonic.classifier.config import TrainConfig
from semisonic.classifier.detection.learn import learn_events
from semisonic.classifier.prepare import FeatureRows
from semisonic.classifier.training import TrainedModel, TrainingData
from semisonic.data.clips import Clips


def finish_training(
    outcome: TrainedModel,
    rows: FeatureRows,
    data: TrainingData,
    clips: Clips,
    config: TrainConfig,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    calibrate: bool = True,
) -> tuple[str, ...]:
    """Make a whole model of new weights: calibration, rules for unknown sounds, event layer.

    Parameters
    ----------
    outcome : TrainedModel
        Its model is changed.
    rows : FeatureRows
        The features that it was trained on.
    data : TrainingData
        The same as training and validation parts.
    clips : Clips
        The table that ``rows`` were made from.
    config : TrainConfig
    seed : int
    device : str or torch.device
    calibrate : bool
        Whether the model gets a decision, or keeps the one that it has.

    Returns
    -------
    tuple of str
        What was done, and what was not, with the reason.
    """
    notes: tuple[str, ...] = ()
    if calibrate:
        notes = (decide_after_training(outcome.model, rows, data, clips, config, seed),)
    return (*notes, learn_events(outcome, data, seed=seed, device=device))
