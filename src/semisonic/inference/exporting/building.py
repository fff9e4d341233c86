"""A graph for clips of any length where the network allows it, else for one length."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from semisonic.base.errors import ModelError
from semisonic.base.seeds import generator
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.exportable import Exportable
from semisonic.inference.exporting.parity import MOST_SCORE
from semisonic.inference.exporting.running import Runner, module_runner
from semisonic.inference.exporting.shapes import one_length, other_lengths

T = TypeVar("T")
NOT_WRITTEN = "this network could be written for one length only"


def build(
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
            if holds(module, run(graph)):
                return graph, ""
        except ModelError:
            pass  # for one length it may do
        fixed = NOT_WRITTEN
    return write(False), fixed


def holds(module: Exportable, file: Runner) -> bool:
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
