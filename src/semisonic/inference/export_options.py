"""The options of ``export``. No torch here: the command line reads this file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.options import option
from semisonic.data.readers import LABEL_CHOICES
from semisonic.inference.options import LABELS

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
"""What the file of each format ends in."""

AUTO, AUDIO, FEATURES = "auto", "audio", "features"
NO, INT8 = "none", "int8"


@dataclass(frozen=True)
class ExportOptions:
    """Write a trained model for use without Semisonic."""

    model: Path = option(dataclasses.MISSING, "model file, or the run folder it lies in")
    output: Path | None = option(
        None, "file to write; 'model.onnx' or 'model.pt2' here if not given. The model card is "
        "written beside it"
    )  # fmt: skip
    to: str = option(
        "onnx", "onnx, for ONNX Runtime and others; torch, for torch.export.load", choices=SUFFIXES
    )
    input: str = option(
        AUTO, "what the file takes: audio (samples), features (log-mel in dB), or audio where the "
        "front end can be part of the file", choices=(AUTO, AUDIO, FEATURES),
    )  # fmt: skip
    embeddings: bool = option(False, "give embeddings beside the scores")
    quantize: str = option(
        NO, "int8: weights and activations of the network in 8 bits, ONNX only", choices=(NO, INT8)
    )
    calibrate_on: Path | None = option(
        None,
        "recordings that tell the ranges of activations, for int8: some like those it will hear",
    )
    calibration_clips: int = option(
        100, "windows of them that are used, spread evenly", minimum=1, maximum=10_000
    )
    check: bool = option(True, "compare the file with the model before it is kept")
    check_on: Path | None = option(
        None, "recordings to compare on, made-up sounds if not given; where they carry labels that "
        "the model knows, accuracy is compared, too"
    )  # fmt: skip
    labels: str = option("auto", LABELS, choices=LABEL_CHOICES)
    speed: bool = option(True, "measure how fast each form is, on one thread")
    licence: str = option(
        "", "licence that the file names; that of the published weights it began with if not given"
    )
