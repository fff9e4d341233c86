"""Poolings over time, and what a network says of single frames of its code."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.necks import POOLINGS, pool_time
from semisonic.models.sound_model import SoundModel, build

SHORT = MelOptions(duration=4.0, n_mels=32)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", POOLINGS)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), extra=st.integers(0, 4))
def test_what_fills_up_counts_for_nothing(name: str, lengths: list[int], extra: int) -> None:
    pool = partial(pool_time, name)
    n_frames = torch.tensor(lengths)
    x = noise(len(lengths), 8, max(lengths) + extra)
    each = torch.cat([pool(one[None, :, :n]) for one, n in zip(x, lengths, strict=True)])
    beyond = torch.arange(x.shape[2]) >= n_frames[:, None, None]
    for filling in (0.0, 1e4, -1e4):
        filled = x.masked_fill(beyond, filling)
        torch.testing.assert_close(pool(filled, n_frames), each, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_reach_the_frames_that_count_only(name: str) -> None:
    pool = partial(pool_time, name)
    x = noise(3, 4, 9).requires_grad_()
    pool(x, torch.tensor([9, 4, 1])).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[1, :, 4:].any()
    assert not x.grad[2, :, 1:].any()
    assert x.grad[2, :, 0].any()


def test_mean_maximum_and_last() -> None:
    x = noise(2, 3, 5)
    assert torch.equal(pool_time("max", x), x.amax(2))
    assert torch.equal(pool_time("last", x), x[:, :, 4])
    torch.testing.assert_close(pool_time("mean+max", x), x.mean(2) + x.amax(2))


@pytest.mark.parametrize(
    "name",
    [
        "small",
        "vgg",
        "resnet",
        "crnn-lstm",
        "crnn-gru",
        "transformer",
        "(6)5c-2p-(8)3c-3p/2-gp",
    ],
)
def test_the_length_of_each_clip_of_a_batch_can_be_told(name: str) -> None:
    model: SoundModel = build(name, SHORT, "abc").eval()
    x = noise(3, *SHORT.shape)
    all_frames = torch.full((3,), x.shape[3])
    torch.testing.assert_close(model.from_features(x, all_frames), model.from_features(x))
    n_frames = torch.tensor([x.shape[3], 40, 8])
    other = x.clone()
    other[1, :, :, 128:] += 30  # further away than the last frame that counts can see
    other[2, :, :, 96:] -= 30
    told = model.from_features(x, n_frames)
    torch.testing.assert_close(model.from_features(other, n_frames), told)
    assert not torch.allclose(model.from_features(other), model.from_features(x))
    torch.testing.assert_close(model.embed(other, n_frames), model.embed(x, n_frames))


@pytest.mark.parametrize("wrong", [[0, 3], [5, 1000]])
def test_lengths_that_cannot_be_are_refused(wrong: list[int]) -> None:
    model = build("small", SHORT, "abc").eval()
    with pytest.raises(ModelError, match="n_frames"):
        model.from_features(noise(2, *SHORT.shape), torch.tensor(wrong))


def test_a_network_for_one_length_cannot_pass_over_frames() -> None:
    model = build("(6)5c-2p-8fc", SHORT, "abc").eval()
    with pytest.raises(ModelError, match="one length"):
        model.from_features(noise(2, *SHORT.shape), torch.tensor([5, 6]))


MEL = MelOptions(sample_rate=8000, duration=2.0, n_fft=256, hop_length=128, n_mels=32)
CLASSES = ("a", "b", "c")


def features(n: int = 3) -> torch.Tensor:
    return torch.randn((n, *MEL.shape), generator=torch.Generator().manual_seed(1)) * 10 - 40


def test_with_a_mean_the_logits_of_frames_average_to_those_of_the_clip() -> None:
    model = build("mn04", MEL, CLASSES).eval()
    x = features()
    with torch.no_grad():
        clip, frames = model.embed_along_time(x)
        torch.testing.assert_close(model.head(clip), model.from_features(x))
        each = model.head(frames)
        assert each.shape == (3, len(model.frame_times(each.shape[1])), 3)
        torch.testing.assert_close(each.mean(dim=1), model.head(clip), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["small", "(8)3c-2p-(8)3c-gp"])
def test_a_frame_is_what_the_network_says_of_that_frame_alone(name: str) -> None:
    model = build(name, MEL, CLASSES).eval()
    with torch.no_grad():
        clip, frames = model.embed_along_time(features())
        torch.testing.assert_close(clip, model.embed(features()))
        code = model.encoder(model.frontend.standardize(features()))
        assert frames.shape[1] == code.shape[3]
        for t in range(code.shape[3]):
            torch.testing.assert_close(frames[:, t], model.neck(code[..., t : t + 1]))


@pytest.mark.parametrize("name", ["small", "base", "m5", "cnn14"])
def test_a_click_is_felt_at_its_time(name: str) -> None:
    mel = (
        MelOptions(sample_rate=8000, duration=4.0, input="wave")
        if name == "m5"
        else (MelOptions(sample_rate=8000, duration=4.0, n_fft=256, hop_length=128, n_mels=64))
    )
    model = build(name, mel, CLASSES).eval()
    x = torch.zeros((1, *mel.shape)) if name == "m5" else torch.full((1, *mel.shape), -40.0)
    for at in (0.8, 2.0, 3.1):
        changed = x.clone()
        changed[..., round(at / mel.duration * x.shape[3])] += 30.0
        with torch.no_grad():
            frames, before = model.embed_along_time(changed)[1], model.embed_along_time(x)[1]
        felt = (frames - before).abs().sum(dim=2)[0].double()
        times = model.frame_times(len(felt))
        step = float(times[1] - times[0])
        middle = float((felt * times).sum() / felt.sum())
        assert abs(middle - at) < step


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("(8)3c-2p-16fcr", "together"),
        ("crnn-lstm", "depend on earlier frames"),
        ("transformer", "whole clip"),
        ("yamnet", "overlap"),
    ],
)
def test_networks_that_have_no_answer_say_why(name: str, why: str) -> None:
    mel = MelOptions(sample_rate=16000, duration=2.0, n_fft=512, hop_length=160, n_mels=64)
    model = build(name, mel, CLASSES)
    assert why in model.no_frames
    with pytest.raises(ModelError, match=why):
        model.embed_along_time(torch.zeros((1, *mel.shape)))
