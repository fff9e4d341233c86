"""The moving average of weights, within and without the loop."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from training_standins import ArrayStream, Classify, same_weights, small_net, weights

from semisonic.training.loop import fit
from semisonic.training.optimizer import WeightAverage
from semisonic.training.options import FitOptions

OPTIONS = FitOptions(
    epochs=2, learning_rate=0.01, precision="fp32", channels_last="off", ema_decay=0.7
)


def test_follows_the_formula_and_copies_whole_numbers():
    net = nn.BatchNorm1d(3)
    average = WeightAverage(net, decay=0.5)
    expected = net.running_mean.clone()
    for n in range(1, 6):
        net(torch.randn(8, 3) + 2)
        average.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * net.running_mean
    assert torch.allclose(average.weights["running_mean"], expected)
    assert average.weights["num_batches_tracked"].item() == 5


def test_takes_the_place_of_the_weights_within_a_block_even_if_it_fails():
    net = small_net()
    average = WeightAverage(net, decay=0.9)
    with torch.no_grad():
        net[0].weight.add_(1.0)
    now = weights(net)
    try:
        with average.in_place_of(net):
            assert same_weights(weights(net), average.weights)
            raise ValueError
    except ValueError:
        pass
    assert same_weights(weights(net), now)


def test_final_weights_are_the_average_over_all_steps():
    """Held against the same training without averaging, watched after every step."""
    averaged = Classify(small_net(norm=True))
    fit(averaged, {"labelled": ArrayStream()}, OPTIONS, seed=0)

    plain = Classify(small_net(norm=True))
    expected = weights(plain)
    steps = []

    class Watch(ArrayStream):
        def at(self, step, rank=0, world=1):
            if step > 0 and step not in steps and plain.training:
                steps.append(step)
                take_in()
            return super().at(step, rank, world)

    def take_in():
        n = len(steps)
        decay = min(0.7, (1 + n) / (10 + n))
        for name, tensor in weights(plain).items():
            if tensor.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
            else:
                expected[name] = tensor

    stream = Watch()
    plain.eval()  # the looks before the first step do not count
    fit(plain, {"labelled": stream}, replace(OPTIONS, ema_decay=0.0), seed=0)
    steps.append(12)
    take_in()
    found = weights(averaged)
    assert len(steps) == 12
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    seen = []
    objective = Classify(small_net())

    def validate():
        seen.append(weights(objective))
        return {"loss": -len(seen)}

    fit(objective, {"labelled": ArrayStream()}, OPTIONS, seed=0, validate=validate)
    assert same_weights(weights(objective), seen[-1])
    unseen = Classify(small_net())
    fit(unseen, {"labelled": ArrayStream()}, OPTIONS, seed=0)
    assert same_weights(weights(unseen), seen[-1])
