"""The reconstruction objective."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from learning_standins import DELTAS, MEL, Clips, autoencoder, clips, learn, loss_of
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.learning.reconstruction import (
    Denoising,
    LayerReconstruction,
    Reconstruction,
    layer_decoder,
    put_together,
)
from semisonic.models.weights import initialise


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


class Seen(nn.Module):
    """Gives back what it is shown, and remembers it."""

    def forward(self, x):
        self.x = x
        return x


def shown(mel=MEL, **options):
    """What the auto-encoder sees, what it should give, and the terms."""
    x = clips(200, mel)
    standardize = autoencoder(mel).frontend.standardize
    seen = Seen()
    torch.manual_seed(0)
    terms = Denoising(seen, standardize, **options)({"unlabelled": Clips(x)})
    return seen.x, standardize(x), standardize, terms


def test_noise_has_the_deviation_asked_for_in_db():
    seen, clean, standardize, terms = shown(noise_db=9.0, cell_dropout=0.0)
    noise = standardize.inverse(seen) - standardize.inverse(clean)
    assert float(noise.std()) == pytest.approx(9.0, rel=0.02)
    assert float(terms["mse_db2"]) == pytest.approx(81.0, rel=0.03)


def test_dropped_cells_are_the_mean_in_all_channels():
    seen, clean, _, _ = shown(DELTAS, noise_db=0.0, cell_dropout=0.3)
    dropped = seen != clean
    assert float(dropped[:, 0].float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert bool((seen[dropped] == 0).all())


def test_noise_is_as_large_a_share_of_each_channels_deviation():
    seen, clean, _, _ = shown(DELTAS, noise_db=9.0, cell_dropout=0.0)
    first, second = (seen - clean).std(dim=(0, 2, 3))
    assert float(second) == pytest.approx(float(first), rel=0.02)


def test_the_clean_features_are_the_target():
    x, network = clips(), autoencoder()
    objective = Denoising(network, network.frontend.standardize, noise_db=15.0)
    before = loss_of(objective, x)
    learn(objective, x, steps=30, rate=1e-2)
    after = loss_of(objective, x)
    noise = (15.0 / float(objective.standardize.std)) ** 2
    assert after < 0.7 * before
    assert after < noise  # a copy of what it is shown would score at least this


def layer(network, number):
    decoder = layer_decoder(network, number)
    initialise(decoder, number)
    return LayerReconstruction(network.encoder, number, decoder, network.frontend.standardize)


@pytest.mark.parametrize("decoder", ["upsample", "subpixel", "unpool"])
@pytest.mark.parametrize("mel", [MEL, DELTAS])
def test_each_layer_learns_and_leaves_the_others_alone(decoder, mel):
    network, x = autoencoder(mel, decoder), clips(mel=mel)
    for number in range(2):
        objective = layer(network, number)
        before = copy.deepcopy(network.encoder.stages).state_dict()
        start = loss_of(objective, x)
        learn(objective, x, steps=40, rate=1e-2)
        assert loss_of(objective, x) < 0.8 * start
        for name, now in network.encoder.stages.state_dict().items():
            same = torch.equal(now, before[name])
            assert same != (name.startswith(f"{number}.")), name


def test_a_constant_scores_one_at_every_depth():
    network, x = autoencoder(), clips()
    for number in range(2):
        objective = layer(network, number).eval()
        with torch.no_grad():
            level = objective.map_before(network.frontend.standardize(x)).mean()
            for weight in objective.decoder.parameters():
                weight.zero_()
            for conv in objective.decoder.convs:
                conv.bias.fill_(level)
            terms = objective({"unlabelled": Clips(x)})
        assert float(terms["loss"]) == pytest.approx(1.0, abs=1e-3)


def test_the_whole_is_put_together_from_its_layers():
    network = autoencoder(net="(4)5c-2p-(6)3c-2p-(8)3c-2p")
    decoders = [layer(network, number).decoder for number in range(3)]
    put_together(network, decoders)
    convs = [one.convs[0] for one in reversed(decoders)]
    for mine, theirs in zip(network.decoder.convs, convs, strict=True):
        assert torch.equal(mine.weight, theirs.weight)


def test_what_has_no_layers_is_an_error():
    with pytest.raises(ModelError, match="cannot be divided"):
        layer_decoder(autoencoder(net="(4)3c-2p"), 0)
    with pytest.raises(ModelError, match="upsample"):
        layer_decoder(autoencoder(decoder="unet"), 0)
