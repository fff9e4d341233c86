"""The file of an encoder without a decoder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load, load_encoder, read_about, save_encoder
from semisonic.models.pretrained import (
    AutoEncoder,
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
)
from semisonic.models.sound_model import build

MEL = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16, deltas=True)
NET = "(4)3cbn-2p-(6)3c-2p"


def noise(n: int) -> torch.Tensor:
    return torch.randn(n, *MEL.shape, generator=torch.Generator().manual_seed(0)) * 9 - 40


@pytest.fixture
def encoder() -> PretrainedEncoder:
    network = build_encoder(NET, MEL, standardize="mel", seed=3)
    assert network.frontend is not None
    network.frontend.standardize.fit(noise(8))
    return network.eval()


def test_an_encoder_comes_back_without_a_decoder(
    encoder: PretrainedEncoder, tmp_path: Path
) -> None:
    save_encoder(tmp_path / "e", encoder, about={"objective": "simclr"})
    found = load_encoder(tmp_path / "e")
    assert type(found) is PretrainedEncoder
    assert found.name == encoder.name
    assert torch.equal(found.encode(noise(3)), encoder.encode(noise(3)))
    said = read_about(tmp_path / "e")
    assert said["kind"] == "encoder"
    assert "decoder" not in said
    assert said["about"] == {"objective": "simclr"}


def test_it_is_built_with_the_weights_of_the_auto_encoder_and_the_classifier(
    encoder: PretrainedEncoder,
) -> None:
    pair = build_autoencoder(NET, MEL, decoder="upsample", seed=3)
    assert isinstance(pair, AutoEncoder)
    model = build(NET, MEL, ("a", "b"), seed=3)
    for name, value in encoder.encoder.state_dict().items():
        assert torch.equal(pair.encoder.state_dict()[name], value)
        assert torch.equal(model.encoder.state_dict()[name], value)


def test_it_is_no_classifier_and_needs_a_front_end(
    encoder: PretrainedEncoder, tmp_path: Path
) -> None:
    save_encoder(tmp_path / "e", encoder)
    with pytest.raises(ModelError, match="semisonic train DATA --encoder"):
        load(tmp_path / "e")
    encoder.frontend = None
    with pytest.raises(ModelError, match="build_encoder"):
        save_encoder(tmp_path / "f", encoder)


@pytest.mark.parametrize("name", ["n_mels", "preemphasis"])
def test_a_file_that_does_not_tell_all_of_its_front_end_is_refused(
    encoder: PretrainedEncoder, tmp_path: Path, name: str
) -> None:
    save_encoder(tmp_path / "e", encoder)
    with zipfile.ZipFile(tmp_path / "e") as whole, zipfile.ZipFile(tmp_path / "part", "w") as part:
        for member in whole.namelist():
            data = whole.read(member)
            if member == "model.json":
                settings = json.loads(data)
                del settings["features"][name]
                data = json.dumps(settings).encode()
            part.writestr(zipfile.ZipInfo(member), data)
    with pytest.raises(ModelError, match=f"lacks {name}"):
        load_encoder(tmp_path / "part")
