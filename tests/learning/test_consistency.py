"""Π-model: answers to two views should agree."""

from __future__ import annotations

import math

import pytest
import torch
from learning_standins import Clips, Linear, Plus, features
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.learning.consistency import Consistency

Y = torch.arange(8) % 4


def batches(seed=0):
    return {"labelled": Clips(features(8, seed), Y), "unlabelled": Clips(features(12, seed + 1))}


def made(model, **options):
    return Consistency(model, weak=Plus(), strong=Plus(0.5), **options)


def test_is_the_labelled_loss_plus_the_weighted_disagreement():
    model, given = Linear(), batches()
    terms = made(model, weight=7.0)(given)
    labelled = nn.functional.cross_entropy(model.from_features(given["labelled"].x), Y)
    u = given["unlabelled"].x
    difference = model.from_features(u).softmax(1) - model.from_features(u + 0.5).softmax(1)
    disagreement = difference.square().mean()
    assert terms["labelled"].item() == pytest.approx(labelled.item(), rel=1e-5)
    assert terms["disagreement"].item() == pytest.approx(disagreement.item(), rel=1e-5)
    expected = labelled + 7.0 * disagreement
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_goes_through_the_strong_view_alone():
    model, given = Linear(), batches()
    objective = made(model, weight=1.0)
    objective(given)["loss"].backward()
    found = model.layer.weight.grad.clone()
    model.zero_grad()
    u = given["unlabelled"].x
    wanted = model.from_features(u).softmax(1).detach()
    loss = nn.functional.cross_entropy(model.from_features(given["labelled"].x), Y)
    loss = loss + (model.from_features(u + 0.5).softmax(1) - wanted).square().mean()
    loss.backward()
    torch.testing.assert_close(found, model.layer.weight.grad)


def test_the_weight_rises_over_its_ramp():
    objective = made(Linear(), weight=10.0, ramp_steps=4)
    given, weights = batches(), []
    for _ in range(6):
        terms = objective(given)
        weights.append(((terms["loss"] - terms["labelled"]) / terms["disagreement"]).item())
        objective.after_step()
    expected = [10.0 * math.exp(-5.0 * (1 - min(n / 4, 1)) ** 2) for n in range(6)]
    assert weights == pytest.approx(expected, rel=1e-4)


def test_several_labels_agree_class_by_class():
    model = Linear(multi_label=True)
    given = batches() | {"labelled": Clips(features(8), (Y[:, None] == torch.arange(4)).float())}
    terms = made(model)(given)
    u = given["unlabelled"].x
    difference = model.from_features(u).sigmoid() - model.from_features(u + 0.5).sigmoid()
    assert terms["disagreement"].item() == pytest.approx(difference.square().mean().item())


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"ramp_steps": -1}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        made(Linear(), **wrong)
