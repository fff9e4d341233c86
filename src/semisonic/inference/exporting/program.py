"""A module as a graph of operators, by :mod:`torch.export`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from semisonic.base.errors import ModelError
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.exportable import Exportable


def trace(module: Exportable, *, any_length: bool) -> ExportedProgram:
    """The graph, for any number of clips, of one length or of any.

    Raises
    ------
    ModelError
        When torch cannot make a graph of the network.
    """
    dims: dict[int, object] = {0: Dim.DYNAMIC}
    if any_length:
        dims[1 if module.kind == AUDIO else 3] = Dim.AUTO
    with quietly(), torch.inference_mode(False):
        try:
            return torch.export.export(
                module, (module.example(),), dynamic_shapes=(dims,), strict=False
            )
        except Exception as error:  # torch has no type of its own for what it cannot trace
            raise cannot(module, error) from error


def cannot(module: Exportable, error: Exception) -> ModelError:
    """The error of a network that cannot be written."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return ModelError(
        f"model '{module.model.name}' cannot be exported: {type(error).__name__}: {lines[0]}"
    )


@contextmanager
def quietly() -> Iterator[None]:
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
