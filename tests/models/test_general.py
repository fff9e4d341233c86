"""Published general networks: sizes, conversion from their files, embeddings as published."""

from __future__ import annotations

from dataclasses import replace
from math import log, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_standins import Cnn14, Mn04, Yamnet, shaken
from torch import Tensor, nn

from semisonic.core.errors import ModelError, OptionError
from semisonic.features.frontend import Frontend
from semisonic.models.model_file import load, load_encoder, read_about, save, save_encoder
from semisonic.models.networks import general
from semisonic.models.pretrained import PretrainedEncoder, transfer
from semisonic.models.published import (
    PUBLISHED,
    convert_published,
    read_yamnet,
)
from semisonic.models.registry import create
from semisonic.models.sound_model import build

STANDINS = {"yamnet": Yamnet, "mn04": Mn04}
WIDTHS = (4, 4, 8, 8, 8, 16)
"""Of a small CNN14."""


def written(name: str, folder: Path) -> tuple[nn.Module, Path]:
    """A network with the published names, and its file."""
    network, file = shaken(STANDINS[name]()), folder / f"{name}.pt"
    torch.save(dict(network.state_dict()), file)
    return network, file


@pytest.fixture
def cnn14(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Module, Path]:
    """A small CNN14 and its file, with the constants of the front end in it."""
    monkeypatch.setattr(general, "CNN14", WIDTHS)
    layers = {"fc_audioset.weight": (5, 16), "fc_audioset.bias": (5,)}
    monkeypatch.setitem(PUBLISHED, "cnn14", replace(PUBLISHED["cnn14"], class_layers=layers))
    network = shaken(Cnn14(WIDTHS, 5))
    constants = {
        "logmel_extractor.melW": create_filters(),
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": torch.zeros(513, 1, 1024),
    }
    state = {"model": network.state_dict() | constants, "iteration": 7}
    torch.save(state, tmp_path / "c.pth")
    return network, tmp_path / "c.pth"


def create_filters() -> Tensor:
    from semisonic.features.logmel import filters_of

    return torch.from_numpy(filters_of(general.CNN14_MEL)).float().T


def levels(encoder: PretrainedEncoder, n: int = 2, seed: int = 5) -> Tensor:
    """Features in dB of a front end's shape."""
    shape = encoder.frontend.options.shape
    return torch.empty(n, *shape).uniform_(-50, 20, generator=torch.Generator().manual_seed(seed))


def embedded(encoder: PretrainedEncoder, x: Tensor) -> Tensor:
    assert encoder.neck is not None
    with torch.inference_mode():
        out: Tensor = encoder.neck(encoder.encode(encoder.frontend.standardize(x)))
    return out


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("yamnet", 3_729_481), ("cnn14", 80_753_615), ("mn04", 983_599), ("mn10", 4_876_831)],
)
def test_sizes_are_the_published_ones(name: str, parameters: int) -> None:
    one = PUBLISHED[name]
    with torch.device("meta"):
        body = create(name, one.mel.shape)
    n = sum(p.numel() for part in (body.encoder, body.neck) for p in part.parameters())
    n += sum(prod(shape) for shape in one.class_layers.values())
    if callable(one.statistics):
        n += 2 * one.mel.n_mels  # the norm of the bands, which we keep as mean and deviation
    assert n == parameters


def test_yamnet_embeds_as_published(tmp_path: Path) -> None:
    network, file = written("yamnet", tmp_path)
    encoder = convert_published("yamnet", file, duration=2.0)
    x = levels(encoder)  # (2, 1, 64, 198)
    natural = x * (log(10) / 20)
    padded = torch.nn.functional.pad(natural, (0, 240 - 198), value=log(0.001))
    patches = [padded[..., start : start + 96] for start in (0, 48, 96, 144)]
    with torch.inference_mode():
        each = [network.embed(patch.transpose(2, 3)) for patch in patches]  # type: ignore[operator]
    torch.testing.assert_close(
        embedded(encoder, x), torch.stack(each).mean(0), rtol=1e-3, atol=1e-4
    )


def test_cnn14_embeds_as_published(cnn14: tuple[nn.Module, Path]) -> None:
    network, file = cnn14
    encoder = convert_published("cnn14", file, duration=1.0)
    x = levels(encoder)
    with torch.inference_mode():
        expected = network.embed(x.transpose(2, 3))  # type: ignore[operator]
    torch.testing.assert_close(embedded(encoder, x), expected, rtol=1e-3, atol=1e-4)


