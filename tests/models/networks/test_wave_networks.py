"""Networks that read samples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load, save, write_card
from semisonic.models.necks import Backbone
from semisonic.models.networks.waves import WaveConv
from semisonic.models.registry import create
from semisonic.models.sound_model import build
from semisonic.models.weights import initialise

NAMES = ["m5", "m11", "aclnet-dwsc-0.125", "aclnet-sc-0.125"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(name: str, n_samples: int = 20_480) -> Backbone:
    body = create(name, (1, 1, n_samples))
    initialise(body.encoder, 0, "encoder.")
    return body


def embedding(body: Backbone, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
    of_code = None if n_frames is None else body.encoder.frames_after(n_frames)
    vector: Tensor = body.neck(body.encoder(x, n_frames), of_code)
    return vector


@pytest.mark.parametrize("name", NAMES)
def test_any_length_alone_and_in_company(name: str) -> None:
    body = made(name)
    body.encoder.eval()
    body.neck.eval()
    for n_samples in (16_000, 16_001, 20_480):
        x = noise(2, 1, 1, n_samples)
        together = embedding(body, x)
        assert together.shape == (2, body.neck.out_features)
        assert torch.equal(embedding(body, x), together)
        each = torch.cat([embedding(body, one[None]) for one in x])
        torch.testing.assert_close(each, together, atol=1e-4, rtol=1e-4)
        code = body.encoder(x)
        assert tuple(code.shape[1:]) == body.encoder.code_shape(1, n_samples)
        assert body.encoder.frames_after(torch.tensor([n_samples])).item() == code.shape[3]


@pytest.mark.parametrize("name", NAMES)
def test_the_length_of_a_clip_can_be_told(name: str) -> None:
    body = made(name)
    body.encoder.eval()
    body.neck.eval()
    x = noise(1, 1, 1, 40_960)
    other, n_samples = x.clone(), torch.tensor([20_480])
    other[..., 35_840:] += 3  # further away than the last samples that count can see
    told = embedding(body, x, n_samples)
    torch.testing.assert_close(embedding(body, other, n_samples), told)
    assert not torch.allclose(embedding(body, other), embedding(body, x))
    torch.testing.assert_close(embedding(body, x, torch.tensor([40_960])), embedding(body, x))


@pytest.mark.parametrize("name", NAMES)
def test_all_weights_learn(name: str) -> None:
    body = made(name)
    layer = torch.nn.Linear(body.neck.out_features, 4)
    torch.manual_seed(0)
    logits = layer(embedding(body, noise(4, 1, 1, 8192)))
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    parameters = [*body.encoder.named_parameters(), *body.neck.named_parameters()]
    assert all(p.grad is not None for _, p in parameters)
    still = [n for n, p in parameters if p.grad is not None and not p.grad.any()]
    assert all(n.endswith("bias") for n in still), "a norm takes off a bias, no weight"


@pytest.mark.parametrize("name", ["m5", "aclnet-dwsc-0.125"])
def test_a_classifier_of_waves_comes_back_from_its_file(tmp_path: Path, name: str) -> None:
    mel = MelOptions(sample_rate=16_000, duration=0.5, input="wave")
    model = build(name, mel, "abc", seed=2)
    wave = 0.1 * noise(3, mel.n_samples)
    model.frontend.standardize.fit(model.frontend.mel(wave))
    model(wave)  # moves the running statistics
    save(tmp_path / "m", model.eval())
    again = load(tmp_path / "m")
    assert again.name == name
    assert torch.equal(again(wave), model(wave))


@pytest.mark.parametrize(("name", "least"), [("m18", 1024), ("aclnet-dwsc-0.125", 5120)])
def test_too_few_samples_are_explained(name: str, least: int) -> None:
    with pytest.raises(ModelError, match=f"needs {least} or more"):
        create(name, (1, 1, least - 1))
    body = create(name, (1, 1, least)).encoder.eval()
    assert body(torch.zeros(1, 1, 1, least)).shape[3] == 1
    with pytest.raises(ModelError, match=f"found clips of {least - 1} samples"):
        body(torch.zeros(1, 1, 1, least - 1))


def test_there_is_no_way_back_to_samples() -> None:
    with pytest.raises(ModelError, match="cannot be an auto-encoder"):
        create("m5", (1, 1, 8192)).encoder.require_mirror()


@pytest.mark.parametrize(("kernel", "step"), [(80, 4), (9, 2), (5, 2), (3, 1)])
@pytest.mark.parametrize("n_samples", [160, 161, 163])
def test_a_step_rounds_up_and_starts_at_the_same_place(
    kernel: int, step: int, n_samples: int
) -> None:
    conv = WaveConv(1, 1, kernel, step, bias=False)
    x = noise(1, 1, 1, n_samples)
    y = conv(x)
    assert y.shape[3] == -(-n_samples // step)
    longer = conv(torch.cat((x, torch.zeros(1, 1, 1, 37)), dim=3))
    torch.testing.assert_close(longer[..., : y.shape[3]], y)


def test_the_card_says_that_it_hears_waves() -> None:
    mel = MelOptions(sample_rate=16_000, duration=0.5, input="wave")
    card = write_card(build("aclnet-dwsc-0.125", mel, "abc"), {})
    assert "wave 1 x 1 x 8000" in card
    assert "log-mel" not in card
