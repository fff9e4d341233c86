"""A tiny TFLite graph of samples: the levels of ``tiny_graph``, and classes behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tiny_graph import N_CLASSES, N_SAMPLES, PITCHES, waves

OPERATIONS = ("FULLY_CONNECTED", "MUL", "ADD", "LOG", "LOGISTIC")


def write_tflite(file: Path, *, ending: bool = True) -> Path:
    """The file; without ``ending`` it has no classes, and the levels are its output."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT()], [graph]
    graph.tensors, graph.operators = [], []
    model.operatorCodes = [_code(name) for name in OPERATIONS]
    rng = np.random.default_rng(0)

    def tensor(name: str, shape: tuple[int, ...], values: Any = None) -> int:
        one = schema.TensorT()
        one.name, one.shape, one.type, one.buffer = name, list(shape), schema.TensorType.FLOAT32, 0
        if values is not None:
            content = schema.BufferT()
            content.data = np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)
            one.buffer = len(model.buffers)
            model.buffers.append(content)
        graph.tensors.append(one)
        return len(graph.tensors) - 1

    def run(kind: str, inputs: list[int], name: str, width: int) -> int:
        node, out = schema.OperatorT(), tensor(name, (1, width))
        node.opcodeIndex, node.inputs, node.outputs = OPERATIONS.index(kind), inputs, [out]
        if kind in ("FULLY_CONNECTED", "MUL", "ADD"):
            option = "".join(part.title() for part in kind.split("_")) + "Options"
            node.builtinOptionsType = getattr(schema.BuiltinOptions, option)
            node.builtinOptions = getattr(schema, f"{option}T")()
        graph.operators.append(node)
        return out

    samples = tensor("samples", (1, N_SAMPLES))
    squares = []
    for name, table in zip("ab", waves(), strict=True):
        weights = tensor(f"{name}.weights", (PITCHES, N_SAMPLES), table.T)
        part = run("FULLY_CONNECTED", [samples, weights, -1], name, PITCHES)
        squares.append(run("MUL", [part, part], name * 2, PITCHES))
    one = tensor("one", (1, PITCHES), np.ones(PITCHES))
    energy = run("ADD", [run("ADD", squares, "sum", PITCHES), one], "energy", PITCHES)
    out = run("LOG", [energy], "levels", PITCHES)
    if ending:
        dense = tensor("dense", (N_CLASSES, PITCHES), rng.normal(size=(N_CLASSES, PITCHES)))
        logits = run("FULLY_CONNECTED", [out, dense, -1], "logits", N_CLASSES)
        out = run("LOGISTIC", [logits], "classes", N_CLASSES)
    graph.inputs, graph.outputs = [samples], [out]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    file.write_bytes(bytes(builder.Output()))
    return file


def _code(name: str) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, name)
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, 1
    return code
