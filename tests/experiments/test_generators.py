"""Networks and objectives that learn to make patches of a class."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from semisonic.core.errors import DataError, OptionError
from semisonic.experiments.generators import (
    BOUND,
    ConditionalGan,
    ConditionalVae,
    PatchCritic,
    PatchEncoder,
    PatchGenerator,
    halved,
)
from semisonic.features.frontend import Standardize


@dataclass(frozen=True)
class Clips:
    """A batch."""

    x: Tensor
    y: Tensor | None = None


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
    first = kind((16, 22), 3, seed=4).state_dict()
    before = torch.get_rng_state()
    again, other = kind((16, 22), 3, seed=4).state_dict(), kind((16, 22), 3, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_class_and_vector_both_change_a_patch_and_have_gradients() -> None:
    network = PatchGenerator((16, 22), 3, seed=0)
    latent, condition = given_of(2)
    latent.requires_grad_()
    condition.requires_grad_()
    network(latent, condition).square().sum().backward()
    for one in (latent.grad, condition.grad):
        assert one is not None
        assert one.abs().sum() > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_critic_is_kept_smooth() -> None:
    critic = PatchCritic((16, 22), 3, seed=0)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(50.0)
        x = torch.randn(8, 1, *(16, 22))
        for _ in range(20):  # each pass finds the largest stretch a little better
            critic(x, given_of(8)[1])
        for layer in (critic.score, critic.of_class, critic.trunk.dense):
            assert torch.linalg.matrix_norm(layer.weight, ord=2) < 1.1


SIZE, K, FLOOR = (12, 14), 3, -80.0
Y = torch.arange(12) % K


def clips(seed: int = 0) -> torch.Tensor:
    """Each class is loud in bands of its own, over silence."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.full((len(Y), 1, *SIZE), FLOOR)
    for number, label in enumerate(Y.tolist()):
        band = x[number, 0, 4 * label : 4 * label + 4]
        band[:] = -20 + 4 * torch.randn(band.shape, generator=draw)
    return x


def make(kind: str, **more):
    standardize = Standardize("mel", 1, SIZE[0]).fit(clips())
    if kind == "vae":
        generator = PatchGenerator(SIZE, K, n_latent=8, width=8, n_maps=2, seed=1)
        encoder = PatchEncoder(SIZE, K, n_latent=8, width=8, seed=1)
        return ConditionalVae(generator, encoder, standardize, **more)
    generator = PatchGenerator(SIZE, K, n_latent=8, width=8, seed=1)
    return ConditionalGan(generator, PatchCritic(SIZE, K, width=8, seed=1), standardize, **more)


def learn(objective, steps: int, rate: float) -> list[dict[str, float]]:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(objective.parameters(), rate)
    batches = {"labelled": Clips(clips(), Y)}
    terms = []
    for _ in range(steps):
        found = objective(batches)
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
        terms.append({name: float(value.detach()) for name, value in found.items()})
    return terms


def recognised(patches: torch.Tensor, target: torch.Tensor) -> float:
    """The share of patches whose nearest mean of real clips is that of their class."""
    means = torch.stack([clips(9)[k == Y].mean(dim=0) for k in range(K)])
    far = (patches[:, None] - means[None]).square().flatten(2).mean(dim=2)
    return float((far.argmin(dim=1) == target).float().mean())


def samples(objective, n: int = 60, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.arange(n) % K
    return objective.eval().sample(target, clips(), Y, floor_db=FLOOR, seed=seed), target


def test_the_bound_falls_and_samples_are_of_their_class() -> None:
    objective = make("vae", beta=1.0)
    terms = learn(objective, 90, 8e-3)
    assert terms[-1]["loss"] < terms[0]["loss"] - 1
    assert terms[-1]["error"] < 0.5 * terms[0]["error"]
    assert recognised(*samples(objective)) > 0.9


def test_a_gan_makes_samples_of_their_class() -> None:
    objective = make("gan")
    before = recognised(*samples(objective))
    learn(objective.train(), 160, 3e-3)
    assert before < 0.7
    assert recognised(*samples(objective)) > 0.9


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_samples_depend_on_the_seed_and_lie_above_silence(kind: str) -> None:
    objective = make(kind)
    learn(objective, 5, 1e-3)
    first, again, other = (samples(objective, seed=seed)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (60, 1, *SIZE)
    assert first.min() >= FLOOR
    assert first.isfinite().all()
    assert not torch.equal(first[0], first[K])  # two of one class


def test_one_step_gives_each_side_the_gradients_of_its_own_loss() -> None:
    """Generator and critic learn at once, yet neither sees the other's loss."""
    objective = make("gan").eval()  # the critic's norms stay as they are
    alone = copy.deepcopy(objective)
    torch.manual_seed(2)
    objective({"labelled": Clips(clips(), Y)})["loss"].backward()
    torch.manual_seed(2)
    x, condition = alone.read({"labelled": Clips(clips(), Y)})
    made = alone.made(torch.randn(len(x), 8), condition)
    on_critic = (
        F.relu(1 - alone.critic(x, condition)).mean()
        + F.relu(1 + alone.critic(made, condition)).mean()
    )
    on_generator = -alone.critic(made, condition).mean()
    for part, loss in (("critic", on_critic), ("generator", on_generator)):
        weights = dict(getattr(alone, part).named_parameters())
        wanted = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
        found = dict(getattr(objective, part).named_parameters())
        for name, gradient in zip(weights, wanted, strict=True):
            torch.testing.assert_close(found[name].grad, gradient, msg=f"{part}.{name}")
    assert all(p.requires_grad for p in objective.parameters())


def test_patches_of_a_gan_stay_within_bounds() -> None:
    objective = make("gan")
    with torch.no_grad():
        objective.generator.band.fill_(100.0)
    x = objective.made(torch.randn(2, 8), torch.eye(K)[:2])
    assert x.abs().max() <= BOUND


def test_wrong_parts_are_errors() -> None:
    with pytest.raises(OptionError, match="beta"):
        make("vae", beta=-1.0)
    with pytest.raises(DataError, match="without targets"):
        make("vae")({"labelled": Clips(clips())})
