"""A model as a graph that runs without Semisonic: ONNX, ONNX in eight bits, a torch program."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.seeds import generator
from semisonic.core.temporary import temporary_folder
from semisonic.features.frontend import Waveform
from semisonic.features.logmel import (
    LogMel,
    delta,
    filters_of,
    hann,
    peak_normalised,
    preemphasise,
    to_decibel,
)
from semisonic.features.options import WAVE, MelOptions
from semisonic.models.decision import DecisionModule
from semisonic.models.sound_model import SoundModel

AUDIO, FEATURES = "audio", "features"
SCORES, KNOWN, EMBEDDINGS, LEVELS = "scores", "known", "embeddings", "features"
"""Names of the outputs. Features are those of the front end, before rounding."""
MOST_SCORE = 1e-3
"""Largest allowed difference between scores of a graph and of the model."""
EXTRA = "semisonic.json"
"""The name of the metadata inside a torch program (``extra_files`` of ``torch.export.load``)."""
OPSET = 20
MOST_FOLDED = 8192
"""Largest size of a constant that is computed while the file is written. The filters of the front
end are larger, and are computed when the file is loaded.
"""
OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool")
"""Operators computed in eight bits; pooling and ReLU too, so that nothing is converted between
them.
"""

Inputs = Sequence[NDArray[np.float32]]


class ConvolutionMel(nn.Module):
    """Log-mel with the Fourier transform as a convolution, for runtimes whose own is not exact.

    It equals :class:`semisonic.features.logmel.LogMel` within 0.02 dB in audible cells. ONNX has
    an operator STFT, but for windows that are not a power of two, ONNX Runtime computes it
    differently and is off by several dB. Sines and cosines times the window as the filters of a
    convolution are exact for any window and take clips of any length. Only bins that a mel band
    uses are computed.

    The file has one period of sine and cosine, and the rule for where each filter reads it at each
    sample: 8 KB instead of 4 MB for a window of 1024. A runtime computes the filters once, when it
    loads the file.

    Parameters
    ----------
    options : MelOptions
        With the input "log-mel".
    """

    bins: Tensor
    turn: Tensor
    window: Tensor
    filters: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        filters = filters_of(options)
        bins = np.flatnonzero(filters.any(axis=0))
        angle = 2 * np.pi * np.arange(options.n_fft) / options.n_fft
        turn = np.stack((np.cos(angle), np.sin(angle)))
        self.register_buffer("bins", torch.from_numpy(bins))
        self.register_buffer("turn", torch.from_numpy(turn).float())
        self.register_buffer("window", hann(options.window).float())
        filters = np.ascontiguousarray(filters[:, bins])  # torch warns of others when it saves them
        self.register_buffer("filters", torch.from_numpy(filters).float())

    def forward(self, wave: Tensor) -> Tensor:
        """Levels in dB, shape (batch, channel, mel, frame), of waves (batch, time)."""
        options = self.options
        if options.peak_normalize:
            wave = peak_normalised(wave)
        if options.preemphasis:
            wave = preemphasise(wave, options.preemphasis)
        x = wave[:, None]
        if options.center:
            x = F.pad(x, (options.window // 2, options.window // 2), mode="reflect")
        parts = F.conv1d(x, self.waves(), stride=options.hop_length).square()
        real, imaginary = parts.chunk(2, dim=1)  # (batch, bin, frame)
        magnitude = real + imaginary
        if options.power != 2:
            magnitude = magnitude.pow(options.power / 2)
        level = to_decibel(torch.matmul(self.filters, magnitude), options)
        if options.deltas:
            return torch.stack((level, delta(level)), dim=1)
        return level.unsqueeze(1)

    def waves(self) -> Tensor:
        """The filters, shape (2 * bin, 1, window): cosines of all bins, then sines."""
        time = torch.arange(self.options.window)
        place = (self.bins[:, None] * time) % self.options.n_fft  # whole numbers: exact
        return (self.turn[:, place].flatten(0, 1) * self.window)[:, None]


class Exportable(nn.Module):
    """A classifier without parts that only run in Python.

    It has the steps of prediction (:mod:`semisonic.classifier.windows`): samples are rounded to 16
    bits, features to float16, and logits become scores by the model's decision.

    Parameters
    ----------
    model : SoundModel
        The model; it is copied and not changed.
    kind : {"audio", "features"}
        The input: waves (batch, time) within -1 to 1 at the model's rate, or features (batch,
        channel, mel, frame) in dB, not standardised.
    outputs : sequence of str
        Of ``SCORES``, ``KNOWN``, ``EMBEDDINGS`` and ``LEVELS``.
    """

    def __init__(self, model: SoundModel, kind: str, outputs: tuple[str, ...] = (SCORES,)) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().float().eval()
        self.model.event_layer = None  # of long recordings; a file scores clips
        self.decision = DecisionModule(
            model.decision, multi_label=model.multi_label, dtype=torch.float32
        )
        self.kind, self.outputs = kind, outputs
        self.mel: nn.Module = nn.Identity()
        if kind == AUDIO:
            options = model.mel
            self.mel = Waveform(options) if options.input == WAVE else ConvolutionMel(options)
        for part in (self.model.encoder, self.model.statistics):
            _write_out(part)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs in their order, scores of shape (batch, n_classes)."""
        features = self.mel(as_stored(x) if self.kind == AUDIO else x)
        rounded = features.half().float()
        embedding = self.model.embed(rounded)
        statistics = self.model.statistics(rounded) if self.model.decision.unknown else None
        scores, known = self.decision(self.model.head(embedding), statistics, embedding)
        found = {
            SCORES: scores,
            KNOWN: known,
            EMBEDDINGS: embedding,
            LEVELS: features,
        }
        return tuple(found[name] for name in self.outputs)

    def example(self) -> Tensor:
        """An input of two clips for tracing; its values do not matter."""
        mel = self.model.mel
        shape = (mel.n_samples,) if self.kind == AUDIO else mel.shape
        numbers = torch.Generator().manual_seed(0)
        return 0.1 * torch.randn(2, *shape, generator=numbers)


