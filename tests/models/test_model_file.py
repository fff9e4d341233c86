"""The model file: what was saved comes back, and nothing else gets in."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import load, load_encoder, read_about, save, save_encoder
from semisonic.models.pretrained import (
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
)
from semisonic.models.sound_model import SoundModel, build

MEL = MelOptions(duration=1.0, n_mels=32, reference="max", top_db=80.0, fmax_hz=9000.0)
CLASSES = ["rain", "Hund", "пила"]
LITTLE = "(6)5c-2p-(8)3cbn-2p-16fc"
MEMBERS = ["model.json", "card.md", "weights.safetensors"]


def trained(name: str = LITTLE, **more: Any) -> SoundModel:
    """A model with statistics that are not those of a new one."""
    model = build(name, MEL, CLASSES, seed=1, **more)
    x = torch.randn(8, *MEL.shape, generator=torch.Generator().manual_seed(0)) * 20 - 40
    model.frontend.standardize.fit(x)
    model.train().from_features(x)  # moves the running statistics of batch normalisation
    return model.eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "a.model", trained(), about={"data": "synth", "seed": 3})
    return tmp_path / "a.model"


def rewrite(
    file: Path, change: Callable[[dict[str, bytes]], object], compression: int = zipfile.ZIP_STORED
) -> Path:
    """The same zip with other members."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file


def with_settings(file: Path, **change: Any) -> Path:
    def edit(members: dict[str, bytes]) -> None:
        found = json.loads(members["model.json"])
        for name, value in change.items():
            if value is ...:
                del found[name]
            else:
                found[name] = value
        members["model.json"] = json.dumps(found).encode()

    return rewrite(file, edit)


