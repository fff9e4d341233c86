"""The loop with the real streams, models and objectives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_standins import same_weights, weights, without_seconds

from semisonic.data.batches import Stream
from semisonic.features.options import MelOptions
from semisonic.learning.reconstruction import Reconstruction
from semisonic.learning.supervised import Supervised
from semisonic.models.pretrained import build_autoencoder
from semisonic.models.sound_model import build
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=8000, duration=0.8, n_fft=512, hop_length=256, n_mels=12)
NET = "(4)5c-2p-(4)3c-2p-8fc"
OPTIONS = FitOptions(epochs=6, batch_size=8, learning_rate=0.01, precision="fp32")


@pytest.fixture(scope="module")
def features():
    """Clips of three classes, each loud in bands of its own, around -40 dB."""
    numbers = np.random.default_rng(0)
    x = numbers.normal(-40, 6, (50, *MEL.shape)).astype(np.float32)
    target = np.arange(50) % 3
    for clip, one in zip(x, target, strict=True):
        clip[:, 4 * one : 4 * one + 3] += 20
    return x.astype(np.float16), target


def noisy(x, generator):
    return x + torch.randn(x.shape, generator=generator)


def supervised(features, rows=range(40), options=OPTIONS, **more):
    x, target = features
    model = build(NET, MEL, ("a", "b", "c"), dropout=0.2, seed=1)
    model.frontend.standardize.fit(x[list(rows)])
    stream = Stream(
        x, list(rows), batch_size=options.batch_size, seed=1, target=target, transform=noisy
    )
    return model, fit(Supervised(model), {"labelled": stream}, options, seed=1, **more)


def test_a_classifier_learns_its_classes(features):
    model, result = supervised(features, options=replace(OPTIONS, epochs=12))
    with torch.no_grad():
        logits = model.from_features(torch.from_numpy(features[0][40:].astype(np.float32)))
    assert (logits.argmax(1).numpy() == features[1][40:]).mean() > 0.8
    assert result.history[-1]["accuracy"] > 0.8
    assert result.n_steps == 12 * 5


@pytest.mark.parametrize("decoder", ["unpool", "upsample", "subpixel", "unet"])
def test_an_auto_encoder_learns_to_repeat(features, decoder):
    model = build_autoencoder(NET, MEL, decoder=decoder, seed=1)
    assert model.frontend is not None
    standardize = model.frontend.standardize.fit(features[0])
    stream = Stream(features[0], range(50), batch_size=8, seed=1, name="unlabelled")
    result = fit(Reconstruction(model, standardize), {"unlabelled": stream}, OPTIONS, seed=1)
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < 0.9 * losses[0]
    squared = [row["mse_db2"] / row["loss"] for row in result.history]
    assert squared == pytest.approx([float(standardize.std) ** 2] * len(squared), rel=1e-3)


def test_goes_on_bit_for_bit_with_dropout_and_augmentation(features, tmp_path):
    class Stop(Exception):
        pass

    def stop_at_third():
        calls.append(1)
        if len(calls) == 3:
            raise Stop
        return {"loss": 1.0 / len(calls)}

    def keep_falling():
        calls.append(1)
        return {"loss": 1.0 / len(calls)}

    calls: list[int] = []
    whole, expected = supervised(features, validate=keep_falling)
    calls = []
    options = replace(OPTIONS, checkpoint_interval=0.0)
    with pytest.raises(Stop):
        supervised(features, options=options, validate=stop_at_third, folder=tmp_path)
    calls = [1, 1]
    model, found = supervised(features, options=options, validate=keep_falling, folder=tmp_path)
    assert without_seconds(found.history) == without_seconds(expected.history)
    assert same_weights(weights(model), weights(whole))
