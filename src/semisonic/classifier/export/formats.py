"""The formats of exported files: ONNX, ONNX in eight bits, and programs of ``torch.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim, ExportedProgram

from semisonic.classifier.export.module import (
    EMBEDDINGS,
    LEVELS,
    SCORES,
    Exportable,
    Runner,
    module_runner,
    one_length,
    onnx_runner,
    other_lengths,
    torch_runner,
)
from semisonic.classifier.export.parity import MOST_SCORE, WindowSample
from semisonic.classifier.use_options import AUDIO, INT8, ExportOptions
from semisonic.classifier.windows import features_of_wave
from semisonic.core.errors import DataError, ModelError
from semisonic.core.files import replacing
from semisonic.core.seeds import generator
from semisonic.features.frontend import make_extractor
from semisonic.models.sound_model import SoundModel


def _trace(module: Exportable, *, any_length: bool) -> ExportedProgram:
    """The graph, for any number of clips, of one length or of any.

    Raises
    ------
    ModelError
        When torch cannot make a graph of the network.
    """
    dims: dict[int, object] = {0: Dim.DYNAMIC}
    if any_length:
        dims[1 if module.kind == AUDIO else 3] = Dim.AUTO
    with _quietly(), torch.inference_mode(False):
        try:
            return torch.export.export(
                module, (module.example(),), dynamic_shapes=(dims,), strict=False
            )
        except Exception as error:  # torch has no type of its own for what it cannot trace
            raise _cannot(module, error) from error


def _cannot(module: Exportable, error: Exception) -> ModelError:
    """The error of a network that cannot be written."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return ModelError(
        f"model '{module.model.name}' cannot be exported: {type(error).__name__}: {lines[0]}"
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Within the block the exporters keep their warnings to themselves."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "root")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


EXTRA = "semisonic.json"
"""What the facts are called inside the file (``extra_files`` of ``torch.export.load``)."""


def _save_program(path: Path, program: ExportedProgram, facts: Mapping[str, str]) -> None:
    """Write a program and facts about it."""
    import json

    with replacing(path) as part, open(part, "wb") as stream:
        torch.export.save(
            program, stream, extra_files={EXTRA: json.dumps(dict(facts), ensure_ascii=False)}
        )


OPSET = 20
MOST_FOLDED = 8192
"""Numbers that a constant may have to be computed while the file is written. The filters of the
front end are larger, and are computed where the file is loaded."""


def _to_onnx(module: Exportable, *, any_length: bool) -> Any:
    """The module as an ONNX model (``onnx.ModelProto``), with all outputs it has.

    Raises
    ------
    ModelError
        When the network cannot be written.
    """
    from onnxscript import optimizer

    program = _trace(module, any_length=any_length)
    with _quietly():
        try:
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
        except Exception as error:  # as above: one of many types
            raise _cannot(module, error) from error
    proto = written.model_proto
    _tidy(proto, module.kind, any_length=any_length)
    return proto


def _tidy(proto: Any, kind: str, *, any_length: bool) -> None:
    """Name the open dimensions; remove what tells of the machine that wrote the file."""
    graph = proto.graph
    del graph.value_info[:], graph.metadata_props[:], proto.metadata_props[:]
    graph.name, graph.doc_string = "semisonic", ""
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    if any_length:
        place = 1 if kind == AUDIO else 3
        name = "time" if kind == AUDIO else "frame"
        graph.input[0].type.tensor_type.shape.dim[place].dim_param = name


