"""Read the weight files of published general audio networks.

No code in a file is run: checkpoints of ``torch.save`` are read as data only, ONNX files with the
package ``onnx`` (extra ``export``).
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import content_hash
from semisonic.core.options import nearest
from semisonic.features.frontend import Frontend
from semisonic.features.logmel import filters_of
from semisonic.features.options import MelOptions
from semisonic.models.encoder_table import ENCODERS
from semisonic.models.networks import general
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create

Tensors = dict[str, Tensor]

YAMNET_EPS = 1e-4
_COUNTER = ".num_batches_tracked"
_NORM = ("weight", "bias", "running_mean", "running_var")
_QUANTISED = {"QuantizeLinear", "DequantizeLinear", "Identity"}
"""Operations whose output is a form of the weight in their first input."""


def read_checkpoint(path: Path) -> Tensors:
    """The weights in a file of ``torch.save``, read as data only.

    They may be at the top or under "model" or "state_dict". Arrays of numpy, such as the state of
    a sampler, are data and allowed; any other object is an error, since loading it would run code
    named in the file.

    Raises
    ------
    ModelError
        When the file is damaged, needs objects other than tensors, or contains no weights.
    """
    try:
        with torch.serialization.safe_globals(_arrays()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).partition("WeightsUnpickler error:")[2] or str(error)
        raise ModelError(
            f"{path}: damaged, or contains objects other than tensors, which are not loaded "
            f"because that could run code from the file ({' '.join(first.split())[:160]}). Use "
            "the published file of weights, or save only its state_dict"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a checkpoint of torch, or a damaged one: {error}") from error
    for name in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ModelError(f"{path}: found other values among names and tensors, expected only these")
    tensors = {str(name).removeprefix("module."): value for name, value in content.items()}
    return {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}


def _arrays() -> list[Any]:
    """Functions that make arrays of numpy, by the names of numpy 1 and 2."""
    kinds = (np.bool_, np.int32, np.int64, np.uint32, np.float32, np.float64)
    found: list[Any] = [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
    makers = (("_reconstruct", np.empty(0)), ("scalar", np.float64(0)))
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(one.__reduce__()[0], f"{module}.{name}") for name, one in makers]
    return found


def take(path: object, left: Tensors, name: str, shape: tuple[int, ...]) -> Tensor:
    """Take a tensor from the remaining ones, as float32.

    Raises
    ------
    ModelError
        When there is none, or it has another shape.
    """
    found = tuple(left[name].shape) if name in left else None
    if found != shape:
        wrong = f"has shape {found}, expected {shape}" if name in left else "is missing"
        raise ModelError(f"{path}: the tensor '{name}' {wrong}; is it the file of another network?")
    return left.pop(name).detach().float()


def read_yamnet(path: Path) -> Tensors:
    """YAMNet's convolutions by number, with bias, and its class layer.

    From an ONNX file in the order of its graph, or from a checkpoint of torch_audioset, whose
    normalisations are folded into the convolutions.
    """
    if path.suffix.lower() == ".onnx":
        return _from_graph(path)
    left, tensors = read_checkpoint(path), Tensors()
    width, pairs = general.YAMNET_STEM, [("layer1.fused", (general.YAMNET_STEM, 1, 3, 3))]
    for number, (channels, _) in enumerate(general.YAMNET_LAYERS, 2):
        pairs.append((f"layer{number}.depthwise_conv", (width, 1, 3, 3)))
        pairs.append((f"layer{number}.pointwise_conv", (channels, width, 1, 1)))
        width = channels
    for number, (name, shape) in enumerate(pairs):
        conv = take(path, left, f"{name}.conv.weight", shape)
        gain, shift, mean, variance = _norm(path, left, f"{name}.bn", shape[0])
        both = fuse_conv_bn_weights(conv, None, mean, variance, YAMNET_EPS, gain, shift)
        tensors |= {
            f"convs.{number}.{part}": value.detach()
            for part, value in zip(("weight", "bias"), both, strict=True)
        }
    return tensors | left


def _norm(path: object, left: Tensors, name: str, size: int) -> list[Tensor]:
    """Gain, shift, mean and variance of a normalisation."""
    return [take(path, left, f"{name}.{part}", (size,)) for part in _NORM]


def _from_graph(path: Path) -> Tensors:
    """The weights of the operations of an ONNX file, in their order."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(
            "reading ONNX files needs the package onnx, which is missing: pip install "
            "'semisonic[export]'"
        ) from error
    try:
        graph = onnx.load(path).graph
        floats = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        found = {one.name: onnx.numpy_helper.to_array(one).copy() for one in floats}
    except (OSError, ValueError, TypeError, onnx.checker.ValidationError, DecodeError) as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one: {error}") from error
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    named = [(f"convs.{number}", node) for number, node in enumerate(nodes)]
    named += [("classifier", node) for node in graph.node if node.op_type == "Gemm"]
    n_convs = 1 + 2 * len(general.YAMNET_LAYERS)
    if (len(nodes), len(named)) != (n_convs, n_convs + 1):
        raise ModelError(
            f"{path}: found {len(nodes)} convolutions and {len(named) - len(nodes)} dense layers, "
            f"expected the {n_convs} and 1 of YAMNet"
        )
    quantised = {n.output[0]: n.input[0] for n in graph.node if n.op_type in _QUANTISED}
    tensors = Tensors()
    for name, node in named:
        for part, source in zip(("weight", "bias"), node.input[1:], strict=False):
            while source in quantised:
                source = quantised.pop(source)
            if source not in found:
                raise ModelError(
                    f"{path}: '{source}' is not a float weight of the file; use a file with "
                    "float32 weights, even if activations are quantised"
                )
            tensors[f"{name}.{part}"] = torch.from_numpy(found[source])
    return tensors


