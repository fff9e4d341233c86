"""What a network says of single frames of its code."""

from __future__ import annotations

import pytest
import torch

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import build

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
        ("(8)3c-2p-16fcr", "side by side"),
        ("crnn-lstm", "remember"),
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
