"""Published networks on log-mel: any length, any company, saving, pre-training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.learning.contrastive import pooled
from semisonic.models.model_file import load, load_encoder, save, save_encoder
from semisonic.models.pretrained import build_autoencoder, build_encoder, transfer
from semisonic.models.registry import create
from semisonic.models.sound_model import build

TEN = [f"class {i}" for i in range(10)]
ANY = MelOptions(duration=0.6, n_mels=24)
SEGMENT = MelOptions(duration=20480 / 22050, n_mels=60, deltas=True)
PICTURE = MelOptions(duration=3.0, n_mels=64)
ANY_LENGTH = ["vgg", "resnet", "crnn-lstm", "crnn-gru", "transformer"]
MEL = {
    **dict.fromkeys(ANY_LENGTH, ANY),
    "cnn2": PICTURE,
    "cnn3": PICTURE,
    "piczak-small": SEGMENT,
}
MIRRORED = {"vgg": ANY, "resnet": ANY, "piczak-small": SEGMENT}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MEL)
def test_alone_and_in_company_the_same(name: str) -> None:
    model = build(name, MEL[name], TEN).eval()
    x = noise(3, *MEL[name].shape)
    together = model.from_features(x)
    assert together.shape == (3, 10)
    assert torch.equal(model.from_features(x), together)  # nothing is drawn
    each = torch.cat([model.from_features(one[None]) for one in x])
    torch.testing.assert_close(each, together, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ANY_LENGTH)
@pytest.mark.parametrize("n_frames", [9, 16, 50])
def test_any_length(name: str, n_frames: int) -> None:
    model = build(name, ANY, TEN).eval()
    x = noise(2, 1, 24, n_frames)
    assert model.from_features(x).isfinite().all()
    code = model.encoder(x)
    assert tuple(code.shape[1:]) == model.encoder.code_shape(24, n_frames)
    assert model.encoder.frames_after(torch.tensor([n_frames])).item() == code.shape[3]


@pytest.mark.parametrize("name", ["crnn-lstm", "transformer"])
def test_what_fills_a_clip_up_is_never_heard(name: str) -> None:
    """Whatever it is, after any training, at any length."""
    model = build(name, ANY, TEN)
    x = noise(4, 1, 24, 61)
    model.from_features(noise(8, 1, 24, 40, seed=1) + 2)  # moves the running statistics
    model.eval()
    lengths = torch.tensor([61, 37, 16, 9])
    found = model.from_features(x, lengths)
    each = [model.from_features(x[i : i + 1, ..., :n]) for i, n in enumerate(lengths.tolist())]
    torch.testing.assert_close(found, torch.cat(each), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", MEL)
def test_all_weights_learn_and_a_clip_alone_can_be_learned(name: str) -> None:
    model = build(name, MEL[name], TEN)
    torch.manual_seed(0)
    x = noise(6, *MEL[name].shape)
    F.cross_entropy(model.from_features(x), torch.arange(6)).backward()
    parameters = dict(model.named_parameters())
    assert all(p.grad is not None for p in parameters.values())
    still = [n for n, p in parameters.items() if p.grad is not None and not p.grad.any()]
    assert not [n for n in still if not n.endswith("bias")], "a norm takes off a bias, no weight"
    assert model.from_features(x[:1]).isfinite().all()


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_the_loss_falls(name: str) -> None:
    mel = MelOptions(duration=0.4, n_mels=16)
    model, target = build(name, mel, TEN), torch.arange(4)
    x = noise(4, *mel.shape)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    torch.manual_seed(0)
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(model.from_features(x), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-2:]) < 0.8 * losses[0]


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_channels_last_and_half_precision(name: str) -> None:
    model = build(name, ANY, TEN).eval()
    x = noise(3, *ANY.shape)
    expected = model.from_features(x)
    last = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(last.from_features(x), expected, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = last.from_features(x).float()
    assert (coarse - expected).abs().mean() < 0.15 * expected.std()


@pytest.mark.parametrize("name", MEL)
def test_weights_come_from_the_seed_and_from_the_file(tmp_path: Path, name: str) -> None:
    mel = MEL[name]
    model, x = build(name, mel, TEN, seed=3), noise(3, *mel.shape)
    torch.manual_seed(99)
    again = build(name, mel, TEN, seed=3).state_dict()
    assert all(torch.equal(value, again[n]) for n, value in model.state_dict().items())
    model.frontend.standardize.fit(x)
    model.from_features(x)  # moves the running statistics
    save(tmp_path / "m", model.eval())
    assert torch.equal(load(tmp_path / "m").from_features(x), model.from_features(x))


@pytest.mark.parametrize("name", MEL)
def test_views_can_be_compared_and_the_encoder_handed_over(tmp_path: Path, name: str) -> None:
    pretrained, x = build_encoder(name, MEL[name], seed=1), noise(4, *MEL[name].shape)
    assert pretrained.frontend is not None
    pretrained.frontend.standardize.fit(x)
    pooled(pretrained.encode(x)).square().sum().backward()
    assert all(p.grad is not None for p in pretrained.encoder.parameters())
    save_encoder(tmp_path / "e", pretrained)
    model = build(name, MEL[name], TEN, seed=2)
    transfer(load_encoder(tmp_path / "e"), model)
    assert torch.equal(model.eval().encoder(x), pretrained.eval().encode(x))


@pytest.mark.parametrize("decoder", ["upsample", "subpixel", "unet"])
@pytest.mark.parametrize("name", MIRRORED)
def test_those_with_a_mirror_image_are_auto_encoders(name: str, decoder: str) -> None:
    autoencoder = build_autoencoder(name, MIRRORED[name], decoder=decoder)
    x = noise(2, *MIRRORED[name].shape)
    y = autoencoder(x)
    assert y.shape == x.shape
    y.square().mean().backward()
    assert all(p.grad is not None for p in autoencoder.parameters())


@pytest.mark.parametrize("name", sorted(set(MEL) - set(MIRRORED)))
def test_the_others_say_why_not(name: str) -> None:
    with pytest.raises(ModelError, match=r"cannot be an auto-encoder: .*'simclr'"):
        build_autoencoder(name, MEL[name], decoder="upsample")


@pytest.mark.parametrize(
    ("name", "shape", "error"),
    [
        ("cnn2", (1, 40, 500), "expected at least 64 x 128"),
        ("cnn3", (1, 64, 127), "expected at least 64 x 128"),
        ("crnn-lstm", (1, 40, 7), "windows of 3x3"),
        ("crnn-lstm", (1, 6, 70), "windows of 3x3"),
    ],
)
def test_too_little_input_is_explained(name: str, shape: tuple[int, int, int], error: str) -> None:
    with pytest.raises(ModelError, match=error):
        create(name, shape)
    with pytest.raises(ModelError, match=error):
        create(name, (1, 64, 128)).encoder(torch.zeros(1, *shape))