def with_weights(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    def edit(members: dict[str, bytes]) -> None:
        weights = safetensors.torch.load(members["weights.safetensors"])
        change(weights)
        members["weights.safetensors"] = safetensors.torch.save(weights)

    return rewrite(file, edit)


@pytest.mark.parametrize("name", [LITTLE, "small", "(6)5c-2p-gp-16fcr"])
@pytest.mark.parametrize("standardize", ["global", "mel", "none"])
def test_a_classifier_comes_back(tmp_path: Path, name: str, standardize: str) -> None:
    model = trained(name, standardize=standardize, multi_label=True, dropout=0.3)
    save(tmp_path / "new folder" / "m", model)
    found = load(tmp_path / "new folder" / "m")
    wave = torch.rand(2, MEL.n_samples, generator=torch.Generator().manual_seed(2)) - 0.5
    assert torch.equal(found(wave), model(wave))
    assert found.classes == tuple(CLASSES)
    assert found.multi_label
    assert found.dropout == 0.3
    assert found.mel == MEL
    assert found.name == model.name
    assert not found.training
    assert all(p.requires_grad for p in found.parameters())
    assert list((tmp_path / "new folder").iterdir()) == [tmp_path / "new folder" / "m"]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / name, trained(), about={"seed": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_what_a_file_says_about_itself(file: Path) -> None:
    found = read_about(file)
    assert found["kind"] == "classifier"
    assert found["classes"] == CLASSES
    assert found["about"] == {"data": "synth", "seed": 3}
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == sorted(MEMBERS)
        card = archive.read("card.md").decode()
    for text in (*CLASSES, LITTLE, "synth", "22050 Hz"):
        assert text in card


def test_the_card_tells_the_provenance_in_words(tmp_path: Path) -> None:
    part = {"data": "field", "clips": 69, "recordings": 3, "hash": "6fc5", "hashes": "XBmN"}
    about = {"seed": 3, "options": {"model": "small"}, "training": part, "folds": []}
    save(tmp_path / "m", trained(), about={**about, "versions": {"torch": "2.13.0"}})
    with zipfile.ZipFile(tmp_path / "m") as archive:
        card = archive.read("card.md").decode()
    assert "- training: 69 clips in 3 files of 'field'" in card
    assert "- versions: torch 2.13.0" in card
    assert not [mark for mark in ("{'", "XBmN", "folds") if mark in card]


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    model = trained()
    with pytest.raises(ModelError, match="as JSON"):
        save(tmp_path / "m", model, about={"x": object()})
    with pytest.raises(ModelError, match="as JSON"):
        save(tmp_path / "m", model, about={"x": float("nan")})
    with torch.no_grad():
        next(model.parameters())[0] = float("nan")
    with pytest.raises(ModelError, match="diverged"):
        save(tmp_path / "m", model)
    assert not list(tmp_path.iterdir())


def test_the_wrong_kind_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found a classifier, expected an encoder"):
        load_encoder(file)
    save_encoder(tmp_path / "e", build_autoencoder(LITTLE, MEL))
    with pytest.raises(ModelError, match="semisonic train DATA --encoder"):
        load(tmp_path / "e")


# --- damaged and hostile files ----------------------------------------------------------


def refused(file: Path, match: str | None = None) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load(file)
    assert file.name in str(caught.value)


def test_missing_and_not_a_zip(tmp_path: Path) -> None:
    refused(tmp_path / "none", "no such model file")
    refused_folder = tmp_path / "folder"
    refused_folder.mkdir()
    refused(refused_folder, "no such model file")
    for content in (b"", b"PK\x03\x04" + b"x" * 5000):
        (tmp_path / "bad").write_bytes(content)
        refused(tmp_path / "bad", "damaged, or not a model file")
    for content in (b"PK", b"\x80\x04K\x01.", b"\x93NUMPY", b"x" * 5000):
        (tmp_path / "bad").write_bytes(content)
        refused(tmp_path / "bad", "no zip archive")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.floats(0, 0.9999))
def test_a_truncated_file(file: Path, cut: float) -> None:
    whole = file.read_bytes()
    part = file.with_name("cut.model")
    part.write_bytes(whole[: int(cut * len(whole))])
    refused(part, "damaged")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 0.9999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found_or_harmless(file: Path, place: float, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    bad = file.with_name("flipped.model")
    bad.write_bytes(bytes(data))
    try:
        found = load(bad)
    except ModelError:
        return
    expected = load(file).state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in found.state_dict().items())


@pytest.mark.parametrize("name", MEMBERS)
def test_a_missing_member(file: Path, name: str) -> None:
    refused(rewrite(file, lambda members: members.pop(name)), "expected exactly")


@pytest.mark.parametrize("name", ["../evil.py", "code.pkl"])
def test_a_member_too_many(file: Path, name: str) -> None:
    refused(rewrite(file, lambda members: members.update({name: b"x"})), "expected exactly")


def test_a_member_twice(file: Path) -> None:
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(file, "a") as archive,
    ):
        archive.writestr("model.json", b"{}")
    refused(file, "expected exactly")


def test_a_compressed_member(file: Path) -> None:
    bomb = rewrite(
        file, lambda members: members.update({"card.md": b"0" * 10**6}), zipfile.ZIP_DEFLATED
    )
    refused(bomb, "compressed")


@pytest.mark.parametrize(
    "content", [b"{", b"null", b'{"format": 3}', b"[" * 100_000, b"\xff\xfe{}"]
)
def test_settings_that_are_none(file: Path, content: bytes) -> None:
    refused(rewrite(file, lambda m: m.update({"model.json": content})), "damaged")


def test_a_later_version(file: Path) -> None:
    refused(with_settings(file, version=3), "update Semisonic")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "script"},
        {"kind": ...},
        {"model": 3},
        {"model": "(6)5c-2p-(8)3cbn-2p-17fc"},
        {"model": "(4096)255c-" * 90 + "(1)3c"},
        {"model": "(6)5c-9999p"},
        {"features": {}},
        {"features": {"n_mels": 32, "evil": 1}},
        {"standardize": "global2"},
        {"classes": []},
        {"classes": [1, 2, 3]},
        {"classes": ["a", "b"]},
        {"multi_label": "yes"},
        {"dropout": 7},
        {"about": None},
    ],
)
def test_settings_that_cannot_be(file: Path, change: dict[str, Any]) -> None:
    refused(with_settings(file, **change))


