"""Encoders that are never trained: ONNX or TFLite graphs of samples, or only their vectors.

For encoders such as BirdNET and Perch, a window of samples gives a vector, and a clip is cut into
adjacent windows, the last one padded with silence. The graph is in the user's cache; a model made
with it has its name and the start of its file's hash, not the graph. Of an encoder that made
vectors elsewhere, only a name and the length of its vectors are known.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.files import replacing
from semisonic.core.options import nearest
from semisonic.models.encoder import Encoder, PatchStep
from semisonic.models.encoder_table import BEFORE_CLASSES, ENCODERS, encoder_place
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.tflite import SUFFIX, TfliteGraph, open_tflite

_NAMED = re.compile(r"(?P<kind>onnx|tflite):(?P<name>[a-z0-9_-]+)@(?P<key>[0-9a-f]{16})")
_ELSEWHERE = re.compile(r"vectors:(?P<name>[a-z0-9_-]+)@(?P<dim>[1-9][0-9]{0,5})")
_KEY, _WINDOW, _DIM = "semisonic.key", "semisonic.window", "semisonic.dim"
_AFTER_CLASSES = ("Add", "Sigmoid", "Softmax", "Identity", "Cast", "Reshape", "Squeeze", "Clip")
TRY_SECONDS = 120.0
"""Seconds within which a new graph must have embedded two windows."""
_DENSE = ("Gemm", "MatMul")
_MISSING = "package {}, which is missing: pip install 'semisonic[export]'"


@dataclass(frozen=True)
class FrozenGraph:
    """An ONNX graph of samples, ready to run.

    Attributes
    ----------
    key : str
        The first 16 digits of the SHA-256 of the file it was taken from.
    n_samples : int
        Of a window.
    dim : int
        Numbers in an embedding.
    """

    session: Any
    key: str
    n_samples: int
    dim: int

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Windows, (n, n_samples), to embeddings, (n, dim)."""
        if not len(windows):
            return np.zeros((0, self.dim), np.float32)
        given = self.session.get_inputs()[0]
        rank = len(given.shape)
        alone = rank == 1 or given.shape[0] == 1
        found = []
        for part in windows[:, None] if alone else [windows]:
            shaped = part.reshape((part.shape[-1],) if rank == 1 else _of_rank(part, rank))
            (out,) = self.session.run(None, {given.name: np.ascontiguousarray(shaped)})
            found.append(np.asarray(out, np.float32).reshape(len(part), -1))
        return np.concatenate(found)


def _of_rank(windows: NDArray[np.float32], rank: int) -> tuple[int, ...]:
    """(n, samples), with axes of one between."""
    return (len(windows), *(1,) * (rank - 2), windows.shape[1])


@lru_cache(maxsize=4)
def _opened(file: Path, _changed: int, n_threads: int) -> FrozenGraph:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"{file}: running it needs the {_MISSING.format('onnxruntime')}"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = n_threads, 3
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        told = session.get_modelmeta().custom_metadata_map
        return FrozenGraph(session, told[_KEY], int(told[_WINDOW]), int(told[_DIM]))
    except Exception as error:  # onnxruntime has no common type of error
        raise ModelError(
            f"{file}: onnxruntime cannot open it: {error}. Get the file again"
        ) from error


def open_graph(file: Path) -> FrozenGraph | TfliteGraph:
    """A graph in the cache; opened once for each change of the file."""
    return open_tflite(file) if file.suffix == SUFFIX else _open_onnx(file)


def _open_onnx(file: Path) -> FrozenGraph:
    return _opened(file, file.stat().st_mtime_ns, torch.get_num_threads())


class FrozenEncoder(Encoder):
    """Windows of samples to vectors; a frame of the map is a window.

    Parameters
    ----------
    file : Path
        Of :func:`cut_graph` or ``cut_tflite``.

    Notes
    -----
    There are no weights, and no gradient passes. The session is not part of the module, so that it
    can be copied and saved.
    """

    trainable = False
    no_frames = "its windows are longer than a frame, and its network runs outside torch"

    def __init__(self, file: Path) -> None:
        super().__init__()
        graph = open_graph(file)
        self.file, self.in_channels, self.out_channels = file, 1, graph.dim
        self.step = PatchStep(graph.n_samples, graph.n_samples, 1, 1)
        self.plan = (self.step,)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """Samples, (batch, 1, 1, time), to a map (batch, dim, 1, window)."""
        n_windows, length = self.step.count(x.shape[3]), self.step.length
        if x.is_meta:
            return x.new_empty(len(x), self.out_channels, 1, n_windows)
        filled = F.pad(x.detach().float().flatten(1), (0, n_windows * length - x.shape[3]))
        found = open_graph(self.file)(filled.reshape(-1, length).cpu().numpy())
        vectors = torch.from_numpy(found).to(x.device, x.dtype)
        by_window = vectors.reshape(len(x), n_windows, self.out_channels)
        code: Tensor = by_window.transpose(1, 2)[:, :, None]
        return code


