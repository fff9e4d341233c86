"""What the benchmarks of scores have in common: a small network, trained quickly, some clips kept.

The networks are those of nobody's best result: ten epochs, a coarser spectrogram. What is asked is
what calibration and the rules for unknown sounds do to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.prepare import Prepared, prepare
from semisonic.classifier.selection import targets_of
from semisonic.classifier.training import TrainingData, train_model
from semisonic.data.clips import Clips
from semisonic.data.splits import hold_out
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=16000, n_fft=1024, hop_length=640, n_mels=40)
EPOCHS = 10
KEPT = 0.25  # share of the training folds' recordings that calibrate and train nothing
Rows = NDArray[np.int64]


def network(clips: Clips, rows: Rows, prepared: Prepared, seed: int) -> tuple[SoundModel, Rows]:
    """A network trained on most of some clips, and the rows of features of the others."""
    train, kept = hold_out(clips, rows, KEPT, seed, "clips to calibrate by")
    target = targets_of(prepared.clips, multi_label=False)
    outcome = train_model(
        TrainConfig(mel=MEL, fit=FitOptions(epochs=EPOCHS)),
        TrainingData(prepared.features, target, clips.classes, prepared.rows_of(train)),
        seed=seed,
    )
    return outcome.model, prepared.rows_of(kept)


def features(clips: Clips, cache: Path) -> Prepared:
    """Features of all clips."""
    return prepare(clips, MEL, cache, workers=1)


def rounded(values: Any) -> Any:
    """Numbers with four digits, for a result file."""
    if isinstance(values, dict):
        return {key: rounded(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [rounded(value) for value in values]
    return round(float(values), 4) if isinstance(values, (float, np.floating)) else values
