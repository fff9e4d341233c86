"""The whole way with a network that reads the waveform."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, sound
from training_rows import train_rows

from semisonic.classifier.config import MethodOptions, PretextOptions, TrainConfig
from semisonic.classifier.prepare import prepare_waves
from semisonic.classifier.pretrain import build_view
from semisonic.classifier.scoring import score_rows
from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load, save
from semisonic.training.options import FitOptions

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, input="wave")
NOTATION = "(8)1x32cbn-1x8p-(16)1x9cbn-1x8p-(16)1x9cbn-gp"
N, TRAIN = 60, np.arange(45)
TARGET = np.arange(N) % 3


def test_it_learns_and_its_file_gives_the_same_scores(tmp_path: Path) -> None:
    waves = [sound(KINDS[i % 3], i)[: MEL.n_samples] for i in range(N)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(N)])
    features = np.asarray(prepare_waves(clips, waves, MEL).features)
    assert features.shape == (N, 1, 1, MEL.n_samples)
    fit = FitOptions(epochs=30, batch_size=15, optimizer="adamw", learning_rate=1e-2)
    how = MethodOptions(augment="weak", mixup=0.2)
    model = train_rows(
        features,
        TARGET,
        TRAIN,
        [],
        TrainConfig(NOTATION, method_params=how, fit=fit),
        mel=MEL,
        classes=KINDS,
        seed=0,
    ).model
    scores = score_rows(model, features, np.arange(45, N))
    assert (scores.argmax(1) == TARGET[45:]).mean() > 0.8
    save(tmp_path / "model.zip", model)
    again = load(tmp_path / "model.zip")
    assert again.mel == MEL
    np.testing.assert_array_equal(score_rows(again, features, np.arange(45, N)), scores)
    wave = torch.from_numpy(np.stack(waves[45:]))
    np.testing.assert_allclose(again.probabilities(again(wave)).detach().numpy(), scores, atol=0.01)


def test_views_to_be_compared_are_of_spectrograms() -> None:
    with pytest.raises(OptionError, match=r"reads the waveform.*supervised"):
        build_view(PretextOptions(), MEL)
