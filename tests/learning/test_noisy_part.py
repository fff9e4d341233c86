"""Clips whose labels nobody checked, as a part of its own in each step."""

from __future__ import annotations

import pytest
import torch
from learning_standins import Clips, Linear, Plus, features
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.learning.consistency import MeanTeacher, PiModel
from semisonic.learning.losses import CrossEntropy, SoftBootstrapping
from semisonic.learning.supervised import Supervised


def targets(n, seed):
    hot = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed)) < 0.4
    return hot.float()


def batches():
    return {
        "labelled": Clips(features(6, 1), targets(6, 1)),
        "noisy": Clips(features(10, 2), targets(10, 2)),
        "unlabelled": Clips(features(6, 3)),
    }


def made(model, noisy=None, kind=Supervised, **options):
    loss = CrossEntropy(multi_label=True)
    return kind(model, loss=loss, noisy_loss=noisy or loss, **options)


def test_with_one_loss_for_both_it_is_the_loss_of_one_batch():
    model, given = Linear(multi_label=True, norm=True), batches()
    found = made(model)(given)["loss"]
    x = torch.cat([given["labelled"].x, given["noisy"].x])
    y = torch.cat([given["labelled"].y, given["noisy"].y])
    together = Supervised(model, loss=CrossEntropy(multi_label=True))
    expected = together({"labelled": Clips(x, y)})["loss"]
    torch.testing.assert_close(found, expected)


def test_each_part_has_its_loss_and_the_weight_is_that_of_a_noisy_row():
    model, given = Linear(multi_label=True), batches()
    beta = 0.7
    found = made(model, SoftBootstrapping(beta, multi_label=True), noisy_weight=0.5)(given)["loss"]
    bce = nn.functional.binary_cross_entropy_with_logits
    own = model.from_features(given["noisy"].x)
    soft = beta * given["noisy"].y + (1 - beta) * own.sigmoid()  # each class by itself
    noisy = bce(own, soft, reduction="none").mean(1).sum()
    sure = model.from_features(given["labelled"].x)
    certain = bce(sure, given["labelled"].y, reduction="none").mean(1).sum()
    torch.testing.assert_close(found, (certain + 0.5 * noisy) / 16)


def test_weight_zero_takes_noisy_labels_out():
    model, given = Linear(multi_label=True), batches()
    made(model, noisy_weight=0.0)(given)["loss"].backward()
    found = model.layer.weight.grad.clone()
    model.zero_grad()
    given["noisy"] = Clips(given["noisy"].x, 1 - given["noisy"].y)
    made(model, noisy_weight=0.0)(given)["loss"].backward()
    torch.testing.assert_close(found, model.layer.weight.grad)


def test_the_stream_is_read_only_where_there_is_a_loss_for_it():
    assert Supervised(Linear()).streams == ("labelled",)
    assert made(Linear(multi_label=True)).streams == ("labelled", "noisy")
    both = made(Linear(multi_label=True), kind=PiModel, weak=Plus(), strong=Plus(0.5))
    assert both.streams == ("labelled", "unlabelled", "noisy")


def test_a_weight_below_zero_is_refused():
    with pytest.raises(OptionError, match="noisy_weight"):
        made(Linear(multi_label=True), noisy_weight=-1.0)


@pytest.mark.parametrize("kind", [PiModel, MeanTeacher])
def test_consistency_is_of_sigmoids_and_zero_for_equal_views(kind):
    model, given = Linear(multi_label=True), batches()
    views = {"weak": Plus(), "strong": Plus()}
    same = made(model, kind=kind, weight=10.0, **views)(given)
    assert same["disagreement"].item() == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(same["loss"], made(model)(given)["loss"])
    other = made(model, kind=kind, weight=10.0, weak=Plus(), strong=Plus(0.5))(given)
    u = given["unlabelled"].x
    difference = model.from_features(u).sigmoid() - model.from_features(u + 0.5).sigmoid()
    torch.testing.assert_close(other["disagreement"], difference.square().mean().detach())


def test_unlabelled_clips_carry_gradient_and_the_weight_rises():
    model = Linear(multi_label=True)
    objective = made(model, kind=PiModel, weight=4.0, ramp_steps=10, weak=Plus(), strong=Plus(0.5))
    given, traced = batches(), []
    for _ in range(12):
        terms = objective(given)
        traced.append(terms["weight"].item())
        objective.after_step()
    assert traced == sorted(traced)
    assert traced[0] < 0.05
    assert traced[-1] == 4.0
    silent = {**given, "labelled": given["labelled"], "unlabelled": Clips(0 * features(6, 3))}
    grads = []
    for one in (given, silent):
        model.zero_grad()
        objective(one)["loss"].backward()
        grads.append(model.layer.weight.grad.clone())
    assert not torch.allclose(*grads)
