"""Two views of unlabelled clips: the Π-model and FixMatch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learning_standins import Clips, Linear, Plus, Sure, features
from torch import nn

from semisonic.learning.consistency import Alignment, Consistency, FixMatch

SIX = torch.arange(6)
Y = torch.arange(8) % 4


def batches(seed=0):
    return {"labelled": Clips(features(8, seed), Y), "unlabelled": Clips(features(12, seed + 1))}


def made(model, **options):
    return Consistency(model, weak=Plus(), strong=Plus(0.5), **model.told, **options)


def test_is_the_labelled_loss_plus_the_weighted_disagreement():
    model, given = Linear(), batches()
    terms = made(model, weight=7.0)(given)
    labelled = nn.functional.cross_entropy(model(given["labelled"].x), Y)
    u = given["unlabelled"].x
    difference = model(u).softmax(1) - model(u + 0.5).softmax(1)
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
    wanted = model(u).softmax(1).detach()
    loss = nn.functional.cross_entropy(model(given["labelled"].x), Y)
    loss = loss + (model(u + 0.5).softmax(1) - wanted).square().mean()
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
    difference = model(u).sigmoid() - model(u + 0.5).sigmoid()
    assert terms["disagreement"].item() == pytest.approx(difference.square().mean().item())


def logits_of(numbers, height):
    """Features that ``Sure`` is the surer of the higher they are."""
    x = torch.zeros(len(numbers), 6)
    x[torch.arange(len(numbers)), torch.tensor(numbers)] = torch.as_tensor(height)
    return x.reshape(-1, 1, 2, 3)


def fixed(model, **options):
    options = {"alignment": 0.0, "threshold": 0.9} | options
    return FixMatch(model, weak=options.pop("weak", Plus()), strong=Plus(), **model.told, **options)


def pair(u, y=None):
    return {"labelled": Clips(logits_of(SIX.tolist(), 1.0), SIX), "unlabelled": Clips(u, y)}


def test_only_sure_predictions_count():
    u = logits_of([1, 2, 3], torch.tensor([9.0, 0.5, 9.0]))
    objective = fixed(Sure(6), weight=2.0)
    terms = objective(pair(u))
    rows = nn.functional.cross_entropy(u.flatten(1), torch.tensor([1, 2, 3]), reduction="none")
    expected = (rows[0] + rows[2]).item() / 3
    assert terms["used"].item() == pytest.approx(2 / 3)
    assert terms["pseudo_labelled"].item() == pytest.approx(expected, rel=1e-4)
    labelled = terms["labelled"].item()
    assert terms["loss"].item() == pytest.approx(labelled + 2.0 * expected, rel=1e-4)


def test_without_a_sure_prediction_it_is_supervised():
    terms = fixed(Sure(6))(pair(logits_of([1, 2], 0.1)))
    assert terms["used"] == 0
    assert terms["loss"] == terms["labelled"]
    expected = nn.functional.cross_entropy(logits_of(SIX.tolist(), 1.0).flatten(1), SIX)
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_predicted_is_on_the_weak_view_and_learned_on_the_strong_one():
    model = Linear()
    weak, strong = Plus(0.0), Plus(2.0)
    objective = FixMatch(
        model, weak=weak, strong=strong, threshold=0.0, alignment=0.0, **model.told
    )
    u = features(10)
    terms = objective({"labelled": Clips(features(4, 1), torch.arange(4)), "unlabelled": Clips(u)})
    target = model(u).argmax(1)
    expected = nn.functional.cross_entropy(model(u + 2.0), target)
    assert terms["pseudo_labelled"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert (weak.calls, strong.calls) == (1, 1)


def test_predicting_changes_no_statistics_and_gives_no_gradient():
    model = Linear(norm=True).train()
    objective = FixMatch(model, weak=Plus(), strong=Plus(), threshold=0.0, **model.told)
    before = model.norm.running_mean.clone()
    scores = objective.predict(features(12), torch.eye(4))
    assert torch.equal(model.norm.running_mean, before)
    assert not scores.requires_grad
    assert model.training


def test_mixing_sees_labelled_and_pseudo_labelled_clips_together():
    seen = []

    class Look(nn.Module):
        def forward(self, x, target):
            seen.append((x, target))
            return x, target

    u = logits_of([1, 2, 3], torch.tensor([9.0, 0.5, 9.0]))
    fixed(Sure(6), mix=Look())(pair(u))
    x, target = seen[0]
    assert len(x) == 6 + 2
    assert torch.equal(target.argmax(1), torch.tensor([0, 1, 2, 3, 4, 5, 1, 3]))


def test_precision_is_told_where_classes_are_known_and_changes_nothing():
    u = logits_of([1, 2, 3, 4], 9.0)
    blind = fixed(Sure(6))(pair(u))
    seeing = fixed(Sure(6))(pair(u, torch.tensor([1, 5, -1, 4])))
    assert "precision" not in blind
    assert seeing["precision"].item() == pytest.approx(2 / 3)
    assert seeing["loss"] == blind["loss"]


def test_alignment_takes_the_favourite_down():
    align = Alignment(3, momentum=0.0)
    scores = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.2, 0.2]])
    align.observe(torch.eye(3), scores)
    aligned = align(scores)
    by_hand = scores / scores.mean(0)
    torch.testing.assert_close(aligned, by_hand / by_hand.sum(1, keepdim=True))
    assert aligned[0].argmax() == 1
    assert torch.equal(Alignment(3, strength=0.0)(scores), scores)


@given(st.integers(2, 8), st.floats(0, 1), st.integers(0, 1000))
def test_aligned_scores_are_scores(n_classes, strength, seed):
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(16, n_classes, generator=draw).mul(5).softmax(1)
    align = Alignment(n_classes, strength)
    align.observe(torch.eye(n_classes), scores)
    aligned = align(scores)
    torch.testing.assert_close(aligned.sum(1), torch.ones(16))
    assert (aligned >= 0).all()


def test_several_labels_are_judged_class_by_class():
    model = Linear(multi_label=True)
    u = features(5)
    objective = FixMatch(model, weak=Plus(), strong=Plus(0.3), threshold=0.8, **model.told)
    shares = torch.eye(4)
    terms = objective({"labelled": Clips(features(4, 1), shares), "unlabelled": Clips(u)})
    p = model(u).sigmoid()
    sure = (p >= 0.8) | (p <= 0.2)
    each = nn.functional.binary_cross_entropy_with_logits(
        model(u + 0.3), (p >= 0.5).float(), reduction="none"
    )
    assert 0 < sure.float().mean() < 1
    assert terms["pseudo_labelled"].item() == pytest.approx((each * sure).mean().item(), rel=1e-5)
