"""The range test, on problems whose limit is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_freezing import TwoParts
from torch import nn
from training_standins import ArrayBatch, ArrayStream, Classify, same_weights, small_net, weights

from semisonic.classifier.find_rate import sweep_rate
from semisonic.learning.objective import Objective
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

PLAIN = FitOptions(epochs=2, optimizer="sgd", momentum=0.0, precision="fp32")


class Quadratic(Objective):
    """Half the sum of curvature times square; gradient descent diverges above 2 / largest."""

    streams = ("labelled",)

    def __init__(self, curvatures):
        super().__init__()
        self.register_buffer("curvatures", curvatures)
        self.x = nn.Parameter(1.0 / curvatures.sqrt())

    def forward(self, batches):
        noise = batches["labelled"].x.mean()
        return {"loss": 0.5 * (self.curvatures * self.x.square()).sum() * (1.0 + noise)}


class Noise:
    """A batch of one number per step: by how much the loss is off."""

    steps_per_epoch = 5

    def __init__(self, spread):
        self.spread = spread

    def at(self, step, rank=0, world=1):
        draw = torch.Generator().manual_seed(step)
        x = self.spread * torch.randn(1, generator=draw)
        return ArrayBatch(x, None, torch.zeros(1))


@pytest.mark.parametrize("largest", [0.03, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize("decades", [0, 1, 3])
def test_the_suggestion_is_within_a_factor_of_ten_of_the_limit(largest, spread, decades):
    curvatures = largest * torch.logspace(-decades, 0, 20)
    sweep = {"lowest": 1e-6, "highest": 1e3, "steps": 180}
    found = sweep_rate(Quadratic(curvatures), {"labelled": Noise(spread)}, PLAIN, **sweep, seed=0)
    limit = 2.0 / largest
    assert found.stopped
    assert limit / 10 <= found.suggestion <= limit
    assert found.rates[-1] < 100 * limit


def test_the_rates_rise_by_one_factor_to_the_highest():
    sweep = {"lowest": 1e-8, "highest": 1e-3, "steps": 26}
    found = sweep_rate(Quadratic(torch.ones(2)), {"labelled": Noise(0.0)}, PLAIN, **sweep, seed=0)
    assert not found.stopped
    assert len(found.rates) == len(found.losses) == len(found.smoothed) == 26
    steps = [b / a for a, b in zip(found.rates, found.rates[1:], strict=False)]
    assert steps == pytest.approx([10 ** (5 / 25)] * 25)
    assert (found.rates[0], found.rates[-1]) == pytest.approx((1e-8, 1e-3))
    assert found.smoothed[0] == found.losses[0]


def test_no_rate_is_suggested_where_the_loss_does_not_fall():
    sweep = {"lowest": 10.0, "highest": 100.0}
    found = sweep_rate(Quadratic(torch.ones(2)), {"labelled": Noise(0.0)}, PLAIN, **sweep, seed=0)
    assert found.stopped
    assert found.suggestion is None


def test_a_training_after_it_is_the_same(monkeypatch):
    def train(first):
        objective = Classify(small_net(dropout=0.3, norm=True))
        streams = {"labelled": ArrayStream()}
        torch.manual_seed(5)
        if first:
            sweep_rate(objective, streams, PLAIN, steps=30, seed=1)
        drawn = torch.rand(3)
        fit(objective, streams, PLAIN, seed=1)
        return weights(objective), drawn

    (with_sweep, drawn), (without, expected) = train(True), train(False)
    assert same_weights(with_sweep, without)
    assert torch.equal(drawn, expected)


def test_with_a_frozen_body_only_the_rest_is_tried():
    seen = []

    class Keeping(TwoParts):
        def forward(self, batches):
            seen.append(weights(self.body))
            return super().forward(batches)

    options = replace(PLAIN, freeze_epochs=1.0, optimizer="adam")
    sweep_rate(Keeping(), {"labelled": ArrayStream()}, options, steps=40, seed=0)
    assert len(seen) >= 20
    assert all(same_weights(one, seen[0]) for one in seen)
