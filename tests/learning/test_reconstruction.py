"""The reconstruction objective."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from semisonic.learning.reconstruction import Reconstruction


@dataclass(frozen=True)
class Unlabelled:
    x: Tensor
    y: Tensor | None = None


class Scale(nn.Module):
    """Stands for a fitted Standardize with one mean and deviation a mel band."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x):
        return (x - self.mean) / self.std


@pytest.fixture
def parts():
    draw = torch.Generator().manual_seed(0)
    deviation = torch.tensor([5.0, 10.0, 20.0]).reshape(1, 3, 1)
    x = -40 + deviation * torch.randn(64, 1, 3, 50, generator=draw)
    return x, Scale(torch.full((1, 3, 1), -40.0), deviation)


def test_constant_zero_scores_one(parts):
    x, scale = parts

    class Nothing(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    terms = Reconstruction(Nothing(), scale)({"unlabelled": Unlabelled(x)})
    assert terms["loss"].item() == pytest.approx(1.0, abs=0.05)
    assert terms["mse_db2"].item() == pytest.approx((x + 40).square().mean().item(), rel=1e-4)


def test_perfect_copy_scores_zero(parts):
    x, scale = parts
    terms = Reconstruction(nn.Identity(), scale)({"unlabelled": Unlabelled(x)})
    assert terms["loss"].item() == 0.0
    assert terms["mse_db2"].item() == 0.0


def test_only_the_autoencoder_is_trained(parts):
    x, scale = parts
    objective = Reconstruction(nn.Conv2d(1, 1, 3, padding=1), scale)
    terms = objective({"unlabelled": Unlabelled(x)})
    terms["loss"].backward()
    names = {name for name, p in objective.named_parameters()}
    assert names == {"autoencoder.weight", "autoencoder.bias"}
    assert all(p.grad.abs().sum() > 0 for p in objective.parameters())
    assert not terms["mse_db2"].requires_grad
    assert "standardize.std" in objective.state_dict()
