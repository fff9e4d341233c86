"""Making features smaller by means over exact areas."""

from __future__ import annotations

import torch

from semisonic.models.networks.cnn import area_weights
from semisonic.models.registry import create


def test_each_cell_is_the_mean_of_its_share() -> None:
    expected = torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    torch.testing.assert_close(area_weights(3, 2), expected)
    weights = area_weights(500, 128)
    torch.testing.assert_close(weights.sum(1), torch.ones(128))
    torch.testing.assert_close(weights.sum(0), torch.full((500,), 128 / 500))  # none is left out
    assert torch.equal(area_weights(128, 128), torch.eye(128))


def test_whole_ratios_are_plain_means_and_the_right_size_is_left_alone() -> None:
    encoder = create("cnn3", (1, 128, 256)).encoder.eval()
    x = torch.randn(2, 1, 64, 128, generator=torch.Generator().manual_seed(0))
    larger = x.repeat_interleave(2, dim=2).repeat_interleave(3, dim=3)
    torch.testing.assert_close(encoder(larger), encoder(x), atol=1e-5, rtol=1e-5)
