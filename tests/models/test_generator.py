"""Networks that make patches: sizes, conditions, seeds and smoothness."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.models.generator import PatchCritic, PatchEncoder, PatchGenerator, halved

SIZE = (16, 22)


def given_of(n: int, n_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(n, 32, generator=draw), torch.eye(n_classes)[torch.arange(n) % n_classes]


@settings(max_examples=12, deadline=None)
@given(mel=st.integers(5, 70), frame=st.integers(5, 120))
def test_patches_have_the_size_that_was_asked_for(mel: int, frame: int) -> None:
    latent, condition = given_of(2)
    made = PatchGenerator((mel, frame), 3, n_maps=2, width=8)(latent, condition)
    assert made.shape == (2, 2, mel, frame)
    assert PatchCritic((mel, frame), 3, width=8)(made[:, :1], condition).shape == (2,)
    mean, log_variance = PatchEncoder((mel, frame), 3, width=8)(made[:, :1], condition)
    assert mean.shape == log_variance.shape == (2, 32)


def test_sizes_are_halved_until_they_are_small() -> None:
    assert halved((64, 108)) == [(64, 108), (32, 54), (16, 27), (8, 14), (4, 7)]
    assert halved((5, 5)) == [(5, 5), (3, 3)]


@pytest.mark.parametrize("kind", [PatchGenerator, PatchEncoder, PatchCritic])
def test_weights_depend_on_the_seed_alone(kind: type[torch.nn.Module]) -> None:
    torch.manual_seed(1)
    first = kind(SIZE, 3, seed=4).state_dict()
    before = torch.get_rng_state()
    again, other = kind(SIZE, 3, seed=4).state_dict(), kind(SIZE, 3, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_class_and_vector_both_change_a_patch_and_have_gradients() -> None:
    network = PatchGenerator(SIZE, 3, seed=0)
    latent, condition = given_of(2)
    latent.requires_grad_()
    condition.requires_grad_()
    network(latent, condition).square().sum().backward()
    for one in (latent.grad, condition.grad):
        assert one is not None
        assert one.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_critic_is_kept_smooth() -> None:
    critic = PatchCritic(SIZE, 3, seed=0)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(50.0)
        x = torch.randn(8, 1, *SIZE)
        for _ in range(20):  # each pass finds the largest stretch a little better
            critic(x, given_of(8)[1])
        for layer in (critic.score, critic.of_class, critic.trunk.dense):
            assert torch.linalg.matrix_norm(layer.weight, ord=2) < 1.1
