"""The encoder is frozen at first, then learns more slowly the deeper a layer lies."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from training_standins import ArrayStream, Classify, same_weights, weights, without_seconds

from semisonic.core.errors import OptionError
from semisonic.features.options import MelOptions
from semisonic.learning.consistency import FixMatch
from semisonic.learning.supervised import Supervised
from semisonic.models.encoder import Encoder
from semisonic.models.registry import names
from semisonic.models.sound_model import build
from semisonic.training.loop import fit, make_optimizer, set_rate
from semisonic.training.options import FitOptions

OPTIONS = FitOptions(
    epochs=4,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.05,
    schedule="onecycle",
    freeze_epochs=2.5,
    layer_decay=0.5,
    ema_decay=0.8,
    clip_norm=1.0,
    precision="fp32",
    checkpoint_interval=0.0,
)
THAWED = 15  # the first step in which the encoder learns, of six an epoch


class Body(Encoder):
    """Two convolutions with normalisation and dropout."""

    def __init__(self):
        super().__init__()
        conv = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        last = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3))
        self.stages = nn.ModuleList([conv, last])

    def forward(self, x, n_frames=None):
        for stage in self.stages:
            x = stage(x)
        return x


class TwoParts(Classify):
    """An objective that tells its encoder from its class layer."""

    def __init__(self, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            body = Body()
            pool = nn.Sequential(nn.AdaptiveMaxPool2d(4), nn.Flatten(), nn.Dropout(0.2))
            super().__init__(nn.Sequential(body, pool, nn.Linear(64, 3)))

    @property
    def body(self):
        return self.net[0]


class Watching(ArrayStream):
    """Keeps the weights as they are before each step."""

    def __init__(self, objective, **more):
        super().__init__(**more)
        self.objective, self.seen = objective, {}

    def at(self, step, rank=0, world=1):
        self.seen[step] = weights(self.objective)
        return super().at(step, rank, world)


class Stop(Exception):
    pass


def body_of(state):
    return {name: tensor for name, tensor in state.items() if name.startswith("net.0.")}


def test_the_body_is_bit_identical_while_frozen_and_learns_after():
    objective = TwoParts()
    first = weights(objective)
    stream = Watching(objective)
    fit(objective, {"labelled": stream}, OPTIONS, seed=0)
    assert any("running_mean" in name for name in body_of(first))
    for step in range(1, THAWED + 1):
        assert same_weights(body_of(stream.seen[step]), body_of(first))
        assert not torch.equal(stream.seen[step]["net.2.weight"], first["net.2.weight"])
    after = stream.seen[THAWED + 1]
    assert all(not torch.equal(after[name], first[name]) for name in body_of(first))
    assert all(weight.requires_grad for weight in objective.parameters())
    assert not objective.training


def test_a_body_that_is_never_thawed_stays_in_the_average_too():
    objective = TwoParts()
    first = weights(objective)
    result = fit(
        objective,
        {"labelled": ArrayStream()},
        replace(OPTIONS, freeze_epochs=99.0),
        seed=0,
        validate=lambda: {"loss": 1.0},
    )
    assert same_weights(body_of(weights(objective)), body_of(first))
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert all(weight.requires_grad for weight in objective.parameters())


def test_rates_by_layer():
    objective = TwoParts()
    optimizer = make_optimizer(objective, OPTIONS, objective.body)
    share = {}
    for name, weight in objective.named_parameters():
        share[weight] = 1.0 if "net.2" in name else 0.5 if "stages.1" in name else 0.25
    set_rate(optimizer, 0.2)
    assert optimizer.param_groups[0]["lr"] == 0.2
    found = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert found == {weight: 0.2 * one for weight, one in share.items()}
    assert {p for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]} == {
        weight for weight in share if weight.ndim >= 2
    }


@pytest.mark.parametrize("step", [1, 9, THAWED - 1, THAWED, THAWED + 1, 22])
def test_goes_on_bit_for_bit_in_either_phase(tmp_path, step):
    whole = TwoParts()
    expected = fit(whole, {"labelled": ArrayStream()}, OPTIONS, seed=3)
    failing = ArrayStream(fail_at={step: Stop()})
    with pytest.raises(Stop):
        fit(TwoParts(), {"labelled": failing}, OPTIONS, seed=3, folder=tmp_path)
    objective = TwoParts()
    stream = ArrayStream()
    result = fit(objective, {"labelled": stream}, OPTIONS, seed=3, folder=tmp_path)
    assert stream.asked[2:] == list(range(step, 24))
    assert same_weights(weights(objective), weights(whole))
    assert without_seconds(result.history) == without_seconds(expected.history)


@pytest.mark.parametrize("change", [{"freeze_epochs": 1.0}, {"layer_decay": 0.7}])
def test_an_objective_without_a_body_refuses(change):
    objective = Classify(nn.Sequential(nn.Flatten(), nn.Linear(80, 3)))
    with pytest.raises(OptionError, match=next(iter(change))):
        fit(objective, {"labelled": ArrayStream()}, FitOptions(epochs=1, **change), seed=0)


def test_guesses_do_not_wake_a_frozen_body():
    """FixMatch guesses in evaluation mode in the middle of a step."""
    mel = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    model = build("tiny", mel, ["a", "b", "c"], standardize="none")
    objective = FixMatch(model, weak=nn.Identity(), strong=nn.Identity(), threshold=0.0)
    first = weights(model.encoder)
    shape = mel.shape
    streams = {"labelled": ArrayStream(shape=shape), "unlabelled": ArrayStream(shape=shape, seed=1)}
    fit(objective, streams, replace(OPTIONS, freeze_epochs=99.0), seed=0)
    assert any("running" in name for name in first)
    assert same_weights(weights(model.encoder), first)


def suited(name):
    """Features that a network takes."""
    if name.startswith(("m5", "m11", "m18", "aclnet")):
        return MelOptions(input="wave", sample_rate=16000)
    if name.startswith("piczak"):
        n_samples = 51200 if name == "piczak-long" else 20480
        return MelOptions(n_mels=60, hop_length=512, duration=n_samples / 22050)
    return MelOptions()


@pytest.mark.parametrize("name", names())
def test_layers_hold_every_weight_of_an_encoder_once(name):
    encoder = Supervised(build(name, suited(name), ["a", "b"])).body
    layers = encoder.weight_layers()
    assert len(layers) >= 2
    found = [id(weight) for layer in layers for weight in layer.parameters()]
    assert sorted(found) == sorted(id(weight) for weight in encoder.parameters())
