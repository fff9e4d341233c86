"""Losses for labels that may be wrong: values, limits, slopes, several labels, options."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch.nn import functional

from semisonic.core.errors import DataError
from semisonic.learning.losses import (
    CrossEntropy,
    GeneralisedCrossEntropy,
    SmallLoss,
    SoftBootstrapping,
    create_loss,
)

ALL = [CrossEntropy, SoftBootstrapping, GeneralisedCrossEntropy]


@pytest.fixture
def logits():
    return 2 * torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def labels():
    return torch.arange(12) % 4


@pytest.fixture
def several():
    return (torch.arange(48).reshape(12, 4) % 3 == 0).double()


MADE = {
    "cross-entropy": (CrossEntropy, lambda t, p: -t * np.log(p)),
    "bootstrap": (
        partial(SoftBootstrapping, 0.7),
        lambda t, p: -(0.7 * t + 0.3 * p) * np.log(p),
    ),
    "lq": (partial(GeneralisedCrossEntropy, 0.4), lambda t, p: t * (1 - p**0.4) / 0.4),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_each_row_costs_what_the_paper_says(name, multi_label, smoothing, logits, labels, several):
    make, cost = MADE[name]
    target = several if multi_label else functional.one_hot(labels, 4).double()
    t, even = target.numpy(), 0.5 if multi_label else 0.25
    t = (1 - smoothing) * t + smoothing * even
    if multi_label:
        p = logits.sigmoid().numpy()
        expected = (cost(t, p) + cost(1 - t, 1 - p)).mean(axis=1)
    else:
        expected = cost(t, logits.softmax(1).numpy()).sum(axis=1)
    loss = make(multi_label=multi_label, label_smoothing=smoothing)
    np.testing.assert_allclose(loss(logits, target).numpy(), expected)
    if not multi_label:
        torch.testing.assert_close(loss(logits, labels), loss(logits, target))


def test_cross_entropy_is_the_log_loss(logits, labels):
    p = logits.softmax(1).numpy()
    assert CrossEntropy()(logits, labels).mean().item() == pytest.approx(log_loss(labels, p))


@pytest.mark.parametrize("loss", [SoftBootstrapping(1.0), GeneralisedCrossEntropy(1e-9)])
def test_the_others_have_cross_entropy_as_their_limit(loss, logits, labels):
    torch.testing.assert_close(loss(logits, labels), CrossEntropy()(logits, labels))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("multi_label", [False, True])
def test_slopes_are_those_of_the_values(kind, multi_label, logits, several):
    shares = several if multi_label else several.softmax(1)
    loss = kind(multi_label=multi_label, label_smoothing=0.1)
    x = logits.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, shares), (x,))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("multi_label", [False, True])
def test_extreme_logits_give_finite_losses_and_slopes(kind, multi_label):
    x = torch.tensor([[300.0, -300.0], [-300.0, 300.0], [0.0, 0.0]], requires_grad=True)
    target = torch.tensor([1, 1, 0])
    rows = kind(multi_label=multi_label)(x, target)
    rows.sum().backward()
    assert torch.isfinite(rows).all()
    assert torch.isfinite(x.grad).all()
    assert (rows >= 0).all()


@pytest.mark.parametrize("loss", [SoftBootstrapping(0.7), GeneralisedCrossEntropy(0.7)])
def test_a_label_found_impossible_pulls_less_than_in_cross_entropy(loss):
    def pull(loss):
        x = torch.tensor([[0.001, 0.4995, 0.4995]]).log().requires_grad_()
        loss(x, torch.tensor([0])).backward()
        return x.grad.abs().sum().item()

    assert pull(loss) < 0.8 * pull(CrossEntropy())


@pytest.mark.parametrize("target", [torch.zeros(11).long(), torch.zeros(12), torch.zeros(12, 5)])
def test_targets_that_do_not_fit_are_an_error(target, logits):
    with pytest.raises(DataError, match="expected class numbers"):
        CrossEntropy()(logits, target)
    with pytest.raises(DataError, match="two axes"):
        CrossEntropy()(logits[0], target)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, CrossEntropy(label_smoothing=0.1)),
        ({"name": "bootstrap", "beta": 0.8}, SoftBootstrapping(0.8, label_smoothing=0.1)),
        ({"name": "lq", "power": 0.5}, GeneralisedCrossEntropy(0.5, label_smoothing=0.1)),
        (
            {"noise_rate": 0.3, "n_warmup": 20},
            SmallLoss(CrossEntropy(label_smoothing=0.1), 0.3, 20),
        ),
    ],
)
def test_options_name_a_loss(options, expected, logits, labels):
    found = create_loss(**options, label_smoothing=0.1)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)
    torch.testing.assert_close(found(logits, labels), expected(logits, labels))


def batch(n=10, n_classes=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, n_classes, generator=draw, dtype=torch.float64)
    return logits, torch.randint(0, n_classes, (n,), generator=draw)


@pytest.mark.parametrize("inner", [CrossEntropy(), GeneralisedCrossEntropy(0.7)])
def test_the_smallest_losses_are_kept_and_the_mean_is_theirs(inner):
    logits, labels = batch()
    rows = inner(logits, labels)
    found = SmallLoss(inner, 0.3)(logits, labels)
    kept = rows.argsort()[:7]
    assert set(found.nonzero().flatten().tolist()) == set(kept.tolist())
    assert found.mean().item() == pytest.approx(rows[kept].mean().item())


def test_the_share_left_out_rises_over_the_warm_up():
    loss = SmallLoss(CrossEntropy(), 0.4, n_warmup=4)
    n_kept = [int((loss(*batch()) > 0).sum()) for _ in range(6)]
    assert n_kept == [10, 9, 8, 7, 6, 6]
    assert loss.step.item() == 6
    assert loss.kept_share().item() == pytest.approx(0.6)


def test_evaluation_keeps_all_rows_and_does_not_count():
    loss = SmallLoss(CrossEntropy(), 0.5).eval()
    logits, labels = batch()
    torch.testing.assert_close(loss(logits, labels), CrossEntropy()(logits, labels))
    assert loss.step.item() == 0


def test_mixed_rows_are_ranked_without_what_no_answer_could_avoid():
    # The first row is half one class, half another, and answered exactly so. The second is
    # answered well, but not perfectly. Cross-entropy calls the first one worse.
    logits = torch.tensor([[0.5, 0.5 - 1e-9, 1e-9], [0.7, 0.15, 0.15]]).log()
    shares = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    rows = CrossEntropy()(logits, shares)
    assert rows[0] > rows[1]
    kept = SmallLoss(CrossEntropy(), 0.5)(logits, shares) > 0
    assert kept.tolist() == [True, False]


def test_several_labels():
    logits, _ = batch()
    target = (torch.arange(40).reshape(10, 4) % 3 == 0).float()
    inner = CrossEntropy(multi_label=True)
    found = SmallLoss(inner, 0.2)(logits, target)
    rows = inner(logits, target)
    assert set((found == 0).nonzero().flatten().tolist()) == set(rows.argsort()[8:].tolist())


def test_a_loss_that_is_not_finite_is_not_hidden():
    logits, labels = batch()
    logits[3] = float("nan")
    assert torch.isnan(SmallLoss(CrossEntropy(), 0.5)(logits, labels).mean())


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.99), st.integers(0, 5))
def test_at_least_one_row_and_never_more_than_all(n, noise_rate, seed):
    rows = SmallLoss(CrossEntropy(), noise_rate)(*batch(n, seed=seed))
    n_kept = int((rows > 0).sum())
    assert 1 <= n_kept <= n
    assert abs(n_kept - max(1, (1 - noise_rate) * n)) <= 0.5 + 1e-5


def accuracy_of_a_linear_model(loss):
    """On true labels, after 150 steps on labels of which 40 % are wrong."""
    n, draw = 300, torch.Generator().manual_seed(0)
    truth = torch.arange(2 * n) % 4
    signal = 8.0 * functional.one_hot(truth, 4) + torch.randn(2 * n, 4, generator=draw)
    x = torch.cat([signal, torch.randn(2 * n, 60, generator=draw)], 1)
    wrong = torch.rand(2 * n, generator=draw) < 0.4
    given = torch.where(wrong, truth + torch.randint(1, 4, (2 * n,), generator=draw), truth) % 4
    model = torch.nn.Linear(64, 4)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss(model(x[:n]), given[:n]).mean().backward()
        optimizer.step()
    return (model(x[n:]).argmax(1) == truth[n:]).float().mean().item()


def test_it_learns_better_from_wrong_labels():
    plain = accuracy_of_a_linear_model(CrossEntropy())
    assert accuracy_of_a_linear_model(SmallLoss(CrossEntropy(), 0.4, 30)) > plain + 0.03
