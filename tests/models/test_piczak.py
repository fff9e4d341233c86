"""The network of Piczak (2015): first weights, dropout, the only shapes it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.registry import create
from semisonic.models.sound_model import build

SEGMENT = MelOptions(duration=20480 / 22050, n_mels=60, deltas=True)


def test_first_weights_are_the_published_ones() -> None:
    model = build("piczak-small", SEGMENT, [str(i) for i in range(50)], seed=1)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    for conv, bound, bias in zip(convs, (0.001, 0.1), (0.1, 0.0), strict=True):
        assert conv.bias is not None
        assert 0.98 * bound < conv.weight.abs().max() <= bound
        assert conv.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.03)
        assert torch.equal(conv.bias, torch.full_like(conv.bias, bias))
    dense = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(dense) == 3  # the class layer is one of them
    for layer in dense:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert layer.weight.abs().max() > 0.03  # not uniform
        assert not layer.bias.any()


def test_a_new_class_layer_is_drawn_in_the_same_way() -> None:
    layer = build("piczak-small", SEGMENT, "ab").with_head("abcde", seed=4).head[1]
    assert isinstance(layer, nn.Linear)
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("piczak-short", (2, 60, 101)),
        ("piczak-long", (2, 60, 41)),
        ("piczak-small", (2, 60, 60)),
        ("piczak-small", (2, 64, 41)),
        ("piczak-small", (3, 60, 41)),
    ],
)
def test_other_shapes_are_refused(name: str, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="expected 2 x 60 x"):
        create(name, shape)


def test_both_lengths_and_no_deltas_fit_the_small_one() -> None:
    for shape in ((1, 60, 41), (2, 60, 101)):
        body = create("piczak-small", shape)
        assert body.neck(body.encoder(torch.zeros(2, *shape))).shape == (2, 500)
    with pytest.raises(ModelError, match="one length"):
        body.neck(body.encoder(torch.zeros(1, 2, 60, 90)))
