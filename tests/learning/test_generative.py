"""Objectives that learn to make patches of a class."""

from __future__ import annotations

import copy

import pytest
import torch
from pretext_parts import Clips
from torch.nn import functional as F

from semisonic.core.errors import DataError, OptionError
from semisonic.features.frontend import Standardize
from semisonic.learning.generated import BOUND, ConditionalGan, ConditionalVae
from semisonic.models.generator import PatchCritic, PatchEncoder, PatchGenerator

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


def learn(objective, steps: int, rate: float, streams=None) -> list[dict[str, float]]:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(objective.parameters(), rate)
    batches = streams or {"labelled": Clips(clips(), Y)}
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


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_unlabelled_clips_teach_without_a_class(kind: str) -> None:
    objective = make(kind, with_pool=True)
    assert objective.streams == ("labelled", "unlabelled")
    batches = {"labelled": Clips(clips(), Y), "unlabelled": Clips(clips(5)[:4])}
    x, condition = objective.read(batches)
    assert len(x) == 16
    assert condition[:12].sum(dim=1).eq(1).all()
    assert condition[12:].eq(0).all()
    objective(batches)["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in objective.parameters())


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