def test_efficientat_embeds_as_published(tmp_path: Path) -> None:
    network, file = written("mn04", tmp_path)
    encoder = convert_published("mn04", file, duration=1.0)
    x = levels(encoder)
    natural = x * (log(10) / 10)
    with torch.inference_mode():
        expected = network.embed((natural + 4.5) / 5)  # type: ignore[operator]
    torch.testing.assert_close(embedded(encoder, x), expected, rtol=1e-3, atol=1e-4)


def test_a_symmetric_window_makes_next_to_no_difference() -> None:
    """EfficientAT's front end, written out, against ours with a periodic window."""
    mel = replace(PUBLISHED["mn04"].mel, duration=1.0)
    x = np.random.default_rng(0).normal(0, 0.1, mel.n_samples)
    y = torch.from_numpy(x[1:] - 0.97 * x[:-1])
    window = torch.hann_window(800, periodic=False, dtype=torch.float64)
    spectrum = torch.stft(y, 1024, 320, 800, window, center=True, return_complex=True)
    from semisonic.features.logmel import filters_of

    power = torch.from_numpy(filters_of(mel)) @ spectrum.abs().square()
    expected = (power + 1e-5).log()
    found = Frontend(mel, "none").double().mel(torch.from_numpy(x)[None])[0, 0] * (log(10) / 10)
    assert found.shape == expected.shape == (128, 100)
    assert (found - expected).abs().mean() < 0.01


def yamnet_graph(tensors: dict[str, np.ndarray], *, quantised: bool = False) -> Any:
    """A graph that runs ``convs.K`` in order, then ``classifier``."""
    onnx = pytest.importorskip("onnx")
    nodes, x = [], "audio"
    for name in dict.fromkeys(key.rpartition(".")[0] for key in tensors):
        weight = f"{name}.weight"
        if quantised:
            scale = [f"{name}.scale", f"{name}.zero"]
            for op, made in (("QuantizeLinear", "q"), ("DequantizeLinear", "d")):
                nodes.append(onnx.helper.make_node(op, [weight, *scale], [f"{name}.{made}"]))
                weight = f"{name}.{made}"
        op = "Gemm" if name == "classifier" else "Conv"
        nodes.append(onnx.helper.make_node(op, [x, weight, f"{name}.bias"], [f"{name}.y"]))
        x = f"{name}.y"
    weights = [onnx.numpy_helper.from_array(x, name) for name, x in tensors.items()]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "a test", [], [], weights))


def test_yamnet_is_the_same_out_of_a_graph(tmp_path: Path) -> None:
    """With quantised activations, and with its weights in a file beside it."""
    onnx = pytest.importorskip("onnx")
    _, file = written("yamnet", tmp_path)
    tensors = {name: value.numpy() for name, value in read_yamnet(file).items()}
    graph = yamnet_graph(tensors, quantised=True)
    (tmp_path / "quantised.onnx").write_bytes(graph.SerializeToString())
    beside = {"save_as_external_data": True, "location": "w.data", "size_threshold": 0}
    onnx.save(yamnet_graph(tensors), tmp_path / "beside.onnx", **beside)
    first = convert_published("yamnet", file).state_dict()
    for name in ("quantised.onnx", "beside.onnx"):
        second = convert_published("yamnet", tmp_path / name).state_dict()
        assert all(torch.equal(second[key], value) for key, value in first.items()), name


def test_a_graph_of_something_else_is_refused(tmp_path: Path) -> None:
    few = {"convs.0.weight": np.zeros((1, 1, 3, 3)), "convs.0.bias": np.zeros(1)}
    dense = {"classifier.weight": np.zeros((2, 1)), "classifier.bias": np.zeros(2)}
    whole = yamnet_graph(few | dense).SerializeToString()
    (tmp_path / "a.onnx").write_bytes(whole)
    (tmp_path / "cut.onnx").write_bytes(whole[:150])
    (tmp_path / "none.onnx").write_bytes(b"not a protobuf at all")
    for name, said in (
        ("a.onnx", "found 1 convolutions and 1 dense"),
        ("cut.onnx", "damaged"),
        ("none.onnx", "damaged"),
    ):
        with pytest.raises(ModelError, match=said):
            convert_published("yamnet", tmp_path / name)


def test_weights_that_are_computed_or_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    _, file = written("yamnet", tmp_path)
    tensors = {name: value.numpy() for name, value in read_yamnet(file).items()}
    computed = yamnet_graph({**tensors})
    computed.graph.initializer[0].name = "another"
    onnx.save(computed, tmp_path / "computed.onnx")
    outside = yamnet_graph(tensors)
    onnx.external_data_helper.set_external_data(outside.graph.initializer[0], "../w.data")
    outside.graph.initializer[0].ClearField("raw_data")
    (tmp_path / "outside.onnx").write_bytes(outside.SerializeToString())
    for name, said in (("computed", "not a float weight"), ("outside", r"outside\.onnx")):
        with pytest.raises(ModelError, match=said):
            convert_published("yamnet", tmp_path / f"{name}.onnx")