def _write_out(whole: nn.Module) -> None:
    """Replace the spectrograms of a module by ones that can be written to a file."""
    for part in list(whole.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, LogMel):
                setattr(part, name, ConvolutionMel(child.options))


def as_stored(wave: Tensor) -> Tensor:
    """Waves (batch, time) rounded to 16 bits; one beyond full scale is scaled, not clipped."""
    high = wave.amax(dim=1, keepdim=True) * (32768.0 / 32767.0)
    scale = torch.maximum(high, -wave.amin(dim=1, keepdim=True)).clamp(min=1.0)
    return torch.round(wave * (32768.0 / scale)) * (scale / 32768.0)


Outputs = dict[str, NDArray[np.float32]]
Runner = Callable[[NDArray[np.float32]], Outputs]
"""Runs an exported file or a module: an array in, named arrays out."""


def onnx_runner(model: Path | bytes) -> Runner:
    """A session of ONNX Runtime with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    source: Any = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [value.name for value in session.get_outputs()]

    def run(x: NDArray[np.float32]) -> Outputs:
        return dict(zip(outputs, session.run(outputs, {name: x}), strict=True))

    return run


def module_runner(module: nn.Module, outputs: tuple[str, ...]) -> Runner:
    """A torch module that returns a tuple."""

    def run(x: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            found = module(torch.from_numpy(x))
        return {name: one.numpy() for name, one in zip(outputs, found, strict=True)}

    return run


class Graph(NamedTuple):
    """A model as a graph in memory.

    Attributes
    ----------
    any_length : bool
        Whether it also takes clips longer than the model's.
    levels : Runner or None
        The same graph with its features as an output; None if it takes features.
    save : callable
        Writes the file, with facts and a card.
    open : callable
        Reads a file that was written.
    """

    any_length: bool
    levels: Runner | None
    save: Callable[[Path, Mapping[str, str], str], None]
    open: Callable[[Path], Runner]


def torch_graph(model: SoundModel, kind: str, outputs: tuple[str, ...]) -> Graph:
    """A torch program that takes ``kind`` and gives these outputs.

    Raises
    ------
    ModelError
        If the network cannot be written.
    """
    module = Exportable(model, kind, outputs)
    program, any_length = _build(module, _trace, lambda one: module_runner(one.module(), outputs))
    levels = module_runner(Exportable(model, kind, (LEVELS,)), (LEVELS,))

    def save(path: Path, facts: Mapping[str, str], card: str) -> None:
        extra = {EXTRA: json.dumps({**facts, "card": card}, ensure_ascii=False)}
        with path.open("wb") as stream:
            torch.export.save(program, stream, extra_files=extra)

    def load(path: Path) -> Runner:
        read = torch.export.load(BytesIO(path.read_bytes()))
        return module_runner(read.module(), outputs)

    return Graph(any_length, levels if kind == AUDIO else None, save, load)


def onnx_graph(
    model: SoundModel, kind: str, outputs: tuple[str, ...], ranges: Inputs = ()
) -> Graph:
    """An ONNX graph that takes ``kind`` and gives these outputs.

    Parameters
    ----------
    ranges : sequence of ndarray
        Inputs to find the ranges of activations with, for eight bits; without any, 32 bits.

    Raises
    ------
    ModelError
        If the network cannot be written.
    """
    from onnx.helper import set_model_props

    levels = (LEVELS,) if kind == AUDIO else ()
    module = Exportable(model, kind, tuple(dict.fromkeys((*outputs, EMBEDDINGS, *levels))))
    whole, any_length = _build(module, _to_onnx, _run_onnx)
    proto = _to_int8(whole, outputs, ranges) if ranges else _keep_outputs(whole, outputs)

    def save(path: Path, facts: Mapping[str, str], card: str) -> None:
        proto.producer_name, proto.producer_version = "semisonic", facts["semisonic_version"]
        proto.doc_string = card
        set_model_props(proto, dict(facts))
        path.write_bytes(proto.SerializeToString())

    of_levels = _run_onnx(_keep_outputs(whole, levels)) if levels else None
    return Graph(any_length, of_levels, save, onnx_runner)


def _build(
    module: Exportable,
    write: Callable[[Exportable, bool], Any],
    run: Callable[[Any], Runner],
) -> tuple[Any, bool]:
    """The graph, and whether it takes longer clips; recurrent layers take one length."""
    if not any(isinstance(part, nn.RNNBase) for part in module.modules()):
        try:
            graph = write(module, True)
            if _holds(module, run(graph)):
                return graph, True
        except ModelError:
            pass  # for one length it may do
    return write(module, False), False


def _holds(module: Exportable, file: Runner) -> bool:
    """Whether a graph agrees with its module on clips that are longer than the model's."""
    ours, mel = module_runner(module, module.outputs), module.model.mel
    rng = generator(0, "clips of other lengths")
    whole = (mel.n_samples,) if module.kind == AUDIO else mel.shape
    middle, spread = (0.0, 0.1) if module.kind == AUDIO else (-40.0, 20.0)
    for n, length in ((1, round(1.37 * whole[-1]) | 1), (3, 2 * whole[-1] + 1)):
        x = rng.normal(middle, spread, (n, *whole[:-1], length)).astype(np.float32)
        try:
            exact, found = ours(x), file(x)
        except Exception:  # each runtime has errors of its own for a shape that it cannot take
            return False
        for name, value in exact.items():
            most = MOST_SCORE * max(1, np.abs(value).max())
            if found[name].shape != value.shape or not np.abs(found[name] - value).max() <= most:
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

    Open dimensions have names, and no data of this machine are in the file.
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
    """Within the block, exporters print no warnings and fail with a ModelError."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
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
        logging.disable(before)


def _run_onnx(proto: Any) -> Runner:
    return onnx_runner(proto.SerializeToString())


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
    """The ONNX model in eight bits: weights per output channel, activations by measured ranges.

    This is the static quantisation of ONNX Runtime with pairs of operators that quantise and
    restore (QDQ). The front end keeps 32 bits, as a spectrum spans 100 dB and eight bits 48. The
    layers after the embedding do too: they are small, and the scores depend on them.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    levels = {value.name for value in proto.graph.output} & {LEVELS}
    waiting = iter([{proto.graph.input[0].name: x[None]} for x in inputs])
    with temporary_folder() as folder:
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
                SimpleNamespace(get_next=partial(next, waiting, None)),
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
