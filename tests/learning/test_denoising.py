"""Denoising: spoilt features in, clean ones wanted."""

from __future__ import annotations

import pytest
import torch
from pretext_parts import DELTAS, MEL, Clips, autoencoder, clips, learn, loss_of
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.learning.reconstruction import Denoising, Reconstruction


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


def test_with_everything_off_it_is_reconstruction():
    x, network = clips(), autoencoder()
    standardize = network.frontend.standardize
    plain = Reconstruction(network, standardize)
    off = Denoising(network, standardize, noise_db=0.0, cell_dropout=0.0)
    assert loss_of(off, x) == loss_of(plain, x)
    assert loss_of(Denoising(network, standardize), x) != loss_of(plain, x)


def test_the_clean_features_are_the_target():
    x, network = clips(), autoencoder()
    objective = Denoising(network, network.frontend.standardize, noise_db=15.0)
    before = loss_of(objective, x)
    learn(objective, x, steps=30, rate=1e-2)
    after = loss_of(objective, x)
    noise = (15.0 / float(objective.standardize.std)) ** 2
    assert after < 0.7 * before
    assert after < noise  # a copy of what it is shown would score at least this


@pytest.mark.parametrize("wrong", [{"noise_db": -1.0}, {"cell_dropout": 1.0}])
def test_wrong_options_are_errors(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Denoising(nn.Identity(), nn.Identity(), **wrong)
