"""The formats of exported files: ONNX, ONNX in eight bits, and programs of ``torch.export``."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from semisonic.classifier.export.module import (
    AUDIO,
    EMBEDDINGS,
    LEVELS,
    SCORES,
    Exportable,
    Runner,
    module_runner,
    one_length,
    onnx_runner,
    other_lengths,
)
from semisonic.classifier.export.parity import MOST_SCORE
from semisonic.core.errors import ModelError
from semisonic.core.seeds import generator
from semisonic.models.sound_model import SoundModel

EXTRA = "semisonic.json"
"""What the facts are called inside a program (``extra_files`` of ``torch.export.load``)."""
OPSET = 20
MOST_FOLDED = 8192
"""Numbers that a constant may have to be computed while the file is written. The filters of the
front end are larger, and are computed where the file is loaded."""
OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool")
"""What is computed in eight bits; poolings and ReLU so that nothing is converted between them."""
NOT_WRITTEN = "this network could be written for one length only"

Inputs = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Graph:
    """A model as a graph in memory.

    Attributes
    ----------
    fixed : str
        Why clips have one length; empty if the graph takes longer ones.
    levels : Runner or None
        The same graph with its features as an output; None where it takes features.
    save : callable
        Writes the file, with facts and a card.
    open : callable
        Reads a file that was written.
    """

    fixed: str
    levels: Runner | None
    save: Callable[[Path, Mapping[str, str], str], None]
    open: Callable[[Path], Runner]


def torch_graph(model: SoundModel, kind: str, outputs: tuple[str, ...]) -> Graph:
    """A program of torch that takes ``kind`` and gives these outputs.

    Raises
    ------
    ModelError
        When the network cannot be written.
    """
    module = Exportable(model, kind, outputs)
    program, fixed = _build(module, _trace, lambda found: module_runner(found.module(), outputs))
    levels = Exportable(model, kind, (LEVELS,))

    def save(path: Path, facts: Mapping[str, str], card: str) -> None:
        _save_program(path, program, {**facts, "card": card})

    def load(path: Path) -> Runner:
        read = torch.export.load(BytesIO(path.read_bytes()))
        return module_runner(read.module(), outputs)

    return Graph(fixed, module_runner(levels, (LEVELS,)) if kind == AUDIO else None, save, load)


def _save_program(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    with path.open("wb") as stream:
        extra = {EXTRA: json.dumps(facts, ensure_ascii=False)}
        torch.export.save(program, stream, extra_files=extra)


def onnx_graph(
    model: SoundModel, kind: str, outputs: tuple[str, ...], ranges: Inputs = ()
) -> Graph:
    """An ONNX graph that takes ``kind`` and gives these outputs.

    Parameters
    ----------
    ranges : sequence of ndarray
        Inputs that tell the ranges of activations, for eight bits; 32 bits without any.

    Raises
    ------
    ModelError
        When the network cannot be written.
    """
    from onnx.helper import set_model_props

    levels = (LEVELS,) if kind == AUDIO else ()
    module = Exportable(model, kind, (SCORES, EMBEDDINGS, *levels))
    whole, fixed = _build(module, _to_onnx, lambda found: onnx_runner(_bytes(found)))
    proto = _keep_outputs(whole, outputs)
    if ranges:
        proto = _to_int8(whole, outputs, ranges)

    def save(path: Path, facts: Mapping[str, str], card: str) -> None:
        proto.producer_name, proto.producer_version = "semisonic", facts["semisonic_version"]
        proto.doc_string = card
        set_model_props(proto, dict(facts))
        path.write_bytes(_bytes(proto))

    of_levels = onnx_runner(_bytes(_keep_outputs(whole, levels))) if levels else None
    return Graph(fixed, of_levels, save, onnx_runner)


def _build(
    module: Exportable,
    write: Callable[[Exportable, bool], Any],
    run: Callable[[Any], Runner],
) -> tuple[Any, str]:
    """The graph, and why it takes clips of one length; empty if it takes longer ones as well."""
    fixed = one_length(module.model)
    if not fixed:
        try:
            graph = write(module, True)
            if _holds(module, run(graph)):
                return graph, ""
        except ModelError:
            pass  # for one length it may do
        fixed = NOT_WRITTEN
    return write(module, False), fixed


def _holds(module: Exportable, file: Runner) -> bool:
    """Whether a graph agrees with its module on clips that are longer than the model's."""
    ours = module_runner(module, module.outputs)
    rng = generator(0, "clips of other lengths")
    middle, spread = (0.0, 0.1) if module.kind == AUDIO else (-40.0, 20.0)
    for shape in other_lengths(module.model.mel, module.kind):
        x = rng.normal(middle, spread, shape).astype(np.float32)
        try:
            found = file(x)
        except Exception:  # each runtime has errors of its own for a shape that it cannot take
            return False
        for name, exact in ours(x).items():
            most = MOST_SCORE * max(1, np.abs(exact).max())
            if found[name].shape != exact.shape or not np.abs(found[name] - exact).max() <= most:
                return False
    return True


