"""Graphs as ONNX."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.exportable import Exportable
from semisonic.inference.exporting.program import cannot, quietly, trace

OPSET = 20
MOST_FOLDED = 8192
"""Numbers that a constant may have to be computed while the file is written. The filters of the
front end are larger, and are computed where the file is loaded."""


def to_onnx(module: Exportable, *, any_length: bool) -> Any:
    """The module as an ONNX model (``onnx.ModelProto``), with all outputs it has.

    Raises
    ------
    ModelError
        When the network cannot be written.
    """
    from onnxscript import optimizer

    program = trace(module, any_length=any_length)
    with quietly():
        try:
            written: Any = torch.onnx.export(
                program, (module.example(),), dynamo=True, external_data=False, verbose=False,
                opset_version=OPSET, optimize=False, input_names=[module.kind],
                output_names=list(module.outputs),
            )  # fmt: skip
            optimizer.optimize(written.model, output_size_limit=MOST_FOLDED)
        except Exception as error:  # as above: one of many types
            raise cannot(module, error) from error
    proto = written.model_proto
    tidy(proto, module.kind, any_length=any_length)
    return proto


def tidy(proto: Any, kind: str, *, any_length: bool) -> None:
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


def keep_outputs(proto: Any, names: Collection[str]) -> Any:
    """A copy with some of the outputs, and the nodes that lead to them."""
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(proto)
    outputs = [value for value in proto.graph.output if value.name in names]
    del copy.graph.output[:]
    copy.graph.output.extend(outputs)
    wanted = nodes_before(proto, names)
    nodes = [node for node in proto.graph.node if node.name in wanted]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def nodes_before(proto: Any, names: Collection[str]) -> set[str]:
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


def tell(proto: Any, facts: Mapping[str, str], card: str) -> None:
    """Write facts into the file, where any reader of ONNX finds them."""
    from onnx.helper import set_model_props

    proto.producer_name, proto.producer_version = "semisonic", facts["semisonic_version"]
    proto.doc_string = card
    set_model_props(proto, dict(facts))