_PART = re.compile(r"^encoder\.parts\.(\d+)\.layers\.(\d+)\.")
CNN14_LAYERS = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}


def _cnn14_name(name: str) -> str:
    """Blocks are counted from one, with two convolutions and two norms."""
    name = _PART.sub(lambda m: f"conv_block{int(m[1]) + 1}.{CNN14_LAYERS[m[2]]}.", name)
    return name.replace("neck.dense.0.", "fc1.")


def _panns_statistics(path: object, left: Tensors) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the bands, from the norm before the first layer."""
    mel = general.CNN14_MEL
    for part in ("real", "imag"):
        left.pop(f"spectrogram_extractor.stft.conv_{part}.weight", None)
    if "logmel_extractor.melW" in left:
        theirs = take(path, left, "logmel_extractor.melW", (mel.n_fft // 2 + 1, mel.n_mels))
        if not torch.allclose(theirs.T.double(), torch.from_numpy(filters_of(mel)), atol=1e-5):
            raise ModelError(
                f"{path}: its mel bands differ from those of the published network at "
                f"{mel.sample_rate} Hz; use the file for that sample rate"
            )
    gain, shift, mean, variance = _norm(path, left, "bn0", mel.n_mels)
    deviation = (variance + 1e-5).sqrt() / gain
    return mean - shift * deviation, deviation


def _efficientat_name(last: int, name: str) -> str:
    """Blocks between the first and the last have a name more."""
    _, _, number, _, rest = name.split(".", 4)
    inner = "" if number in ("0", str(last)) else "block."
    rest = re.sub(r"^(\d+)\.fc", r"\1.conc_se_layers.0.fc", rest)
    return f"features.{number}.{inner}{rest}"


NATURAL = 20 / log(10)
"""dB of magnitudes, or twice the dB of energies, in one natural logarithm."""


@dataclass(frozen=True)
class PublishedNetwork:
    """How to read a published network; the rest is in ``encoders.toml``.

    Attributes
    ----------
    name : str
        Its name in this package.
    mel : MelOptions
        Its front end; the duration is the user's choice.
    read : callable
        Takes the path of a weight file and returns tensors by name.
    rename : callable
        Takes our name of a tensor and returns theirs.
    time_first : bool
        Whether kernels have the order (time, mel) instead of (mel, time).
    statistics : (mean, deviation) in dB, or a callable
        Convert dB to the input of the network; the callable takes them from the file's tensors.
    class_layers : mapping of str to shape
        Tensors to leave out, as they belong to the published classes.
    """

    name: str
    mel: MelOptions
    read: Callable[[Path], Tensors]
    rename: Callable[[str], str]
    time_first: bool
    statistics: tuple[float, float] | Callable[[object, Tensors], tuple[Tensor, Tensor]]
    class_layers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def _mobile(name: str, inner: int, hidden: int) -> PublishedNetwork:
    return PublishedNetwork(
        name,
        general.MOBILE_MEL,
        read_checkpoint,
        partial(_efficientat_name, 1 + len(general.MOBILE_ROWS)),
        False,
        (-4.5 * NATURAL / 2, 5 * NATURAL / 2),
        {
            "classifier.2.weight": (hidden, inner),
            "classifier.2.bias": (hidden,),
            "classifier.5.weight": (527, hidden),
            "classifier.5.bias": (527,),
        },
    )


_ALL = (
    PublishedNetwork(
        "yamnet",
        general.YAMNET_MEL,
        read_yamnet,
        lambda name: name.removeprefix("encoder."),
        True,
        (0.0, NATURAL),
        {"classifier.weight": (521, 1024), "classifier.bias": (521,)},
    ),
    PublishedNetwork(
        "cnn14",
        general.CNN14_MEL,
        read_checkpoint,
        _cnn14_name,
        True,
        _panns_statistics,
        {"fc_audioset.weight": (527, 2048), "fc_audioset.bias": (527,)},
    ),
    _mobile("mn04", 384, 512),
    _mobile("mn10", 960, 1280),
)
PUBLISHED = {one.name: one for one in _ALL}


def convert_published(
    name: str, path: str | os.PathLike[str], *, duration: float = 5.0
) -> PretrainedEncoder:
    """Read published weights.

    Parameters
    ----------
    name : str
        One of :data:`PUBLISHED`.
    path : path
        The weight file; no code in it is run.
    duration : float
        Clip length, in seconds, of models made from it.

    Returns
    -------
    PretrainedEncoder
        In evaluation mode, with front end and neck, so that its embeddings are the published ones.
        Its ``published`` has its origin, which its file keeps.

    Raises
    ------
    OptionError
        For an unknown name, or a duration that is too short.
    ModelError
        For a file that is missing, damaged, needs to run code, or has other weights: each tensor
        must be used once or belong to the published class layer.
    """
    if name not in PUBLISHED:
        raise OptionError(f"unknown published network '{name}': {nearest(name, PUBLISHED)}")
    one, about, file = PUBLISHED[name], ENCODERS[name], Path(path)
    if not file.is_file():
        raise ModelError(
            f"{file}: no such file; expected the weights of {about.title} ({about.source})"
        )
    mel = replace(one.mel, duration=duration)
    body = create(one.name, mel.shape)
    frontend = Frontend(mel, "mel" if callable(one.statistics) else "global")
    encoder = PretrainedEncoder(body.encoder, frontend, body.name, neck=body.neck)
    left = one.read(file)
    mean, deviation = (
        one.statistics(file, left)
        if callable(one.statistics)
        else (torch.tensor([value]) for value in one.statistics)
    )
    state = {}
    for ours, value in encoder.state_dict().items():
        if ours.startswith("frontend.") or ours.endswith(_COUNTER):
            continue
        shape, theirs = tuple(value.shape), one.rename(ours)
        if one.time_first and len(shape) == 4:
            turned = take(file, left, theirs, (*shape[:2], *shape[:1:-1]))
            state[ours] = turned.transpose(2, 3).contiguous()
        else:
            state[ours] = take(file, left, theirs, shape)
        if not torch.isfinite(state[ours]).all():
            raise ModelError(f"{file}: the weights for '{ours}' are not finite; get the file again")
    for name, shape in one.class_layers.items():
        take(file, left, name, shape)
    if left:
        raise ModelError(
            f"{file}: {len(left)} tensors do not belong to this network, such as "
            f"{sorted(left)[:4]}; is it the file of another one?"
        )
    encoder.load_state_dict(state, strict=False)
    frontend.standardize.mean.copy_(mean[None, :, None])
    frontend.standardize.std.copy_(deviation[None, :, None])
    frontend.standardize.fitted.fill_(True)
    encoder.published = {**about.told(), "file": file.name, "sha256": content_hash(file)}
    return encoder.eval()
