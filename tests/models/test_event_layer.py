"""The layer that tells when classes are heard: what it reads, its file, which models have one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load, save
from semisonic.models.sound_model import SoundModel, build, new_event_layer

MEL = MelOptions(sample_rate=8000, duration=3.0, n_fft=256, hop_length=128, n_mels=16)
NETWORK = "(6)3c-2p-(8)3c-2p-gp"


def model_with_layer() -> SoundModel:
    model = build(NETWORK, MEL, "abc").eval()
    model.event_layer = new_event_layer(model)
    return model


def noise(n: int = 2) -> torch.Tensor:
    """Steady noise at -30 dB that flutters by 2 dB."""
    flutter = torch.randn((n, *MEL.shape), generator=torch.Generator().manual_seed(1))
    return 2 * flutter - 30


def test_what_stands_out_is_kept_and_the_background_taken_away() -> None:
    layer, x = new_event_layer(build(NETWORK, MEL, "abc")), noise()
    x[1, :, 4:9, 60:90] += 30.0
    over, cleaned, _ = layer.split(x)
    times = layer.times(x.shape[3])
    assert over.shape[1] == len(times)
    inside = (times > 61 * layer.frame) & (times < 89 * layer.frame)
    outside = (times < 56 * layer.frame) | (times > 94 * layer.frame)
    assert over[1, inside].mean() > over[1, outside].mean() + 0.3
    assert (cleaned[1, :, 4:9, 62:88] > x[1, :, 4:9, 62:88] - 1.0).all()
    assert cleaned[0].mean() < x[0].mean() - 8.0
    assert abs(float(over[0].mean() - over[1, outside].mean())) < 0.1


def test_a_frame_of_a_window_that_is_not_centred_is_half_a_window_later() -> None:
    """A window has 32 ms."""
    centred, other = (
        new_event_layer(build(NETWORK, replace(MEL, center=center), "abc")).times(20)
        for center in (True, False)
    )
    torch.testing.assert_close(other - centred, torch.full_like(centred, 0.016))


def test_a_model_is_saved_with_its_layer(tmp_path: Path) -> None:
    model, x = model_with_layer(), noise()
    save(tmp_path / "model.zip", model)
    again = load(tmp_path / "model.zip")
    with torch.inference_mode():
        whole, _, along = model.score_along_time(x)
        same_whole, _, same_along = again.score_along_time(x)
        torch.testing.assert_close(whole, model.score(x)[0])
    assert torch.equal(whole, same_whole)
    assert torch.equal(along, same_along)
    assert along.shape == (2, len(model.point_times()), 3)
    assert ((along >= 0) & (along <= 1)).all()
    plain = build(NETWORK, MEL, "abc")
    save(tmp_path / "plain.zip", plain)
    assert load(tmp_path / "plain.zip").event_layer is None


def test_a_new_class_layer_has_no_times_yet() -> None:
    model = model_with_layer()
    assert model.with_head("ab").event_layer is None
    assert model.event_layer is not None


@pytest.mark.parametrize(
    ("mel", "network", "several", "why"),
    [
        (replace(MEL, duration=0.5), NETWORK, False, "less than 2 s"),
        (replace(MEL, deltas=True), NETWORK, False, "levels of one channel"),
        (replace(MEL, reference="max"), NETWORK, False, "levels of one channel"),
        (MEL, NETWORK, True, "several labels"),
        (replace(MEL, n_mels=64), "crnn-lstm", False, "depend on earlier"),
    ],
)
def test_models_that_learn_no_times_say_why(
    mel: MelOptions, network: str, several: bool, why: str
) -> None:
    with pytest.raises(ModelError, match=why):
        new_event_layer(build(network, mel, "abc", multi_label=several))


def test_a_network_with_dense_layers_has_scores_along_time_too() -> None:
    model = build("(6)3c-2p-(8)3c-2p-16fcr", MEL, "abc").eval()
    assert model.no_points
    model.event_layer = new_event_layer(model)
    assert not model.no_points
    with torch.inference_mode():
        assert model.score_along_time(noise())[2].shape[2] == 3
