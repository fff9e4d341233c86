"""One part of an encoder after the other."""

from __future__ import annotations

import copy

import pytest
import torch
from pretext_parts import DELTAS, MEL, Clips, autoencoder, clips, learn, loss_of

from semisonic.core.errors import ModelError
from semisonic.learning.reconstruction import LayerReconstruction, layer_decoder, put_together
from semisonic.models.weights import initialise


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
    assert put_together(network, decoders) == 3
    convs = [one.convs[0] for one in reversed(decoders)]
    for mine, theirs in zip(network.decoder.convs, convs, strict=True):
        assert torch.equal(mine.weight, theirs.weight)


def test_what_has_no_layers_is_an_error():
    with pytest.raises(ModelError, match="cannot be cut"):
        layer_decoder(autoencoder(net="(4)3c-2p"), 0)
    with pytest.raises(ModelError, match="upsample"):
        layer_decoder(autoencoder(decoder="unet"), 0)
