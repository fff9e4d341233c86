"""From the names and shapes of published weight files to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from semisonic.base.errors import ModelError
from semisonic.features import MelOptions
from semisonic.features.filterbank import filters_of
from semisonic.models.general import panns, yamnet
from semisonic.models.general.found import Found
from semisonic.models.general.opening import open_checkpoint, open_onnx

Shapes = Mapping[str, tuple[int, ...]]
Layout = Callable[[Found, Shapes], dict[str, Tensor]]
"""Takes what is found for each of our names and shapes; all must be taken in the end."""

YAMNET_EPS = 1e-4
COUNTER = "num_batches_tracked"
N_CONVS = 1 + 2 * len(yamnet.LAYERS)


def read_torch(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint."""
    return open_checkpoint(path)


def read_yamnet(path: Path) -> Mapping[str, Tensor]:
    """YAMNet's convolutions by number, with bias, and its class layer.

    From an ONNX file (or a zip or wheel that holds one) in the order of its graph, or from a
    checkpoint of torch_audioset, whose normalisations are folded into the convolutions.
    """
    if path.suffix.lower() in (".onnx", ".zip", ".whl"):
        return _from_graph(path)
    found = Found(path, open_checkpoint(path))
    width, tensors = yamnet.STEM, dict[str, Tensor]()
    pairs = [("layer1.fused", (width, 1, 3, 3))]
    for number, (channels, _) in enumerate(yamnet.LAYERS, 2):
        pairs.append((f"layer{number}.depthwise_conv", (width, 1, 3, 3)))
        pairs.append((f"layer{number}.pointwise_conv", (channels, width, 1, 1)))
        width = channels
    for number, (name, shape) in enumerate(pairs):
        weight, bias = folded(found, name, shape, YAMNET_EPS)
        tensors |= {f"convs.{number}.weight": weight, f"convs.{number}.bias": bias}
    for part, size in (("weight", (521, width)), ("bias", (521,))):
        tensors[f"classifier.{part}"] = found.take(f"classifier.{part}", size)
    found.finish()
    return tensors


def folded(found: Found, name: str, shape: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the normalisation behind it (in use) in one."""
    weight = found.take(f"{name}.conv.weight", shape)
    gain, shift, mean, variance = (
        found.take(f"{name}.bn.{part}", shape[:1])
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    found.count(f"{name}.bn.{COUNTER}")
    scale = gain / (variance + eps).sqrt()
    return weight * scale[:, None, None, None], shift - mean * scale


def _from_graph(path: Path) -> Mapping[str, Tensor]:
    graph = open_onnx(path)
    convs = [node for node in graph.nodes if node.op == "Conv"]
    dense = [node for node in graph.nodes if node.op == "Gemm"]
    if (len(convs), len(dense)) != (N_CONVS, 1):
        raise ModelError(
            f"{path}: found {len(convs)} convolutions and {len(dense)} dense layers, expected "
            f"the {N_CONVS} and 1 of YAMNet"
        )
    tensors = {}
    for name, node in [*((f"convs.{k}", n) for k, n in enumerate(convs)), ("classifier", dense[0])]:
        if len(node.inputs) != 3:
            raise ModelError(f"{path}: '{name}' has no bias; expected normalisations folded in")
        for part, source in zip(("weight", "bias"), node.inputs[1:], strict=True):
            tensors[f"{name}.{part}"] = torch.from_numpy(graph.weight(source))
    return tensors


def turned(x: Tensor) -> Tensor:
    """A kernel (.., time, mel) as (.., mel, time)."""
    return x.transpose(2, 3).contiguous() if x.ndim == 4 else x


def take_all(
    found: Found, wanted: Shapes, rename: Callable[[str], str], *, turn: bool
) -> dict[str, Tensor]:
    """What is found under other names, for each of ours."""
    taken = {}
    for ours, shape in wanted.items():
        theirs = rename(ours)
        if theirs.endswith(COUNTER):
            taken[ours] = found.count(theirs)
            continue
        before = (*shape[:2], *shape[:1:-1]) if turn and len(shape) == 4 else shape
        tensor = found.take(theirs, before)
        taken[ours] = turned(tensor) if turn else tensor
    return taken


def yamnet_layout(found: Found, wanted: Shapes) -> dict[str, Tensor]:
    """Convolutions over (time, mel), in their order."""
    return take_all(found, wanted, lambda name: name.removeprefix("encoder."), turn=True)


CNN14_LAYERS = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}


def cnn14_layout(found: Found, wanted: Shapes) -> dict[str, Tensor]:
    """Blocks that are counted from one, with two convolutions and two norms."""

    def rename(found: re.Match[str]) -> str:
        return f"conv_block{int(found[1]) + 1}.{CNN14_LAYERS[found[2]]}."

    return _panns(found, wanted, lambda name: _PART.sub(rename, name))


def panns_mobilenet_layout(found: Found, wanted: Shapes) -> dict[str, Tensor]:
    """Layers by their number in a block, as ours."""
    return _panns(found, wanted, lambda name: _PART.sub(r"features.\1.\2.", name))


_PART = re.compile(r"^encoder\.parts\.(\d+)\.layers\.(\d+)\.")


def _panns(found: Found, wanted: Shapes, rename: Callable[[str], str]) -> dict[str, Tensor]:
    """Kernels over (time, mel); the norm of the bands becomes our mean and deviation."""
    _check_frontend(found, panns.MEL)
    taken = take_all(
        found, wanted, lambda name: rename(name).replace("neck.dense.0.", "fc1."), turn=True
    )
    n = (panns.MEL.n_mels,)
    gain, shift, mean, variance = (
        found.take(f"bn0.{part}", n) for part in ("weight", "bias", "running_mean", "running_var")
    )
    found.count(f"bn0.{COUNTER}")
    if not (gain > 0).all():
        raise ModelError(
            f"{found.path}: 'bn0.weight' turns a band upside down, which a mean and a deviation "
            "cannot; is it the published file?"
        )
    deviation = (variance + 1e-5).sqrt() / gain
    return taken | {"mean": mean - shift * deviation, "std": deviation}


def _check_frontend(found: Found, mel: MelOptions) -> None:
    """The constants of the front end in the file, if there are any, against ours."""
    n_bins = mel.n_fft // 2 + 1
    for part in ("real", "imag"):
        name = f"spectrogram_extractor.stft.conv_{part}.weight"
        if name in found:
            found.take(name, (n_bins, 1, mel.n_fft))
    if "logmel_extractor.melW" in found:
        theirs = found.take("logmel_extractor.melW", (n_bins, mel.n_mels))
        if not torch.allclose(theirs.T.double(), torch.from_numpy(filters_of(mel)), atol=1e-5):
            raise ModelError(
                f"{found.path}: its mel bands are other ones than those of the published network "
                f"at {mel.sample_rate} Hz; take the file of that sample rate"
            )


def efficientat_layout(found: Found, wanted: Shapes) -> dict[str, Tensor]:
    """Blocks over (mel, time) as ours; those between the first and the last have a name more."""
    last = max(int(name.split(".")[2]) for name in wanted)

    def rename(name: str) -> str:
        _, _, number, _, rest = name.split(".", 4)
        inner = "" if number in ("0", str(last)) else "block."
        rest = re.sub(r"^(\d+)\.fc", r"\1.conc_se_layers.0.fc", rest)
        return f"features.{number}.{inner}{rest}"

    return take_all(found, wanted, rename, turn=False)