class ElsewhereEncoder(Encoder):
    """Represents an encoder of which only vectors exist.

    A class layer can be trained on its vectors and scores them; sounds cannot be embedded.

    Parameters
    ----------
    name : str
        Name of the encoder.
    dim : int
        Numbers in a vector.
    """

    trainable = False
    no_frames = "its vectors were made elsewhere"

    def __init__(self, name: str, dim: int) -> None:
        super().__init__()
        self.name, self.in_channels, self.out_channels = name, 1, dim
        self.plan = (PatchStep(1 << 62, 1 << 62, 1, 1),)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The shape of a map, (batch, dim, 1, 1), and an error for sounds."""
        if x.is_meta:
            return x.new_empty(len(x), self.out_channels, 1, 1)
        raise ModelError(
            f"the vectors were made elsewhere ({self.name}), so sounds cannot be embedded here; "
            "'semisonic project learn' writes predictions.csv for the sounds with a vector"
        )


def elsewhere_name(made_by: str, dim: int) -> str:
    """The name of the network for an encoder of which only vectors of length ``dim`` exist."""
    plain = re.sub("[^a-z0-9_-]+", "-", made_by.lower()).strip("-") or "elsewhere"
    return f"vectors:{plain}@{dim}"


def frozen_network(name: str) -> Callable[[Shape], Backbone]:
    """The factory of a network with a name such as ``onnx:birdnet@0123456789abcdef``.

    Raises
    ------
    ModelError
        For an invalid name, or one whose file is missing or changed.
    """
    if elsewhere := _ELSEWHERE.fullmatch(name):
        made_by, dim = elsewhere["name"], int(elsewhere["dim"])
        mean = GlobalPoolNeck(dim, over_time="mean")
        return lambda shape: Backbone(name, ElsewhereEncoder(made_by, dim), mean)
    match = _NAMED.fullmatch(name)
    if match is None:
        raise ModelError(
            f"model '{name}': expected onnx: or tflite:, a name, @ and 16 digits of a hash; or "
            "vectors:, a name, @ and the length of a vector"
        )
    short, file = match["name"], encoder_place(match["name"], f".{match['kind']}")
    again = f"semisonic encoder get {short}" + (
        "" if short in ENCODERS else f" --source FILE.{match['kind']}"
    )
    if not file.is_file():
        raise ModelError(
            f"this model uses the general encoder '{short}', which is not on this machine "
            f"(expected {file}); get it with: {again}"
        )
    if (key := open_graph(file).key) != match["key"]:
        raise ModelError(
            f"{file}: found the encoder '{short}' of a file with the SHA-256 {key}..., but the "
            f"model was made with {match['key']}...; get that version with: {again}"
        )

    def make(shape: Shape) -> Backbone:
        encoder = FrozenEncoder(file)
        neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
        return Backbone(name, encoder, neck)

    return make


def network_name(name: str, sha256: str, kind: str = "onnx") -> str:
    """The network's name, from the encoder's, the hash of its file, and whether it is TFLite."""
    return f"{kind}:{name}@{sha256[:16]}"


def cut_graph(
    source: Path, target: Path, sha256: str, *, n_samples: int = 0, tensor: str = "", dim: int = 0
) -> FrozenGraph:
    """Write the part of an ONNX file that leads from samples to the embedding.

    Parameters
    ----------
    source, target : Path
    sha256 : str
        Hash of the published file.
    n_samples : int
        Samples per window; 0 for the value in the file.
    tensor : str
        Name of the embedding in the graph, or :data:`BEFORE_CLASSES`; by default the output, if
        there is one, or the output "embedding".
    dim : int
        Expected length of the embedding; 0 for any.

    Returns
    -------
    FrozenGraph

    Raises
    ------
    ModelError
        When the file is damaged, has other inputs or outputs, or cannot be run.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ModelError(f"reading ONNX files needs the {_MISSING.format('onnx')}") from error
    try:
        proto = onnx.load(source)
    except (OSError, ValueError, TypeError, onnx.checker.ValidationError, DecodeError) as error:
        raise ModelError(f"{source}: not an ONNX file, or a damaged one: {error}") from error
    weights = {one.name for one in proto.graph.initializer}
    inputs = [one for one in proto.graph.input if one.name not in weights]
    wanted = _embedding(source, proto.graph, weights, tensor)
    values, nodes = _leading_to(proto.graph, wanted)
    read = [one for one in inputs if one.name in values]
    if len(read) != 1:
        raise ModelError(
            f"{source}: the tensor '{wanted}' is computed from {len(read)} inputs, expected one: "
            "the samples of a window"
        )
    n_samples = _window_of(source, read[0], n_samples)
    graph = onnx.GraphProto(name=proto.graph.name)
    graph.node.extend(proto.graph.node[index] for index in nodes)
    graph.initializer.extend(one for one in proto.graph.initializer if one.name in values)
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    graph.input.append(read[0])
    graph.output.append(onnx.ValueInfoProto(name=wanted))
    proto.graph.CopyFrom(graph)
    told = {_KEY: sha256[:16], _WINDOW: str(n_samples), _DIM: str(dim)}
    onnx.helper.set_model_props(proto, told)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        part.write_bytes(proto.SerializeToString())
        shape = _tried(source, _open_onnx(part))
        if len(shape) != 2 or (dim and shape[1] != dim):
            raise ModelError(
                f"{source}: the tensor '{wanted}' has shape {shape} for two windows, expected "
                f"(2, {dim or 'any number'}); is it another file, or another tensor (--tensor)?"
            )
        onnx.helper.set_model_props(proto, {**told, _DIM: str(shape[1])})
        part.write_bytes(proto.SerializeToString())
    return _open_onnx(target)


