"""Front end and methods in a loop of plain torch, without Semisonic's data, options or training."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import semisonic
from semisonic.features.augmentation import Mixup, augmenter
from semisonic.features.frontend import Standardize
from semisonic.learning.consistency import Consistency, FixMatch
from semisonic.learning.contrastive import nt_xent
from semisonic.models.sound_model import build

MEL = semisonic.MelOptions(
    sample_rate=8000, duration=0.25, n_fft=256, hop_length=128, n_mels=16, top_db=60
)
Step = Callable[[], Tensor]


def waves(n: int) -> Tensor:
    """Low and high tones in turn, (n, time)."""
    time = torch.arange(MEL.n_samples) / MEL.sample_rate
    pitch = torch.where(torch.arange(n) % 2 == 0, 300.0, 2000.0) + 20 * torch.arange(n)
    return 0.3 * torch.sin(2 * torch.pi * pitch[:, None] * time) + 0.01 * torch.randn(n, len(time))


def network() -> nn.Sequential:
    """Features to a vector of 16."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((4, 1)),
        nn.Flatten(),
        nn.Linear(32, 16),
    )


def mixed(features: Tensor, y: Tensor) -> tuple[nn.Module, Step]:
    """Cross-entropy of clips mixed in pairs."""
    model = nn.Sequential(network(), nn.ReLU(), nn.Linear(16, 2))
    standardize, mixup = Standardize("mel", 1, 16).fit(features), Mixup(0.3)

    def step() -> Tensor:
        x, shares = mixup(features, functional.one_hot(y, 2).float())
        return functional.cross_entropy(model(standardize(x)), shares)

    return model, step


def contrasted(features: Tensor, y: Tensor) -> tuple[nn.Module, Step]:
    """NT-Xent of two views, without labels."""
    model, view = network(), augmenter("weak", MEL)
    standardize = Standardize("global", 1, 16).fit(features)

    def step() -> Tensor:
        two = torch.cat([view(features), view(features)])
        return nt_xent(model(standardize(two)), temperature=0.2)[0]

    return model, step


def by(objective: Callable[..., nn.Module]) -> Callable[[Tensor, Tensor], tuple[nn.Module, Step]]:
    """A method for labels and unlabelled clips, around a network of one's own."""

    def make(features: Tensor, y: Tensor) -> tuple[nn.Module, Step]:
        model = build(network(), MEL, ["low", "high"])
        model.frontend.standardize.fit(features)
        views = {"weak": augmenter("weak", MEL), "strong": augmenter("strong", MEL)}
        method = objective(model, **views)
        labelled = SimpleNamespace(x=features[:8], y=y[:8])
        unlabelled = SimpleNamespace(x=features[8:], y=None)
        return method, lambda: method({"labelled": labelled, "unlabelled": unlabelled})["loss"]

    return make


@pytest.mark.parametrize(
    "make", [mixed, contrasted, by(FixMatch), by(Consistency)], ids=lambda make: make.__name__
)
def test_twenty_steps_bring_the_loss_down(make: Callable[..., tuple[nn.Module, Step]]) -> None:
    torch.manual_seed(0)
    features = semisonic.LogMel(MEL)(waves(32))
    module, step = make(features, torch.arange(32) % 2)
    optimiser = torch.optim.AdamW(module.parameters(), lr=5e-3)
    losses = []
    for _ in range(20):
        loss = step()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_nt_xent_is_cross_entropy_over_cosines() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    loss, found = nt_xent(z, temperature=1.0)
    # Each view: cosine 1 with its other, 0 with the two of the other clip.
    assert loss.item() == pytest.approx(-1.0 + torch.tensor([1.0, 0.0, 0.0]).logsumexp(0).item())
    assert found == 1
    assert nt_xent(z[[0, 1, 3, 2]])[1] == 0  # the others are the most alike