@pytest.mark.parametrize("name", STANDINS)
def test_it_is_saved_with_its_story_and_starts_a_classifier(name: str, tmp_path: Path) -> None:
    _, file = written(name, tmp_path)
    encoder = convert_published(name, file, duration=1.0)
    save_encoder(tmp_path / "e", encoder, about={"note": "kept"})
    told = read_about(tmp_path / "e")["about"]["published"]
    assert told["name"] == name
    assert "AudioSet" in told["trained_on"]
    assert told["licence"]
    assert told["sha256"]
    back = load_encoder(tmp_path / "e")
    x = levels(encoder)
    assert torch.equal(embedded(back, x), embedded(encoder, x))
    model = build(
        name, back.frontend.options, ("a", "b"), standardize=back.frontend.standardize.kind, seed=1
    ).eval()
    transfer(back, model)
    with torch.inference_mode():
        torch.testing.assert_close(model.embed(x), embedded(encoder, x))
        save(tmp_path / "m", model)
        again = load(tmp_path / "m")
        assert torch.equal(again.from_features(x), model.from_features(x))
        alone = torch.cat([model.embed(one[None]) for one in x])
        torch.testing.assert_close(alone, model.embed(x), rtol=1e-4, atol=1e-5)


def test_yamnet_takes_clips_of_any_length_and_of_several_at_once() -> None:
    mel = PUBLISHED["yamnet"].mel
    model = build("yamnet", mel, ("a", "b"), standardize="none").eval()
    quiet = log(0.001)
    long = torch.full((2, 1, 64, 200), quiet)
    long[:, :, :, :40].normal_()
    long[1, :, :, 40:].normal_()
    with torch.inference_mode():
        short = model.embed(long[:1, :, :, :40])  # less than a patch: filled up with silence
        assert short.shape == (1, 1024)
        both = model.embed(long, torch.tensor([40, 200]))
        torch.testing.assert_close(both[:1], short, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(both[1:], model.embed(long[1:]), rtol=1e-4, atol=1e-5)


def changed(file: Path, change: Any) -> Path:
    state = torch.load(file, weights_only=True)
    change(state)
    torch.save(state, file)
    return file


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: s.pop("features.3.block.1.0.weight"),
            "'features.3.block.1.0.weight' is missing",
        ),
        (lambda s: s.update(extra=torch.zeros(2)), "1 tensors do not belong.*'extra'"),
        (
            lambda s: s.update({"features.0.1.bias": torch.zeros(9)}),
            r"shape \(9,\), expected \(8,\)",
        ),
        (lambda s: s.update({"classifier.5.bias": torch.zeros(10)}), "expected \\(527,\\)"),
        (lambda s: s["features.0.1.bias"].fill_(torch.nan), "not finite"),
        (lambda s: s.update({"features.0.1.bias": "text"}), "among names and tensors"),
    ],
)
def test_every_tensor_must_have_its_place(change: Any, said: str, tmp_path: Path) -> None:
    _, file = written("mn04", tmp_path)
    with pytest.raises(ModelError, match=said):
        convert_published("mn04", changed(file, change))


def test_other_mel_bands_are_another_network(cnn14: tuple[nn.Module, Path]) -> None:
    _, file = cnn14
    changed(file, lambda state: state["model"]["logmel_extractor.melW"].mul_(1.5))
    with pytest.raises(ModelError, match="mel bands differ"):
        convert_published("cnn14", file)


class Hostile:
    def __reduce__(self) -> Any:
        return print, ("this would have run",)


def test_a_file_that_needs_code_to_be_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": {}, "sampler": Hostile()}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="could run code"):
        convert_published("cnn14", tmp_path / "a.pth")
    assert "would have run" not in capsys.readouterr().out


def test_arrays_beside_the_weights_are_data(tmp_path: Path) -> None:
    network, file = written("mn04", tmp_path)
    sampler = {"indexes": np.arange(5), "share": np.float64(0.5), "pointer": 3}
    torch.save({"model": network.state_dict(), "sampler": sampler}, file)
    encoder = convert_published("mn04", file, duration=1.0)
    assert encoder.frontend.standardize.is_fitted


def test_wrong_files_and_names_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"nothing of that kind")
    for name, file, error, said in (
        ("cnn14", "a.pth", ModelError, "a.pth"),
        ("yamnet", "gone.onnx", ModelError, "no such file"),
        ("yamnets", "a.pth", OptionError, "did you mean 'yamnet'"),
    ):
        with pytest.raises(error, match=said):
            convert_published(name, tmp_path / file)
