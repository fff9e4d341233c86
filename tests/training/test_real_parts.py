"""The loop with the real streams, models and objectives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from semisonic.classifier.pretrain import fit_layers
from semisonic.data.batches import Stream
from semisonic.features.options import MelOptions
from semisonic.learning.reconstruction import Reconstruction
from semisonic.models.pretrained import build_autoencoder
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


@pytest.mark.parametrize("decoder", ["unpool", "upsample", "subpixel", "unet"])
def test_an_auto_encoder_learns_to_repeat(features, decoder):
    model = build_autoencoder(NET, MEL, decoder=decoder, seed=1)
    standardize = model.frontend.standardize.fit(features[0])
    stream = Stream(features[0], range(50), batch_size=8, seed=1, name="unlabelled")
    result = fit(Reconstruction(model, standardize), {"unlabelled": stream}, OPTIONS, seed=1)
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < 0.9 * losses[0]
    squared = [row["mse_db2"] / row["loss"] for row in result.history]
    assert squared == pytest.approx([float(standardize.std) ** 2] * len(squared), rel=1e-3)


LAYERS = replace(OPTIONS, epochs=9, steps=400)  # the epochs of layers are given


def network(features, net="small"):
    made = build_autoencoder(net, MEL, decoder="upsample", seed=1)
    made.frontend.standardize.fit(features[0])
    return made


def pool(features):
    return Stream(features[0], range(24), batch_size=8, seed=1, name="unlabelled")


def run(made, features, layer_epochs=2, **more):
    standardize, stream = made.frontend.standardize, pool(features)
    return fit_layers(made, standardize, stream, LAYERS, layer_epochs=layer_epochs, seed=1, **more)


def test_each_part_is_trained_for_the_epochs_asked_for(features, tmp_path):
    made = network(features)
    n_parts = len(made.encoder.part_plans)
    results = run(made, features, folder=tmp_path)
    assert [len(r.history) for r in results] == [2] * n_parts
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"layer-{i + 1}" for i in range(n_parts)]
    assert all(p.requires_grad for p in made.parameters())
    fresh = network(features)
    for name, weight in made.encoder.named_parameters():
        assert not torch.equal(weight, dict(fresh.encoder.named_parameters())[name]), name
