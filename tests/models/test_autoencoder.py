"""Encoders, decoders and auto-encoders: published sizes, shapes, ways to run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.decoders import DECODERS
from semisonic.models.encoder import ConvEncoder, SameConv, Trace
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.notation import PAPER, parse
from semisonic.models.pretrained import AutoEncoder, build_autoencoder
from semisonic.models.sound_model import build

SEED = MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28)
LITTLE = "(6)5c-2p-(8)3c-2p-(8)3c-2p"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def little(decoder: str, text: str = LITTLE, seed: int = 0, **more: float) -> AutoEncoder:
    mel = MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28)
    return build_autoencoder(text, mel, decoder=decoder, seed=seed, **more)  # type: ignore[arg-type]


def test_published_sizes() -> None:
    autoencoder = build_autoencoder(PAPER, SEED, decoder="unpool")
    assert count_parameters(autoencoder) == 150_977
    assert count_parameters(autoencoder.encoder) == 75_520
    assert autoencoder.encoder.code_shape(28, 36) == (64, 3, 4)
    assert autoencoder.encode(noise(2, 1, 28, 36)).shape == (2, 64, 3, 4)
    model = build(PAPER, SEED, [f"class {i}" for i in range(50)])
    assert count_parameters(model) == 180_402
    assert count_macs(model, SEED.shape) == 13_329_664


def test_the_encoder_is_convolution_relu_pool() -> None:
    encoder = build_autoencoder("(4)3cbn-2p-(5)5x3c-(6)3c-3p/2", SEED).encoder
    layers = {
        name: layer for name, layer in encoder.named_modules() if isinstance(layer, nn.Conv2d)
    }
    assert list(layers) == [f"stages.{i}.conv" for i in range(3)]
    norm = encoder.get_submodule("stages.0.norm")
    encoder.train()
    encoder(noise(8, 1, 28, 36))  # moves the running statistics
    encoder.eval()
    x = noise(2, 1, 28, 36, seed=1)
    y = F.max_pool2d(F.relu(norm(layers["stages.0.conv"](x))), 2)
    y = F.relu(layers["stages.1.conv"](y))
    y = F.max_pool2d(F.relu(layers["stages.2.conv"](y)), 3, 2)
    torch.testing.assert_close(encoder(x), y)


def test_the_unpool_decoder_is_the_published_one() -> None:
    autoencoder = little("unpool").eval()
    x = noise(2, 1, 28, 36)
    trace = Trace(switches=True)
    code = autoencoder.encoder(x, record=trace)
    convs = [m for m in autoencoder.decoder.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convs] == [
        (8, 8, (3, 3)),
        (8, 6, (3, 3)),
        (6, 1, (5, 5)),
    ]
    y = code
    for i, conv in zip((2, 1, 0), convs, strict=True):
        undo = trace.downs[i]
        assert undo.switches is not None
        y = conv(F.max_unpool2d(y, undo.switches, 2, output_size=undo.size))
        y = F.relu(y) if i else y
    torch.testing.assert_close(autoencoder(x), y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=12, deadline=None)
@given(
    text=st.sampled_from(
        [
            LITTLE,
            "(4)4c-2p-(3)2x5c-3x2p",
            "(4)3c-(5)3c-2x1p-(6)3c",
            "2p-(4)3c-2p",
            "(4)3c-2p-2p",
            "(3)5c-3p/2-(4)3cbn-2p/3",
            "(4)3c",
        ]
    ),
    size=st.tuples(st.integers(9, 30), st.integers(9, 41)),
    channels=st.sampled_from([1, 2]),
)
def test_the_output_has_the_shape_of_the_input(
    decoder: str, text: str, size: tuple[int, int], channels: int
) -> None:
    encoder = ConvEncoder(parse(text), channels)
    for training in (True, False):
        autoencoder = AutoEncoder(encoder, Frontend(SEED), text, decoder=decoder).train(training)
        x = noise(2, channels, *size)
        assert autoencoder(x).shape == x.shape
        code = autoencoder.encode(x)
        assert tuple(code.shape[1:]) == encoder.code_shape(*size)


def test_small_has_no_switches() -> None:
    with pytest.raises(ModelError, match="use the decoder 'upsample'"):
        build_autoencoder("small", MelOptions(), decoder="unpool")


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_loss_falls(decoder: str) -> None:
    autoencoder = little(decoder)
    x = F.interpolate(noise(8, 1, 7, 9), size=(28, 36), mode="bilinear")
    optimizer = torch.optim.Adam(autoencoder.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = F.mse_loss(autoencoder(x), x)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in autoencoder.parameters())


@pytest.mark.parametrize("stride", [(2, 2), (3, 1), (1, 4)])
def test_sub_pixels_start_as_plain_up_sampling(stride: tuple[int, int]) -> None:
    text = f"(6)3c-{stride[0]}x{stride[1]}p"
    autoencoder = little("subpixel", text)
    y = autoencoder(noise(1, 1, 12, 12))
    a, b = stride
    cells = y.unfold(2, a, a).unfold(3, b, b).flatten(-2)
    torch.testing.assert_close(cells, cells[..., :1].expand_as(cells))


def test_skips_are_closed_in_evaluation_and_by_clip_in_training() -> None:
    autoencoder = little("unet").eval()
    decoder = autoencoder.decoder
    maps = torch.ones(400, 2, 3, 3)
    assert (decoder.gate(maps) == 0).all()
    decoder.train()
    torch.manual_seed(0)
    gated = decoder.gate(maps).flatten(1)
    assert ((gated == 0).all(1) | (gated == 1).all(1)).all()  # whole maps of a clip
    assert 0.4 < gated.mean() < 0.6


def test_closed_skips_leave_only_the_code() -> None:
    autoencoder = little("unet").eval()
    x = noise(2, 1, 28, 36)
    trace, other = Trace(maps=True), Trace(maps=True)
    code = autoencoder.encoder(x, record=trace)
    autoencoder.encoder(noise(2, 1, 28, 36, seed=9), record=other)
    assert torch.equal(autoencoder.decoder(code, trace), autoencoder.decoder(code, other))


def test_features_too_small_for_the_pools_are_refused() -> None:
    with pytest.raises(ModelError, match=r"layer 6 pools windows of 2x2, but the map is only 1x54"):
        build("(4)3c-2p-(4)3c-2p-(4)3c-2p-128fc", MelOptions(n_mels=4), ["a", "b"])


def test_reconstruction_in_decibels() -> None:
    autoencoder = little("upsample").eval()
    x = noise(4, 1, 28, 36) * 20 - 50
    autoencoder.frontend.standardize.fit(x)
    standardized = autoencoder.frontend.standardize(x)
    expected = autoencoder(standardized) * x.std(correction=0) + x.mean()
    torch.testing.assert_close(autoencoder.reconstruct(x), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(max_examples=20, deadline=None)
@given(kernel=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_a_convolution_that_keeps_the_size_equals_torch(kernel: tuple[int, int]) -> None:
    ours, theirs = SameConv(2, 3, kernel), nn.Conv2d(2, 3, kernel, padding="same")
    theirs.load_state_dict(ours.state_dict())
    x = noise(2, 2, 7, 8)
    torch.testing.assert_close(ours(x), theirs(x))