def _keep_outputs(proto: Any, names: Collection[str]) -> Any:
    """A copy with some of the outputs, and the nodes that lead to them."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(proto)
    outputs = [value for value in proto.graph.output if value.name in names]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    wanted = _nodes_before(proto, names)
    nodes = [node for node in proto.graph.node if node.name in wanted]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
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


def _write_metadata(proto: Any, facts: Mapping[str, str], card: str) -> None:
    """Write facts into the file, where any reader of ONNX finds them."""
    from onnx.helper import set_model_props

    proto.producer_name, proto.producer_version = "semisonic", facts["semisonic_version"]
    proto.doc_string = card
    set_model_props(proto, dict(facts))


OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool")
"""What is computed in eight bits; poolings and ReLU so that nothing is converted between them."""


def to_int8(
    proto: Any, outputs: Sequence[str], inputs: Sequence[NDArray[np.float32]], folder: Path
) -> Any:
    """The ONNX model in eight bits: weights by output channel, activations by measured ranges.

    It is the static quantisation of ONNX Runtime with pairs of operators that quantise and give
    back (QDQ). The front end keeps its 32 bits, as a spectrum spans 100 dB and eight bits 48, and
    so does what follows the embedding: it is small, and the scores depend on it.

    Parameters
    ----------
    proto : onnx.ModelProto
        With the output ``EMBEDDINGS``; what leads to its output ``LEVELS``, if it has that,
        stays as it is.
    outputs : sequence of str
        Outputs to keep.
    inputs : sequence of ndarray
        What the file takes, one clip each, to find ranges.
    folder : Path
        For files in between.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    kind = proto.graph.input[0].name
    whole, ready, done = (folder / f"{name}.onnx" for name in ("whole", "ready", "done"))
    levels = {value.name for value in proto.graph.output} & {LEVELS}
    onnx.save(_keep_outputs(proto, {*outputs, EMBEDDINGS, *levels}), whole)
    with _quietly():
        quant_pre_process(whole, ready, skip_optimization=True, skip_symbolic_shape=True)
        graph = onnx.load(ready)
        network = _nodes_before(graph, {EMBEDDINGS}) - _nodes_before(graph, levels)
        others = [node.name for node in graph.graph.node if node.name not in network]
        quantize_static(
            ready,
            done,
            _CalibrationReader(kind, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=others,
        )
    result = _keep_outputs(onnx.load(done), outputs)
    del result.graph.value_info[:]
    return result


class _CalibrationReader:
    """Hands the inputs over one by one, as ONNX Runtime wants them."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self.name, self.waiting = name, iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, None after the last."""
        x = next(self.waiting, None)
        return None if x is None else {self.name: x[None]}


T = TypeVar("T")
NOT_WRITTEN = "this network could be written for one length only"


def _build(
    module: Exportable, write: Callable[[bool], T], run: Callable[[T], Runner]
) -> tuple[T, str]:
    """The graph, and why it takes clips of one length; empty if it takes longer ones as well.

    Parameters
    ----------
    module : Exportable
    write : callable
        Makes the graph, told whether it shall take any length.
    run : callable
        Makes a graph run.

    Raises
    ------
    ModelError
        When the network cannot be written for one length either.
    """
    fixed = one_length(module.model)
    if not fixed:
        try:
            graph = write(True)
            if _holds(module, run(graph)):
                return graph, ""
        except ModelError:
            pass  # for one length it may do
        fixed = NOT_WRITTEN
    return write(False), fixed


def _holds(module: Exportable, file: Runner) -> bool:
    """Whether a graph agrees with its module on clips that are longer than the model's."""
    ours = module_runner(module, module.outputs)
    rng = generator(0, "clips of other lengths")
    middle, spread = (0.0, 0.1) if module.kind == AUDIO else (-40.0, 20.0)
    for shape in other_lengths(module.model.mel, module.kind):
        x = rng.normal(middle, spread, shape).astype(np.float32)
        exact = ours(x)
        try:
            found = file(x)
        except Exception:  # each runtime has errors of its own for a shape that it cannot take
            return False
        if any(
            found[name].shape != value.shape
            or not np.abs(found[name] - value).max() <= MOST_SCORE * max(1, np.abs(value).max())
            for name, value in exact.items()
        ):
            return False
    return True


Inputs = list[NDArray[np.float32]]


class ExportFormat(Protocol):
    """A graph in memory.

    Attributes
    ----------
    fixed : str
        Why clips have one length; empty if the graph takes longer ones.
    levels : Runner or None
        The same graph with its features as an output; None where it takes features.
    """

    fixed: str
    levels: Runner | None

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        ...


class OnnxFormat:
    """An ONNX graph, in eight bits if asked for. See :class:`ExportFormat`."""

    def __init__(
        self, model: SoundModel, kind: str, options: ExportOptions, inputs: Inputs, folder: Path
    ) -> None:
        outputs = _outputs_of(options)
        levels = (LEVELS,) if kind == AUDIO else ()
        module = Exportable(model, kind, (SCORES, EMBEDDINGS, *levels))

        def write(any_length: bool) -> Any:
            return _to_onnx(module, any_length=any_length)

        proto, self.fixed = _build(module, write, lambda found: onnx_runner(_bytes(found)))
        self.levels = onnx_runner(_bytes(_keep_outputs(proto, levels))) if levels else None
        self.proto = _keep_outputs(proto, outputs)
        if options.quantize == INT8:
            self.proto = to_int8(proto, outputs, inputs, folder)

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""
        _write_metadata(self.proto, facts, card)
        path.write_bytes(_bytes(self.proto))

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        return onnx_runner(path)


class TorchFormat:
    """A program of torch. See :class:`ExportFormat`."""

    def __init__(self, model: SoundModel, kind: str, options: ExportOptions) -> None:
        self.outputs = _outputs_of(options)
        module = Exportable(model, kind, self.outputs)
        self.program, self.fixed = _build(
            module,
            lambda any_length: _trace(module, any_length=any_length),
            lambda found: module_runner(found.module(), self.outputs),
        )
        mel = Exportable(model, kind, (LEVELS,))
        self.levels = module_runner(mel, (LEVELS,)) if kind == AUDIO else None

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""
        _save_program(path, self.program, {**facts, "card": card})

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        return torch_runner(path, self.outputs)


def _outputs_of(options: ExportOptions) -> tuple[str, ...]:
    """What the file gives, in order."""
    return (SCORES, EMBEDDINGS) if options.embeddings else (SCORES,)


def calibration_inputs(recordings: WindowSample, kind: str, most: int) -> Inputs:
    """What the file would be given for some of the recordings.

    Raises
    ------
    DataError
        When none can be read.
    """
    waves = recordings.windows(most)
    if not waves:
        raise DataError("option 'calibrate_on': found no recording that can be read")
    if kind == AUDIO:
        return waves
    extractor = make_extractor(recordings.mel)
    return [features_of_wave(wave, recordings.mel, extractor) for wave in waves]


def _bytes(proto: Any) -> bytes:
    written: bytes = proto.SerializeToString()
    return written
