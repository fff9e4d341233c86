"""The two formats, each as something that can be saved, opened and compared in the same manner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.features import make_extractor
from semisonic.inference.export_options import AUDIO, INT8, ExportOptions
from semisonic.inference.exporting.building import build
from semisonic.inference.exporting.exportable import EMBEDDINGS, LEVELS, SCORES, Exportable
from semisonic.inference.exporting.onnx_file import keep_outputs, tell, to_onnx
from semisonic.inference.exporting.program import trace
from semisonic.inference.exporting.quantizing import to_int8
from semisonic.inference.exporting.running import (
    Runner,
    module_runner,
    onnx_runner,
    torch_runner,
)
from semisonic.inference.exporting.sounds import Recordings
from semisonic.inference.exporting.torch_file import save_program
from semisonic.inference.pipeline import features_of_wave
from semisonic.models import SoundModel

Inputs = list[NDArray[np.float32]]


class Made(Protocol):
    """A graph in memory.

    Attributes
    ----------
    fixed : str
        Why clips have one length; empty if the graph takes longer ones.
    levels : Runner or None
        The same graph with its features as an output; None where it takes features.
    beside : dict
        Other forms to be timed: what gives scores, and the bytes it takes, by name.
    """

    fixed: str
    levels: Runner | None
    beside: dict[str, tuple[Runner, int]]

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        ...


class MadeOnnx:
    """An ONNX graph, in eight bits if asked for. See :class:`Made`."""

    def __init__(
        self, model: SoundModel, kind: str, options: ExportOptions, inputs: Inputs, folder: Path
    ) -> None:
        outputs = outputs_of(options)
        levels = (LEVELS,) if kind == AUDIO else ()
        module = Exportable(model, kind, (SCORES, EMBEDDINGS, *levels))

        def write(any_length: bool) -> Any:
            return to_onnx(module, any_length=any_length)

        proto, self.fixed = build(module, write, lambda found: onnx_runner(_bytes(found)))
        self.levels = onnx_runner(_bytes(keep_outputs(proto, levels))) if levels else None
        self.proto = keep_outputs(proto, outputs)
        self.beside: dict[str, tuple[Runner, int]] = {}
        if options.quantize == INT8:
            whole = _bytes(self.proto)
            self.beside["ONNX, 32 bits (not kept)"] = onnx_runner(whole), len(whole)
            self.proto = to_int8(proto, outputs, inputs, folder)

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""
        tell(self.proto, facts, card)
        path.write_bytes(_bytes(self.proto))

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        return onnx_runner(path)


class MadeTorch:
    """A program of torch. See :class:`Made`."""

    def __init__(self, model: SoundModel, kind: str, options: ExportOptions) -> None:
        self.outputs = outputs_of(options)
        module = Exportable(model, kind, self.outputs)
        self.program, self.fixed = build(
            module,
            lambda any_length: trace(module, any_length=any_length),
            lambda found: module_runner(found.module(), self.outputs),
        )
        self.beside: dict[str, tuple[Runner, int]] = {}
        mel = Exportable(model, kind, (LEVELS,))
        self.levels = module_runner(mel, (LEVELS,)) if kind == AUDIO else None

    def save(self, path: Path, facts: Mapping[str, str], card: str) -> None:
        """Write the file."""
        save_program(path, self.program, {**facts, "card": card})

    def open(self, path: Path) -> Runner:
        """Read a file that was written."""
        return torch_runner(path, self.outputs)


def outputs_of(options: ExportOptions) -> tuple[str, ...]:
    """What the file gives, in order."""
    return (SCORES, EMBEDDINGS) if options.embeddings else (SCORES,)


def calibration_inputs(recordings: Recordings, kind: str, most: int) -> Inputs:
    """What the file would be given for some of the recordings.

    Raises
    ------
    DataError
        When none can be read.
    """
    waves = recordings.windows(most)
    if not waves:
        raise DataError("option 'calibrate_on': found no recording that can be read")
    if kind == AUDIO:
        return waves
    extractor = make_extractor(recordings.mel)
    return [features_of_wave(wave, recordings.mel, extractor) for wave in waves]


def _bytes(proto: Any) -> bytes:
    written: bytes = proto.SerializeToString()
    return written
