"""Un-pooling: hand-made cases, ties, odd sizes, any window and step, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from semisonic.models.decoders import max_unpool
from semisonic.models.encoder import DownStep


def pool(x: Tensor, step: DownStep) -> tuple[Tensor, Tensor]:
    return F.max_pool2d_with_indices(x, step.size, step.stride)


def there_and_back(x: Tensor, step: DownStep) -> Tensor:
    pooled, switches = pool(x, step)
    return max_unpool(pooled, switches, step, (x.shape[2], x.shape[3]))


TWO = DownStep((2, 2), (2, 2))


def test_two_by_two() -> None:
    x = torch.tensor([[[[1.0, 2, 0, 0], [3, 4, 0, 9], [5, 0, -1, -2], [0, 0, -3, -4]]]])
    expected = torch.tensor([[[[0.0, 0, 0, 0], [0, 4, 0, 9], [5, 0, -1, 0], [0, 0, 0, 0]]]])
    assert torch.equal(there_and_back(x, TWO), expected)


def test_a_tie_marks_exactly_one_place() -> None:
    y = there_and_back(torch.full((2, 3, 4, 6), 7.0), TWO)
    windows = y.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert torch.equal((windows == 7).sum(-1), torch.ones(2, 3, 2, 3, dtype=torch.int64))
    assert y.sum() == 7 * 2 * 3 * 6


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    shape=st.tuples(st.integers(4, 11), st.integers(4, 11)),
    seed=st.integers(0, 99),
    ties=st.booleans(),
)
def test_any_window_and_step(
    size: tuple[int, int], stride: tuple[int, int], shape: tuple[int, int], seed: int, ties: bool
) -> None:
    step = DownStep(size, stride)
    x = torch.randn(2, 2, *shape, generator=torch.Generator().manual_seed(seed))
    if ties:
        x = x.round()
    pooled, switches = pool(x, step)
    y = max_unpool(pooled, switches, step, shape)
    assert y.shape == x.shape
    chosen = torch.zeros(2, 2, shape[0] * shape[1], dtype=torch.bool)
    chosen.scatter_(2, switches.flatten(2), True)
    chosen = chosen.view_as(x)
    torch.testing.assert_close(y[chosen], x[chosen])  # each maximum is restored
    assert (y[~chosen] == 0).all()
    per_window = chosen.flatten(2).gather(2, switches.flatten(2))
    assert per_window.all()


@pytest.mark.parametrize("step", [TWO, DownStep((3, 2), (2, 1)), DownStep((1, 2), (2, 2))])
def test_gradients(step: DownStep) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 2, 7, 6, dtype=torch.float64, generator=generator)
    pooled, switches = pool(x, step)
    pooled = pooled.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: max_unpool(p, switches, step, (7, 6)), (pooled,))


def test_deterministic_mode_is_possible_and_gives_the_same() -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = there_and_back(x, TWO)
    torch.use_deterministic_algorithms(True)
    try:
        found = there_and_back(x, TWO)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(found, expected)
