"""TFLite files of samples, such as BirdNET's, cut at their embedding and run by LiteRT.

Needs the extra ``tflite``. The result of :func:`cut_tflite` is a TFLite file, too: its only output
is the embedding, and its description names the original file.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.core.errors import ModelError
from semisonic.core.files import replacing
from semisonic.core.options import nearest
from semisonic.models.encoder_table import BEFORE_CLASSES

SUFFIX = ".tflite"
_MARK = b"TFL3"
_AFTER_CLASSES = ("LOGISTIC", "SOFTMAX", "RESHAPE", "SQUEEZE", "ADD", "DEQUANTIZE")
_DENSE = "FULLY_CONNECTED"


def is_tflite(file: Path) -> bool:
    """Whether a file is TFLite, by its content."""
    with file.open("rb") as opened:
        return opened.read(8)[4:] == _MARK


@dataclass(frozen=True)
class TfliteGraph:
    """A TFLite graph of samples, ready to run; the attributes are those of ``FrozenGraph``."""

    interpreter: Any
    key: str
    n_samples: int
    dim: int
    _one_at_a_time: Lock = field(default_factory=Lock)

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Windows, (n, n_samples), to embeddings, (n, dim)."""
        (given,), (out,) = (
            self.interpreter.get_input_details(),
            self.interpreter.get_output_details(),
        )
        found = np.zeros((len(windows), self.dim), np.float32)
        with self._one_at_a_time:
            for row, window in enumerate(windows):
                self.interpreter.set_tensor(given["index"], window.reshape(given["shape"]))
                self.interpreter.invoke()
                found[row] = self.interpreter.get_tensor(out["index"]).reshape(-1)
        return found


def open_tflite(file: Path) -> TfliteGraph:
    """A graph written by :func:`cut_tflite`; opened once for each change of the file."""
    return _opened(file, file.stat().st_mtime_ns, torch.get_num_threads())


@lru_cache(maxsize=4)
def _opened(file: Path, _changed: int, n_threads: int) -> TfliteGraph:
    schema, interpreter = _litert(file)
    content = file.read_bytes()
    try:
        told = json.loads(schema.Model.GetRootAs(content).Description())
        running = interpreter.Interpreter(model_content=content, num_threads=n_threads)
        running.allocate_tensors()
        (given,), (out,) = running.get_input_details(), running.get_output_details()
        return TfliteGraph(
            running, told["key"], int(given["shape"][-1]), int(np.prod(out["shape"][1:]))
        )
    except Exception as error:  # LiteRT has no common type of error
        raise ModelError(f"{file}: LiteRT cannot open it: {error}. Get the file again") from error


def cut_tflite(
    source: Path, target: Path, sha256: str, *, n_samples: int = 0, tensor: str = "", dim: int = 0
) -> TfliteGraph:
    """Write the part of a TFLite file that leads from samples to the embedding.

    Parameters
    ----------
    source, target : Path
    sha256 : str
        Hash of the published file.
    n_samples : int
        Expected samples per window; 0 for the value in the file.
    tensor : str
        Name of the embedding in the graph, or :data:`BEFORE_CLASSES`; by default the only output.
    dim : int
        Expected length of the embedding; 0 for any.

    Returns
    -------
    TfliteGraph

    Raises
    ------
    ModelError
        When the file is damaged, has other inputs or outputs, or cannot be run.
    """
    schema, _ = _litert(source)
    try:
        model = schema.ModelT.InitFromPackedBuf(bytearray(source.read_bytes()))
        graph = model.subgraphs[0]
        wanted = _embedding(source, model, schema, tensor)
    except (struct.error, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ModelError(f"{source}: a damaged TFLite file: {error}") from error
    shape = [int(size) for size in graph.tensors[graph.inputs[0]].shape]
    if len(graph.inputs) != 1 or any(size > 1 for size in shape[:-1]):
        raise ModelError(
            f"{source}: found {len(graph.inputs)} inputs, the first of shape {shape}, expected one "
            "of shape (1, samples); networks that read spectrograms cannot be used here"
        )
    if n_samples and shape[-1] != n_samples:
        raise ModelError(
            f"{source}: takes windows of {shape[-1]} samples, expected {n_samples}; give the "
            "sample rate and the window of the network (--sample-rate, --window)"
        )
    graph.operators, graph.outputs = _leading_to(graph, wanted), [wanted]
    model.signatureDefs, model.description = [], json.dumps({"key": sha256[:16]})
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part:
        part.write_bytes(_packed(model))
        _try(source, open_tflite(part), dim)
    return open_tflite(target)


def _litert(file: Path) -> tuple[Any, Any]:
    """The modules of LiteRT that read and run such files."""
    try:
        from ai_edge_litert import interpreter, schema_py_generated
    except ImportError as error:
        raise ModelError(
            f"{file}: running it needs the package ai-edge-litert, which is missing: pip install "
            "'semisonic[tflite]'"
        ) from error
    return schema_py_generated, interpreter


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=_MARK)
    return bytes(builder.Output())


def _try(source: Path, graph: TfliteGraph, dim: int) -> None:
    """Check that two windows of noise give vectors of the expected length."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, graph.n_samples)).astype(np.float32)
    if dim and graph.dim != dim:
        raise ModelError(
            f"{source}: the embedding has {graph.dim} numbers, expected {dim}; is it another file, "
            "or another tensor (--tensor)?"
        )
    try:
        found = graph(noise)
    except Exception as error:  # LiteRT has no common type of error
        raise ModelError(f"{source}: fails on {graph.n_samples} samples: {error}") from error
    if not np.isfinite(found).all():
        raise ModelError(f"{source}: gives values that are not finite; get the file again")


def _embedding(source: Path, model: Any, schema: Any, tensor: str) -> int:
    """Number of the tensor that is the embedding."""
    graph = model.subgraphs[0]
    named = {one.name.decode(): number for number, one in enumerate(graph.tensors)}
    outputs = [graph.tensors[number].name.decode() for number in graph.outputs]
    if tensor == BEFORE_CLASSES:
        kinds = {code: name for name, code in vars(schema.BuiltinOperator).items()}
        maker = {number: one for one in graph.operators for number in one.outputs}
        node = maker.get(graph.outputs[0])
        while node is not None and _kind(model, kinds, node) in _AFTER_CLASSES:
            node = maker.get(node.inputs[0])
        if node is None or _kind(model, kinds, node) != _DENSE:
            raise ModelError(
                f"{source}: found no dense layer of classes at its end, whose input would be the "
                "embedding; is it another file? Name the tensor of the embedding with --tensor"
            )
        return int(node.inputs[0])
    if tensor:
        if tensor not in named:
            raise ModelError(f"{source}: no tensor '{tensor}': {nearest(tensor, list(named))}")
        return named[tensor]
    if len(outputs) != 1:
        raise ModelError(
            f"{source}: found the outputs {', '.join(outputs)}; name the embedding with --tensor"
        )
    return int(graph.outputs[0])


def _kind(model: Any, kinds: dict[Any, str], node: Any) -> str:
    """Name of an operation; its number stands in the older of two fields where it fits there."""
    code = model.operatorCodes[node.opcodeIndex]
    return kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")


def _leading_to(graph: Any, wanted: int) -> list[Any]:
    """The operations that a tensor is computed from, in their order."""
    needed, kept = {wanted}, []
    for node in reversed(graph.operators):
        if needed & set(map(int, node.outputs)):
            needed |= set(map(int, node.inputs))
            kept.append(node)
    return kept[::-1]
