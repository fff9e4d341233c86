"""The staged networks: limits of size, any clip length, saving, pre-training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.encoder import frames_after
from semisonic.models.inspection import count_macs, count_parameters
from semisonic.models.model_file import load, load_encoder, save, save_encoder
from semisonic.models.networks.staged import (
    DESIGNS,
    NetworkDesign,
    ResidualBlock,
    StagedEncoder,
)
from semisonic.models.pretrained import build_autoencoder, transfer
from semisonic.models.registry import names
from semisonic.models.sound_model import build

TEN = [f"class {i}" for i in range(10)]
SHORT = MelOptions(duration=1.0, n_mels=32)
DECODERS = ("upsample", "subpixel", "unet")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_all_designs_are_registered() -> None:
    assert {"small", "tiny", "base"} <= set(DESIGNS) <= set(names())


@pytest.mark.parametrize(
    ("name", "parameters", "macs"), [("small", 310e3, 100e6), ("tiny", 60e3, 20e6)]
)
def test_networks_for_small_machines_stay_small(name: str, parameters: float, macs: float) -> None:
    model = build(name, MelOptions(), TEN)
    assert count_parameters(model) <= parameters
    assert count_macs(model, MelOptions().shape) <= macs


def test_base_is_a_few_million() -> None:
    assert 2e6 <= count_parameters(build("base", MelOptions(), TEN)) <= 5e6


@pytest.mark.parametrize("name", DESIGNS)
def test_any_clip_length_in_any_company(name: str) -> None:
    model = build(name, MelOptions(n_mels=40), TEN).eval()
    for n_frames in (1, 2, 15, 130):
        x = noise(2, 1, 40, n_frames)
        together = model.from_features(x)
        assert together.shape == (2, 10)
        assert together.isfinite().all()
        each = torch.cat([model.from_features(one[None]) for one in x])
        torch.testing.assert_close(each, together, atol=1e-4, rtol=1e-4)
        assert torch.equal(model.from_features(x), together)  # nothing is drawn
        code = model.encoder(x)
        assert tuple(code.shape[1:]) == model.encoder.code_shape(40, n_frames)
        frames = frames_after(model.encoder.plan, torch.tensor([n_frames]))
        assert frames.item() == code.shape[3]


@pytest.mark.parametrize("name", DESIGNS)
def test_two_channels_and_channels_last(name: str) -> None:
    mel = MelOptions(duration=1.0, n_mels=33, deltas=True)
    model = build(name, mel, TEN).eval()
    x = noise(2, *mel.shape)
    expected = model.from_features(x)
    last = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = last.from_features(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = last.from_features(x).float()
    assert (coarse - expected).abs().mean() < 0.1 * expected.std()


@pytest.mark.parametrize("name", DESIGNS)
def test_all_weights_learn(name: str) -> None:
    model = build(name, SHORT, TEN)
    torch.manual_seed(0)
    F.cross_entropy(model.from_features(noise(8, *SHORT.shape)), torch.arange(8)).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("name", DESIGNS)
def test_models_and_encoders_come_back(tmp_path: Path, name: str) -> None:
    model = build(name, SHORT, TEN, seed=3)
    x = noise(4, *SHORT.shape)
    model.frontend.standardize.fit(x)
    model.from_features(x)  # moves the running statistics
    save(tmp_path / "m", model.eval())
    assert torch.equal(load(tmp_path / "m").from_features(x), model.from_features(x))
    autoencoder = build_autoencoder(name, SHORT, decoder="upsample", seed=3).eval()
    save_encoder(tmp_path / "e", autoencoder)
    assert torch.equal(load_encoder(tmp_path / "e")(x), autoencoder(x))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_is_an_auto_encoder_too(name: str, decoder: str) -> None:
    mel = MelOptions(duration=1.0, n_mels=30, deltas=True)
    for training in (True, False):
        autoencoder = build_autoencoder(name, mel, decoder=decoder).train(training)
        x = noise(2, *mel.shape)
        assert autoencoder(x).shape == x.shape


@pytest.mark.parametrize("name", DESIGNS)
def test_pre_training_makes_the_loss_fall_and_hands_over(name: str) -> None:
    autoencoder = build_autoencoder(name, SHORT, decoder="upsample")
    x = F.interpolate(noise(4, 1, 4, 6), size=SHORT.shape[1:], mode="bilinear")
    optimizer = torch.optim.Adam(autoencoder.parameters(), 3e-3)
    losses = []
    torch.manual_seed(0)  # of the branches that are left out
    for _ in range(20):
        loss = F.mse_loss(autoencoder(x), x)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]
    assert autoencoder.frontend is not None
    autoencoder.frontend.standardize.fit(x)
    model = build(name, SHORT, TEN, seed=1)
    transfer(autoencoder, model)
    assert torch.equal(model.eval().encoder(x), autoencoder.eval().encode(x))


def test_stochastic_depth_rises_from_block_to_block() -> None:
    encoder = StagedEncoder(NetworkDesign(4, (4, 8), depth=2, drop_path=0.4), 1)
    rates = [m.drop_path for m in encoder.modules() if isinstance(m, ResidualBlock)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])
    x = noise(3, *SHORT.shape)
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


def test_a_residual_block_by_hand() -> None:
    block = ResidualBlock(4, 6)
    block(noise(8, 4, 5, 7, seed=1))  # moves the running statistics
    block.eval()
    first, norm, _, second, last = block.branch
    x = noise(2, 4, 5, 7)
    branch = last(second(F.relu(norm(first(x)))))
    torch.testing.assert_close(block(x), F.relu(branch + F.pad(x, (0, 0, 0, 0, 0, 2))))


def test_stochastic_depth_leaves_out_whole_clips_and_keeps_the_mean() -> None:
    block = ResidualBlock(2, 2, drop_path=0.5)
    with torch.no_grad():
        block.branch[4].weight.zero_()
        block.branch[4].bias.fill_(3.0)  # the branch gives 3 everywhere
    torch.manual_seed(0)
    y = block(torch.zeros(400, 2, 2, 2))
    assert set(y.flatten().tolist()) == {0.0, 6.0}
    assert (y == y[:, :1, :1, :1]).all()
    assert y.mean().item() == pytest.approx(3.0, abs=0.4)
    with pytest.raises(ModelError, match="drop_path"):
        ResidualBlock(2, 2, drop_path=1.0)
