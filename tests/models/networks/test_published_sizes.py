"""Published networks have their published numbers of parameters, shapes and costs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.registry import create

SECONDS = 44_100


def whole(name: str, shape: tuple[int, int, int], n_classes: int) -> nn.Sequential:
    """Encoder, neck and class layer."""
    with torch.device("meta"):  # nothing is drawn
        body = create(name, shape)
        return nn.Sequential(body.encoder, body.neck, body.neck.class_layer(n_classes))


SHORT, LONG, WAVE = (2, 60, 41), (2, 60, 101), (1, 1, 66_150)


@pytest.mark.parametrize(
    ("name", "shape", "n_classes", "parameters"),
    [
        ("piczak-short", SHORT, 50, 26_534_130),
        ("piczak-short", SHORT, 10, 26_334_090),
        ("piczak-long", LONG, 50, 29_334_130),
        ("piczak-long", LONG, 10, 29_134_090),
        ("cnn2", (1, 128, 500), 50, 491_230),
        ("cnn2", (1, 64, 128), 50, 491_230),
        ("cnn3", (1, 128, 500), 50, 1_173_670),
        ("m5", WAVE, 50, 579_634),
        ("m11", WAVE, 50, 1_806_962),
        ("aclnet-dwsc-0.125", WAVE, 50, 15_354),
        ("aclnet-dwsc-0.25", WAVE, 50, 45_538),
        ("aclnet-dwsc-0.5", WAVE, 50, 154_866),
        ("aclnet-dwsc", WAVE, 50, 569_362),
        ("aclnet-sc-0.125", WAVE, 50, 82_638),
        ("aclnet-sc-0.25", WAVE, 50, 306_682),
        ("aclnet-sc-0.5", WAVE, 50, 1_195_410),
        ("aclnet-sc", WAVE, 50, 4_735_426),
        ("aclnet-sc-1.5", WAVE, 50, 10_625_522),
        ("vgg", (3, 128, 128), 80, 4_765_457),
        ("vgg", (1, 128, 128), 80, 4_765_457 - 2 * 9 * 64),
    ],
)
def test_published_parameters(
    name: str, shape: tuple[int, int, int], n_classes: int, parameters: int
) -> None:
    assert count_parameters(whole(name, shape, n_classes)) == parameters


def test_parameters_added_up_by_hand() -> None:
    """Networks whose number nobody published."""
    m18 = 64 * 80 + 64 + 2 * 64
    for before, maps in ((64, 64), (64, 128), (128, 256), (256, 512)):
        m18 += before * maps * 3 + 3 * maps + 3 * (maps * maps * 3 + 3 * maps)
    assert count_parameters(whole("m18", WAVE, 50)) == m18 + 512 * 50 + 50 == 3_704_306

    convs = 25 * 16 + 16 * 32 * 9 + 32 * 64 * 9 + 3 * (16 + 32 + 64)
    lstm = 4 * 512 * (1024 + 512 + 2) + 4 * 512 * (512 + 512 + 2)  # 16 rows of 64 maps
    dense = 512 * 256 + 256 + 256 * 80 + 80
    assert count_parameters(whole("crnn-lstm", (1, 40, 300), 80)) == convs + lstm + dense

    def block(a: int, b: int) -> int:
        return (a + b) * b * 9 + 6 * b

    def units(n: int) -> int:
        return n * 128 + 128 + 1 + 2 * 128 + 128 * 80 + 80

    convs = block(3, 64) + block(64, 128) + block(128, 128) + block(128, 64)
    gru = 3 * 256 * (8 * 64 + 256 + 2) + 3 * 256 * (256 + 256 + 2)
    assert count_parameters(whole("crnn-gru", (3, 128, 128), 80)) == convs + gru + units(256)

    blocks = [(3, 64), (64, 128), (128, 256), (256, 512)]
    convs = sum(a * b * 9 + b * b * 9 + a * b + 6 * b for a, b in blocks)
    assert count_parameters(whole("resnet", (3, 128, 128), 80)) == convs + units(512)


def test_the_transformer_is_small() -> None:
    assert count_parameters(whole("transformer", (1, 128, 500), 50)) < 3_000_000


@pytest.mark.parametrize(
    ("name", "shape", "maps"),
    [
        # (convolution, pool) twice, without what only changes values
        ("piczak-short", SHORT, [(80, 4, 36), (80, 1, 12), (80, 1, 10), (80, 1, 3)]),
        ("piczak-long", LONG, [(80, 4, 96), (80, 1, 32), (80, 1, 30), (80, 1, 10)]),
        (
            "cnn2",
            (1, 128, 500),
            [
                (32, 62, 126),
                (32, 31, 63),
                (128, 29, 61),
                (128, 14, 30),
                (128, 12, 28),
                (128, 6, 14),
                (128, 4, 12),
                (128, 2, 6),
            ],
        ),
        (
            "cnn3",
            (1, 64, 216),
            [(32, 62, 126), (32, 31, 63), (64, 29, 61), (64, 14, 30), (128, 12, 28), (128, 6, 14)],
        ),
    ],
)
def test_published_shapes_on_the_way(
    name: str, shape: tuple[int, int, int], maps: list[tuple[int, int, int]]
) -> None:
    encoder = create(name, shape).encoder.eval()
    found = []
    for layer in encoder.modules():
        if type(layer).__name__ in ("UniformConv", "ValidConv", "MaxPoolLayer"):
            layer.register_forward_hook(lambda _, __, y: found.append(tuple(y.shape[1:])))
    code = encoder(torch.zeros(1, *shape))
    assert found == maps
    assert tuple(code.shape[1:]) == maps[-1] == encoder.code_shape(*shape[1:])


@pytest.mark.parametrize("name", ["aclnet-sc-0.125", "aclnet-dwsc-0.125"])
def test_aclnet_sees_a_picture_of_64_by_128(name: str) -> None:
    encoder = create(name, (1, 1, 20_480)).encoder.eval()
    seen = []
    for layer in encoder.modules():
        if type(layer).__name__ == "AsPicture":
            layer.register_forward_hook(lambda _, __, y: seen.append(tuple(y.shape)))
    code = encoder(torch.zeros(1, 1, 1, 20_480))
    assert seen == [(1, 1, 64, 128)]
    assert tuple(code.shape) == (1, 64, 2, 4)


def test_cost_of_aclnet_is_the_published_one() -> None:
    """49.3 million multiply-adds a second at 44.1 kHz."""
    body = create("aclnet-dwsc-0.5", (1, 1, SECONDS))
    model = nn.Sequential(body.encoder, body.neck, body.neck.class_layer(50))
    assert count_macs(model, (1, 1, SECONDS)) == pytest.approx(49.3e6, rel=0.1)


def test_costs_of_recurrent_and_attention_layers() -> None:
    gru = nn.GRU(5, 7, num_layers=2, batch_first=True)
    assert count_macs(gru, (11, 5)) == 11 * 3 * (7 * 5 + 7 * 7 + 7 * 7 + 7 * 7)
    body = create("transformer", (1, 64, 216))
    n, w = 4 * 14, 192
    each = n * 12 * w * w + 2 * n * n * w  # dense layers, then queries x keys and x values
    assert count_macs(body.encoder, (1, 64, 216)) == n * 256 * w + 4 * each
