"""Eight bits: weights by output channel, activations by ranges that calibration clips show.

Static quantisation of ONNX Runtime with pairs of operators that quantise and give back (QDQ). The
front end keeps its 32 bits, as a spectrum spans 100 dB and eight bits 48, and so does what follows
the embedding: it is small, and scores hang on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.exporting.exportable import EMBEDDINGS, LEVELS
from semisonic.inference.exporting.onnx_file import keep_outputs, nodes_before
from semisonic.inference.exporting.program import quietly

OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool")
"""What is computed in eight bits; poolings and ReLU so that nothing is converted between them."""


def to_int8(
    proto: Any, outputs: Sequence[str], inputs: Sequence[NDArray[np.float32]], folder: Path
) -> Any:
    """The ONNX model in eight bits.

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
    onnx.save(keep_outputs(proto, {*outputs, EMBEDDINGS, *levels}), whole)
    with quietly():
        quant_pre_process(whole, ready, skip_optimization=True, skip_symbolic_shape=True)
        graph = onnx.load(ready)
        network = nodes_before(graph, {EMBEDDINGS}) - nodes_before(graph, levels)
        others = [node.name for node in graph.graph.node if node.name not in network]
        quantize_static(
            ready, done, _Reader(kind, inputs), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS), nodes_to_exclude=others,
        )  # fmt: skip
    result = keep_outputs(onnx.load(done), outputs)
    del result.graph.value_info[:]
    return result


class _Reader:
    """Hands the inputs over one by one, as ONNX Runtime wants them."""

    def __init__(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> None:
        self.name, self.waiting = name, iter(inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, None after the last."""
        x = next(self.waiting, None)
        return None if x is None else {self.name: x[None]}