def test_one_feature_option_out_of_range(file: Path) -> None:
    good = read_about(file)["features"]
    for name, value in [("n_mels", 10**9), ("n_fft", 2**40), ("duration", 1e300), ("top_db", "x")]:
        refused(with_settings(file, features={**good, name: value}), name)
    missing = {k: v for k, v in good.items() if k != "power"}
    refused(with_settings(file, features=missing), "lacks power")


def test_wrong_weights(file: Path) -> None:
    original = file.read_bytes()
    cases: list[tuple[Callable[[dict[str, torch.Tensor]], object], str]] = [
        (lambda w: w.pop("head.1.bias"), "'head.1.bias' is missing"),
        (lambda w: w.update(extra=torch.zeros(3)), "'extra' that the model does not have"),
        (lambda w: w.update({"head.1.bias": torch.zeros(4)}), r"shape \(4,\)"),
        (lambda w: w.update({"head.1.bias": torch.zeros(3).half()}), "float16"),
        (lambda w: w.update({"head.1.bias": torch.zeros(3).long()}), "int64"),
        (lambda w: w.update({"head.1.bias": torch.full((3,), torch.nan)}), "not finite"),
        (lambda w: w.update({"head.1.bias": torch.full((3,), -torch.inf)}), "not finite"),
        (lambda w: w["frontend.standardize.std"].zero_(), "not positive"),
    ]
    for change, match in cases:
        file.write_bytes(original)
        refused(with_weights(file, change), match)


@pytest.mark.parametrize(
    "weights",
    [b"", struct.pack("<Q", 10**8 + 1) + b"{}", b"\x80\x04\x95cos\nsystem\n(S'true'\ntR."],
)
def test_weights_that_are_none(file: Path, weights: bytes) -> None:
    refused(rewrite(file, lambda m: m.update({"weights.safetensors": weights})))


def test_weights_that_claim_more_than_there_is(file: Path) -> None:
    header = json.dumps(
        {"head.1.bias": {"dtype": "F32", "shape": [10**9, 10**6], "data_offsets": [0, 4 * 10**15]}}
    ).encode()
    weights = struct.pack("<Q", len(header)) + header + b"\0" * 16
    refused(rewrite(file, lambda m: m.update({"weights.safetensors": weights})), "cannot be read")


def test_an_encoder_comes_back_without_a_decoder(tmp_path: Path) -> None:
    encoder = build_encoder(LITTLE, MEL, standardize="mel", seed=3).eval()
    x = torch.randn(3, *MEL.shape, generator=torch.Generator().manual_seed(0)) * 9 - 40
    encoder.frontend.standardize.fit(x)
    save_encoder(tmp_path / "e", encoder, about={"objective": "simclr"})
    found = load_encoder(tmp_path / "e")
    assert type(found) is PretrainedEncoder
    assert found.name == encoder.name
    assert torch.equal(found.encode(x), encoder.encode(x))
    said = read_about(tmp_path / "e")
    assert said["kind"] == "encoder"
    assert "decoder" not in said
    assert said["about"] == {"objective": "simclr"}
    features = {k: v for k, v in said["features"].items() if k != "preemphasis"}
    with pytest.raises(ModelError, match="lacks preemphasis"):
        load_encoder(with_settings(tmp_path / "e", features=features))


def test_it_is_built_with_the_weights_of_the_auto_encoder_and_the_classifier() -> None:
    encoder, model = build_encoder(LITTLE, MEL, seed=3), build(LITTLE, MEL, ("a", "b"), seed=3)
    pair = build_autoencoder(LITTLE, MEL, decoder="upsample", seed=3)
    for name, value in encoder.encoder.state_dict().items():
        assert torch.equal(pair.encoder.state_dict()[name], value)
        assert torch.equal(model.encoder.state_dict()[name], value)
