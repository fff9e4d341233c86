"""Float weights out of an ONNX file, without the package onnx.

Reads as much of the protobuf as that takes: the graph's nodes (operation, inputs, outputs) and
its float initialisers, inside the file or in a file beside it. See onnx.proto3 of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import ModelError

FLOAT, EXTERNAL = 1, 1
_PASSES_ON = {"QuantizeLinear", "DequantizeLinear", "Identity"}
Value = int | bytes
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Node:
    """An operation with the names of its inputs and outputs."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Nodes in the order they are run, and float initialisers by name."""

    nodes: tuple[Node, ...]
    floats: dict[str, Array]

    def weight(self, name: str) -> Array:
        """The initialiser behind a name, through what merely quantises it.

        Raises
        ------
        ModelError
            When there is no float one.
        """
        makers = {output: node for node in self.nodes for output in node.outputs}
        asked, seen = name, {name}
        while name not in self.floats:
            node = makers.get(name)
            if node is None or node.op not in _PASSES_ON or node.inputs[0] in seen:
                raise ModelError(
                    f"'{asked}' is no float weight of the file; take a file whose weights are "
                    "float32, also if activations are quantised"
                )
            name = node.inputs[0]
            seen.add(name)
        return self.floats[name]


def read_graph(data: bytes, beside: Callable[[str], bytes]) -> Graph:
    """Nodes and float initialisers of an ONNX file.

    Parameters
    ----------
    data : bytes
        The whole file.
    beside : callable
        Gives the bytes of a file beside it by its name, for weights that are stored there.

    Raises
    ------
    ModelError
        For bytes that are no ONNX file, are cut off, or point outside a file.
    """
    try:
        graphs = [value for field, value in _fields(data) if field == 7]
        if len(graphs) != 1:
            raise ValueError(f"found {len(graphs)} graphs, expected one")
        parts = list(_fields(_bytes(graphs[0])))
        nodes = tuple(_node(_bytes(value)) for field, value in parts if field == 1)
        found = (_tensor(_bytes(value), beside) for field, value in parts if field == 5)
        return Graph(nodes, {name: array for name, array in found if array is not None})
    except (ValueError, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ModelError(f"no ONNX file, or a damaged one: {error}") from error


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Numbers and values of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of wire type {kind}")
        if at + size > len(data):
            raise ValueError(f"a field of {size} bytes where {len(data) - at} are left")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]  # IndexError where the file ends
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes belong")
    return value


def _numbers(value: Value) -> list[int]:
    """One number, or several packed together."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _node(data: bytes) -> Node:
    names: dict[int, list[str]] = {1: [], 2: [], 4: []}
    for field, value in _fields(data):
        if field in names:
            names[field].append(_bytes(value).decode())
    return Node("".join(names[4]), tuple(names[1]), tuple(names[2]))


def _tensor(data: bytes, beside: Callable[[str], bytes]) -> tuple[str, Array | None]:
    """Name and values of an initialiser; None for another type than float."""
    dims: list[int] = []
    content, name, kind, where = b"", "", 0, 0
    external: dict[str, str] = {}
    for field, value in _fields(data):
        if field == 1:
            dims += _numbers(value)
        elif field == 2 and isinstance(value, int):
            kind = value
        elif field == 8:
            name = _bytes(value).decode()
        elif field in (4, 9):  # float_data, packed or one by one, or raw_data
            content += _bytes(value)
        elif field == 13:
            entry = {f: _bytes(v).decode() for f, v in _fields(_bytes(value))}
            external[entry.get(1, "")] = entry.get(2, "")
        elif field == 14 and isinstance(value, int):
            where = value
    if kind != FLOAT:
        return name, None
    if where == EXTERNAL:
        whole, start = beside(external.get("location", "")), int(external.get("offset", "0"))
        size = int(external.get("length", str(len(whole) - start)))
        if min(start, size) < 0 or start + size > len(whole):
            raise ValueError(f"'{name}' lies outside '{external.get('location')}'")
        content = whole[start : start + size]
    if len(content) != 4 * int(np.prod(dims, dtype=np.int64)):
        raise ValueError(f"'{name}' has {len(content)} bytes for {dims} numbers")
    return name, np.frombuffer(content, "<f4").reshape(dims).astype(np.float32)
