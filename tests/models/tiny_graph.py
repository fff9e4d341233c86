"""A tiny ONNX graph of samples: levels at some pitches, and classes behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE, WINDOW, PITCHES = 8000, 0.25, 12
N_SAMPLES = round(RATE * WINDOW)
N_CLASSES = 5


def waves() -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines, (samples, pitch)."""
    time = np.arange(N_SAMPLES)[:, None] / RATE
    phase = 2 * np.pi * time * np.linspace(150, 3600, PITCHES)
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


def levels(samples: np.ndarray) -> np.ndarray:
    """What the graph gives as its embedding, (n, pitch)."""
    cosine, sine = waves()
    return np.asarray(np.log((samples @ cosine) ** 2 + (samples @ sine) ** 2 + 1))


def write_graph(
    file: Path, *, batch: int | str = "batch", outputs: tuple[str, ...] = ("classes",)
) -> Path:
    """The file; ``outputs`` are of "classes" and "embedding"."""
    cosine, sine = waves()
    rng = np.random.default_rng(0)
    constants = {
        "cosine": cosine,
        "sine": sine,
        "one": np.ones(1, np.float32),
        "dense": rng.normal(size=(PITCHES, N_CLASSES)).astype(np.float32),
        "shift": np.zeros(N_CLASSES, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["samples", "cosine"], ["a"]),
        helper.make_node("MatMul", ["samples", "sine"], ["b"]),
        helper.make_node("Mul", ["a", "a"], ["aa"]),
        helper.make_node("Mul", ["b", "b"], ["bb"]),
        helper.make_node("Sum", ["aa", "bb", "one"], ["energy"]),
        helper.make_node("Log", ["energy"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "dense"], ["logits"]),
        helper.make_node("Add", ["logits", "shift"], ["shifted"]),
        helper.make_node("Sigmoid", ["shifted"], ["classes"]),
    ]
    sizes = {"classes": N_CLASSES, "embedding": PITCHES}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, [batch, N_SAMPLES])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, sizes[name]])
            for name in outputs
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), file)
    return file
