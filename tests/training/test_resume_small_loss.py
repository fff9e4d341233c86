"""Small-loss selection inside the loop: an interrupted training goes on at the same share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_standins import ArrayStream, same_weights, small_net, weights

from semisonic.learning.losses import CrossEntropy, SmallLoss
from semisonic.learning.objective import Objective
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

OPTIONS = FitOptions(
    epochs=4,
    optimizer="adamw",
    learning_rate=0.02,
    ema_decay=0.8,
    precision="fp32",
    channels_last="off",
    checkpoint_interval=0.0,
)


class Selecting(Objective):
    streams = ("labelled",)

    def __init__(self, noise_rate=0.4):
        super().__init__()
        self.net = small_net(dropout=0.3, norm=True)
        self.row_loss = SmallLoss(CrossEntropy(), noise_rate, n_warmup=20)

    def forward(self, batches):
        batch = batches["labelled"]
        share = self.row_loss.kept_share()
        return {"loss": self.row_loss(self.net(batch.x), batch.y).mean(), "kept": share}


def train(folder, fail_at=None, options=OPTIONS):
    objective = Selecting()
    result = fit(
        objective, {"labelled": ArrayStream(fail_at=fail_at)}, options, seed=3, folder=folder
    )
    return objective, result


def test_an_interrupted_training_ends_as_if_it_had_not_been(tmp_path):
    whole, expected = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", fail_at={9: KeyboardInterrupt()})
    again, found = train(tmp_path / "cut")
    assert same_weights(weights(again), weights(whole))
    kept = [row["kept"] for row in found.history]
    assert kept == [row["kept"] for row in expected.history]
    assert kept[0] == pytest.approx(1 - 0.4 * 2.5 / 20)  # six steps, from 0 to 5
    assert kept[-1] < 0.65
    assert again.row_loss.step.item() == 24


def test_a_probe_of_number_formats_does_not_count_as_steps():
    objective, result = train(None, options=replace(OPTIONS, precision="auto", channels_last="on"))
    assert result.n_steps == 24
    assert torch.equal(objective.row_loss.step, torch.tensor(24))
