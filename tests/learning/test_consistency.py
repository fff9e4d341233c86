"""Π-model and mean teacher: answers to two views should agree."""

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


def made(decay, model, **options):
    return Consistency(
        model, decay=decay, weak=options.pop("weak", Plus()), strong=Plus(0.5), **options
    )


@pytest.mark.parametrize("decay", [None, 0.99])
def test_is_the_labelled_loss_plus_the_weighted_disagreement(decay):
    model, given = Linear(), batches()
    terms = made(decay, model, weight=7.0)(given)
    labelled = nn.functional.cross_entropy(model.from_features(given["labelled"].x), Y)
    u = given["unlabelled"].x
    difference = model.from_features(u).softmax(1) - model.from_features(u + 0.5).softmax(1)
    disagreement = difference.square().mean()
    assert terms["labelled"].item() == pytest.approx(labelled.item(), rel=1e-5)
    assert terms["disagreement"].item() == pytest.approx(disagreement.item(), rel=1e-5)
    expected = labelled + 7.0 * disagreement
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("decay", [None, 0.99])
def test_the_gradient_goes_through_the_strong_view_alone(decay):
    model, given = Linear(), batches()
    objective = made(decay, model, weight=1.0)
    objective(given)["loss"].backward()
    found = model.layer.weight.grad.clone()
    model.zero_grad()
    u = given["unlabelled"].x
    wanted = model.from_features(u).softmax(1).detach()
    loss = nn.functional.cross_entropy(model.from_features(given["labelled"].x), Y)
    loss = loss + (model.from_features(u + 0.5).softmax(1) - wanted).square().mean()
    loss.backward()
    torch.testing.assert_close(found, model.layer.weight.grad)


def test_the_pi_model_answers_as_the_network_is_now_and_the_teacher_as_it_was():
    model, given = Linear(), batches()
    own, past = made(None, model), made(0.999, model)
    with torch.no_grad():
        model.layer.weight.mul_(3.0)
    u = given["unlabelled"].x
    torch.testing.assert_close(own.answer(u), model.from_features(u).softmax(1))
    assert not torch.allclose(past.answer(u), own.answer(u), atol=1e-2)


def test_the_teacher_is_the_average_of_the_steps_and_is_not_trained():
    model = Linear(norm=True)
    objective = made(0.5, model)
    expected = model.layer.weight.detach().clone()
    for n in range(1, 5):
        with torch.no_grad():
            model.layer.weight.add_(1.0)
        objective.after_step()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * model.layer.weight.detach()
    torch.testing.assert_close(objective.teacher.network.layer.weight, expected)
    trained = {name for name, p in objective.named_parameters() if p.requires_grad}
    assert trained == {n for n in trained if n.startswith("model.")}
    assert not objective.train().teacher.network.training


def test_the_weight_rises_over_its_ramp():
    objective = made(None, Linear(), weight=10.0, ramp_steps=4)
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
    terms = made(None, model)(given)
    u = given["unlabelled"].x
    difference = model.from_features(u).sigmoid() - model.from_features(u + 0.5).sigmoid()
    assert terms["disagreement"].item() == pytest.approx(difference.square().mean().item())


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"ramp_steps": -1}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        made(None, Linear(), **wrong)


def test_a_teacher_needs_a_decay_below_one():
    with pytest.raises(OptionError, match="decay"):
        made(1.0, Linear())