def _trace(module: Exportable, any_length: bool) -> ExportedProgram:
    """The graph, for any number of clips, of one length or of any."""
    dims: dict[int, object] = {0: Dim.DYNAMIC}
    if any_length:
        dims[1 if module.kind == AUDIO else 3] = Dim.AUTO
    with _quietly(module), torch.inference_mode(False):
        return torch.export.export(
            module, (module.example(),), dynamic_shapes=(dims,), strict=False
        )


def _to_onnx(module: Exportable, any_length: bool) -> Any:
    """The module as an ONNX model (``onnx.ModelProto``), with all outputs it has.

    Open dimensions have names, and nothing tells of the machine that wrote it.
    """
    from onnxscript import optimizer

    program = _trace(module, any_length)
    with _quietly(module):
        written: Any = torch.onnx.export(
            program,
            (module.example(),),
            dynamo=True,
            external_data=False,
            verbose=False,
            opset_version=OPSET,
            optimize=False,
            input_names=[module.kind],
            output_names=list(module.outputs),
        )
        optimizer.optimize(written.model, output_size_limit=MOST_FOLDED)
    proto = written.model_proto
    graph = proto.graph
    del graph.value_info[:], graph.metadata_props[:], proto.metadata_props[:]
    graph.name, graph.doc_string = "semisonic", ""
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    if any_length:
        place, name = (1, "time") if module.kind == AUDIO else (3, "frame")
        graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    return proto


@contextmanager
def _quietly(module: Exportable) -> Iterator[None]:
    """Within the block exporters keep their warnings to themselves, and fail with a ModelError."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # torch has no type of its own for what it cannot write
        lines = [line for line in str(error).splitlines() if line.strip()] or [""]
        raise ModelError(
            f"model '{module.model.name}' cannot be exported: {type(error).__name__}: {lines[0]}"
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _bytes(proto: Any) -> bytes:
    written: bytes = proto.SerializeToString()
    return written


def _keep_outputs(proto: Any, names: Collection[str]) -> Any:
    """A copy with some of the outputs, and the nodes that lead to them."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(proto)
    wanted = _nodes_before(proto, names)
    del copy.graph.output[:], copy.graph.node[:]
    copy.graph.output.extend(value for value in proto.graph.output if value.name in names)
    copy.graph.node.extend(node for node in proto.graph.node if node.name in wanted)
    return copy


def _nodes_before(proto: Any, names: Collection[str]) -> set[str]:
    """Names of the nodes that some values are computed by."""
    maker = {output: node for node in proto.graph.node for output in node.output}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


def _to_int8(proto: Any, outputs: Sequence[str], inputs: Inputs) -> Any:
    """The ONNX model in eight bits: weights by output channel, activations by measured ranges.

    It is the static quantisation of ONNX Runtime with pairs of operators that quantise and give
    back (QDQ). The front end keeps its 32 bits, as a spectrum spans 100 dB and eight bits 48, and
    so does what follows the embedding: it is small, and the scores depend on it.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    levels = {value.name for value in proto.graph.output} & {LEVELS}
    with tempfile.TemporaryDirectory(prefix="semisonic-export-") as folder:
        whole, ready, done = (Path(folder, f"{name}.onnx") for name in ("whole", "ready", "done"))
        onnx.save(_keep_outputs(proto, {*outputs, EMBEDDINGS, *levels}), whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quant_pre_process(whole, ready, skip_optimization=True, skip_symbolic_shape=True)
            graph = onnx.load(ready)
            network = _nodes_before(graph, {EMBEDDINGS}) - _nodes_before(graph, levels)
            quantize_static(
                ready,
                done,
                _CalibrationReader(proto.graph.input[0].name, inputs),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=list(OPERATORS),
                nodes_to_exclude=[n.name for n in graph.graph.node if n.name not in network],
            )
        result = _keep_outputs(onnx.load(done), outputs)
    del result.graph.value_info[:]
    return result


class _CalibrationReader:
    """Hands the inputs over one by one, as ONNX Runtime wants them."""

    def __init__(self, name: str, inputs: Inputs) -> None:
        self.waiting = iter([{name: x[None]} for x in inputs])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, None after the last."""
        return next(self.waiting, None)
