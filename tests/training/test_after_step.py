"""What follows the weights moves after each step, and is part of a checkpoint."""

from __future__ import annotations

import copy

import pytest
import torch
from training_standins import ArrayStream, Classify, same_weights, small_net, weights

from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

OPTIONS = FitOptions(
    epochs=4, learning_rate=0.01, precision="fp32", channels_last="off", checkpoint_interval=0.0
)


class Followed(Classify):
    """A second network that goes half of the way to the first after each step."""

    def __init__(self):
        super().__init__(small_net(dropout=0.2))
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.register_buffer("n_calls", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def after_step(self):
        self.n_calls += 1
        for mine, theirs in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            mine.lerp_(theirs, 0.5)


def test_is_called_once_a_step_after_the_weights_changed():
    objective = Followed()
    start = copy.deepcopy(objective)
    one = FitOptions(epochs=1, precision="fp32", channels_last="off")
    stream = ArrayStream(n=8, batch_size=8)
    fit(objective, {"labelled": stream}, one, seed=0)
    assert objective.n_calls == 1
    for before, now, followed in zip(
        start.net.parameters(),
        objective.net.parameters(),
        objective.teacher.parameters(),
        strict=True,
    ):
        torch.testing.assert_close(followed, before.lerp(now, 0.5))


def test_what_follows_survives_an_interruption(tmp_path):
    whole = Followed()
    fit(whole, {"labelled": ArrayStream()}, OPTIONS, seed=1, folder=tmp_path / "whole")
    broken = Followed()
    stream = ArrayStream(fail_at={13: RuntimeError("power cut")})
    with pytest.raises(RuntimeError, match="power cut"):
        fit(broken, {"labelled": stream}, OPTIONS, seed=1, folder=tmp_path / "part")
    again = Followed()
    fit(again, {"labelled": ArrayStream()}, OPTIONS, seed=1, folder=tmp_path / "part")
    assert whole.n_calls == 24
    assert same_weights(weights(whole), weights(again))
