"""Published general audio networks, and the way from their weight files to our encoders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.options import nearest
from semisonic.features.filterbank import filters_of
from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.networks import efficientat, panns, yamnet
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create
from semisonic.models.weight_files import WeightTensors, open_checkpoint, open_onnx

Shapes = Mapping[str, tuple[int, ...]]
Layout = Callable[[WeightTensors, Shapes], dict[str, Tensor]]
"""Takes what is found for each of our names and shapes; all must be taken in the end."""

YAMNET_EPS = 1e-4
COUNTER = "num_batches_tracked"
N_CONVS = 1 + 2 * len(yamnet.LAYERS)


def _read_torch(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint."""
    return open_checkpoint(path)


def read_yamnet(path: Path) -> Mapping[str, Tensor]:
    """YAMNet's convolutions by number, with bias, and its class layer.

    From an ONNX file (or a zip or wheel that holds one) in the order of its graph, or from a
    checkpoint of torch_audioset, whose normalisations are folded into the convolutions.
    """
    if path.suffix.lower() in (".onnx", ".zip", ".whl"):
        return _from_graph(path)
    weights = WeightTensors(path, open_checkpoint(path))
    width, tensors = yamnet.STEM, dict[str, Tensor]()
    pairs = [("layer1.fused", (width, 1, 3, 3))]
    for number, (channels, _) in enumerate(yamnet.LAYERS, 2):
        pairs.append((f"layer{number}.depthwise_conv", (width, 1, 3, 3)))
        pairs.append((f"layer{number}.pointwise_conv", (channels, width, 1, 1)))
        width = channels
    for number, (name, shape) in enumerate(pairs):
        weight, bias = folded(weights, name, shape, YAMNET_EPS)
        tensors |= {f"convs.{number}.weight": weight, f"convs.{number}.bias": bias}
    for part, size in (("weight", (521, width)), ("bias", (521,))):
        tensors[f"classifier.{part}"] = weights.take(f"classifier.{part}", size)
    weights.finish()
    return tensors


