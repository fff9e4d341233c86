"""A training on a graphics card learns what one on a processor does."""

from __future__ import annotations

import pytest
import torch
from training_standins import ArrayStream, Classify, small_net, weights

from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

# Adam makes steps of full size of gradients that are nothing but rounding, as of a bias before
# a normalisation; plain descent does not.
OPTIONS = FitOptions(
    epochs=2,
    optimizer="sgd",
    learning_rate=0.01,
    precision="fp32",
    channels_last="off",
    restore_best=False,
)


def trained(options, dropout=0.0, norm=True):
    objective = Classify(small_net(dropout, norm))
    result = fit(objective, {"labelled": ArrayStream()}, options, seed=3)
    return weights(objective), [row["loss"] for row in result.history]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graphics_card_learns_the_same():
    plain, losses = trained(OPTIONS)
    objective = Classify(small_net(norm=True))
    stream = ArrayStream()
    stream.x, stream.y = stream.x.cuda(), stream.y.cuda()
    result = fit(objective, {"labelled": stream}, OPTIONS, seed=3, device="cuda")
    assert [row["loss"] for row in result.history] == pytest.approx(losses, abs=1e-3)
    for name, value in plain.items():
        torch.testing.assert_close(weights(objective)[name].cpu(), value, atol=5e-3, rtol=5e-3)
