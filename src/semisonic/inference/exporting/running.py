"""Exported files at work, each in the same manner: an array in, named arrays out."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Outputs = dict[str, NDArray[np.float32]]
Runner = Callable[[NDArray[np.float32]], Outputs]


def onnx_runner(model: Path | bytes) -> Runner:
    """A session of ONNX Runtime on one thread of the processor."""
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


def torch_runner(file: Path, outputs: tuple[str, ...]) -> Runner:
    """A program of torch, read back from its file."""
    program = torch.export.load(BytesIO(file.read_bytes()))
    return module_runner(program.module(), outputs)


def module_runner(module: torch.nn.Module, outputs: tuple[str, ...]) -> Runner:
    """A module of torch that gives a tuple."""

    def run(x: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            found = module(torch.from_numpy(x))
        return {name: one.numpy() for name, one in zip(outputs, found, strict=True)}

    return run