def folded(
    weights: WeightTensors, name: str, shape: tuple[int, ...], eps: float
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the normalisation behind it (in use) in one."""
    weight = weights.take(f"{name}.conv.weight", shape)
    gain, shift, mean, variance = (
        weights.take(f"{name}.bn.{part}", shape[:1])
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    weights.count(f"{name}.bn.{COUNTER}")
    scale = gain / (variance + eps).sqrt()
    return weight * scale[:, None, None, None], shift - mean * scale


def _from_graph(path: Path) -> Mapping[str, Tensor]:
    graph = open_onnx(path)
    convs = [node for node in graph.nodes if node.op_type == "Conv"]
    dense = [node for node in graph.nodes if node.op_type == "Gemm"]
    if (len(convs), len(dense)) != (N_CONVS, 1):
        raise ModelError(
            f"{path}: found {len(convs)} convolutions and {len(dense)} dense layers, expected "
            f"the {N_CONVS} and 1 of YAMNet"
        )
    tensors = {}
    for name, node in [*((f"convs.{k}", n) for k, n in enumerate(convs)), ("classifier", dense[0])]:
        if len(node.input) != 3:
            raise ModelError(f"{path}: '{name}' has no bias; expected normalisations folded in")
        for part, source in zip(("weight", "bias"), node.input[1:], strict=True):
            tensors[f"{name}.{part}"] = torch.from_numpy(graph.weight(source))
    return tensors


def turned(x: Tensor) -> Tensor:
    """A kernel (.., time, mel) as (.., mel, time)."""
    return x.transpose(2, 3).contiguous() if x.ndim == 4 else x


def _take_all(
    weights: WeightTensors, wanted: Shapes, rename: Callable[[str], str], *, turn: bool
) -> dict[str, Tensor]:
    """What is found under other names, for each of ours."""
    taken = {}
    for ours, shape in wanted.items():
        theirs = rename(ours)
        if theirs.endswith(COUNTER):
            taken[ours] = weights.count(theirs)
            continue
        before = (*shape[:2], *shape[:1:-1]) if turn and len(shape) == 4 else shape
        tensor = weights.take(theirs, before)
        taken[ours] = turned(tensor) if turn else tensor
    return taken


def _yamnet_layout(weights: WeightTensors, wanted: Shapes) -> dict[str, Tensor]:
    """Convolutions over (time, mel), in their order."""
    return _take_all(weights, wanted, lambda name: name.removeprefix("encoder."), turn=True)


CNN14_LAYERS = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}


def _cnn14_layout(weights: WeightTensors, wanted: Shapes) -> dict[str, Tensor]:
    """Blocks that are counted from one, with two convolutions and two norms."""

    def rename(match: re.Match[str]) -> str:
        return f"conv_block{int(match[1]) + 1}.{CNN14_LAYERS[match[2]]}."

    return _panns(weights, wanted, lambda name: _PART.sub(rename, name))


def _panns_mobilenet_layout(weights: WeightTensors, wanted: Shapes) -> dict[str, Tensor]:
    """Layers by their number in a block, as ours."""
    return _panns(weights, wanted, lambda name: _PART.sub(r"features.\1.\2.", name))


_PART = re.compile(r"^encoder\.parts\.(\d+)\.layers\.(\d+)\.")


def _panns(
    weights: WeightTensors, wanted: Shapes, rename: Callable[[str], str]
) -> dict[str, Tensor]:
    """Kernels over (time, mel); the norm of the bands becomes our mean and deviation."""
    _check_frontend(weights, panns.MEL)
    taken = _take_all(
        weights, wanted, lambda name: rename(name).replace("neck.dense.0.", "fc1."), turn=True
    )
    n = (panns.MEL.n_mels,)
    gain, shift, mean, variance = (
        weights.take(f"bn0.{part}", n) for part in ("weight", "bias", "running_mean", "running_var")
    )
    weights.count(f"bn0.{COUNTER}")
    if not (gain > 0).all():
        raise ModelError(
            f"{weights.path}: 'bn0.weight' turns a band upside down, which a mean and a deviation "
            "cannot; is it the published file?"
        )
    deviation = (variance + 1e-5).sqrt() / gain
    return taken | {"mean": mean - shift * deviation, "std": deviation}


def _check_frontend(weights: WeightTensors, mel: MelOptions) -> None:
    """The constants of the front end in the file, if there are any, against ours."""
    n_bins = mel.n_fft // 2 + 1
    for part in ("real", "imag"):
        name = f"spectrogram_extractor.stft.conv_{part}.weight"
        if name in weights:
            weights.take(name, (n_bins, 1, mel.n_fft))
    if "logmel_extractor.melW" in weights:
        theirs = weights.take("logmel_extractor.melW", (n_bins, mel.n_mels))
        if not torch.allclose(theirs.T.double(), torch.from_numpy(filters_of(mel)), atol=1e-5):
            raise ModelError(
                f"{weights.path}: its mel bands are other ones than those of the published network "
                f"at {mel.sample_rate} Hz; take the file of that sample rate"
            )


def _efficientat_layout(weights: WeightTensors, wanted: Shapes) -> dict[str, Tensor]:
    """Blocks over (mel, time) as ours; those between the first and the last have a name more."""
    last = max(int(name.split(".")[2]) for name in wanted)

    def rename(name: str) -> str:
        _, _, number, _, rest = name.split(".", 4)
        inner = "" if number in ("0", str(last)) else "block."
        rest = re.sub(r"^(\d+)\.fc", r"\1.conc_se_layers.0.fc", rest)
        return f"features.{number}.{inner}{rest}"

    return _take_all(weights, wanted, rename, turn=False)


AUDIOSET = "AudioSet: about 2 million clips of 10 s from YouTube, labelled by people"
NATURAL = 20 / log(10)
"""dB of magnitudes, or twice the dB of energies, in one natural logarithm."""


@dataclass(frozen=True)
class PublishedNetwork:
    """A published network.

    Attributes
    ----------
    name : str
        As a model of ours.
    title : str
    mel : MelOptions
        Its front end; the duration is the user's choice.
    read : callable
        A weight file's path to tensors by name.
    layout : callable
        Tensors by name to those of our encoder, neck and standardisation.
    statistics : (mean, deviation) in dB or None
        Turns dB into what the network hears; None where the file holds them, a pair a band.
    n_parameters : int
        With its class layer, as published.
    licence, source, trained_on : str
    class_layers : mapping of str to shape
        Tensors that are set aside, as they name the published classes.
    """

    name: str
    title: str
    mel: MelOptions
    read: Callable[[Path], Mapping[str, Tensor]]
    layout: Layout
    statistics: tuple[float, float] | None
    n_parameters: int
    licence: str
    source: str
    trained_on: str
    class_layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


_PANNS = (
    "code MIT; the weights' own terms stand where they are published",
    "Kong et al. 2020, PANNs; the weight files of zenodo.org/records/3987831",
    f"{AUDIOSET}, 527 classes",
)
_EFFICIENTAT = (
    "MIT",
    "Schmid et al. 2023, EfficientAT; the releases of github.com/fschmid56/EfficientAT",
    f"{AUDIOSET}, 527 classes, and the answers of transformers trained on them; first on ImageNet",
)

PUBLISHED: dict[str, PublishedNetwork] = {}


def _add(one: PublishedNetwork) -> None:
    PUBLISHED[one.name] = one


_add(
    PublishedNetwork(
        "yamnet",
        "YAMNet",
        yamnet.MEL,
        read_yamnet,
        _yamnet_layout,
        (0.0, NATURAL),
        3_729_481,
        "Apache 2.0 (YAMNet itself; a repackaged file may not say)",
        "Plakal and Ellis 2019, YAMNet, in TensorFlow's models",
        f"{AUDIOSET}, 521 classes",
        {"classifier.weight": (521, 1024), "classifier.bias": (521,)},
    )
)
_add(
    PublishedNetwork(
        "cnn14",
        "CNN14 of PANNs",
        panns.MEL,
        _read_torch,
        _cnn14_layout,
        None,
        80_753_615,
        *_PANNS,
        class_layers={"fc_audioset.weight": (527, 2048), "fc_audioset.bias": (527,)},
    )
)
_add(
    PublishedNetwork(
        "panns-mobilenet",
        "MobileNetV1 of PANNs",
        panns.MEL,
        _read_torch,
        _panns_mobilenet_layout,
        None,
        4_796_303,
        *_PANNS,
        class_layers={"fc_audioset.weight": (527, 1024), "fc_audioset.bias": (527,)},
    )
)
for _name, _n_parameters, _inner, _hidden in (
    ("mn04", 983_599, 384, 512),
    ("mn10", 4_876_831, 960, 1280),
):
    _add(
        PublishedNetwork(
            _name,
            f"{_name}_as of EfficientAT",
            efficientat.MEL,
            _read_torch,
            _efficientat_layout,
            (-4.5 * NATURAL / 2, 5 * NATURAL / 2),
            _n_parameters,
            *_EFFICIENTAT,
            class_layers={
                "classifier.2.weight": (_hidden, _inner),
                "classifier.2.bias": (_hidden,),
                "classifier.5.weight": (527, _hidden),
                "classifier.5.bias": (527,),
            },
        )
    )


def convert_published(
    name: str, path: str | os.PathLike[str], *, duration: float = 5.0
) -> PretrainedEncoder:
    """Read published weights.

    Parameters
    ----------
    name : str
        One of :data:`PUBLISHED`.
    path : path
        The weight file; nothing in it is run.
    duration : float
        Length of the clips that models made from it will take, seconds.

    Returns
    -------
    PretrainedEncoder
        In evaluation mode, with front end and neck, so that its embeddings are the published
        ones. Its ``published`` says where it is from, and so will its file.

    Raises
    ------
    OptionError
        For an unknown name, or a duration that is too short.
    ModelError
        For a file that is missing, damaged, needs code to be run, or holds other weights: each
        tensor must be used once or be one of the published class layer.
    """
    if name not in PUBLISHED:
        raise OptionError(f"unknown published network '{name}': {nearest(name, PUBLISHED)}")
    one, file = PUBLISHED[name], Path(path)
    if not file.is_file():
        raise ModelError(
            f"{file}: no such file; expected the weights of {one.title} ({one.source})"
        )
    encoder = _empty(one, duration)
    wanted = {
        key: tuple(value.shape)
        for key, value in encoder.state_dict().items()
        if not key.startswith("frontend.")
    }
    weights = WeightTensors(file, one.read(file))
    state = one.layout(weights, wanted)
    for key, shape in one.class_layers.items():
        weights.take(key, shape)
    weights.finish()
    _set_statistics(encoder, one, state)
    encoder.load_state_dict(state, strict=False)
    _check_finite(file, state)
    encoder.published = _story(one, file)
    return encoder.eval()


def _story(one: PublishedNetwork, file: Path) -> dict[str, Any]:
    """Where weights are from, in plain values."""
    return {
        "name": one.name,
        "title": one.title,
        "trained_on": one.trained_on,
        "source": one.source,
        "licence": one.licence,
        "file": file.name,
        "sha256": content_hash(file),
    }


def _empty(one: PublishedNetwork, duration: float) -> PretrainedEncoder:
    mel = replace(one.mel, duration=duration)
    body = create(one.name, mel.shape)
    frontend = Frontend(mel, "mel" if one.statistics is None else "global")
    return PretrainedEncoder(body.encoder, frontend=frontend, name=body.name, neck=body.neck)


def _set_statistics(
    encoder: PretrainedEncoder, one: PublishedNetwork, state: dict[str, Tensor]
) -> None:
    """The standardisation, taken out of ``state`` where the file holds it."""
    if encoder.frontend is None:
        raise ModelError("an encoder without a front end has no statistics to set")
    if one.statistics is None:
        mean, std = state.pop("mean"), state.pop("std")
    else:
        mean, std = (torch.tensor([value]) for value in one.statistics)
    standardize = encoder.frontend.standardize
    standardize.mean.copy_(mean[None, :, None])
    standardize.std.copy_(std[None, :, None])
    standardize.fitted.fill_(True)


def _check_finite(file: Path, state: dict[str, Tensor]) -> None:
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{file}: the weights for '{key}' are not finite; take a new copy")
