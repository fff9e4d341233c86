"""Layer-wise training as a sequence of ordinary ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semisonic.data.batches import Stream
from semisonic.features.options import MelOptions
from semisonic.learning.reconstruction import LayerReconstruction, layer_decoder
from semisonic.models.pretrained import AutoEncoder, build_autoencoder
from semisonic.training.layerwise import fit_layers, only_used_weights
from semisonic.training.options import FitOptions

MEL = MelOptions(sample_rate=8000, duration=0.8, n_fft=512, hop_length=256, n_mels=12)
OPTIONS = FitOptions(epochs=9, steps=400, batch_size=8, learning_rate=0.01, precision="fp32")


@pytest.fixture
def features() -> np.ndarray:
    x = np.random.default_rng(0).normal(-40, 6, (24, *MEL.shape)).astype(np.float32)
    for number, clip in enumerate(x):
        clip[:, number % 9 : number % 9 + 3] += 20
    return x


def network(features: np.ndarray, net: str = "small") -> AutoEncoder:
    made = build_autoencoder(net, MEL, decoder="upsample", seed=1)
    assert made.frontend is not None
    made.frontend.standardize.fit(features)
    return made


def run(made: AutoEncoder, features: np.ndarray, **more: object) -> tuple[object, ...]:
    stream = Stream(features, range(24), batch_size=8, seed=1, name="unlabelled")
    assert made.frontend is not None
    arguments: dict[str, object] = {"layer_epochs": 2, "seed": 1} | more
    return fit_layers(made, made.frontend.standardize, stream, OPTIONS, **arguments)  # type: ignore[arg-type]


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


def test_finished_layers_are_not_trained_again(features, tmp_path):
    first, again = network(features), network(features)
    results = run(first, features, folder=tmp_path)
    before = {f: f.stat().st_mtime_ns for f in tmp_path.rglob("checkpoint.pt")}
    assert run(again, features, folder=tmp_path)[-1].history == results[-1].history
    assert before == {f: f.stat().st_mtime_ns for f in tmp_path.rglob("checkpoint.pt")}
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_no_epochs_leave_everything_as_it_was(features):
    made, fresh = network(features), network(features)
    assert run(made, features, layer_epochs=0) == ()
    assert all(torch.equal(fresh.state_dict()[k], v) for k, v in made.state_dict().items())


def test_only_the_weights_of_the_layer_ask_for_gradients(features):
    made = network(features, "(4)3c-2p-(5)3cbn-2p-(6)3c")
    assert made.frontend is not None
    layer = LayerReconstruction(made.encoder, 1, layer_decoder(made, 1), made.frontend.standardize)
    stream = Stream(features, range(24), batch_size=8, seed=1, name="unlabelled")
    statistics = {k: v.clone() for k, v in layer.named_buffers()}
    with only_used_weights(layer, {"unlabelled": stream}):
        asking = {name for name, p in layer.named_parameters() if p.requires_grad}
    assert {name.split(".")[2] for name in asking if name.startswith("encoder")} == {"1"}
    assert any(name.startswith("decoder") for name in asking)
    assert all(p.requires_grad for p in layer.parameters())
    assert all(torch.equal(statistics[k], v) for k, v in layer.named_buffers())
    assert layer.training