def _tried(source: Path, graph: FrozenGraph) -> tuple[int, ...]:
    """Shape of the embeddings of two windows of noise."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, graph.n_samples)).astype(np.float32)
    given = graph.session.get_inputs()[0]
    alone = len(given.shape) == 1 or given.shape[0] == 1
    try:
        shaped = noise[0] if len(given.shape) == 1 else noise[: 1 if alone else 2]
        if len(given.shape) > 1:
            shaped = shaped.reshape(_of_rank(shaped, len(given.shape)))
        (out,) = _run_within(TRY_SECONDS, graph.session, {given.name: shaped})
    except TimeoutError as error:
        raise ModelError(
            f"{source}: {error} on {graph.n_samples} samples; its loops may have no end"
        ) from error
    except Exception as error:  # onnxruntime has no common type of error
        raise ModelError(f"{source}: fails on {graph.n_samples} samples: {error}") from error
    found = np.asarray(out)
    if not np.isfinite(found).all():
        raise ModelError(f"{source}: gives values that are not finite; get the file again")
    if len(given.shape) == 1:
        found = found[None] if found.ndim == 1 else found
    return (2, *found.shape[1:]) if alone else tuple(found.shape)


def _run_within(seconds: float, session: Any, values: dict[str, Any]) -> Any:
    """The outputs of a session; TimeoutError if they are not there after some seconds."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    timer = threading.Timer(seconds, setattr, (options, "terminate", True))
    timer.start()
    try:
        return session.run(None, values, options)
    except Exception as error:
        if options.terminate:
            raise TimeoutError(f"does not end within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()


def _window_of(source: Path, given: Any, n_samples: int) -> int:
    """Samples per window: the requested number, if the input takes it, or that of the input."""
    sizes = [one.dim_value for one in given.type.tensor_type.shape.dim]
    if not sizes or len(sizes) > 3 or any(size > 1 for size in sizes[:-1]):
        raise ModelError(
            f"{source}: its input '{given.name}' has the shape {sizes}, expected (batch, samples); "
            "networks that read spectrograms cannot be used here"
        )
    if n_samples and sizes[-1] not in (0, n_samples):
        raise ModelError(
            f"{source}: takes windows of {sizes[-1]} samples, expected {n_samples}; give the "
            "sample rate and the window of the network (--sample-rate, --window)"
        )
    if not (n_samples or sizes[-1]):
        raise ModelError(f"{source}: does not state the length of its windows; give --window")
    return n_samples or int(sizes[-1])


def _embedding(source: Path, graph: Any, weights: set[str], tensor: str) -> str:
    """Name of the tensor that is the embedding."""
    made = {name: node for node in graph.node for name in node.output}
    outputs = [one.name for one in graph.output]
    if tensor == BEFORE_CLASSES:
        node = made.get(outputs[0])
        while node is not None and node.op_type in _AFTER_CLASSES:
            node = next((made[name] for name in node.input if name in made), None)
        if node is None or node.op_type not in _DENSE:
            raise ModelError(
                f"{source}: found no dense layer of classes at its end, whose input would be the "
                "embedding; is it another file? Name the tensor of the embedding with --tensor"
            )
        return str(next(name for name in node.input if name not in weights))
    if tensor:
        if tensor not in made:
            raise ModelError(f"{source}: no tensor '{tensor}': {nearest(tensor, outputs)}")
        return tensor
    if len(outputs) > 1 and "embedding" not in outputs:
        raise ModelError(
            f"{source}: found the outputs {', '.join(outputs)}; name the embedding with --tensor"
        )
    return outputs[0] if len(outputs) == 1 else "embedding"


def _leading_to(graph: Any, wanted: str) -> tuple[set[str], list[int]]:
    """Values that a tensor is computed from, and the numbers of the nodes, in their order."""
    maker = {name: number for number, node in enumerate(graph.node) for name in node.output}
    values: set[str] = set()
    left = [wanted]
    while left:
        value = left.pop()
        if value not in values:
            values.add(value)
            left += _read_by(graph.node[maker[value]]) if value in maker else ()
    return values, sorted({maker[value] for value in values if value in maker})


def _read_by(node: Any) -> Iterator[str]:
    """Values that a node reads, also from within its branches and loops."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)
