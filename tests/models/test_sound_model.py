"""Classifiers: shapes, registry, new heads, transfer, inspection."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.inspection import count_macs, count_parameters, dead_units
from semisonic.models.notation import PAPER
from semisonic.models.pretrained import build_autoencoder, transfer
from semisonic.models.sound_model import build

SHORT = MelOptions(duration=1.0, n_mels=32)
CLASSES = ("rain", "dog", "siren")
LITTLE = "(6)5c-2p-(8)3cbn-2p-16fc"
KINDS = [LITTLE, "(6)5c-2p-(8)3c-gp-16fcr", "small", "paper"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_wrong_length_or_shape_is_explained() -> None:
    model = build(LITTLE, SHORT, CLASSES)
    with pytest.raises(ModelError, match="clips of one length"):
        model.from_features(noise(2, 1, 32, 90))
    with pytest.raises(ModelError, match=r"expected \(batch, 1, 32, frame\)"):
        model.from_features(noise(2, 1, 64, 44))
    gp = build("(6)5c-2p-gp", SHORT, CLASSES)
    assert gp.from_features(noise(2, 1, 32, 90)).shape == (2, 3)


def test_the_code_layer_is_linear_unless_asked() -> None:
    x = noise(20, *SHORT.shape)
    assert (build("(6)5c-2p-16fc", SHORT, CLASSES).embed(x) < 0).any()
    assert (build("(6)5c-2p-16fcr", SHORT, CLASSES).embed(x) >= 0).all()


def test_a_published_class_layer_makes_no_difference() -> None:
    plain = build(PAPER, SHORT, CLASSES, seed=1)
    published = build(PAPER + "-3fc", SHORT, CLASSES, seed=1)
    assert published.name == plain.name == PAPER
    for a, b in zip(plain.parameters(), published.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dropout_is_before_the_class_layer_and_only_in_training() -> None:
    model = build(LITTLE, SHORT, CLASSES, dropout=0.5)
    x = noise(4, *SHORT.shape)
    assert not torch.equal(model.from_features(x), model.from_features(x))
    model.eval()
    assert torch.equal(model.from_features(x), model.from_features(x))
    with pytest.raises(ModelError, match="dropout"):
        build(LITTLE, SHORT, CLASSES, dropout=1.0)


def test_a_new_head_leaves_the_model_alone() -> None:
    model = build(LITTLE, SHORT, CLASSES, dropout=0.2).eval()
    before = copy.deepcopy(model.state_dict())
    other = model.with_head(["a", "b", "c", "d", "e"], multi_label=True, seed=2)
    x = noise(2, *SHORT.shape)
    assert other.from_features(x).shape == (2, 5)
    assert other.classes == ("a", "b", "c", "d", "e")
    assert other.multi_label
    assert not other.training
    assert other.dropout == 0.2
    assert torch.equal(other.embed(x), model.embed(x))
    assert model.classes == CLASSES
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    same = model.with_head("abcde", seed=2)
    assert torch.equal(same.head[1].weight, other.head[1].weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("classes", [[], ["a", "a"]])
def test_classes_must_differ(classes: list[str]) -> None:
    with pytest.raises(ModelError, match="classes"):
        build(LITTLE, SHORT, classes)


# --- transfer ---------------------------------------------------------------------------


def test_transfer_copies_the_encoder_and_its_statistics() -> None:
    autoencoder = build_autoencoder(LITTLE, SHORT, seed=1)
    autoencoder.frontend.standardize.fit(noise(9, *SHORT.shape) * 7 - 40)
    model = build(LITTLE, SHORT, CLASSES, seed=2)
    neck = copy.deepcopy(model.neck.state_dict())
    transfer(autoencoder, model)
    for name, value in autoencoder.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    assert torch.equal(model.frontend.standardize.mean, autoencoder.frontend.standardize.mean)
    assert all(torch.equal(v, neck[n]) for n, v in model.neck.state_dict().items())
    with torch.no_grad():  # nothing is shared
        next(model.encoder.parameters()).add_(1)
    mine, theirs = next(model.encoder.parameters()), next(autoencoder.encoder.parameters())
    assert not torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("text", "mel", "standardize", "error"),
    [
        ("(6)5c-2p-(9)3cbn-2p", SHORT, "global", "does not fit"),
        ("(6)5c-3p-(8)3cbn-2p", SHORT, "global", "other pools"),
        ("small", SHORT, "global", "does not fit"),
        (LITTLE, MelOptions(duration=1.0, n_mels=40), "global", "n_mels 40 against 32"),
        (LITTLE, SHORT, "mel", "standardises by 'mel'"),
        (LITTLE, SHORT, "global", "never fitted"),
    ],
)
def test_transfer_between_what_does_not_fit(
    text: str, mel: MelOptions, standardize: str, error: str
) -> None:
    autoencoder = build_autoencoder(text, mel, decoder="upsample", standardize=standardize)
    model = build(LITTLE, SHORT, CLASSES)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ModelError, match=error):
        transfer(autoencoder, model)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())


# --- inspection -------------------------------------------------------------------------


def test_a_collapsed_net_is_flagged() -> None:
    autoencoder = build_autoencoder("(6)5c-2p-(8)3c-2p", SHORT, decoder="upsample")
    x = noise(4, *SHORT.shape)
    healthy = {d.layer: d for d in dead_units(autoencoder, [x[:2], x[2:]])}
    assert list(healthy) == ["encoder.stages.0.relu", "encoder.stages.1.relu", "decoder.relus.0"]
    assert healthy["encoder.stages.0.relu"].n_units == 6
    assert healthy["encoder.stages.0.relu"].share == 0
    with torch.no_grad():
        conv = autoencoder.encoder.get_submodule("stages.1.conv")
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        conv.bias[:5] = -1000
    collapsed = {d.layer: d for d in dead_units(autoencoder, [x])}
    assert collapsed["encoder.stages.1.relu"].n_dead >= 5
    assert collapsed["encoder.stages.1.relu"].share >= 5 / 8


def test_looking_changes_nothing() -> None:
    model = build(LITTLE, SHORT, CLASSES)
    model.encoder.eval()
    modes = [m.training for m in model.modules()]
    before = copy.deepcopy(model.state_dict())
    dead_units(model.encoder, [noise(3, *SHORT.shape)])
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())
    with pytest.raises(ModelError, match="no batch"):
        dead_units(model.encoder, [])


def test_costs_by_hand() -> None:
    model = build("(2)3c-2p-4fc", MelOptions(duration=0.1, n_mels=8, hop_length=512), ["a", "b"])
    channels, n_mels, n_frames = model.mel.shape
    assert (channels, n_mels, n_frames) == (1, 8, 5)
    code = 2 * 4 * 2
    assert count_macs(model, model.mel.shape) == 8 * 5 * 2 * 9 + code * 4 + 4 * 2
    assert count_parameters(model) == (2 * 9 + 2) + (code * 4 + 4) + (4 * 2 + 2)
    transposed = nn.ConvTranspose2d(3, 5, 3, stride=2)
    assert count_macs(transposed, (3, 4, 4)) == 16 * 3 * 5 * 9
