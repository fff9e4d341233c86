"""Bytes of ONNX files, written by hand for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(
    name: str,
    array: np.ndarray,
    *,
    how: str = "raw",
    kind: int = 1,
    external: Mapping[str, str] | None = None,
) -> bytes:
    """An initialiser; ``how`` is raw, floats (packed), single (one field a number) or external."""
    data = array.astype("<f4").tobytes()
    packed = how == "floats"
    out = (
        field(1, b"".join(map(varint, array.shape)))
        if packed
        else b"".join(field(1, n) for n in array.shape)
    )
    out += field(2, kind) + field(8, name)
    if how == "raw":
        out += field(9, data)
    elif packed:
        out += field(4, data)
    elif how == "single":
        out += b"".join(varint(4 << 3 | 5) + data[i : i + 4] for i in range(0, len(data), 4))
    else:
        for key, value in (external or {}).items():
            out += field(13, field(1, key) + field(2, value))
        out += field(14, 1)
    return out


def node(op: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    out = b"".join(field(1, name) for name in inputs)
    out += b"".join(field(2, name) for name in outputs)
    return out + field(4, op) + field(5, field(1, "an attribute"))


def model(nodes: Sequence[bytes], tensors: Sequence[bytes]) -> bytes:
    graph = b"".join(field(1, one) for one in nodes) + field(2, "graph")
    graph += b"".join(field(5, one) for one in tensors)
    return field(1, 8) + field(2, "a test") + field(7, graph) + field(8, field(2, 20))


def yamnet_model(tensors: Mapping[str, np.ndarray], *, quantised: bool = False) -> bytes:
    """A graph that runs ``convs.K`` in order, then ``classifier``."""
    nodes, x = [], "audio"
    n_convs = sum(name.startswith("convs.") for name in tensors) // 2
    for number, name in enumerate([*(f"convs.{k}" for k in range(n_convs)), "classifier"]):
        weight = f"{name}.weight"
        if quantised:
            scale = [f"{name}.scale", f"{name}.zero"]
            nodes += [
                node("QuantizeLinear", [weight, *scale], [f"{name}.q"]),
                node("DequantizeLinear", [f"{name}.q", *scale], [f"{name}.qdq"]),
            ]
            weight = f"{name}.qdq"
        op = "Gemm" if name == "classifier" else "Conv"
        nodes += [
            node(op, [x, weight, f"{name}.bias"], [f"y{number}"]),
            node("Relu", [f"y{number}"], [f"x{number}"]),
        ]
        x = f"x{number}"
    return model(nodes, [tensor(name, array) for name, array in tensors.items()])
