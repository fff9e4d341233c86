"""Small-loss selection: which rows are kept, how many, and that a checkpoint knows the step."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.learning.losses import CrossEntropy, GeneralisedCrossEntropy, SmallLoss


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


def test_without_a_warm_up_it_chooses_at_once():
    assert int((SmallLoss(CrossEntropy(), 0.5)(*batch()) > 0).sum()) == 5


def test_evaluation_keeps_all_rows_and_does_not_count():
    loss = SmallLoss(CrossEntropy(), 0.5).eval()
    logits, labels = batch()
    torch.testing.assert_close(loss(logits, labels), CrossEntropy()(logits, labels))
    assert loss.step.item() == 0


def test_rows_left_out_have_no_slope():
    logits, labels = batch()
    logits.requires_grad_()
    rows = SmallLoss(CrossEntropy(), 0.3)(logits, labels)
    rows.mean().backward()
    moved = logits.grad.abs().sum(1) > 0
    assert torch.equal(moved, rows.detach() > 0)


def test_a_resumed_training_goes_on_at_the_same_share():
    first = SmallLoss(CrossEntropy(), 0.4, n_warmup=4)
    for _ in range(3):
        first(*batch())
    second = SmallLoss(CrossEntropy(), 0.4, n_warmup=4)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first(*batch()), second(*batch()))
    assert second.step.item() == 4
    copied = copy.deepcopy(second)
    copied(*batch())
    assert second.step.item() == 4


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


def test_wrong_labels_are_what_is_left_out():
    """A network that knows the classes drops the flipped labels."""
    draw = torch.Generator().manual_seed(0)
    truth = torch.arange(100) % 5
    logits = 4 * nn.functional.one_hot(truth, 5) + torch.randn(100, 5, generator=draw)
    given = truth.clone()
    given[:20] = (truth[:20] + 1) % 5
    left_out = SmallLoss(CrossEntropy(), 0.2)(logits, given) == 0
    assert int(left_out[:20].sum()) >= 18


def accuracy_of_a_linear_model(loss):
    """On true labels, after 150 steps on labels of which 40 % are wrong."""
    n, draw = 300, torch.Generator().manual_seed(0)
    truth = torch.arange(2 * n) % 4
    signal = 8.0 * nn.functional.one_hot(truth, 4) + torch.randn(2 * n, 4, generator=draw)
    x = torch.cat([signal, torch.randn(2 * n, 60, generator=draw)], 1)
    wrong = torch.rand(2 * n, generator=draw) < 0.4
    given = torch.where(wrong, truth + torch.randint(1, 4, (2 * n,), generator=draw), truth) % 4
    model = nn.Linear(64, 4)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss(model(x[:n]), given[:n]).mean().backward()
        optimizer.step()
    return (model(x[n:]).argmax(1) == truth[n:]).float().mean().item()


def test_it_learns_better_from_wrong_labels():
    plain = accuracy_of_a_linear_model(CrossEntropy())
    assert accuracy_of_a_linear_model(SmallLoss(CrossEntropy(), 0.4, 30)) > plain + 0.03


@pytest.mark.parametrize(("rate", "warm_up"), [(-0.1, 0), (1.0, 0), (float("nan"), 0), (0.2, -1)])
def test_values_out_of_range_are_named(rate, warm_up):
    with pytest.raises(OptionError, match=r"noise_rate|n_warmup"):
        SmallLoss(CrossEntropy(), rate, warm_up)
